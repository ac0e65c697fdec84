"""Classifiers that are trained again and again, on one draw of few labels after another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import scipy.sparse
from sklearn.neighbors import NearestNeighbors

from tfcourse import training
from tfcourse.warps import with_warps

EPOCHS_OF_LABELS = 10  # Into which the steps on few labels are cut.


class CosineRate(keras.callbacks.Callback):
    """Takes the rate to 0 along a cosine, a step for each epoch.

    Args:
        rate: At first.
        epochs: Number of epochs.
    """

    def __init__(self, rate: float, epochs: int):
        super().__init__()
        self.rate = rate
        self.epochs = epochs

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the rate of the epoch."""
        share = (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        self.model.optimizer.learning_rate = self.rate * share


class Trainer:
    """Trains one classifier again and again, on warped images.

    Whatever was trained before leaves no trace: neither weights nor the optimizer's state.
    Nothing is compiled a second time.

    Args:
        model: From float32 [batch, height, width] to logits.
        batch_size: Images per step.
        weight_decay: AdamW's; what is taken off is this times rate times weight.
    """

    def __init__(
        self, model: keras.Model, *, batch_size: int = 128, weight_decay: float = 0.0
    ):
        self.model = model
        self.batch_size = batch_size
        self.num_classes = model.output_shape[-1]
        self.warped = with_warps(model)
        self.warped.compile(
            keras.optimizers.AdamW(weight_decay=weight_decay),
            keras.losses.CategoricalCrossentropy(from_logits=True),
        )

    def train(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        start: Sequence[np.ndarray] | None,
        *,
        rate: float,
        seed: int,
        epochs: int,
        batch_size: int | None = None,
        sample_weight: np.ndarray | None = None,
        callbacks: Any = (),
    ) -> None:
        """Train from a start; a cosine takes the rate to 0.

        Args:
            images: float32 [n, height, width].
            targets: int labels [n], or shares of the classes, float [n, num_classes].
            start: Weights of the model to start from; None for new random ones.
            rate: Adam's, at first.
            seed: Of new weights, warps and order.
            epochs: Number of epochs.
            batch_size: Images per step, if not the trainer's.
            sample_weight: float [n].
            callbacks: As for `fit`.
        """
        training.reinitialize(self.warped, seed=seed, learning_rate=rate)
        if start is not None:
            self.model.set_weights(start)
        if targets.ndim == 1:
            targets = np.eye(self.num_classes, dtype=np.float32)[targets]
        training.fit(
            self.warped,
            images,
            targets.astype(np.float32),
            sample_weight=sample_weight,
            epochs=epochs,
            batch_size=batch_size or self.batch_size,
            callbacks=[CosineRate(rate, epochs), *callbacks],
            seed=seed,
        )

    def train_on_labels(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        start: Sequence[np.ndarray] | None,
        *,
        num_steps: int,
        **options: Any,
    ) -> None:
        """Train on few images, all of them in each step, warped anew.

        Args:
            images: float32 [n, height, width].
            labels: int [n].
            start: As for `train`.
            num_steps: Steps in all.
            **options: `rate` and `seed`, as for `train`.
        """
        steps = max(1, num_steps // EPOCHS_OF_LABELS)
        self.train(
            np.tile(images, (steps, 1, 1)),
            np.tile(labels, steps),
            start,
            epochs=min(num_steps, EPOCHS_OF_LABELS),
            batch_size=len(images),
            **options,
        )

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Return the share of images that the classifier, as it is now, gets right."""
        logits = self.model.predict(images, batch_size=1000, verbose=0)
        return float(np.mean(np.argmax(logits, axis=1) == labels))


def neighbour_graph(
    features: np.ndarray, num_neighbours: int
) -> scipy.sparse.csr_matrix:
    """Return who is among the nearest of whom: symmetric [n, n], weights 1 and 1/2.

    A weight of 1 is mutual. Nobody is a neighbour of itself.
    """
    search = NearestNeighbors(n_neighbors=num_neighbours, algorithm="brute")
    graph = search.fit(features).kneighbors_graph()
    return ((graph + graph.T) / 2).tocsr()


def certainty(shares: np.ndarray) -> np.ndarray:
    """Return how sure each row of shares is: float32 [n], 1 for one class, 0 for all alike.

    Source: Iscen et al., 2019, arXiv:1904.04717, equation 11.
    """
    safe = np.maximum(shares, 1e-12)
    entropy = -np.sum(shares * np.log(safe), axis=1)
    return (1 - entropy / math.log(shares.shape[1])).astype(np.float32)
