"""The networks of exercise 07: a plain CNN, and one with the parts that became standard.

Exercises after 07 compare with them.
`tests/exercises/test_convolutional_networks_run.py` keeps them equal to the solution.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

Shape = tuple[int | None, int | None, int]  # Height, width, channels.


def plain_cnn(
    input_shape: Shape, num_classes: int, filters: Sequence[int], units: int
) -> keras.Model:
    """Return convolutions with ReLU, max pooling, a hidden layer and logits.

    Args:
        input_shape: Of float32 images; height and width are halved for each convolution.
        num_classes: Logits.
        filters: Of the 3x3 convolutions.
        units: Of the hidden layer.
    """
    images = keras.Input(input_shape)
    maps = images
    for count in filters:
        maps = keras.layers.Conv2D(count, 3, padding="same", activation="relu")(maps)
        maps = keras.layers.MaxPooling2D()(maps)
    hidden = keras.layers.Dense(units, "relu")(keras.layers.Flatten()(maps))
    return keras.Model(images, keras.layers.Dense(num_classes)(hidden))


def good_cnn(
    input_shape: Shape,
    num_classes: int,
    widths: Sequence[int],
    *,
    pool_first: bool,
    normalised: bool = True,
    global_pooling: bool = True,
) -> keras.Model:
    """Return blocks of convolution, norm and ReLU, global average pooling and logits.

    Args:
        input_shape: Of float32 images; with global pooling height and width may be None.
        num_classes: Logits.
        widths: Filters: one block of the first width, for each other one a block with 2x2
            max pooling and one without.
        pool_first: Whether the block of the first width pools as well.
        normalised: Whether there is batch normalisation; else the convolutions have a
            bias.
        global_pooling: Whether the maps are averaged; else the logits see all positions.
    """
    images = keras.Input(input_shape)
    maps = conv_block(images, widths[0], pool=pool_first, normalised=normalised)
    for width in widths[1:]:
        maps = conv_block(maps, width, pool=True, normalised=normalised)
        maps = conv_block(maps, width, pool=False, normalised=normalised)
    layers = keras.layers
    last = layers.GlobalAveragePooling2D() if global_pooling else layers.Flatten()
    return keras.Model(images, layers.Dense(num_classes)(last(maps)))


def conv_block(maps, filters: int, *, pool: bool, normalised: bool = True):
    """Return the maps behind a 3x3 convolution, max pooling if asked, norm and ReLU.

    Args:
        maps: [batch, height, width, channels].
        filters: Of the convolution.
        pool: Whether to pool.
        normalised: As for `good_cnn`.
    """
    options = {"use_bias": not normalised, "kernel_initializer": "he_normal"}
    maps = keras.layers.Conv2D(filters, 3, padding="same", **options)(maps)
    if pool:
        maps = keras.layers.MaxPooling2D()(maps)
    if normalised:
        maps = keras.layers.BatchNormalization(momentum=0.9)(maps)
    return keras.layers.ReLU()(maps)
