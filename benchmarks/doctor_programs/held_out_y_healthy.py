"""Healthy programs of y on tables and signals; most of them look odd."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from doctor_programs import datasets
from doctor_programs.held_out_data_y import like_the_first, split
from doctor_programs.registry import Program, program


@program(architecture="tabular", split="held-out")
def y_raw_columns_into_batchnorm(seed: int, mended: bool = False) -> Program:
    """Columns of very different sizes, which the BatchNormalization in front scales."""
    x, y = load_breast_cancer(return_X_y=True)
    x, x_val, y, y_val = split(seed, x.astype("float32"), y[:, None])
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.BatchNormalization(momentum=0.9),
            layers.Dense(24, activation="gelu"),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    optimizer = keras.optimizers.AdamW(0.003, weight_decay=0.01)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, (x_val, y_val), epochs=12)


@program(architecture="mlp", split="held-out")
def y_iris_of_a_hundred(seed: int, mended: bool = False) -> Program:
    """Only 112 flowers in batches of 8, so the curves of the 38 others are rough."""
    x, y = load_iris(return_X_y=True)
    x, x_val, y, y_val = split(seed, x, y)
    x, x_val = like_the_first(x, x_val)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(16, activation="selu", kernel_initializer="lecun_normal"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=25, batch_size=8)


@program(architecture="mlp", split="held-out")
def y_coin_with_a_bias(seed: int, mended: bool = False) -> Program:
    """The outcome is drawn by chance from the true risk: no model gets beyond 75 %."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(4000, 8)).astype("float32")
    score = 1.2 * x[:, 0] - x[:, 1] + 0.8 * np.abs(x[:, 2])
    y = (rng.uniform(size=4000) < 1 / (1 + np.exp(-score))).astype("float32")
    inputs = keras.Input((8,))
    h = layers.Dense(12, activation="silu")(inputs)
    model = keras.Model(inputs, layers.Dense(1)(h))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    metrics = [keras.metrics.BinaryAccuracy(threshold=0.0)]
    model.compile(keras.optimizers.Adam(0.005), loss, metrics=metrics)
    y = y[:, None]
    return Program(model, x[:3200], y[:3200], (x[3200:], y[3200:]), 12, batch_size=64)


@program(architecture="tabular", split="held-out")
def y_five_in_a_hundred(seed: int, mended: bool = False) -> Program:
    """Only 6 % are positive, but they are well apart, and weights and AUC see to them."""
    x, y = datasets.risks(seed, n=3000, positive=0.06, noise=0.1)
    y = y[:, None]
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(48, activation="relu"),
            layers.Dense(24, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    metrics = [keras.metrics.AUC(curve="PR", name="pr_auc"), keras.metrics.Recall()]
    model.compile(keras.optimizers.Adam(0.002), "binary_crossentropy", metrics=metrics)
    more = {"class_weight": {0: 1.0, 1: 5.0}}
    validation = (x[2400:], y[2400:])
    return Program(model, x[:2400], y[:2400], validation, 8, more=more)


@program(architecture="regression", split="held-out")
def y_progress_in_its_own_units(seed: int, mended: bool = False) -> Program:
    """Targets of 25 to 346 as they are: the last layer gets there; and a class beside."""
    x, y = load_diabetes(return_X_y=True)
    x, x_val, y, y_val = split(seed, x.astype("float32"), y.astype("float32")[:, None])
    x, x_val = like_the_first(x, x_val)
    inputs = keras.Input((10,))
    h = layers.Dense(16, activation="relu")(inputs)
    progress = layers.Dense(
        1, bias_initializer=keras.initializers.Constant(float(y.mean()))
    )(h)
    severe = layers.Dense(1, activation="sigmoid")(h)
    model = keras.Model(inputs, [progress, severe])
    model.compile(
        keras.optimizers.Adam(0.02),
        ["mae", "binary_crossentropy"],
        loss_weights=[0.02, 1.0],
        metrics=[["mae"], ["accuracy"]],
    )
    targets = [y, (y > 140).astype("float32")]
    checks = [y_val, (y_val > 140).astype("float32")]
    return Program(model, x, targets, (x_val, checks), epochs=12, batch_size=32)


@program(architecture="autoencoder", split="held-out")
def y_noise_is_not_learnt(seed: int, mended: bool = False) -> Program:
    """A denoising autoencoder: inputs are noisy, so the loss has a floor above 0."""
    clean = datasets.sensors(seed, n=1500, features=20, factors=3)
    rng = np.random.default_rng(seed)
    noisy = clean + 0.3 * rng.normal(size=clean.shape).astype("float32")
    inputs = keras.Input((20,))
    h = layers.Dense(32, activation="tanh")(inputs)
    code = layers.Dense(4)(h)
    outputs = layers.Dense(20)(layers.Dense(32, activation="tanh")(code))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Lion(3e-4), "mse")
    validation = (noisy[1200:], clean[1200:])
    return Program(model, noisy[:1200], clean[:1200], validation, 20, batch_size=16)


@program(architecture="recurrent", split="held-out")
def y_seasons_in_batches_of_eight(seed: int, mended: bool = False) -> Program:
    """A GRU with tanh forecasts a series in batches of 8: its loss per batch is noisy."""
    series = datasets.seasons(seed, steps=1000, noise=0.3)
    x, y = datasets.windows(series, 26)
    y = y[:, None]
    model = keras.Sequential([keras.Input((26, 1)), layers.GRU(16), layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.003), "huber", metrics=["mae"])
    data = tf.data.Dataset.from_tensor_slices((x[:800], y[:800]))
    data = data.shuffle(800, seed=seed).batch(8).prefetch(2)
    return Program(model, data, None, (x[800:], y[800:]), 5, batch_size=None)


class OwnStep(keras.Model):
    """A model whose step limits the gradients by itself."""

    def train_step(self, data):
        """Train on one batch."""
        x, y = data
        with tf.GradientTape() as tape:
            scores = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=scores)
        variables = self.trainable_variables
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), 1.0)
        self.optimizer.apply(gradients, variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, scores)
        return {metric.name: metric.result() for metric in self.metrics}


@program(architecture="recurrent", split="held-out")
def y_own_step_with_clipping(seed: int, mended: bool = False) -> Program:
    """A custom train_step clips by the global norm; otherwise it is like Keras's own."""
    x, y = datasets.waves(seed, n=1000, length=40, noise=0.2)
    inputs = keras.Input((40, 1))
    h = layers.Conv1D(12, 5, strides=2, activation="relu")(inputs)
    h = layers.GRU(20)(h)
    model = OwnStep(inputs, layers.Dense(4, activation="softmax")(h))
    model.compile(
        keras.optimizers.Adamax(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x[:800], y[:800], (x[800:], y[800:]), epochs=10)


@program(architecture="mlp", split="held-out")
def y_wine_in_one_batch(seed: int, mended: bool = False) -> Program:
    """The whole small set at once, at a rate of 0.5, with no validation and no metric."""
    x, y = load_wine(return_X_y=True)
    (x,) = like_the_first(x)
    model = keras.Sequential(
        [
            keras.Input((13,)),
            layers.Dense(10, activation="sigmoid"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    return Program(model, x, y, None, epochs=60, batch_size=178)
