"""Runs that are sound, though most of them look odd (letter t)."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import datasets
from doctor_programs import more_datasets_t as data
from doctor_programs.registry import Program, program


@program(architecture="cnn", split="tune")
def t_trained_base_stays_frozen(seed: int, mended: bool = False) -> Program:
    """The frozen base is meant: it was trained on other digits a moment ago."""
    x, y, x_val, y_val = data.eights(seed)
    base = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(24, 3, activation="relu"),
            layers.Conv2D(48, 3, activation="relu"),
            layers.Flatten(),
        ],
        name="base",
    )
    whole = keras.Sequential([base, layers.Dense(5, activation="softmax")])
    whole.compile("adam", "sparse_categorical_crossentropy")
    whole.fit(x[y < 5], y[y < 5], epochs=6, verbose=0)
    base.trainable = False
    inputs = keras.Input((8, 8, 1))
    hidden = base(inputs, training=False)
    model = keras.Model(inputs, layers.Dense(5, activation="softmax")(hidden))
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(5e-3), loss, metrics=["accuracy"])
    late, late_val = y >= 5, y_val >= 5
    val = (x_val[late_val], y_val[late_val] - 5)
    return Program(model, x[late], y[late] - 5, val, epochs=10, batch_size=16)


@program(architecture="regression", split="tune")
def t_progress_in_hundreds(seed: int, mended: bool = False) -> Program:
    """Targets go up to 346 and half their spread can't be known; the last layer copes."""
    x, y, x_val, y_val = data.table("diabetes", seed, 350)
    y, y_val = y.astype("float32"), y_val.astype("float32")
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(16, activation="softplus", kernel_regularizer="l2"),
            layers.Dense(1, activation=None),
            layers.Rescaling(float(y.std()), offset=float(y.mean())),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "mae", metrics=["mae"])
    stop = keras.callbacks.EarlyStopping(patience=8, restore_best_weights=True)
    more = {"callbacks": [stop]}
    val = (x_val, y_val)
    return Program(model, x, y, val, epochs=30, batch_size=25, more=more)


@program(architecture="tabular", split="tune")
def t_iris_by_eights(seed: int, mended: bool = False) -> Program:
    """A hundred flowers, eight at a time: the loss of the batches jumps about."""
    x, y, x_val, y_val = data.table("iris", seed, 100, standardise=False)
    norm = layers.Normalization()
    norm.adapt(x)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            norm,
            layers.Dense(12, activation="tanh"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=25, batch_size=8)


@program(architecture="recurrent", split="tune")
def t_long_wait_then_progress(seed: int, mended: bool = False) -> Program:
    """For several epochs nothing seems to happen, then the GRU finds the first symbol."""
    x, y = datasets.recall(seed, n=1000, length=20)
    inputs = keras.Input((20, 4))
    last = layers.GRU(24)(inputs)
    model = keras.Model(inputs, layers.Dense(4)(last))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(6e-3), loss, metrics=["accuracy"])
    val = (x[800:], y[800:])
    return Program(model, x[:800], y[:800], val, epochs=28, batch_size=50)


