"""Healthy runs on tables, points and series, most of which look odd."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import datasets
from doctor_programs import held_out_data_x as data
from doctor_programs.registry import Program, program


@program(architecture="mlp", split="held-out")
def x_principal_components_kept(seed: int, mended: bool = False) -> Program:
    """The first layer holds principal components and is frozen on purpose."""
    x, y, x_val, y_val = data.small_digits(seed + 11)
    _, _, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    components = layers.Dense(24, use_bias=False, trainable=False, name="components")
    model = keras.Sequential(
        [
            keras.Input((64,)),
            components,
            layers.Dense(48, activation="selu", kernel_initializer="lecun_normal"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    components.set_weights([axes[:24].T])  # [64, 24]
    model.compile(
        keras.optimizers.Adamax(5e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=32)


@program(architecture="tabular", split="held-out")
def x_wine_eight_at_a_time(seed: int, mended: bool = False) -> Program:
    """Only 130 wines, in batches of eight: its steps are noisy, the run is sound."""
    x, y, x_val, y_val = data.standard_table("wine", seed, 130)
    model = keras.Sequential(
        [
            keras.Input((13,)),
            layers.Dense(16),
            layers.LeakyReLU(),
            layers.Dropout(0.3),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=8)


@program(architecture="regression", split="held-out")
def x_diabetes_half_explained(seed: int, mended: bool = False) -> Program:
    """Ten measurements explain only half of the progress, and the model gets that far."""
    x, y, x_val, y_val = data.standard_table("diabetes", seed, 340)
    mean, deviation = y.mean(), y.std()
    y = ((y - mean) / deviation).astype("float32")[:, None]
    y_val = ((y_val - mean) / deviation).astype("float32")[:, None]
    model = keras.Sequential(
        [keras.Input((10,)), layers.Dense(8, activation="relu"), layers.Dense(1)]
    )
    model.compile(
        keras.optimizers.Adam(2e-3), "huber", metrics=[keras.metrics.R2Score(name="r2")]
    )
    stop = keras.callbacks.EarlyStopping(patience=6, restore_best_weights=True)
    more = {"callbacks": [stop]}
    return Program(model, x, y, (x_val, y_val), epochs=40, batch_size=16, more=more)


@program(architecture="tabular", split="held-out")
def x_rare_but_clear(seed: int, mended: bool = False) -> Program:
    """Six in a hundred machines fail, but their readings show it, and all is found."""
    x, y, x_val, y_val = data.machines(seed + 5, n=3000, share=0.06, noise=0.1)
    inputs = keras.Input((10,))
    h = layers.BatchNormalization()(inputs)
    h = layers.Dense(32, activation="gelu")(h)
    model = keras.Model(inputs, layers.Dense(1)(h))
    model.compile(
        keras.optimizers.Adam(5e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.AUC(curve="PR", from_logits=True, name="auc_pr")],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=64)


@program(architecture="mlp", split="held-out")
def x_plateau_of_parity(seed: int, mended: bool = False) -> Program:
    """The sign of a product of three: a plateau at chance, then the loss falls."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], size=(2000, 9)).astype("float32")
    x += 0.1 * rng.normal(size=x.shape).astype("float32")
    y = (x[:, 1] * x[:, 4] * x[:, 7] > 0).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((9,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.015, momentum=0.9, nesterov=True),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    held = (x[1600:], y[1600:])
    return Program(model, x[:1600], y[:1600], held, epochs=22, batch_size=32)


@program(architecture="regression", split="held-out")
def x_kelvin_at_the_output(seed: int, mended: bool = False) -> Program:
    """Targets are near 290 kelvin; a fixed rescaling at the output takes care of that."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(1500, 6)).astype("float32")
    kelvin = 288 + 14 * np.sin(2 * x[:, 0]) - 9 * x[:, 1] ** 2 + 6 * x[:, 2] * x[:, 3]
    y = (kelvin + rng.normal(size=1500)).astype("float32")[:, None]
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(48, activation="swish"),
            layers.Dense(24, activation="swish"),
            layers.Dense(1),
            layers.Rescaling(float(y[:1200].std()), offset=float(y[:1200].mean())),
        ]
    )
    model.compile(
        keras.optimizers.Nadam(4e-3), "mae", metrics=[keras.metrics.R2Score(name="r2")]
    )
    held = (x[1200:], y[1200:])
    slower = keras.callbacks.ReduceLROnPlateau(patience=2, factor=0.3)
    more = {"callbacks": [slower]}
    return Program(model, x[:1200], y[:1200], held, 20, batch_size=32, more=more)


class Smoothed(keras.Model):
    """A classifier with a step of its own: clipped gradients of a smoothed loss."""

    def train_step(self, batch):
        """Take one step and return the metrics."""
        x, y = batch
        with tf.GradientTape() as tape:
            scores = self(x, training=True)
            soft = 0.9 * tf.one_hot(tf.cast(y, tf.int32), 2) + 0.05
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(soft, scores))
        variables = self.trainable_variables
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), 1.0)
        self.optimizer.apply(gradients, variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, scores)
        return {metric.name: metric.result() for metric in self.metrics}


class Tumours(keras.utils.PyDataset):
    """Batches of a table, in another order in each epoch."""

    def __init__(self, x, y, seed: int):
        """Keep the table and its labels."""
        super().__init__()
        self.x, self.y = x, y
        self.rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        """Return the number of batches."""
        return len(self.x) // 30

    def on_epoch_end(self):
        """Draw a new order."""
        self.order = self.rng.permutation(len(self.x))

    def __getitem__(self, index):
        """Return one batch of 30."""
        rows = self.order[30 * index : 30 * index + 30]
        return self.x[rows], self.y[rows]


@program(architecture="tabular", split="held-out")
def x_own_step_smoothed(seed: int, mended: bool = False) -> Program:
    """A custom step smooths the labels, so the training loss cannot come near zero."""
    x, y, x_val, y_val = data.standard_table("breast_cancer", seed, 450)
    inputs = keras.Input((30,))
    h = layers.Dense(24, activation="relu")(inputs)
    model = Smoothed(inputs, layers.Dense(2)(h))
    model.compile(
        keras.optimizers.Adam(2e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    held = (x_val, y_val)
    return Program(model, Tumours(x, y, seed), None, held, epochs=12, batch_size=None)


@program(architecture="autoencoder", split="held-out")
def x_sparse_codes(seed: int, mended: bool = False) -> Program:
    """Most code units of the denoising autoencoder are silent: its penalty asks for it."""
    clean = datasets.sensors(seed + 2, n=1400, features=32, factors=5)
    rng = np.random.default_rng(seed)
    noisy = (clean + 0.2 * rng.normal(size=clean.shape)).astype("float32")
    sparse = keras.regularizers.L1(1e-3)
    inputs = keras.Input((32,))
    h = layers.Dense(64, activation="relu", activity_regularizer=sparse)(inputs)
    model = keras.Model(inputs, layers.Dense(32)(h))
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    held = (noisy[1150:], clean[1150:])
    return Program(model, noisy[:1150], clean[:1150], held, epochs=25, batch_size=50)
