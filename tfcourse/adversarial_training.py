"""Networks that are attacked: trained as usual, and on adversarial examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from tfcourse.adversarial_networks import Part, mlp, small_cnn, train
from tfcourse.adversarial_study import Tools, validation
from tfcourse.runs import Run

NUM_CLASSES = 10


class AdversarialTraining(keras.Model):
    """Trains a network by `fit` on examples that are made anew for each batch.

    Epsilon grows from 0 in the first part of the training: a fresh network that meets
    the full attack can end up with one answer for everything.

    Args:
        network: From images to logits.
        loss: Called as `loss(network, images, labels, attack)`; gives a mean loss.
        attack: Called as `attack(network, images, labels, epsilon=..., seed=...)`.
        epsilon: Of the full attack.
        ramp_steps: Batches until epsilon has its full size.
        seed: Of what is random in the attack.
    """

    def __init__(
        self,
        network: keras.Model,
        loss: Callable[..., tf.Tensor],
        attack: Callable[..., tf.Tensor],
        *,
        epsilon: float,
        ramp_steps: int,
        seed: int,
    ):
        super().__init__(name=f"training_of_{network.name}")
        self.network = network
        self.mean_loss = loss
        self.attack = attack
        self.epsilon = epsilon
        self.ramp_steps = ramp_steps
        self.seed = seed
        self.tracker = keras.metrics.Mean(name="loss")
        self.built = True  # The network is.

    def call(self, images: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Return the network's logits."""
        return self.network(images, training=training)

    def train_step(self, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Make examples, take one step on them, and return the mean loss so far."""
        step = tf.cast(self.optimizer.iterations, tf.int32)
        share = tf.minimum(1.0, tf.cast(step, tf.float32) / max(1, self.ramp_steps))

        def attack(
            network: keras.Model, images: tf.Tensor, labels: tf.Tensor
        ) -> tf.Tensor:
            options = {"epsilon": self.epsilon * share, "seed": [self.seed, step]}
            return self.attack(network, images, labels, **options)

        with tf.GradientTape() as tape:
            loss = self.mean_loss(self.network, *batch, attack)
        weights = self.network.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}


def train_networks(
    run: Run,
    tools: Tools,
    loss: Callable[..., tf.Tensor],
    parts: Mapping[str, Part],
    settings: Any,
) -> tuple[dict[str, keras.Model], dict[str, dict[str, list[float]]]]:
    """Return networks `standard`, `other`, `fgsm_trained` and `robust`, and histories.

    Args:
        run: Gets curves, histograms and resume points of each training.
        tools: The exercise's attacks.
        loss: The exercise's `adversarial_loss`.
        parts: As `load_parts` returns them.
        settings: The exercise's Config.

    Returns:
        The networks, and by the same names what was logged for each epoch.
    """

    def fgsm(network, images, labels, *, epsilon, seed):
        del seed
        return tools.fgsm(network, images, labels, epsilon=epsilon)

    def pgd(network, images, labels, *, epsilon, seed):
        step_size = settings.train_step_share * epsilon
        options = {"step_size": step_size, "num_steps": settings.train_steps}
        return tools.pgd(network, images, labels, epsilon=epsilon, seed=seed, **options)

    shape = parts["train"][0].shape[1:]
    networks = {
        "standard": small_cnn(shape, NUM_CLASSES, settings.filters, settings.units),
        "other": mlp(shape, NUM_CLASSES, settings.units),
    }
    histories = {}
    for name, network in networks.items():
        epochs = settings.plain_epochs
        histories[name] = train(run, name, network, parts, settings, epochs=epochs)
    steps_per_epoch = math.ceil(len(parts["train"][1]) / settings.batch_size)
    for name, attack, epochs in (
        ("fgsm_trained", fgsm, settings.fgsm_epochs),
        ("robust", pgd, settings.robust_epochs),
    ):
        network = small_cnn(shape, NUM_CLASSES, settings.filters, settings.units)
        trainer = AdversarialTraining(
            network,
            loss,
            attack,
            epsilon=settings.train_epsilon,
            ramp_steps=round(settings.ramp_share * epochs * steps_per_epoch),
            seed=settings.seed,
        )
        networks[name] = network
        histories[name] = train(
            run,
            name,
            trainer,
            parts,
            settings,
            epochs=epochs,
            validation=validation(network, parts, tools, settings),
        )
    return networks, histories
