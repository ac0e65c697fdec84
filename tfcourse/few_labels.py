"""Classifiers that are trained again and again, on one draw of few labels after another."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from tfcourse import training
from tfcourse.warps import with_warps

EPOCHS_OF_LABELS = 10  # Into which the steps on few labels are cut.


class Trainer:
    """Trains one classifier from the same start each time, on warped images.

    Whatever was trained before leaves no trace: neither weights nor the optimizer's state.
    Nothing is compiled a second time.

    Args:
        model: From float32 [batch, height, width] to logits.
        fresh_weights: Whether each training starts from new random weights; otherwise it
            starts from those that `model` has now.
    """

    def __init__(self, model: keras.Model, *, fresh_weights: bool):
        self.model = model
        self.num_classes = model.output_shape[-1]
        self.start = None if fresh_weights else model.get_weights()
        self.warped = with_warps(model)
        self.warped.compile(
            keras.optimizers.Adam(),
            keras.losses.CategoricalCrossentropy(from_logits=True),
        )

    def train(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        *,
        rate: float,
        seed: int,
        epochs: int,
        batch_size: int,
        sample_weight: np.ndarray | None = None,
        callbacks: Any = (),
    ) -> None:
        """Train from the start; a cosine takes the rate to 0.

        Args:
            images: float32 [n, height, width].
            targets: int labels [n], or shares of the classes, float [n, num_classes].
            rate: Adam's, at first.
            seed: Of new weights, warps and order.
            epochs: Number of epochs.
            batch_size: Images per step.
            sample_weight: float [n].
            callbacks: As for `fit`.
        """
        training.reinitialize(self.warped, seed=seed, learning_rate=rate)
        if self.start is not None:
            self.model.set_weights(self.start)
        if targets.ndim == 1:
            targets = np.eye(self.num_classes, dtype=np.float32)[targets]
        cosine = keras.callbacks.LearningRateScheduler(
            lambda epoch: rate * (1 + math.cos(math.pi * epoch / epochs)) / 2
        )
        training.fit(
            self.warped,
            images,
            targets.astype(np.float32),
            sample_weight=sample_weight,
            epochs=epochs,
            batch_size=batch_size,
            callbacks=[cosine, *callbacks],
            seed=seed,
        )

    def train_on_labels(
        self, images: np.ndarray, labels: np.ndarray, *, num_steps: int, **options: Any
    ) -> None:
        """Train on few images, all of them in each step, warped anew.

        Args:
            images: float32 [n, height, width].
            labels: int [n].
            num_steps: Steps in all.
            **options: `rate` and `seed`, as for `train`.
        """
        steps = max(1, num_steps // EPOCHS_OF_LABELS)
        self.train(
            np.tile(images, (steps, 1, 1)),
            np.tile(labels, steps),
            epochs=min(num_steps, EPOCHS_OF_LABELS),
            batch_size=len(images),
            **options,
        )

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Return the share of images that the classifier, as it is now, gets right."""
        logits = self.model.predict(images, batch_size=1000, verbose=0)
        return float(np.mean(np.argmax(logits, axis=1) == labels))


def certainty(shares: np.ndarray) -> np.ndarray:
    """Return how sure each row of shares is: float32 [n], 1 for one class, 0 for all alike.

    Source: Iscen et al., 2019, arXiv:1904.04717, equation 11.
    """
    safe = np.maximum(shares, 1e-12)
    entropy = -np.sum(shares * np.log(safe), axis=1)
    return (1 - entropy / math.log(shares.shape[1])).astype(np.float32)
