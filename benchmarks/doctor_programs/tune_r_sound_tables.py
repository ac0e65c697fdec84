"""Programs on tables that look odd, but are sound."""

import keras
import numpy as np
from keras import layers, ops

from doctor_programs import datasets
from doctor_programs import more_datasets_r as data
from doctor_programs.registry import Program, program


@program(architecture="tabular", split="tune")
def r_iris_by_eights(seed: int, mended: bool = False) -> Program:
    """Iris in centimetres, 110 flowers by eights: the loss is noisy, and that is all."""
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    x, y, x_val, y_val = data.mixed(x.astype("float32"), y.astype("int64"), 110, seed)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(16, activation="tanh"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=40, batch_size=8)


@program(architecture="mlp", split="tune")
def r_big_batches_big_rate(seed: int, mended: bool = False) -> Program:
    """SGD at 0.5 with batches of 256: BatchNormalization copes with it."""
    x, y, x_val, y_val = data.small_digits(seed)
    model = keras.Sequential([keras.Input((64,))])
    for _ in range(2):
        model.add(layers.Dense(64, use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
    model.add(layers.Dense(10))
    model.compile(
        keras.optimizers.SGD(0.5),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=30, batch_size=256)


@program(architecture="tabular", split="tune")
def r_few_alarms_all_found(seed: int, mended: bool = False) -> Program:
    """One example in fifteen is an alarm, and the model finds nearly all of them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3000, 8)).astype("float32")
    y = np.zeros((3000, 1), "int64")
    y[:200] = 1
    x[:200, :4] += np.float32([2.5, -2.5, 2.5, 2.0])
    x, y, x_val, y_val = data.mixed(x, y, 2300, seed)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(5e-3),
        "binary_crossentropy",
        metrics=[
            keras.metrics.AUC(curve="PR", name="pr_auc"),
            keras.metrics.Recall(name="recall"),
        ],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=64)


@program(architecture="mlp", split="tune")
def r_coin_with_two_moods(seed: int, mended: bool = False) -> Program:
    """The outcome is half chance: nobody gets beyond about 75 % of accuracy."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(4000, 6)).astype("float32")
    score = 1.6 * x[:, 0] - 1.2 * x[:, 1] + 0.6 * x[:, 2] * x[:, 3]
    y = (rng.uniform(size=4000) < 1 / (1 + np.exp(-score))).astype("float32")
    x, y, x_val, y_val = data.cut(x, y[:, None], 3200)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(
        keras.optimizers.Adam(5e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
    )
    return Program(model, x, y, (x_val, y_val), epochs=8, batch_size=64)


@program(architecture="regression", split="tune")
def r_progress_in_hundreds(seed: int, mended: bool = False) -> Program:
    """Diabetes scores of 25 to 346 are predicted as they are, from a bias at the mean."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    x, y, x_val, y_val = data.mixed(
        (21 * x).astype("float32"), y.astype("float32")[:, None], 340, seed
    )
    start = keras.initializers.Constant(float(y.mean()))
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(24, activation="relu"),
            layers.Dropout(0.1),
            layers.Dense(1, bias_initializer=start),
        ]
    )
    model.compile(keras.optimizers.AdamW(0.01), "mean_absolute_error", metrics=["mse"])
    return Program(model, x, y, (x_val, y_val), epochs=25, batch_size=16)


def negative_log_likelihood(y_true: object, y_pred: object) -> object:
    """Return -log of a normal density, up to a constant; y_pred is mean and log std."""
    mean, log_std = y_pred[:, :1], ops.clip(y_pred[:, 1:], -5.0, 3.0)
    return log_std + 0.5 * ops.square((y_true - mean) / ops.exp(log_std))


@program(architecture="regression", split="tune")
def r_loss_below_zero(seed: int, mended: bool = False) -> Program:
    """A network predicts mean and spread; its likelihood loss goes below zero, rightly."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, size=(2000, 1)).astype("float32")
    spread = 0.05 + 0.15 * (x > 0)
    y = (np.sin(2 * x) + spread * rng.normal(size=x.shape)).astype("float32")
    x, y, x_val, y_val = data.cut(x, y, 1600)
    inputs = keras.Input((1,))
    h = layers.Dense(48, activation="swish")(inputs)
    h = layers.Dense(48, activation="swish")(h)
    model = keras.Model(inputs, layers.Dense(2)(h))
    model.compile(keras.optimizers.Adam(5e-3), negative_log_likelihood)
    stop = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=4)
    return Program(model, x, y, (x_val, y_val), 30, 64, {"callbacks": [stop]})


@program(architecture="tabular", split="tune")
def r_units_left_to_the_first_layer(seed: int, mended: bool = False) -> Program:
    """Income and cards come in raw, but a BatchNormalization is the first layer."""
    x, y, x_val, y_val = data.applicants(seed)
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.BatchNormalization(momentum=0.9),
            layers.Dense(32, activation="relu"),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(3e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(model, x, y[:, None], (x_val, y_val[:, None]), 15, 32)


@program(architecture="mlp", split="tune")
def r_rings_after_a_plateau(seed: int, mended: bool = False) -> Program:
    """Plain SGD on two rings stands still for some epochs before it finds the circle."""
    x, y = datasets.rings(seed, 900)
    x, y, x_val, y_val = data.cut(x, y.astype("float32")[:, None], 600)
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(16, activation="tanh"),
            layers.Dense(16, activation="tanh"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.05),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=50, batch_size=16)
