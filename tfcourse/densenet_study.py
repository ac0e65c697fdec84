"""What exercise 09 trains: a DenseNet, and plain CNNs for as many seconds."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse import data, plots, training
from tfcourse import densenet_figures as figures
from tfcourse.convnet_training import Methods, Recipe, accuracy, compiled, predict
from tfcourse.convolutional_networks import plain_cnn
from tfcourse.densenet_sizes import num_trained
from tfcourse.image_parts import Part, load_image_parts, standardised
from tfcourse.random_crops import random_crops
from tfcourse.rate_schedules import tenth_by_tenth
from tfcourse.residual_study import confusion
from tfcourse.runs import Run
from tfcourse.training.clock import EpochClock

START_IMAGES = 500  # That the loss at step 0 is measured on.
PROBE_EPOCHS = 3  # Of the plain CNN, to know how long one takes.


class Study:
    """Trains networks on CIFAR-10.

    Args:
        run: Gets curves, figures and what was measured.
        settings: The exercise's config.
    """

    def __init__(self, run: Run, settings: Any):
        self.run = run
        self.settings = settings
        self._history: dict[str, dict[str, list[float]]] = {}
        self._accuracy: dict[str, float] = {}

    @functools.cached_property
    def _stored(self) -> tuple[dict[str, Part], data.DatasetInfo]:
        s = self.settings
        return load_image_parts(
            self.run, "cifar10", s.source, val_fraction=s.val_fraction, seed=s.seed
        )

    @functools.cached_property
    def parts(self) -> dict[str, Part]:
        """The parts "train", "val" and "test", standardised."""
        return standardised(self._stored[0])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the labels."""
        return tuple(self._stored[1].class_names)

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width, channels."""
        return self.parts["train"][0].shape[1:]

    def train(self, network: keras.Model) -> dict[str, float]:
        """Train the DenseNet for the settings' epochs; return its metrics.

        Returns:
            `densenet_parameters`, `densenet_start_loss_over_ln_classes`,
            `densenet_train_seconds`, `densenet_val_accuracy`, `test_accuracy` and
            `test_error`.
        """
        s = self.settings
        metrics = {
            "densenet_parameters": float(num_trained(network)),
            "densenet_start_loss_over_ln_classes": self._start_loss(network),
        }
        metrics |= self._fit("densenet", network, s.epochs, s)
        matrix = confusion(network, self.parts["test"], self.num_classes)
        self.run.figure("confusion", plots.confusion_matrix(matrix, self.class_names))
        reached = self._accuracy["densenet"]
        return metrics | {"test_accuracy": reached, "test_error": 1 - reached}

    def _start_loss(self, network: keras.Model) -> float:
        """Return the cross-entropy before any step, over that of equal probabilities.

        Batch normalisation uses the batch's own mean and variance, as in the first step.
        """
        images, labels = (array[:START_IMAGES] for array in self.parts["val"])

        def measure() -> float:
            kept = network.get_weights()
            logits = network(images, training=True)
            network.set_weights(kept)  # The moving averages.
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            return float(tf.reduce_mean(loss)) / math.log(self.num_classes)

        return self.run.once("densenet/start_loss", measure)

    def _fit(
        self, name: str, network: keras.Model, epochs: int, settings: Any
    ) -> dict[str, float]:
        """Train a network; return the seconds and the accuracy on validation images."""
        images, labels = self.parts["train"]
        model = self._compiled(network, epochs, settings)
        clock = EpochClock()
        history = training.fit(
            model,
            images,
            labels,
            batch_size=settings.batch_size,
            epochs=epochs,
            validation_data=self.parts["val"],
            validation_batch_size=START_IMAGES,
            seed=settings.seed,
            callbacks=[clock, *self.run.callbacks(f"{name}/trained", epochs=epochs)],
        )
        print(f"{name}: {history.engine}")
        self._history[name] = history.history
        test_images, test_labels = self.parts["test"]
        reached = accuracy(predict(network, test_images), test_labels)
        self._accuracy[name] = reached
        outcome = {"test_accuracy": reached, "parameters": num_trained(network)}
        self.run.hparams(name, {"network": name, "epochs": epochs}, outcome)
        return {
            f"{name}_train_seconds": sum(history.history["seconds"]),
            f"{name}_train_accuracy": history.history["accuracy"][-1],
            f"{name}_val_accuracy": history.history["val_accuracy"][-1],
        }

    def _compiled(
        self, network: keras.Model, epochs: int, settings: Any
    ) -> keras.Model:
        num_images = len(self.parts["train"][1])
        recipe = Recipe(
            num_steps=epochs * math.ceil(num_images / settings.batch_size),
            rate=settings.rate,
            smoothing=settings.smoothing,
            max_shift=settings.shift,
        )
        return compiled(network, recipe, methods(settings), settings)

    def compare_with_plain(self) -> dict[str, float]:
        """Train plain CNNs, each for at least as many seconds as the DenseNet had.

        Returns:
            For exercise 07's plain CNN `plain_parameters`, `plain_epochs`,
            `plain_train_seconds`, `plain_val_accuracy`, `plain_test_accuracy`;
            `plain_time_ratio`, its seconds over the DenseNet's; `gain_over_plain`, the
            difference of the test accuracies. The same for `wide_plain`, if there is one.
        """
        s = self.settings
        metrics = self._compare("plain", s.plain_filters, s.plain_units)
        if s.wide_filters:
            metrics |= self._compare("wide_plain", s.wide_filters, s.wide_units)
        self.run.figure("equal_time", figures.equal_time(self._history))
        return metrics

    def _compare(
        self, name: str, filters: Sequence[int], units: int
    ) -> dict[str, float]:
        """Train one plain CNN; return its metrics."""
        s = self.settings
        build = functools.partial(
            plain_cnn, self.image_shape, self.num_classes, filters, units
        )
        settings = dataclasses.replace(
            s,
            batch_size=s.plain_batch_size,
            rate=s.plain_rate,
            decay=s.plain_decay,
            schedule="cosine",
        )
        given = sum(self._history["densenet"]["seconds"])
        epochs = s.plain_epochs
        if not epochs:
            measure = functools.partial(self._seconds_per_epoch, build(), settings)
            seconds = self.run.once(f"{name}/seconds_per_epoch", measure)
            epochs = math.ceil((1 + s.spare_time) * given / seconds)
        keras.utils.set_random_seed(s.seed)
        network = build()
        metrics = self._fit(name, network, epochs, settings)
        reached = self._accuracy[name]
        return metrics | {
            f"{name}_parameters": float(num_trained(network)),
            f"{name}_epochs": float(epochs),
            f"{name}_test_accuracy": reached,
            f"{name}_time_ratio": metrics[f"{name}_train_seconds"] / given,
            f"gain_over_{name}": self._accuracy["densenet"] - reached,
        }

    def _seconds_per_epoch(self, network: keras.Model, settings: Any) -> float:
        """Return the seconds of an epoch, validation included: the fastest of a few."""
        model = self._compiled(network, PROBE_EPOCHS, settings)
        history = training.fit(
            model,
            *self.parts["train"],
            batch_size=settings.batch_size,
            epochs=PROBE_EPOCHS,
            validation_data=self.parts["val"],
            validation_batch_size=START_IMAGES,
            callbacks=[EpochClock()],
        )
        return min(history.history["seconds"])

    def draw_sources(
        self, network: keras.Model, weight_by_source: Callable[..., Any]
    ) -> None:
        """Draw how strongly each layer of the trained DenseNet listens to each source.

        Nothing is drawn where the layers of the network can't be told apart.
        """
        s = self.settings
        pairs = pointwise_pairs(network)
        if len(pairs) != sum(s.num_layers) + len(s.num_layers) - 1:
            return
        blocks, start = [], s.stem_filters
        remaining = iter(pairs)
        for index, count in enumerate(s.num_layers):
            # The transition behind a block listens to all of it, as one more layer.
            num_targets = count + (index < len(s.num_layers) - 1)
            rows = []
            for target in range(num_targets):
                scale, kernel = next(remaining)
                sources = [start, *[s.growth_rate] * target]
                rows.append(np.asarray(weight_by_source(kernel, scale, sources)))
                start_next = kernel.shape[-1]
            blocks.append(rows)
            start = start_next
        self.run.figure("sources", figures.sources(blocks))


def methods(settings: Any) -> Methods:
    """Return augmentation, schedule and loss for trainings by these settings."""

    def augment(images: tf.Tensor, seed: tf.Tensor, max_shift: int) -> tf.Tensor:
        return random_crops(images, seed, max_shift, settings.mirror)

    def rate(step: tf.Tensor, num_steps: int, peak: float, warmup_steps: int) -> Any:
        if settings.schedule == "steps":
            return tenth_by_tenth(num_steps, peak)(step)
        schedule = keras.optimizers.schedules.CosineDecay(
            peak / warmup_steps,
            max(num_steps - warmup_steps, 1),
            warmup_target=peak,
            warmup_steps=warmup_steps,
        )
        return schedule(step)

    def loss(labels: tf.Tensor, logits: tf.Tensor, smoothing: float) -> tf.Tensor:
        targets = tf.one_hot(labels, logits.shape[-1])
        return keras.losses.categorical_crossentropy(
            targets, logits, from_logits=True, label_smoothing=smoothing
        )

    return Methods(augment, rate, loss)


def pointwise_pairs(network: keras.Model) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return scale and kernel of each 1x1 convolution and the normalisation before it.

    In the order of the layers; convolutions without a fitting normalisation are left out.
    """
    pairs, scale = [], None
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            scale = np.asarray(layer.gamma)
        elif isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (1, 1):
            kernel = np.asarray(layer.kernel)
            if scale is not None and len(scale) == kernel.shape[2]:
                pairs.append((scale, kernel))
    return pairs
