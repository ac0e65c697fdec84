"""Networks whose trunks are handed on: a small one, and those with ImageNet's weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras

from tfcourse.convolutional_networks import Shape, conv_block
from tfcourse.errors import UserError


class Backbone(NamedTuple):
    """How a network of `keras.applications` wants its images."""

    scale: float  # Of pixels in [0, 1],
    offset: float  # added then.
    size: int  # Pixels in height and width, one of those with weights.


BACKBONES = {
    "MobileNet": Backbone(2.0, -1.0, 128),
    "MobileNetV2": Backbone(2.0, -1.0, 128),
    "ResNet50V2": Backbone(2.0, -1.0, 160),
    # These scale by themselves, from 0 to 255.
    "EfficientNetV2B0": Backbone(255.0, 0.0, 128),
    "ConvNeXtTiny": Backbone(255.0, 0.0, 128),
}


def small_cnn(
    input_shape: Shape, num_classes: int, widths: Sequence[int]
) -> keras.Model:
    """Return a flat chain from images in [0, 1] to logits: blocks as in exercise 07.

    The first width has one convolution, the others two; pooling is early, so that little
    work is left.

    Args:
        input_shape: Height, width, channels.
        num_classes: Logits.
        widths: Filters.
    """
    images = keras.Input(input_shape)
    maps = keras.layers.Rescaling(4.0, -2.0)(images)  # Grey is 0, as what pads it.
    maps = conv_block(maps, widths[0], pool=True)
    for width in widths[1:]:
        maps = conv_block(maps, width, pool=True)
        maps = conv_block(maps, width, pool=False)
    features = keras.layers.GlobalAveragePooling2D()(maps)
    return keras.Model(images, keras.layers.Dense(num_classes)(features))


def imagenet_source(
    name: str, input_shape: Shape, weights: str | None = "imagenet"
) -> keras.Model:
    """Return a Functional model from images in [0, 1] to one number of no meaning.

    All but its last layer are a network that was trained on ImageNet, behind what brings
    images to its size and its range of values.

    Args:
        name: One of BACKBONES, as `keras.applications` calls it.
        input_shape: Height, width, channels of the images.
        weights: "imagenet": they are downloaded, once. Or a `.weights.h5` or `.h5` file
            that has them, of the network without its last layer. None: fresh weights.

    Raises:
        UserError: If there is no such network, or its weights can't be had.
    """
    if name not in BACKBONES:
        raise UserError(f"backbone is one of {', '.join(BACKBONES)}; got {name[:40]!r}")
    if weights not in (None, "imagenet") and not Path(str(weights)).is_file():
        raise UserError(f"backbone_weights: there is no file {weights}")
    scale, offset, size = BACKBONES[name]
    images = keras.Input(input_shape)
    # Not the layer Resizing: called without `training` it turns all that is behind it to
    # training mode, batch normalisation too (Keras 3.15).
    resized = keras.ops.image.resize(images, (size, size))
    scaled = keras.layers.Rescaling(scale, offset)(resized)
    try:
        trunk = getattr(keras.applications, name)(
            include_top=False,
            weights=weights,
            pooling="avg",
            input_shape=(size, size, input_shape[-1]),
        )
    except Exception as error:  # Keras raises a plain Exception where a download fails.
        reason = str(error).splitlines()[0][:160]
        raise UserError(
            f"no weights for {name} ({reason}): connect to the network once, or name a "
            "file by --set backbone_weights=FILE, or leave it out by --set backbone="
        ) from error
    return keras.Model(images, keras.layers.Dense(1)(trunk(scaled)))
