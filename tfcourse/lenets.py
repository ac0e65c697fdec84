"""The networks of the compression literature, LeNet-300-100 and LeNet-5, and small rivals.

All are Functional models that map float32 images [batch, 28, 28] to float32 logits
[batch, 10]; their layers form a chain.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

IMAGE_SHAPE = (28, 28)
NUM_CLASSES = 10


def mlp(
    widths: Sequence[int],
    *,
    image_shape: tuple[int, int] = IMAGE_SHAPE,
    num_classes: int = NUM_CLASSES,
    name: str = "mlp",
) -> keras.Model:
    """Return a multilayer perceptron with ReLU.

    Args:
        widths: Units of the hidden layers.
        image_shape: Height and width of an image.
        num_classes: Units of the last layer.
        name: Name of the model.
    """
    inputs = keras.Input(image_shape)
    hidden = keras.layers.Flatten(name="pixels")(inputs)  # [batch, height * width]
    for index, width in enumerate(widths):
        hidden = keras.layers.Dense(width, "relu", name=f"fc{index + 1}")(hidden)
    logits = keras.layers.Dense(num_classes, name=f"fc{len(widths) + 1}")(hidden)
    return keras.Model(inputs, logits, name=name)


def lenet_300_100(**options) -> keras.Model:
    """Return the MLP with 300 and 100 hidden units: 266,610 weights on MNIST.

    Source: LeCun et al., 1998, doi:10.1109/5.726791, section III.C.
    """
    return mlp((300, 100), name="lenet_300_100", **options)


def lenet_5(
    *,
    image_shape: tuple[int, int] = IMAGE_SHAPE,
    num_classes: int = NUM_CLASSES,
    filters: tuple[int, int] = (20, 50),
    units: int = 500,
) -> keras.Model:
    """Return Caffe's LeNet-5, which compression papers use: 431,080 weights on MNIST.

    Source: Jia et al., 2014, arXiv:1408.5093, examples/mnist; after LeCun et al., 1998.
    """
    inputs = keras.Input(image_shape)
    hidden = keras.layers.Reshape((*image_shape, 1), name="image")(inputs)
    for index, count in enumerate(filters):
        # 28 to 24 to 12, then 12 to 8 to 4; images below 16 need padding.
        padding = "valid" if min(image_shape) >= 16 else "same"
        layer = keras.layers.Conv2D(count, 5, padding=padding, name=f"conv{index + 1}")
        hidden = keras.layers.MaxPooling2D(name=f"pool{index + 1}")(layer(hidden))
    hidden = keras.layers.Flatten(name="features")(hidden)  # [batch, 800]
    hidden = keras.layers.Dense(units, "relu", name="fc1")(hidden)
    logits = keras.layers.Dense(num_classes, name="fc2")(hidden)
    return keras.Model(inputs, logits, name="lenet_5")


def small_cnn(
    filters: Sequence[int],
    *,
    image_shape: tuple[int, int] = IMAGE_SHAPE,
    num_classes: int = NUM_CLASSES,
    normalised: bool = True,
) -> keras.Model:
    """Return a CNN of 3 by 3 filters and global average pooling: few weights.

    The image is halved behind each convolution but the last, as long as it has more than
    six pixels.

    Args:
        filters: Filters of the convolutions.
        image_shape: Height and width of an image.
        num_classes: Units of the last layer.
        normalised: Whether batch normalisation follows each convolution; else it has a
            bias.
    """
    inputs = keras.Input(image_shape)
    hidden = keras.layers.Reshape((*image_shape, 1), name="image")(inputs)
    for index, count in enumerate(filters, 1):
        layer = keras.layers.Conv2D(
            count, 3, padding="same", use_bias=not normalised, name=f"conv{index}"
        )
        hidden = layer(hidden)
        if normalised:
            hidden = keras.layers.BatchNormalization(name=f"norm{index}")(hidden)
        hidden = keras.layers.ReLU(name=f"relu{index}")(hidden)
        if index < len(filters) and min(hidden.shape[1:3]) > 6:
            hidden = keras.layers.MaxPooling2D(name=f"pool{index}")(hidden)
    hidden = keras.layers.GlobalAveragePooling2D(name="mean")(hidden)
    logits = keras.layers.Dense(num_classes, name="logits")(hidden)
    return keras.Model(inputs, logits, name="small_cnn")


def with_folded_norms(model: keras.Model) -> keras.Model:
    """Return a `small_cnn` without batch normalisation that gives the same answers.

    In inference a norm multiplies each channel by a constant and adds another, so the
    convolution before it can do both.
    """
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    plain = small_cnn(
        [layer.filters for layer in convolutions],
        image_shape=model.input_shape[1:],
        num_classes=model.output_shape[-1],
        normalised=False,
    )
    for layer in convolutions:
        norm = model.get_layer(layer.name.replace("conv", "norm"))
        gamma, beta, mean, variance = norm.get_weights()  # [filters] each
        scale = gamma / np.sqrt(variance + norm.epsilon)
        weights = [layer.kernel.numpy() * scale, beta - mean * scale]
        plain.get_layer(layer.name).set_weights(weights)
    plain.get_layer("logits").set_weights(model.get_layer("logits").get_weights())
    return plain
