"""Whitening of speaker embeddings: directions in which one voice varies count less."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

SHRINKAGE = 0.3  # Of an encoder's covariance; chosen on validation speakers.
SHRINKAGES = (0.03, 0.1, 0.3)  # Without an encoder; validation speakers choose.


def whitening(
    points: np.ndarray, speakers: np.ndarray, shrinkage: float = SHRINKAGE
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean [size] and matrix [size, size] that whiten what one speaker varies.

    Of (points - mean) @ matrix, the covariance between clips of one speaker is the unit
    matrix, if nothing is shrunk. Directions in which a speaker's clips are far apart, such
    as what is said, become short; those in which they agree become long.

    Args:
        points: float [n, size].
        speakers: int [n], some with two clips or more.
        shrinkage: 0 to 1: how far the covariance is moved towards a multiple of the unit
            matrix, after all coordinates were brought to a deviation of 1. With more
            coordinates than clips it must not be 0.

    Source: Hatch, Kajarekar and Stolcke, 2006 (within-class covariance normalisation).
    """
    points = np.asarray(points, np.float64)
    mean, deviation = points.mean(axis=0), points.std(axis=0) + 1e-9
    scaled = (points - mean) / deviation
    names, numbers = np.unique(speakers, return_inverse=True)
    centres = np.stack([scaled[numbers == k].mean(axis=0) for k in range(len(names))])
    residuals = scaled - centres[numbers]  # [n, size]
    within = residuals.T @ residuals / (len(points) - len(names))
    level = np.trace(within) / len(within)
    within = (1 - shrinkage) * within + shrinkage * level * np.eye(len(within))
    values, directions = np.linalg.eigh(within)
    return mean, directions / np.sqrt(values) / deviation[:, None]


def whitened_points(
    points: np.ndarray,
    speakers: np.ndarray,
    train: np.ndarray,
    shrinkage: float = SHRINKAGE,
) -> np.ndarray:
    """Return points whitened by those for training, of length 1: float [n, size].

    Args:
        points: float [n, size].
        speakers: int [n].
        train: Places of the points for training.
        shrinkage: As for `whitening`.
    """
    mean, matrix = whitening(points[train], speakers[train], shrinkage)
    whitened = (points - mean) @ matrix
    return whitened / np.linalg.norm(whitened, axis=1, keepdims=True)


def whitened_encoder(
    encoder: keras.Model, inputs: np.ndarray, speakers: np.ndarray
) -> keras.Model:
    """Return the encoder with a whitening in the place of its last dense layer.

    Whitened is what enters that layer, or what leaves an encoder without one.

    Args:
        encoder: From spectrograms to embeddings [batch, size].
        inputs: float32 [n, frames, mels], of training speakers.
        speakers: int [n].

    Returns:
        A model of the same inputs, to embeddings of length 1; the other layers are shared.
    """
    dense = [at for at in encoder.layers if isinstance(at, keras.layers.Dense)]
    pooled = encoder.output
    if dense and len(dense[-1].input.shape) == 2:  # Not one that runs over frames.
        pooled = dense[-1].input
    points = keras.Model(encoder.input, pooled).predict(inputs, 100, verbose=0)
    mean, matrix = whitening(points, speakers)
    layer: Any = keras.layers.Dense(len(mean), trainable=False)
    outputs = keras.layers.UnitNormalization()(layer(pooled))
    layer.set_weights([matrix, -mean @ matrix])
    return keras.Model(encoder.input, outputs)
