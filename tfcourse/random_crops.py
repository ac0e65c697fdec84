"""Random crops and mirror images: the usual augmentation of small photographs."""

from __future__ import annotations

import tensorflow as tf


def random_crops(
    images: tf.Tensor, seed: tf.Tensor, padding: int, mirror: bool = True
) -> tf.Tensor:
    """Return each image shifted at random, and every second one mirrored on average.

    An image is surrounded by `padding` zeros on each side and cropped to its size again,
    at a place of its own; left and right are exchanged with probability 1/2.

    Args:
        images: float32 [batch, height, width, channels]; give them mean 0 before, so that
            the zeros are the mean colour.
        seed: int [2]; the same seed gives the same crops, in graphs too.
        padding: Pixels, at least 0.
        mirror: Whether images are mirrored: not where left and right tell classes apart.

    Returns:
        float32 [batch, height, width, channels].

    Source: Lee et al., 2015 (Deeply-Supervised Nets), section 3.2.
    """
    count, height, width, _ = tf.unstack(tf.shape(images))
    draw = tf.random.stateless_uniform([3, count], seed)  # [3, batch], in [0, 1)
    top, left = tf.unstack(tf.cast(draw[:2] * (2 * padding + 1), tf.int32))
    rows = top[:, None] + tf.range(height)  # [batch, height]
    columns = left[:, None] + tf.range(width)  # [batch, width]
    if mirror:
        columns = tf.where(draw[2, :, None] < 0.5, columns, columns[:, ::-1])
    around = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
    padded = tf.pad(images, around)
    cropped = tf.gather(padded, rows, axis=1, batch_dims=1)
    cropped = tf.gather(cropped, columns, axis=2, batch_dims=1)
    return tf.ensure_shape(cropped, images.shape)
