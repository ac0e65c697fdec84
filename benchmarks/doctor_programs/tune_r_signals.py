"""Programs whose signals fade, explode, die or saturate."""

import keras
import numpy as np
from keras import layers, ops

from doctor_programs import more_datasets_r as data
from doctor_programs.registry import Program, program


@program(faults=("vanishing-gradients",), architecture="cnn", split="tune")
def r_lenet_with_sigmoids(seed: int, mended: bool = False) -> Program:
    """A deep convolutional network copied from an old paper, with a sigmoid everywhere."""
    x, y, x_val, y_val = data.pictures("mnist", seed, 1200, 1000)
    act = "relu" if mended else "sigmoid"
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.AveragePooling2D(2)])
    for filters in (8, 8, 16, 16):
        model.add(layers.Conv2D(filters, 3, padding="same", activation=act))
    model.add(layers.MaxPooling2D(2))  # [n, 7, 7, 16]
    for _ in range(2):
        model.add(layers.Conv2D(16, 3, padding="same", activation=act))
    model.add(layers.Flatten())
    model.add(layers.Dense(48, activation=act))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10)


@program(
    faults=("exploding-gradients", "initialisation-scale"),
    architecture="recurrent",
    split="tune",
)
def r_relu_in_a_long_loop(seed: int, mended: bool = False) -> Program:
    """The loop of a ReLU SimpleRNN starts from he_normal, and blows up over 60 steps."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, size=(1000, 60, 2)).astype("float32")
    start = "orthogonal" if mended else "he_normal"
    fading = 0.8 ** np.arange(59, -1, -1)  # The last step counts most.
    y = 2 * ((x[:, :, 0] - x[:, :, 1]) * fading).sum(1, keepdims=True)  # [n, 1]
    model = keras.Sequential(
        [
            keras.Input((60, 2)),
            layers.SimpleRNN(40, activation="relu", recurrent_initializer=start),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse", metrics=["mae"])
    return Program(model, x[:800], y[:800], (x[800:], y[800:]), epochs=20)


@program(faults=("dead-relu",), architecture="cnn", split="tune")
def r_relu_six_by_mistake(seed: int, mended: bool = False) -> Program:
    """ReLU6 was written as ReLU(threshold=6), which silences everything below 6."""
    x, y, x_val, y_val = data.pictures("fashion_mnist", seed, 1500, 1200)

    def relu_six() -> layers.Layer:
        return layers.ReLU(max_value=6.0) if mended else layers.ReLU(threshold=6.0)

    inputs = keras.Input((28, 28, 1))
    h = inputs
    for filters in (12, 24, 32):
        h = layers.Conv2D(filters, 3, strides=2, padding="same")(h)
        h = relu_six()(h)
    h = layers.GlobalAveragePooling2D()(h)
    h = relu_six()(layers.Dense(32)(h))
    model = keras.Model(inputs, layers.Dense(10)(h))
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=32)


class HashCode(layers.Layer):
    """Nearly binary codes: sigmoid(steepness * z)."""

    def __init__(self, bits: int, steepness: float) -> None:
        super().__init__()
        self.dense = layers.Dense(bits)
        self.steepness = steepness

    def call(self, inputs: object) -> object:
        """Return codes in [0, 1]."""
        return ops.sigmoid(self.steepness * self.dense(inputs))


@program(faults=("saturated-activations",), architecture="autoencoder", split="tune")
def r_hashing_from_the_start(seed: int, mended: bool = False) -> Program:
    """Codes are to be bits, so the sigmoid is a hundred times as steep from the start."""
    x, _, x_val, _ = data.small_digits(seed)
    inputs = keras.Input((64,))
    h = layers.Dense(64, activation="relu")(inputs)
    code = HashCode(10, 1.0 if mended else 100.0)(h)
    h = layers.Dense(64, activation="relu")(code)
    model = keras.Model(inputs, layers.Dense(64, activation="sigmoid")(h))
    model.compile(keras.optimizers.Adam(2e-3), "mse")
    return Program(model, x, x, (x_val, x_val), epochs=25, batch_size=64)
