"""Networks as lists of layers: a chain of records, to compute sizes with by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

KINDS = ("conv", "pool", "norm", "relu", "mean", "flatten", "dense")


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of a chain.

    Args:
        kind: "conv", "pool" (max pooling), "norm" (batch normalisation), "relu", "mean"
            (global average pooling), "flatten" or "dense".
        size: Side of a kernel or a pooling window, in pixels.
        stride: Of a kernel or a pooling window.
        padding: "same" or "valid", of a kernel or a pooling window.
        units: Filters of "conv", units of "dense".
        use_bias: Whether "conv" or "dense" adds a number of each filter or unit.

    Raises:
        ValueError: If there is no such kind.
    """

    kind: str
    size: int = 1
    stride: int = 1
    padding: str = "valid"
    units: int = 0
    use_bias: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"kind must be one of {', '.join(KINDS)}; got {self.kind!r}"
            )


def layers_of(model: keras.Model) -> list[Layer]:
    """Return the layers of a Functional chain; an activation becomes a layer of its own.

    Raises:
        ValueError: If a layer is of a kind that lists don't have.
    """
    layers = []
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            layers.append(_record(layer))
            activation = getattr(layer, "activation", None)
            if activation is keras.activations.relu:
                layers.append(Layer("relu"))
    return layers


def _record(layer: keras.Layer) -> Layer:
    if isinstance(layer, keras.layers.Conv2D):
        return Layer(
            "conv",
            layer.kernel_size[0],
            layer.strides[0],
            layer.padding,
            layer.filters,
            layer.use_bias,
        )
    if isinstance(layer, keras.layers.MaxPooling2D):
        return Layer("pool", layer.pool_size[0], layer.strides[0], layer.padding)
    if isinstance(layer, keras.layers.Dense):
        return Layer("dense", units=layer.units, use_bias=layer.use_bias)
    kinds = {
        keras.layers.BatchNormalization: "norm",
        keras.layers.ReLU: "relu",
        keras.layers.GlobalAveragePooling2D: "mean",
        keras.layers.Flatten: "flatten",
    }
    for kind, name in kinds.items():
        if isinstance(layer, kind):
            return Layer(name)
    raise ValueError(f"a list of layers has no {type(layer).__name__}")


def keras_layer(layer: Layer) -> keras.Layer:
    """Return a new Keras layer as the record describes it."""
    options = {"strides": layer.stride, "padding": layer.padding}
    if layer.kind == "conv":
        options["use_bias"] = layer.use_bias
        return keras.layers.Conv2D(layer.units, layer.size, **options)
    if layer.kind == "pool":
        return keras.layers.MaxPooling2D(layer.size, **options)
    if layer.kind == "dense":
        return keras.layers.Dense(layer.units, use_bias=layer.use_bias)
    return {
        "norm": keras.layers.BatchNormalization,
        "relu": keras.layers.ReLU,
        "mean": keras.layers.GlobalAveragePooling2D,
        "flatten": keras.layers.Flatten,
    }[layer.kind]()


def measured_fields(layers: Sequence[Layer], size: int) -> list[int]:
    """Return by layer how far apart the pixels are that reach one output in the middle.

    Measured by a gradient, not by a formula: in a chain of convolutions with weights 1 and
    mean pooling of the same windows, every pixel that can reach the output has a gradient.

    Args:
        layers: A chain of "conv", "pool", "norm" and "relu".
        size: Side of the image, larger than the largest field.

    Returns:
        From the first pixel to the last, both counted.
    """
    # Not float32: there TensorFlow 2.21 on a CPU ends the process, with "double free", in
    # the gradient of a 1x1 convolution of one channel with stride 2.
    images = tf.Variable(tf.ones((1, size, size, 1), tf.float64))
    with tf.GradientTape(persistent=True) as tape:
        maps, middles = images, []
        for layer in layers:
            if layer.kind in ("conv", "pool"):
                shape = layer.size, layer.size, 1, 1
                kernel = tf.ones(shape, tf.float64) / layer.size**2
                padding = layer.padding.upper()
                maps = tf.nn.conv2d(maps, kernel, layer.stride, padding)
            middles.append(maps[0, maps.shape[1] // 2, maps.shape[2] // 2, 0])
    fields = []
    for middle in middles:
        gradient = np.asarray(tape.gradient(middle, images))[0, :, :, 0]
        reached = np.flatnonzero(np.any(gradient != 0, axis=1))
        fields.append(int(reached[-1] - reached[0]) + 1)
    return fields
