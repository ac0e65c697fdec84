"""Programs on tables and numbers."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from doctor_programs import datasets
from doctor_programs import more_datasets_w as data
from doctor_programs.registry import Program, program


@program(faults=("label-noise",), architecture="mlp", split="tune")
def w_hasty_annotators(seed: int, mended: bool = False) -> Program:
    """Two fifths of the training digits were mistyped; the validation set is audited."""
    x, y = data.eight_by_eight(seed)
    x, y, x_val, y_val = data.cut(x, y, 1400)
    if not mended:
        y = datasets.flip_labels(y, 0.4, 10, seed)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.Adam(2e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=25)


@program(faults=("loss-activation-mismatch",), architecture="autoencoder", split="tune")
def w_sigmoid_rebuilds_z_scores(seed: int, mended: bool = False) -> Program:
    """The decoder ends in a sigmoid, but the columns to rebuild are standardised."""
    x, _ = data.tumours(seed)
    x = (x - x[:450].mean(0)) / x[:450].std(0)
    x, x_val = x[:450], x[450:]
    columns = keras.Input((30,))
    h = layers.Dense(32, activation="elu")(columns)
    code = layers.Dense(8, name="code")(h)
    h = layers.Dense(32, activation="elu")(code)
    rebuilt = layers.Dense(30, activation=None if mended else "sigmoid")(h)
    model = keras.Model(columns, rebuilt)
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    return Program(model, x, x, (x_val, x_val), epochs=40, batch_size=24)


class _Drop(layers.Layer):
    """Dropout by hand: keeps a share of the units in training."""

    def __init__(self, keep: float, scale: bool, seed: int) -> None:
        super().__init__()
        self.keep, self.scale = keep, scale
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x: Any, training: bool = False) -> Any:
        """Return x with units at 0 in training, and x as it is otherwise."""
        if not training:
            return x
        kept = keras.random.uniform(ops.shape(x), seed=self.seed_generator) < self.keep
        dropped = x * ops.cast(kept, x.dtype)
        return dropped / self.keep if self.scale else dropped


@program(faults=("train-inference-gap",), architecture="regression", split="tune")
def w_dropout_by_hand_unscaled(seed: int, mended: bool = False) -> Program:
    """A hand-made dropout layer doesn't divide by the share it keeps."""
    x, y = datasets.friedman(seed, 1500)
    x, y, x_val, y_val = data.cut(x, y[:, None], 1200)
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(64, activation="relu"),
            _Drop(0.6, mended, seed),
            layers.Dense(64, activation="relu"),
            _Drop(0.6, mended, seed + 1),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(2e-3), "mse", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=20)


@program(faults=("unnormalised-inputs",), architecture="tabular", split="tune")
def w_unix_seconds_beside_shares(seed: int, mended: bool = False) -> Program:
    """Ages, incomes, Unix times and shares go into the network as they are."""
    x, y = data.customers(seed)
    x, y, x_val, y_val = data.cut(x, y, 1600)
    model = keras.Sequential([keras.Input((6,))])
    if mended:
        scaler = layers.Normalization()
        scaler.adapt(x)
        model.add(scaler)
    model.add(layers.Dense(32, activation="relu"))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy", "AUC"])
    return Program(model, x, y, (x_val, y_val), epochs=15)


@program(faults=("underfitting",), architecture="regression", split="tune")
def w_three_units_for_a_surface(seed: int, mended: bool = False) -> Program:
    """Three hidden units are to draw a surface full of hills."""
    x, y = data.waving_surface(seed)
    x, y, x_val, y_val = data.cut(x, y, 1000)
    inputs = keras.Input((2,))
    h = inputs
    for units in (64, 64) if mended else (3,):
        h = layers.Dense(units, activation="relu")(h)
    model = keras.Model(inputs, layers.Dense(1)(h))
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=35, batch_size=40)


@program(architecture="mlp", split="tune")
def w_iris_eight_at_a_time(seed: int) -> Program:
    """Healthy: 120 flowers in batches of 8 make a restless curve that still gets there."""
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    x, y = data.mixed(x.astype("float32"), y, seed)
    x = (x - x[:120].mean(0)) / x[:120].std(0)
    x, y, x_val, y_val = data.cut(x, np.eye(3, dtype="float32")[y], 120)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(10, activation="tanh"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.5),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=30, batch_size=8)


@program(architecture="regression", split="tune")
def w_counts_that_stay_uncertain(seed: int) -> Program:
    """Healthy: Poisson counts keep much of their scatter, however good the model is."""
    x, y = datasets.counts(seed, 2000)
    x, y, x_val, y_val = data.cut(x, y[:, None], 1600)
    inputs = keras.Input((6,))
    h = layers.Dense(24, activation="swish")(inputs)
    h = layers.Dense(24, activation="swish")(h)
    model = keras.Model(inputs, layers.Dense(1, activation="exponential")(h))
    model.compile(keras.optimizers.Adam(2e-3), keras.losses.Poisson(), metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=32)


@program(architecture="mlp", split="tune")
def w_parity_after_a_plateau(seed: int) -> Program:
    """Healthy: nothing seems to happen for epochs, then the parity of signs is found."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], size=(2400, 10)).astype("float32")
    y = (x[:, 1] * x[:, 4] * x[:, 7] > 0).astype("int64")
    x, y, x_val, y_val = data.cut(x, y, 2000)
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.15), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(model, x, y, (x_val, y_val), epochs=35, batch_size=50)


@program(architecture="tabular", split="tune")
def w_rare_frauds_well_weighted(seed: int) -> Program:
    """Healthy: six per cent frauds, class weights, and recall and precision to watch."""
    x, y = data.transactions(seed)
    x, y, x_val, y_val = data.cut(x, y, 3200)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(1e-3),
        "binary_crossentropy",
        metrics=[keras.metrics.AUC(name="auc"), keras.metrics.Recall(name="recall")],
    )
    weights = {0: 1.0, 1: 4.0}
    more = {"class_weight": weights}
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=64, more=more)


@program(architecture="tabular", split="tune")
def w_raw_columns_behind_a_norm(seed: int) -> Program:
    """Healthy: raw columns of very different sizes, put right by a first BatchNorm."""
    x, y = data.tumours(seed)
    x, y, x_val, y_val = data.cut(x, y, 450)
    inputs = keras.Input((30,))
    h = layers.BatchNormalization(momentum=0.9)(inputs)
    h = layers.Dense(16, activation="relu")(h)
    h = layers.Dropout(0.3)(h)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(h))
    model.compile(
        keras.optimizers.Adagrad(0.05), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(model, x, y, (x_val, y_val), epochs=20, batch_size=32)


@program(architecture="regression", split="tune")
def w_progress_of_a_hundred_and_fifty(seed: int) -> Program:
    """Healthy: targets of 25 to 346, whose mean the last bias starts with."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    x, y = data.mixed((20 * x).astype("float32"), y.astype("float32"), seed)
    x, y, x_val, y_val = data.cut(x, y[:, None], 350)
    start = keras.initializers.Constant(float(y.mean()))
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, bias_initializer=start),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "mse", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=16)
