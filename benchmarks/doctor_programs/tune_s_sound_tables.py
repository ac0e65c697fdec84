"""Healthy programs on tables, most of which look odd."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import datasets
from doctor_programs import more_datasets_s as data
from doctor_programs.registry import Program, program


@program(architecture="tabular", split="tune")
def s_nobody_can_know_better(seed: int, mended: bool = False) -> Program:
    """Chance decides much of the outcome, so nothing can be right in over about 70 %."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2500, 6)).astype("float32")
    chance = 1 / (1 + np.exp(-1.1 * (x[:, 0] - 0.7 * x[:, 1])))
    y = (rng.uniform(size=2500) < chance).astype("float32")
    (x, y), validation = datasets.part(x, y)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(12, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy", "AUC"])
    return Program(model, x, y, validation, epochs=15)


@program(architecture="tabular", split="tune")
def s_rare_but_found(seed: int, mended: bool = False) -> Program:
    """One in twelve is positive, and the network finds nearly all of them unweighted."""
    rng = np.random.default_rng(seed)
    y = (rng.uniform(size=2400) < 0.08).astype("float32")
    x = rng.normal(size=(2400, 10)) + 1.9 * y[:, None] * np.sign(np.arange(10) - 4.5)
    (x, y), validation = datasets.part(x.astype("float32"), y)
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(16, activation="selu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.003),
        "binary_crossentropy",
        metrics=["accuracy", keras.metrics.Recall(name="recall")],
    )
    return Program(model, x, y, validation, epochs=8)


@program(architecture="mlp", split="tune")
def s_parity_takes_its_time(seed: int, mended: bool = False) -> Program:
    """The product of four signs: nothing seems to happen for epochs, then it clicks."""
    (x, y), validation = datasets.part(*data.parity(seed, 2400, 12, 4))
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(48, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.08),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, validation, epochs=32)


@program(architecture="mlp", split="tune")
def s_large_batch_large_rate(seed: int, mended: bool = False) -> Program:
    """SGD at a rate of 0.8 with batches of 256, which batch normalisation bears well."""
    x, y, x_val, y_val = data.table("digits", seed, 1400)
    model = keras.Sequential([keras.Input((64,)), layers.Rescaling(1 / 16)])
    for units in (96, 48):
        model.add(layers.Dense(units, use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.8))
        model.add(layers.ReLU())
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        keras.optimizers.SGD(0.8),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=18, batch_size=256)


@program(architecture="regression", split="tune")
def s_progress_in_hundreds(seed: int, mended: bool = False) -> Program:
    """Targets reach from 25 to 346, but the last layer begins at their mean and scale."""
    x, y, x_val, y_val = data.table("diabetes", seed, 340)
    x, x_val = data.standardised(x, x_val)
    y, y_val = y.astype("float32"), y_val.astype("float32")
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(8, activation="tanh"),
            layers.Dense(1),
            layers.Rescaling(float(y.std()), offset=float(y.mean())),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "mae")
    stop = keras.callbacks.EarlyStopping(patience=4, restore_best_weights=True)
    more = {"callbacks": [stop]}
    return Program(model, x, y, (x_val, y_val), 30, 32, more)


@program(architecture="tabular", split="tune")
def s_wine_eight_at_a_time(seed: int, mended: bool = False) -> Program:
    """Raw columns from 0.1 to 1,680 are normalised inside, and small batches make noise."""
    x, y, x_val, y_val = data.table("wine", seed, 130)
    scaling = layers.Normalization()
    scaling.adapt(x)
    model = keras.Sequential(
        [
            keras.Input((13,)),
            scaling,
            layers.Dense(16, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=20, batch_size=8)


@program(architecture="mlp", split="tune")
def s_two_inputs_two_outputs(seed: int, mended: bool = False) -> Program:
    """Two inputs, and two outputs whose losses have different sizes and weights."""
    x, price = datasets.friedman(seed, 1500)
    price = (price - price.mean()) / price.std()
    dear = (price > 0.4).astype("float32")
    first, second = keras.Input((5,), name="first"), keras.Input((5,), name="second")
    hidden = layers.Concatenate()([layers.Dense(24)(first), layers.Dense(8)(second)])
    hidden = layers.Dense(32, activation="silu")(layers.Activation("silu")(hidden))
    outputs = {
        "price": layers.Dense(1, name="price")(hidden),
        "dear": layers.Dense(1, activation="sigmoid", name="dear")(hidden),
    }
    model = keras.Model([first, second], outputs)
    model.compile(
        keras.optimizers.Adam(0.006),
        {"price": "mse", "dear": "binary_crossentropy"},
        loss_weights={"price": 1.0, "dear": 0.3},
        metrics={"dear": "accuracy"},
        steps_per_execution=5,
    )
    inputs = {"first": 2 * x[:, :5] - 1, "second": 2 * x[:, 5:] - 1}
    rows = tf.data.Dataset.from_tensor_slices((inputs, {"price": price, "dear": dear}))
    train = rows.take(1200).shuffle(1200, seed=seed).batch(30)
    validation = rows.skip(1200).batch(100)
    return Program(model, train, None, validation, epochs=14, batch_size=None)
