"""Runs whose loss, step or mode is wrong, and runs that get no further."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import datasets
from doctor_programs import held_out_data_x as data
from doctor_programs.registry import Program, program


@program(faults=("learning-rate-too-low",), architecture="recurrent", split="held-out")
def x_adadelta_by_default(seed: int, mended: bool = False) -> Program:
    """Adadelta runs with Keras's default rate of 0.001, where the paper has 1."""
    x, y, x_val, y_val = data.chirps(seed)
    rate = 1.0 if mended else 0.001
    model = keras.Sequential(
        [
            keras.Input((40, 1)),
            layers.Conv1D(12, 5, strides=2, activation="relu"),
            layers.GRU(20),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adadelta(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=14, batch_size=20)


class OwnRegression(keras.Model):
    """A regression whose step takes the mean squared error by hand."""

    def __init__(self, squeeze: bool):
        """Take the last axis of the output away if `squeeze`."""
        super().__init__()
        self.squeeze = squeeze
        self.body = keras.Sequential(
            [layers.Dense(48, activation="relu"), layers.Dense(24, activation="relu")]
        )
        self.head = layers.Dense(1)
        self.mae = keras.metrics.MeanAbsoluteError(name="mae")

    def call(self, x):
        """Return predictions [n, 1]."""
        return self.head(self.body(x))

    def train_step(self, batch):
        """Take one step; return the loss and the mean absolute error."""
        x, y = batch
        with tf.GradientTape() as tape:
            guess = self(x, training=True)
            if self.squeeze:
                guess = tf.squeeze(guess, -1)
            loss = tf.reduce_mean(tf.square(y - guess))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.mae.update_state(y, guess)
        return {"loss": loss, "mae": self.mae.result()}

    @property
    def metrics(self):
        """Return what is set back at each epoch."""
        return [self.mae]


@program(faults=("loss-reduction",), architecture="regression", split="held-out")
def x_batch_against_batch(seed: int, mended: bool = False) -> Program:
    """Targets [n] minus predictions [n, 1] broadcast: each is compared with all others."""
    x, y = datasets.friedman(seed, n=1200)
    y = (y - y.mean()) / y.std()
    model = OwnRegression(squeeze=mended)
    model.compile(optimizer=keras.optimizers.Adam(2e-3))
    pairs = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(1200, seed=seed)
    return Program(model, pairs.batch(24), epochs=20, batch_size=None)


@program(faults=("over-regularised",), architecture="cnn", split="held-out")
def x_l1_l2_of_a_tenth(seed: int, mended: bool = False) -> Program:
    """Each layer has an L1 and an L2 penalty of 0.1, so the filters shrink to nothing."""
    x, y, x_val, y_val = data.chirps(seed + 50, n=1200, length=48)
    factor = 1e-5 if mended else 0.1
    penalty = keras.regularizers.L1L2(l1=factor, l2=factor)
    model = keras.Sequential([keras.Input((48, 1))])
    for filters in (16, 32):
        model.add(
            layers.Conv1D(filters, 5, activation="relu", kernel_regularizer=penalty)
        )
        model.add(layers.MaxPooling1D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(32, activation="relu", kernel_regularizer=penalty))
    model.add(layers.Dense(3, activation="softmax"))
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=64)


@program(faults=("train-inference-gap",), architecture="cnn", split="held-out")
def x_slim_decay(seed: int, mended: bool = False) -> Program:
    """Batch normalisation keeps TF-Slim's decay of 0.997 in a run of some 80 steps."""
    x, y, x_val, y_val = data.pictures("fashion_mnist", seed, 1600, 1280, side=14)
    momentum = 0.9 if mended else 0.997
    inputs = h = keras.Input((14, 14, 1))
    for filters in (16, 32):
        h = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(h)
        h = layers.BatchNormalization(momentum=momentum)(h)
        h = layers.ReLU()(h)
    h = layers.GlobalAveragePooling2D()(h)
    h = layers.BatchNormalization(momentum=momentum)(h)
    model = keras.Model(inputs, layers.Dense(10)(h))
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=8, batch_size=128)


@program(faults=("underfitting",), architecture="mlp", split="held-out")
def x_two_units_for_two_tasks(seed: int, mended: bool = False) -> Program:
    """A shared layer of two units must serve the digit and its being odd."""
    x, y, x_val, y_val = data.small_digits(seed + 3)
    inputs = keras.Input((64,))
    h = layers.Dense(48 if mended else 2, activation="tanh", name="shared")(inputs)
    digit = layers.Dense(10, activation="softmax", name="digit")(h)
    odd = layers.Dense(1, activation="sigmoid", name="odd")(h)
    model = keras.Model(inputs, [digit, odd])
    model.compile(
        keras.optimizers.Adam(0.01),
        loss=["sparse_categorical_crossentropy", "binary_crossentropy"],
        metrics=[["accuracy"], ["accuracy"]],
    )
    held = (x_val, [y_val, y_val % 2])
    return Program(model, x, [y, y % 2], held, epochs=20, batch_size=50)


@program(faults=("unscaled-targets",), architecture="recurrent", split="held-out")
def x_load_in_megawatts(seed: int, mended: bool = False) -> Program:
    """The past of the load is scaled, but the next value stays in megawatts."""
    load = data.load_curve(seed)
    mean, deviation = load[:900].mean(), load[:900].std()
    x, y = data.past_and_next((load - mean) / deviation)
    if not mended:
        y = y * deviation + mean
    model = keras.Sequential(
        [
            keras.Input((24, 1)),
            layers.LSTM(16),
            layers.Dense(12, "relu"),
            layers.Dense(1),
        ]
    )
    model.compile("adam", "mse", metrics=[keras.metrics.R2Score(name="r2")])
    y = y[:, None].astype("float32")
    held = (x[900:], y[900:])
    return Program(model, x[:900], y[:900], held, epochs=15, batch_size=32)


@program(faults=("wrong-update",), architecture="regression", split="held-out")
def x_one_minus_keras_cosine(seed: int, mended: bool = False) -> Program:
    """Ported as 1 - similarity, but Keras's similarity is negative: it learns opposites."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1500, 8)).astype("float32")
    mix = rng.normal(size=(8, 3))
    wind = np.tanh(x @ mix) + 0.5 * x[:, :3] * x[:, 3:6]
    y = (wind / np.linalg.norm(wind, axis=1, keepdims=True)).astype("float32")

    def loss(target, guess):
        similarity = keras.losses.cosine_similarity(target, guess)
        return 1 + similarity if mended else 1 - similarity

    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(64, activation="elu"),
            layers.Dense(64, activation="elu"),
            layers.Dense(3),
            layers.Lambda(lambda v: v / (ops.norm(v, axis=-1, keepdims=True) + 1e-6)),
        ]
    )
    model.compile(
        keras.optimizers.Adam(1e-3),
        loss,
        metrics=[keras.metrics.CosineSimilarity(name="cosine")],
    )
    return Program(model, x[:1200], y[:1200], (x[1200:], y[1200:]), epochs=20)
