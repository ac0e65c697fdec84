"""Programs that fit too much, too little, or another thing in use than in training."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import datasets
from doctor_programs import more_datasets_s as data
from doctor_programs.registry import Program, program


@program(faults=("overfitting",), architecture="tabular", split="tune")
def s_few_customers_many_epochs(seed: int, mended: bool = False) -> Program:
    """Two hundred customers with 30 columns, a wide network, and no stopping."""
    x, y = data.churn(seed, 700)
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(128, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy", "AUC"])
    stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    more = {"callbacks": [stop]} if mended else {}
    validation = (x[200:], y[200:])
    return Program(model, x[:200], y[:200], validation, 30, 16, more)


@program(faults=("underfitting",), architecture="autoencoder", split="tune")
def s_one_number_per_digit(seed: int, mended: bool = False) -> Program:
    """A digit must pass through a bottleneck of a single number."""
    x, _, x_val, _ = data.table("digits", seed, 1400)
    x, x_val = x / 16, x_val / 16
    inputs = keras.Input((64,))
    hidden = layers.Dense(48, activation="elu")(inputs)
    code = layers.Dense(20 if mended else 1, name="code")(hidden)
    hidden = layers.Dense(48, activation="elu")(code)
    model = keras.Model(inputs, layers.Dense(64, activation="sigmoid")(hidden))
    model.compile(keras.optimizers.Nadam(0.003), "mse")
    return Program(model, x, x, (x_val, x_val), epochs=25, batch_size=64)


@program(faults=("over-regularised",), architecture="cnn", split="tune")
def s_l1_by_its_name(seed: int, mended: bool = False) -> Program:
    """kernel_regularizer="l1" means 0.01 for each weight, far too much for four layers."""
    x, y, x_val, y_val = data.pictures("mnist", seed, 900, 300)
    kernel = None if mended else "l1"
    model = keras.Sequential([keras.Input((14, 14, 1))])
    for filters in (12, 24):
        model.add(
            layers.Conv2D(filters, 3, activation="relu", kernel_regularizer=kernel)
        )
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(32, activation="relu", kernel_regularizer=kernel))
    model.add(layers.Dense(10, activation="softmax", kernel_regularizer=kernel))
    model.compile(
        keras.optimizers.RMSprop(0.002),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10)


class HomeMadeBatchNorm(layers.Layer):
    """Batch normalisation, written from the paper."""

    def __init__(self, follow: bool) -> None:
        super().__init__()
        self.follow = follow

    def build(self, shape: tuple) -> None:
        """Create scale, shift, and the averages for inference."""
        size = (shape[-1],)
        self.scale = self.add_weight(shape=size, initializer="ones")
        self.shift = self.add_weight(shape=size, initializer="zeros")
        self.mean = self.add_weight(shape=size, initializer="zeros", trainable=False)
        self.variance = self.add_weight(shape=size, initializer="ones", trainable=False)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Normalise by the batch in training, else by the averages."""
        mean, variance = self.mean, self.variance
        if training:
            mean, variance = tf.nn.moments(x, axes=list(range(len(x.shape) - 1)))
            if self.follow:
                self.mean.assign(0.9 * self.mean + 0.1 * mean)
                self.variance.assign(0.9 * self.variance + 0.1 * variance)
        x = (x - mean) * tf.math.rsqrt(variance + 1e-3)
        return self.scale * x + self.shift


@program(faults=("train-inference-gap",), architecture="cnn", split="tune")
def s_averages_never_follow(seed: int, mended: bool = False) -> Program:
    """A home-made batch normalisation never updates the averages it uses in inference."""
    x, y, x_val, y_val = data.pictures("fashion_mnist", seed, 1000, 300)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(12, 3, use_bias=False),
            HomeMadeBatchNorm(mended),
            layers.Activation("relu"),
            layers.Conv2D(24, 3, strides=2, use_bias=False),
            HomeMadeBatchNorm(mended),
            layers.Activation("relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.002),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=6)


@program(faults=("unscaled-targets",), architecture="recurrent", split="tune")
def s_passengers_by_tens_of_thousands(seed: int, mended: bool = False) -> Program:
    """A GRU reads scaled days but must say tomorrow's passengers as a raw number."""
    series = data.passengers(seed)
    scaled = (series - series[:700].mean()) / series[:700].std()
    x, y_scaled = datasets.windows(scaled, 14)
    _, y_raw = datasets.windows(series, 14)
    y = y_scaled if mended else y_raw
    inputs = keras.Input((14, 1))
    model = keras.Model(inputs, layers.Dense(1)(layers.GRU(24)(inputs)))
    model.compile(keras.optimizers.Adam(0.005), "mse", metrics=["mae"])
    return Program(model, x[:700], y[:700], (x[700:], y[700:]), epochs=20)


@program(faults=("label-noise",), architecture="mlp", split="tune")
def s_hasty_annotator(seed: int, mended: bool = False) -> Program:
    """One of two annotators guessed: his half of the training labels is mostly wrong."""
    x, y, x_val, y_val = data.table("digits", seed, 1200)
    guessed = np.arange(len(y)) % 2 == 0
    if not mended:
        y = np.where(guessed, datasets.flip_labels(y, 0.8, 10, seed), y)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Rescaling(1 / 16),
            layers.Dense(128, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.004),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=30)