@program(architecture="mlp", split="tune")
def t_most_words_never_seen(seed: int, mended: bool = False) -> Program:
    """The embedding has 12,000 rows, of which the texts use a few hundred."""
    x, y = data.sentences(seed, n=2000)
    x = x * 13 + 7
    model = keras.Sequential(
        [
            keras.Input((24,), dtype="int32"),
            layers.Embedding(12_000, 8),
            layers.GlobalAveragePooling1D(),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(4e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    pairs = tf.data.Dataset.from_tensor_slices((x, y))
    train = pairs.take(1600).shuffle(1600, seed=seed).batch(32)
    val = pairs.skip(1600).batch(100)
    return Program(model, train, None, val, epochs=9, batch_size=None)


@program(architecture="tabular", split="tune")
def t_wine_in_its_own_units(seed: int, mended: bool = False) -> Program:
    """Columns from 0.1 to 1,680 go in as they are, and BatchNormalization evens them."""
    x, y, x_val, y_val = data.table("wine", seed, 130, standardise=False)
    model = keras.Sequential(
        [
            keras.Input((13,)),
            layers.BatchNormalization(momentum=0.9),
            layers.Dense(24, activation="selu", kernel_initializer="lecun_normal"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adagrad(0.05),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=30, batch_size=26)


@program(architecture="mlp", split="tune")
def t_rare_but_plain(seed: int, mended: bool = False) -> Program:
    """One example in twenty is positive, and the model finds nearly all of them."""
    rng = np.random.default_rng(seed)
    y = (rng.uniform(size=3000) < 0.05).astype("float32")
    x = rng.normal(size=(3000, 12)).astype("float32")
    x[:, :4] += 2.2 * y[:, None]
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(16, activation="leaky_relu"),
            layers.Dense(1),
        ]
    )
    model.compile(
        keras.optimizers.Adam(5e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[
            keras.metrics.Recall(thresholds=0.0, name="recall"),
            keras.metrics.Precision(thresholds=0.0, name="precision"),
        ],
    )
    val = (x[2400:], y[2400:])
    return Program(model, x[:2400], y[:2400], val, epochs=12, batch_size=60)


@program(architecture="cnn", split="tune")
def t_large_rate_with_warm_up(seed: int, mended: bool = False) -> Program:
    """Batches of 256 and a rate of 1 for SGD, but warmed up, normalised and decayed."""
    x, y, x_val, y_val = data.pictures("fashion_mnist", seed, 3000, 2500, shrink=2)
    model = keras.Sequential([keras.Input((14, 14, 1)), layers.Rescaling(1 / 255)])
    for filters in (12, 24):
        model.add(layers.Conv2D(filters, 3, strides=2, use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.8))
        model.add(layers.ReLU())
    model.add(layers.Flatten())
    model.add(layers.Dense(10, activation="softmax"))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=120, warmup_target=1.0, warmup_steps=30
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"])
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=256)


class Contrast(keras.Model):
    """A pair of equal towers with a contrastive loss in a step of its own."""

    def __init__(self):
        super().__init__()
        self.tower = keras.Sequential(
            [
                layers.Flatten(),
                layers.Dense(64, activation="relu"),
                layers.Dense(16),
                layers.UnitNormalization(),
            ]
        )
        self.loss_mean = keras.metrics.Mean(name="loss")

    @property
    def metrics(self) -> list:
        """The running mean of the loss."""
        return [self.loss_mean]

    def call(self, pair: tuple, training: bool | None = None) -> tf.Tensor:
        """Return distances [batch]."""
        apart = self.tower(pair[0]) - self.tower(pair[1])
        return ops.sqrt(ops.sum(apart**2, axis=-1) + 1e-6)

    def _contrast(self, same: tf.Tensor, distance: tf.Tensor) -> tf.Tensor:
        away = ops.maximum(1.0 - distance, 0.0)
        return ops.mean(same * distance**2 + (1 - same) * away**2)

    def train_step(self, batch: tuple) -> dict:
        """Take one step and return the mean loss."""
        pair, same = batch
        with tf.GradientTape() as tape:
            loss = self._contrast(same, self(pair, training=True))
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        self.loss_mean.update_state(loss)
        return {"loss": self.loss_mean.result()}

    def test_step(self, batch: tuple) -> dict:
        """Return the mean loss of validation pairs."""
        pair, same = batch
        self.loss_mean.update_state(self._contrast(same, self(pair, training=False)))
        return {"loss": self.loss_mean.result()}


@program(architecture="siamese", split="tune")
def t_contrast_of_digits(seed: int, mended: bool = False) -> Program:
    """A step of its own, no metric, and validation pairs that are sorted by their label."""
    x, y, x_val, y_val = data.pictures("mnist", seed, 1400, 1100, shrink=4)
    left, right, same = data.couples(x / 255, y, seed, 2500)
    left_val, right_val, same_val = data.couples(x_val / 255, y_val, seed + 1, 500)
    order = np.argsort(same_val, kind="stable")
    model = Contrast()
    model.compile(keras.optimizers.Adam(2e-3))
    train = tf.data.Dataset.from_tensor_slices(
        ((left.astype("float32"), right.astype("float32")), same)
    )
    val = tf.data.Dataset.from_tensor_slices(
        (
            (left_val[order].astype("float32"), right_val[order].astype("float32")),
            same_val[order],
        )
    )
    train = train.shuffle(2500, seed=seed).batch(50)
    return Program(model, train, None, val.batch(50), epochs=12, batch_size=None)
