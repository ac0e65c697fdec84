"""Programs whose data sets are drawn, split or encoded in a wrong way."""

import keras
import numpy as np
from keras import layers

from doctor_programs import datasets
from doctor_programs import more_datasets_s as data
from doctor_programs.registry import Program, program


def _with_copies(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple:
    """Return each example and three copies of it, shuffled."""
    order = rng.permutation(np.tile(np.arange(len(x)), 4))
    return x[order], y[order]


@program(faults=("data-leakage",), architecture="tabular", split="tune")
def s_multiplied_then_split(seed: int, mended: bool = False) -> Program:
    """Each customer was copied four times to get more data, then came the split."""
    rng = np.random.default_rng(seed)
    x, y = data.churn(seed, 600, columns=16, noise=1.5)
    if mended:
        (x, y), validation = datasets.part(x, y, 0.75)
    else:
        (x, y), validation = datasets.part(*_with_copies(x, y, rng), 0.75)
    model = keras.Sequential(
        [
            keras.Input((16,)),
            layers.Dense(96, activation="relu"),
            layers.Dense(48, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.002), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(model, x, y, validation, epochs=6)


@program(faults=("class-imbalance",), architecture="tabular", split="tune")
def s_three_defects_in_a_hundred(seed: int, mended: bool = False) -> Program:
    """Three in a hundred bearings are broken, and the network hardly ever finds one."""
    (x, y), validation = datasets.part(*data.faults_of_bearings(seed, 3000, 0.03))
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        "binary_crossentropy",
        metrics=["accuracy", keras.metrics.Recall(name="recall")],
    )
    more = {"class_weight": {0: 0.5, 1: 16.0}} if mended else {}
    return Program(model, x, y, validation, epochs=12, batch_size=64, more=more)


@program(faults=("train-validation-shift",), architecture="cnn", split="tune")
def s_second_vocabulary(seed: int, mended: bool = False) -> Program:
    """The vocabulary was built anew for the validation texts, so numbers differ."""
    words, moods = datasets.reviews(seed, 1500)
    (x, y), (x_val, y_val) = datasets.part(words, moods)
    if not mended:
        renumbered = np.random.default_rng(seed).permutation(500).astype("int32")
        x_val = renumbered[x_val]
    inputs = keras.Input((20,), dtype="int32")
    hidden = layers.Embedding(500, 16)(inputs)
    hidden = layers.Conv1D(24, 3, activation="relu")(hidden)
    hidden = layers.GlobalAveragePooling1D()(hidden)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(hidden))
    model.compile(
        keras.optimizers.Adam(0.003), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(model, x, y, (x_val, y_val), epochs=6)
