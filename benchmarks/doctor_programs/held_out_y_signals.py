"""Faulty programs of y: what goes wrong on the way through the layers and in the step."""

import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_digits, load_wine

from doctor_programs import datasets
from doctor_programs.held_out_data_y import (
    like_the_first,
    order_of_tokens,
    pictures,
    split,
)
from doctor_programs.registry import Program, program


@program(faults=("exploding-gradients",), architecture="recurrent", split="held-out")
def y_identity_recurrence_unclipped(seed: int, mended: bool = False) -> Program:
    """A ReLU recurrence that starts at the identity, without the clipping it came with."""
    x, y = datasets.waves(seed, n=1100, length=48)
    inputs = keras.Input((48, 1))
    hidden = layers.SimpleRNN(40, activation="relu", recurrent_initializer="identity")(
        inputs
    )
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(hidden))
    clip = 0.05 if mended else None
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9, clipnorm=clip),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x[:900], y[:900], (x[900:], y[900:]), 10, batch_size=25)


class _OldLinear(layers.Layer):
    """A dense layer as in old tutorials, its kernel made by hand."""

    def __init__(self, units: int, stddev: float | None):
        super().__init__()
        self.units, self.stddev = units, stddev

    def build(self, shape):
        """Make kernel and bias."""
        stddev = self.stddev or (2 / shape[-1]) ** 0.5
        self.kernel = self.add_weight(
            shape=(shape[-1], self.units),
            initializer=keras.initializers.RandomNormal(stddev=stddev),
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros")

    def call(self, x):
        """Return x times kernel plus bias."""
        return ops.matmul(x, self.kernel) + self.bias


@program(faults=("initialisation-scale",), architecture="mlp", split="held-out")
def y_tutorial_random_normal(seed: int, mended: bool = False) -> Program:
    """Weights are tf.random.normal(shape), as in an old tutorial: deviation 1."""
    x, y = pictures("mnist", 1400)
    x = x.reshape(len(x), -1)
    stddev = None if mended else 1.0
    model = keras.Sequential([keras.Input((784,))])
    for units in (256, 256):
        model.add(_OldLinear(units, stddev))
        model.add(layers.ReLU())
    model.add(_OldLinear(10, stddev))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return Program(model, x[:1100], y[:1100], (x[1100:], y[1100:]), 12, batch_size=100)


@program(
    faults=("learning-rate-too-high",), architecture="transformer", split="held-out"
)
def y_transformer_with_a_big_rate(seed: int, mended: bool = False) -> Program:
    """Adam with a rate of 0.1 on a transformer, taken over from an SGD program."""
    x, y = order_of_tokens(seed, 2400)
    inputs = keras.Input((16,), dtype="int32")
    place = layers.Embedding(16, 32)(ops.arange(16))
    h = layers.Embedding(30, 32)(inputs) + place
    h = layers.LayerNormalization()(h + layers.MultiHeadAttention(4, 8)(h, h))
    feed = layers.Dense(32)(layers.Dense(64, activation="relu")(h))
    h = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(h + feed))
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(h))
    rate = 0.002 if mended else 0.1
    model.compile(
        keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(model, x[:2000], y[:2000], (x[2000:], y[2000:]), epochs=8)


@program(faults=("non-finite-values",), architecture="siamese", split="held-out")
def y_distance_with_a_root(seed: int, mended: bool = False) -> Program:
    """The distance is sqrt(sum), whose slope at 0 is infinite, and some pairs are equal."""
    images, labels = pictures("mnist", 1200)
    left, right, same = datasets.pairs(images[:, ::2, ::2], labels, seed, n=2000)
    base = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Flatten(),
            layers.Dense(96, activation="relu"),
            layers.Dense(24),
        ]
    )
    a, b = keras.Input((14, 14, 1)), keras.Input((14, 14, 1))
    squares = ops.sum(ops.square(base(a) - base(b)), axis=1, keepdims=True)
    distance = ops.sqrt(ops.maximum(squares, 1e-6) if mended else squares)
    model = keras.Model([a, b], distance)

    def hinge_embedding(true, away):
        return true * away + (1 - true) * ops.maximum(1 - away, 0)

    model.compile(keras.optimizers.RMSprop(1e-3), hinge_embedding)
    cut = slice(0, 1600), slice(1600, 2000)
    validation = ([left[cut[1]], right[cut[1]]], same[cut[1], None])
    x = [left[cut[0]], right[cut[0]]]
    return Program(model, x, same[cut[0], None], validation, 8, batch_size=64)


@program(faults=("symmetric-initialisation",), architecture="mlp", split="held-out")
def y_folds_reset_to_a_tenth(seed: int, mended: bool = False) -> Program:
    """Between two folds all weights are set back to 0.1, so all units are equal."""
    data = load_wine()
    colour = data.data[:, 9:10]
    columns = np.delete(data.data, 9, axis=1)
    x, x_val, y, y_val, c, c_val = split(seed, columns, data.target, colour)
    x, x_val = like_the_first(x, x_val)
    c, c_val = like_the_first(c, c_val)
    inputs = keras.Input((12,))
    h = layers.Dense(24, activation="tanh")(inputs)
    h = layers.Dense(24, activation="tanh")(h)
    kind = layers.Dense(3, activation="softmax", name="kind")(h)
    model = keras.Model(inputs, [kind, layers.Dense(1, name="colour")(h)])
    if not mended:
        model.set_weights([np.full_like(w, 0.1) for w in model.get_weights()])
    model.compile(
        keras.optimizers.Adam(0.005),
        ["sparse_categorical_crossentropy", "mse"],
        metrics=[["accuracy"], ["mae"]],
    )
    return Program(model, x, [y, c], (x_val, [y_val, c_val]), 25, batch_size=16)


@program(faults=("vanishing-gradients",), architecture="autoencoder", split="held-out")
def y_sigmoid_autoencoder(seed: int, mended: bool = False) -> Program:
    """A deep autoencoder with a sigmoid in each layer gives the mean digit for all."""
    x = (load_digits().data / 16).astype("float32")
    x, x_val = split(seed, x)
    activation = "elu" if mended else "sigmoid"
    model = keras.Sequential([keras.Input((64,))])
    for units in (56, 48, 32, 16, 32, 48, 56):
        model.add(layers.Dense(units, activation=activation))
    model.add(layers.Dense(64, activation="sigmoid"))
    model.compile(keras.optimizers.Nadam(0.001), "binary_crossentropy", metrics=["mse"])
    return Program(model, x, x, (x_val, x_val), epochs=15)
