"""One network that is trained again and again, and the rates of all trainings of 11."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfcourse.rate_schedules import RateByStep

WARMUP_SHARE = 0.2  # Of the steps.


class Trainer:
    """Trains one network again and again, each time from given weights.

    What was trained before leaves no trace. The steps are traced once.

    Args:
        model: From images to logits; what of it is trained stays as it is now.
        train_step: Of the model, an optimizer, images, labels and factors; returns a loss.
        num_steps: Of each training.
        decay: Of the kernels, times the rate.
    """

    def __init__(
        self, model: keras.Model, train_step: Any, *, num_steps: int, decay: float
    ):
        self.model = model
        self.peak = tf.Variable(0.0, trainable=False)
        self.optimizer = decaying_sgd(num_steps, self.peak, decay)
        self.optimizer.build(model.trainable_variables)
        self.num_steps = num_steps
        self._shape = model.input_shape
        step = functools.partial(train_step, model, self.optimizer)

        @tf.function(reduce_retracing=True)
        def train(batch_ds: tf.data.Dataset, factors: tf.Tensor) -> tf.Tensor:
            losses = tf.zeros([2])  # The first one and the last one.
            for place, (images, labels) in batch_ds.enumerate():
                loss = step(images, labels, factors)
                losses = tf.stack([loss if place == 0 else losses[0], loss])
            return losses

        @tf.function(reduce_retracing=True)
        def num_right(batch_ds: tf.data.Dataset) -> tf.Tensor:
            count = tf.constant(0, tf.int64)
            for images, labels in batch_ds:
                logits = model(images, training=False)
                right = tf.argmax(logits, axis=1) == tf.argmax(labels, axis=1)
                count += tf.math.count_nonzero(right)
            return count

        self._train, self._num_right = train, num_right

    def train(
        self,
        start: keras.Model,
        batch_ds: tf.data.Dataset,
        *,
        rate: float,
        factors: Sequence[float],
    ) -> tuple[float, float]:
        """Train from a model's weights; return the losses of the first and the last step.

        Args:
            start: Has the same weights in the same order; is left as it is.
            batch_ds: One epoch of images and labels; repeated as often as needed.
            rate: The largest one; it rises and falls again.
            factors: Of the trainable variables' rates.
        """
        self.model.set_weights(start.get_weights())
        for variable in self.optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        self.peak.assign(rate)
        shape = self._shape
        shaped = batch_ds.map(lambda x, y: (tf.ensure_shape(x, shape), y))
        endless = shaped.repeat().take(self.num_steps).prefetch(1)
        losses = self._train(endless, tf.constant(factors, tf.float32))
        first, last = losses.numpy().tolist()
        return first, last

    def accuracy(self, batch_ds: tf.data.Dataset, num_images: int) -> float:
        """Return the share of images whose largest logit is the label's."""
        return int(self._num_right(batch_ds)) / num_images


def warm_cosine(step: Any, num_steps: int, peak: Any) -> tf.Tensor:
    """Return a rate that rises to the peak on a line and falls to 0 on half a cosine.

    Args:
        step: How many steps are done.
        num_steps: Of the training; in a share of WARMUP_SHARE it rises.
        peak: The largest rate.
    """
    warmup = max(1, round(WARMUP_SHARE * num_steps))
    step = tf.cast(step, tf.float32)
    share = tf.minimum((step - warmup) / (num_steps - warmup), 1.0)
    falling = (1 + tf.cos(math.pi * share)) / 2
    return peak * tf.where(step < warmup, (step + 1) / warmup, falling)


def decaying_sgd(num_steps: int, peak: Any, decay: float) -> keras.Optimizer:
    """Return SGD with momentum whose rate rises, then falls; kernels alone decay.

    Args:
        num_steps: Of the training.
        peak: The largest rate.
        decay: Of the kernels, times the rate.
    """
    optimizer = keras.optimizers.SGD(
        RateByStep(warm_cosine, num_steps=num_steps, peak=peak),
        momentum=0.9,
        nesterov=True,
        weight_decay=decay,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer
