"""Programs whose weights begin badly, or whose layers are all linear."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import datasets
from doctor_programs import more_datasets_r as data
from doctor_programs.registry import Program, program


class Projection(layers.Layer):
    """A dense layer written by hand."""

    def __init__(self, units: int, initializer: object, activation: str) -> None:
        super().__init__()
        self.units = units
        self.initializer = initializer
        self.activation = keras.activations.get(activation)

    def build(self, shape: tuple) -> None:
        """Make kernel and bias."""
        self.w = self.add_weight(
            shape=(shape[-1], self.units), initializer=self.initializer, name="w"
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, inputs: object) -> object:
        """Return activation(x w + b)."""
        return self.activation(ops.matmul(inputs, self.w) + self.b)


@program(faults=("symmetric-initialisation",), architecture="siamese", split="tune")
def r_twins_of_equal_units(seed: int, mended: bool = False) -> Program:
    """The shared encoder of a pair network starts with all weights at 0.02."""
    x, y, x_val, y_val = data.small_digits(seed)
    left, right, same = data.same_or_not(x, y, 2400, seed)
    left_val, right_val, same_val = data.same_or_not(x_val, y_val, 600, seed + 1)
    start = "glorot_uniform" if mended else keras.initializers.Constant(0.02)
    encoder = keras.Sequential(
        [Projection(48, start, "relu"), Projection(24, start, "tanh")]
    )
    a, b = keras.Input((64,)), keras.Input((64,))
    apart = ops.abs(encoder(a) - encoder(b))  # [n, 24]
    model = keras.Model([a, b], layers.Dense(1, activation="sigmoid")(apart))
    model.compile(
        keras.optimizers.Adam(5e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    validation = ((left_val, right_val), same_val)
    return Program(model, (left, right), same, validation, epochs=15)


class Regressor(keras.Model):
    """Three hidden layers whose kernels come from tf.random.normal."""

    def __init__(self, stddevs: list, seed: int) -> None:
        super().__init__()
        sizes = [10, 96, 96, 96, 1]
        self.kernels, self.biases = [], []
        for i, stddev in enumerate(stddevs):
            start = tf.random.stateless_normal(sizes[i : i + 2], (seed, i))
            self.kernels.append(
                self.add_weight(
                    shape=sizes[i : i + 2],
                    initializer=keras.initializers.Constant(stddev * start.numpy()),
                    name=f"kernel_{i}",
                )
            )
            self.biases.append(
                self.add_weight(
                    shape=(sizes[i + 1],), initializer="zeros", name=f"bias_{i}"
                )
            )

    def call(self, inputs: object) -> object:
        """Return predictions [n, 1]."""
        h = inputs
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            h = ops.relu(ops.matmul(h, kernel) + bias)
        return ops.matmul(h, self.kernels[-1]) + self.biases[-1]


@program(faults=("initialisation-scale",), architecture="regression", split="tune")
def r_plain_random_normal(seed: int, mended: bool = False) -> Program:
    """Kernels made by hand with tf.random.normal, whose standard deviation is 1."""
    x, y = datasets.friedman(seed, 1200)
    x = (x - 0.5) / 0.29
    y = ((y - y.mean()) / y.std())[:, None]
    x, y, x_val, y_val = data.cut(x, y, 900)
    sizes = (10, 96, 96, 96)
    stddevs = [(2 / n) ** 0.5 if mended else 1.0 for n in sizes]
    model = Regressor(stddevs, seed)
    model.compile(keras.optimizers.Adam(1e-3), "mse", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=20)


class Forgetful(keras.Model):
    """An activation layer is called, but what it returns is only used if `keep`."""

    def __init__(self, keep: bool) -> None:
        super().__init__()
        self.hidden = [layers.Dense(64), layers.Dense(64), layers.Dense(32)]
        self.act = layers.Activation("relu")
        self.head = layers.Dense(3)
        self.keep = keep

    def call(self, inputs: object) -> object:
        """Return logits [n, 3]."""
        h = inputs
        for layer in self.hidden:
            h = layer(h)
            active = self.act(h)
            h = active if self.keep else h
        return self.head(h)


@program(faults=("missing-nonlinearity",), architecture="mlp", split="tune")
def r_result_thrown_away(seed: int, mended: bool = False) -> Program:
    """The call method of the model applies its ReLU, and throws the result away."""
    x, y = datasets.spirals(seed, 1500)
    x, y, x_val, y_val = data.cut(2 * x, y.astype(np.int64), 1200)
    model = Forgetful(mended)
    model.compile(
        keras.optimizers.Adam(5e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=25, batch_size=64)
