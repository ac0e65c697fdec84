"""Cheap features of small colour images, without a label and without training.

Whitened patches of a few images are the filters of one convolution; its rectified outputs,
summed over quadrants and brought to their principal components, are the features.

Source: Coates, Ng and Lee, 2011, PMLR 15:215-223, sections 3 and 4 (random patches).
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

PATCH_SIZE = 6  # Pixels.
NUM_PATCHES = 20_000  # That the whitening is computed from.
STRIDE = 2
THRESHOLD = 0.5  # Of the rectified outputs, whose deviation is about 1.
BATCH_SIZE = 500

Embed = Callable[[np.ndarray], np.ndarray]


def patch_features(
    images: np.ndarray,
    *,
    num_filters: int = 96,
    num_features: int = 160,
    seed: int = 0,
) -> Embed:
    """Return a function from uint8 [n, height, width, 3] to float32 [n, num_features].

    On `images` the features have mean 0 and about deviation 1, and are not correlated.

    Args:
        images: uint8 [n, height, width, 3] that nothing will be tested on.
        num_filters: Of the convolution; each gives two features per quadrant.
        num_features: Principal components that are kept, if there are so many.
        seed: Of the patches.
    """
    extractor = _convolution(images, num_filters, seed)

    def raw(batch: np.ndarray) -> np.ndarray:
        parts = [
            extractor(batch[start : start + BATCH_SIZE].astype("float32"))
            for start in range(0, len(batch), BATCH_SIZE)
        ]
        return np.concatenate([part.numpy() for part in parts])

    responses = raw(images)  # [n, 4 * 2 * filters]
    mean = responses.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov((responses - mean).T))
    variances, directions = variances[::-1], directions[:, ::-1]
    floor = 1e-3 * variances[0]  # Else the last components are mostly noise.
    projection = directions / np.sqrt(np.maximum(variances, 0) + floor)
    projection = projection[:, :num_features].astype(np.float32)
    return lambda batch: (raw(batch) - mean) @ projection


def _convolution(images: np.ndarray, num_filters: int, seed: int) -> Callable:
    """Return the compiled model: float32 [n, h, w, 3], 0 to 255 -> [n, responses]."""
    import tensorflow as tf

    rng = np.random.default_rng([seed, 607])
    height, width, channels = images.shape[1:]
    image = rng.integers(len(images), size=NUM_PATCHES)
    top = rng.integers(height - PATCH_SIZE + 1, size=NUM_PATCHES)
    left = rng.integers(width - PATCH_SIZE + 1, size=NUM_PATCHES)
    offsets = np.arange(PATCH_SIZE)
    rows = (top[:, None] + offsets)[:, :, None]  # [patches, size, 1]
    columns = (left[:, None] + offsets)[:, None, :]  # [patches, 1, size]
    patches = images[image[:, None, None], rows, columns].reshape(NUM_PATCHES, -1) / 255
    mean = patches.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov((patches - mean).T))
    scale = 1 / np.sqrt(variances + 0.01 * variances.mean())
    whitening = (directions * scale) @ directions.T
    filters = ((patches[:num_filters] - mean) @ whitening).T  # [inputs, filters]
    kernel = whitening @ (filters / np.linalg.norm(filters, axis=0))
    inputs = keras.Input((height, width, channels))
    layer = keras.layers.Conv2D(num_filters, PATCH_SIZE, strides=STRIDE)
    convolved = layer(inputs / 255)  # [n, h', w', filters]
    shape = (PATCH_SIZE, PATCH_SIZE, channels, num_filters)
    layer.set_weights([kernel.reshape(shape), -mean @ kernel])
    signs = keras.layers.Concatenate()([convolved, -convolved])
    rectified = keras.ops.relu(signs - THRESHOLD)
    quadrant = (rectified.shape[1] // 2, rectified.shape[2] // 2)
    pooled = keras.layers.AveragePooling2D(quadrant)(
        rectified
    )  # [n, 2, 2, 2 * filters]
    model = keras.Model(inputs, keras.layers.Flatten()(pooled))
    return tf.function(
        lambda batch: model(batch, training=False), reduce_retracing=True
    )
