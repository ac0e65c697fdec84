"""What stands around the training of image classifiers: augmentation, schedule, clock."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfcourse.rate_schedules import RateByStep

Change = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # Of images and a seed, int32 [2].


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    num_steps: int
    rate: float  # The largest one.
    smoothing: float  # Of the labels.
    max_shift: int  # Pixels by which images move; with 0 they are not flipped either.
    scheduled: bool = True  # Else the rate is constant.


class Methods(NamedTuple):
    """The exercise's functions that a training uses."""

    augment: Callable[..., tf.Tensor]  # Of images, a seed and `max_shift=`.
    rate: Callable[..., tf.Tensor]  # Of step, num_steps, peak and warmup_steps.
    loss: Callable[..., tf.Tensor]  # Of labels, logits and smoothing, by example.


class RandomImages(keras.layers.Layer):
    """Changes images at random in training, and hands them on otherwise.

    Args:
        change: Called with images [batch, ...] and a seed, int32 [2], another in each step.
        seed: Of the sequence of seeds.
    """

    def __init__(self, change: Change, seed: int | None = None, **options: Any):
        super().__init__(**options)
        self.change = change
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=False):
        """Return images of the same shape."""
        if not training:
            return images
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        changed = self.change(images, seed)
        return tf.ensure_shape(changed, images.shape)

    def get_config(self):
        """Return what describes the layer; a function can't be made again from it."""
        name = getattr(self.change, "func", self.change).__name__
        return super().get_config() | {"change": name}


def with_random_images(model: keras.Model, change: Change) -> keras.Model:
    """Return the model behind a `RandomImages`; both share their weights."""
    inputs = keras.Input(model.input_shape[1:])
    outputs = model(RandomImages(change, name="augmentation")(inputs))
    return keras.Model(inputs, outputs, name=f"augmented_{model.name}")


def standardised(network: keras.Model, images: np.ndarray) -> keras.Model:
    """Return the network behind a layer that brings grey levels to mean 0, deviation 1.

    Args:
        network: Takes float32 images.
        images: uint8 [n, height, width, channels], whose mean and deviation count for
            each channel.
    """
    mean = images.mean(axis=(0, 1, 2))
    deviation = images.std(axis=(0, 1, 2), dtype=np.float64)
    inputs = keras.Input(network.input_shape[1:])
    scale = keras.layers.Rescaling(
        (1 / deviation).tolist(), (-mean / deviation).tolist()
    )
    return keras.Model(inputs, network(scale(inputs)), name=f"scaled_{network.name}")


def compiled(
    network: keras.Model, recipe: Recipe, methods: Methods, settings: Any
) -> keras.Model:
    """Return the network behind its augmentation, compiled to be trained by the recipe.

    SGD with Nesterov's momentum; the decay, times the rate, shrinks kernels alone: norms
    and biases have no reason to be small.

    Args:
        network: From images to logits.
        recipe: What to train by.
        methods: Augmentation, schedule and loss.
        settings: The exercise's config: `momentum`, `decay`, and `warmup`, a share of the
            steps.
    """
    model = network
    if recipe.max_shift:
        change = functools.partial(methods.augment, max_shift=recipe.max_shift)
        model = with_random_images(network, change)
    rate: Any = recipe.rate
    if recipe.scheduled:
        warmup_steps = max(1, round(settings.warmup * recipe.num_steps))

        def rate_of_step(step):
            step = tf.cast(step, tf.int64)
            return methods.rate(step, recipe.num_steps, recipe.rate, warmup_steps)

        rate = RateByStep(rate_of_step)
    optimizer = keras.optimizers.SGD(
        rate,
        momentum=settings.momentum,
        nesterov=True,
        weight_decay=settings.decay,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])

    def loss(labels, logits):
        labels = tf.cast(labels, tf.int64)  # Keras makes them floats.
        return methods.loss(labels, logits, recipe.smoothing)

    accurate = keras.metrics.SparseCategoricalAccuracy("accuracy")
    model.compile(optimizer, loss, metrics=[accurate])
    return model


def predict(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return the model's logits, 500 images at a time: float32 [n, classes]."""
    return model.predict(images, batch_size=500, verbose=0)


def flip_averaged(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return the mean of the logits of the images and of their mirror images.

    It costs a second pass: where a figure stands for it, say so.
    """
    return (predict(model, images) + predict(model, images[:, :, ::-1])) / 2


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of examples whose largest logit is the label's."""
    return float(np.mean(logits.argmax(axis=-1) == labels))
