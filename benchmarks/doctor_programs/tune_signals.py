"""Networks whose signals die, stick or grow on their way, one cause each."""

import keras
from keras import layers

from doctor_programs import datasets
from doctor_programs.registry import Program, program


def _stack(inputs: int, depth: int, width: int, head: layers.Layer, **dense: object):
    """Return equal dense layers and a head; not compiled."""
    hidden = [layers.Dense(width, **dense) for _ in range(depth)]
    return keras.Sequential([keras.Input((inputs,)), *hidden, head])


@program(
    faults=("dead-relu", "initialisation-scale"),
    architecture="regression",
    split="tune",
)
def biases_drawn_below_zero(seed: int, mended: bool = False) -> Program:
    """Biases are drawn from -12 to -6, so the hidden layers give nothing but 0."""
    x, y = datasets.friedman(seed)
    (x, y), validation = datasets.part(x, (y - y.mean()) / y.std())
    low = keras.initializers.RandomUniform(-12, -6)
    bias = "zeros" if mended else low
    model = _stack(10, 2, 48, layers.Dense(1), activation="relu", bias_initializer=bias)
    model.compile(keras.optimizers.Adam(0.003), "mse", metrics=["mae"])
    return Program(model, x, y, validation, epochs=12)


@program(
    faults=("saturated-activations", "initialisation-scale"),
    architecture="tabular",
    split="tune",
)
def pushed_to_one(seed: int, mended: bool = False) -> Program:
    """The biases of the tanh layer start at 9: each unit says 1 whatever comes."""
    (x, y), validation = datasets.part(*datasets.risks(seed))
    bias = keras.initializers.Constant(0.0 if mended else 9.0)
    head = layers.Dense(1, activation="sigmoid")
    model = _stack(12, 1, 48, head, activation="tanh", bias_initializer=bias)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=10)


@program(
    faults=("initialisation-scale", "vanishing-gradients"),
    architecture="tabular",
    split="tune",
)
def kernels_of_a_hundred_thousandth(seed: int, mended: bool = False) -> Program:
    """Kernels drawn with standard deviation 1e-5 in four layers: the signal is gone."""
    (x, y), validation = datasets.part(*datasets.risks(seed))
    tiny = keras.initializers.RandomNormal(stddev=1e-5)
    kernel = "he_normal" if mended else tiny
    head = layers.Dense(1, activation="sigmoid")
    model = _stack(12, 4, 32, head, activation="relu", kernel_initializer=kernel)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.5)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=7)


@program(
    faults=("exploding-gradients", "initialisation-scale"),
    architecture="regression",
    split="tune",
)
def each_layer_triples(seed: int, mended: bool = False) -> Program:
    """Nine layers whose kernels make the signal three times larger each time."""
    x, y = datasets.friedman(seed)
    x = 2 * (x - 0.5)
    (x, y), validation = datasets.part(x, (y - y.mean()) / y.std())
    kernel = keras.initializers.VarianceScaling(2.0 if mended else 18.0)
    head = layers.Dense(1)
    model = _stack(10, 9, 32, head, activation="relu", kernel_initializer=kernel)
    model.compile(keras.optimizers.Adam(0.001), "mse")
    return Program(model, x, y, validation, epochs=7)
