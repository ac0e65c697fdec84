"""Networks that start badly, or that take steps of a wrong size."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import datasets
from doctor_programs import more_datasets_p as data
from doctor_programs.registry import Program, program


@program(faults=("symmetric-initialisation",), architecture="tabular", split="tune")
def p_equal_weights_for_digits(seed: int, mended: bool = False) -> Program:
    """All kernels are set to 0.1, so that all hidden units are one unit."""
    x, y, x_val, y_val = data.bundled("digits", seed, share=0.7, scaled=False)
    x, x_val = x / 16, x_val / 16
    kernel = "glorot_uniform" if mended else keras.initializers.Constant(0.1)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(40, activation="relu", kernel_initializer=kernel),
            layers.Dense(20, activation="relu", kernel_initializer=kernel),
            layers.Dense(10, activation="softmax", kernel_initializer=kernel),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(2e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=48)


class OwnDense(layers.Layer):
    """A dense layer as somebody writes it for the first time."""

    def __init__(self, units, activation, initializer):
        super().__init__()
        self.units = units
        self.activation = keras.activations.get(activation)
        self.initializer = initializer

    def build(self, shape):
        """Make the weights."""
        self.w = self.add_weight(
            shape=(shape[-1], self.units), initializer=self.initializer, name="w"
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, x):
        """Return [batch, units]."""
        return self.activation(keras.ops.matmul(x, self.w) + self.b)


class Compressor(keras.Model):
    """Encoder and decoder of one hidden layer each."""

    def __init__(self, width, initializer):
        super().__init__()
        self.squeeze = OwnDense(10, "elu", initializer)
        self.restore = OwnDense(width, "linear", initializer)

    def call(self, x):
        """Return the restored readings [batch, width]."""
        return self.restore(self.squeeze(x))


@program(faults=("symmetric-initialisation",), architecture="autoencoder", split="tune")
def p_own_layer_of_equal_weights(seed: int, mended: bool = False) -> Program:
    """A layer of one's own starts with equal weights: ten code units are one."""
    x = datasets.sensors(seed, n=1000, features=30, factors=6)
    start = "glorot_normal" if mended else keras.initializers.Constant(0.05)
    model = Compressor(30, start)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return Program(
        model, x[:800], x[:800], (x[800:], x[800:]), epochs=20, batch_size=40
    )


@program(faults=("initialisation-scale",), architecture="cnn", split="tune")
def p_truncated_normal_of_old_times(seed: int, mended: bool = False) -> Program:
    """Ported from TensorFlow 1: all kernels are truncated normal with deviation 1."""
    x, y, x_val, y_val = data.images("mnist", 14)
    kernel = (
        "he_normal" if mended else keras.initializers.TruncatedNormal(0.0, 1.0, seed)
    )
    inputs = keras.Input((14, 14, 1))
    h = layers.Rescaling(1 / 255)(inputs)
    h = layers.Conv2D(16, 3, activation="relu", kernel_initializer=kernel)(h)
    h = layers.MaxPooling2D()(h)
    h = layers.Conv2D(32, 3, activation="relu", kernel_initializer=kernel)(h)
    h = layers.Flatten()(h)
    h = layers.Dense(64, activation="relu", kernel_initializer=kernel)(h)
    outputs = layers.Dense(10, kernel_initializer=kernel)(h)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=8)


@program(
    faults=("initialisation-scale", "vanishing-gradients"),
    architecture="regression",
    split="tune",
)
def p_seven_layers_of_small_weights(seed: int, mended: bool = False) -> Program:
    """Seven layers drawn with deviation 0.01: the signal is gone before the head."""
    x, y, x_val, y_val = data.split(*data.yields(seed))
    kernel = "he_normal" if mended else keras.initializers.RandomNormal(stddev=0.01)
    inputs = keras.Input((6,))
    h = inputs
    for _ in range(7):
        h = layers.Dense(40, activation="relu", kernel_initializer=kernel)(h)
    model = keras.Model(inputs, layers.Dense(1, kernel_initializer=kernel)(h))
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=25)


def _block(h, width: int):
    """Return a small transformer block's output, with the norm in front."""
    z = layers.LayerNormalization()(h)
    h = layers.add([h, layers.MultiHeadAttention(2, width // 2)(z, z)])
    z = layers.LayerNormalization()(h)
    z = layers.Dense(2 * width, activation="gelu")(z)
    return layers.add([h, layers.Dense(width)(z)])


@program(faults=("learning-rate-too-high",), architecture="transformer", split="tune")
def p_transformer_with_rate_of_sgd(seed: int, mended: bool = False) -> Program:
    """Adam with 0.1, a rate for SGD, on a small transformer."""
    x, y, x_val, y_val = data.split(*data.tickets(seed, n=1000))
    inputs = keras.Input((24,), dtype="int32")
    h = layers.Embedding(800, 24)(inputs)
    h = _block(h, 24)
    h = layers.GlobalAveragePooling1D()(h)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(h))
    model.compile(
        keras.optimizers.Adam(0.002 if mended else 0.1),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=6)


@program(faults=("learning-rate-too-high",), architecture="regression", split="tune")
def p_price_model_in_a_hurry(seed: int, mended: bool = False) -> Program:
    """RMSprop with 0.3, to save time: the loss jumps about and never settles."""
    x, y = datasets.houses(seed, 1300)
    x = (x - x[:1000].mean(0)) / x[:1000].std(0)
    y = (y - y[:1000].mean()) / y[:1000].std()
    inputs = keras.Input((5,))
    h = layers.Dense(64, activation="relu")(inputs)
    h = layers.Dense(32, activation="relu")(h)
    model = keras.Model(inputs, layers.Dense(1)(h))
    rate = 0.001 if mended else 0.3
    model.compile(keras.optimizers.RMSprop(rate), "mse", metrics=["mae"])
    stop = keras.callbacks.EarlyStopping(patience=20)
    return Program(
        model,
        x[:1000],
        y[:1000],
        (x[1000:], y[1000:]),
        epochs=30,
        more={"callbacks": [stop]},
    )


@program(faults=("learning-rate-too-low",), architecture="cnn", split="tune")
def p_fine_tuning_rate_from_scratch(seed: int, mended: bool = False) -> Program:
    """A new CNN is trained with Adam at 2e-6, the rate of a fine-tuning tutorial."""
    x, y, x_val, y_val = data.images("fashion_mnist", 14, n=1600)
    train = tf.data.Dataset.from_tensor_slices((x, y))
    train = train.shuffle(len(x), seed=seed).batch(32).prefetch(2)
    validation = tf.data.Dataset.from_tensor_slices((x_val, y_val)).batch(100)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(24, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dropout(0.1),
            layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.AdamW(2e-3 if mended else 2e-6, weight_decay=1e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, train, None, validation, epochs=10, batch_size=None)


@program(faults=("learning-rate-too-low",), architecture="recurrent", split="tune")
def p_decay_counted_in_steps(seed: int, mended: bool = False) -> Program:
    """The rate is halved each 5 steps, where 5 epochs were meant: soon it is nothing."""
    x, y, x_val, y_val = data.split(*data.bearings(seed, n=800))
    x = np.reshape(x, (len(x), 16, 4))  # 16 pieces of 4 samples.
    x_val = np.reshape(x_val, (len(x_val), 16, 4))
    steps = 5 * len(x) // 32 if mended else 5
    rate = keras.optimizers.schedules.ExponentialDecay(0.008, steps, 0.5)
    model = keras.Sequential(
        [keras.Input((16, 4)), layers.GRU(32), layers.Dense(4, activation="softmax")]
    )
    model.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=18)
