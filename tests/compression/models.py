"""Small models and data that the compression tests share."""

import keras
import numpy as np

from tfcourse import data


def digits(split):
    """Return digits float32 [n, 14, 14, 1] in [0, 1] and their labels int64 [n]."""
    (images, labels), _ = data.load_arrays("mnist", split)
    return (images[:, ::2, ::2, None] / 255.0).astype("float32"), labels


def cnn():
    """Return a CNN with and without batch normalization, ending in softmax."""
    layers = keras.layers
    inputs = keras.Input((14, 14, 1), name="image")
    x = layers.Conv2D(8, 3, strides=2, use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(x)
    x = layers.Dropout(0.1)(layers.Flatten()(x))
    x = layers.Dense(24, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def unusual():
    """Return a CNN of logits with layers and activations that tfmot has no ranges for."""
    layers = keras.layers
    inputs = keras.Input((14, 14, 1))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(8, 3, strides=2, activation="elu")(x)
    x = layers.SeparableConv2D(16, 3, activation="relu")(x)
    x = layers.LayerNormalization()(layers.Flatten()(x))
    x = layers.Dense(24, activation="selu")(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def mlp():
    """Return a Sequential MLP with logits, one model inside the other."""
    layers = keras.layers
    inside = keras.Sequential(
        [layers.Dense(12, activation="silu"), layers.Dropout(0.2)]
    )
    return keras.Sequential(
        [keras.Input((6, 2)), layers.Flatten(), inside, layers.Dense(3)]
    )


def normalized():
    """Return a model with batch normalization whose statistics are not those of a start."""
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = layers.SeparableConv2D(6, 3)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.LeakyReLU(negative_slope=0.1)(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2)(x)
    x = layers.LayerNormalization()(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x))


def two_inputs():
    """Return a model with two inputs, a shared layer and a residual connection.

    The names' order is not that of the inputs.
    """
    layers = keras.layers
    left, right = keras.Input((5,), name="zebra"), keras.Input((5,), name="apple")
    shared = layers.Dense(7, activation="tanh")
    x = layers.Concatenate()([shared(left), shared(right), right])
    y = layers.Add()([layers.Dense(7)(x), shared(left)])
    return keras.Model([left, right], layers.Dense(2)(y))


def shuffled_weights(model, seed=0):
    """Give each weight numbers of its own, moving statistics included."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        layer.set_weights(
            [
                rng.uniform(0.1, 0.9, w.shape).astype(w.dtype)
                for w in layer.get_weights()
            ]
        )
    return model


def examples(model, count=9, seed=1):
    """Return random inputs of a model, one array per input."""
    rng = np.random.default_rng(seed)
    shapes = [tensor.shape[1:] for tensor in model.inputs]
    return [rng.normal(size=(count, *shape)).astype("float32") for shape in shapes]
