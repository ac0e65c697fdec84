"""Rare failures and hasty annotators."""

import keras
import numpy as np
from keras import layers

from doctor_programs import held_out_data_x as data
from doctor_programs.registry import Program, program


@program(faults=("class-imbalance",), architecture="tabular", split="held-out")
def x_three_percent_fail(seed: int, mended: bool = False) -> Program:
    """Three machines in a hundred fail, and the model says that none ever does."""
    x, y, x_val, y_val = data.machines(seed)
    inputs = keras.Input((10,))
    h = layers.Dense(24, activation="relu")(inputs)
    h = layers.Dropout(0.2)(h)
    h = layers.Dense(12, activation="relu")(h)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(h))
    model.compile(
        keras.optimizers.RMSprop(1e-3),
        "binary_crossentropy",
        metrics=["accuracy", keras.metrics.Recall(name="recall")],
    )
    weights = {0: 0.5 / (1 - y.mean()), 1: 0.5 / y.mean()}
    more = {"class_weight": weights} if mended else {}
    return Program(model, x, y, (x_val, y_val), epochs=12, batch_size=64, more=more)


@program(faults=("label-noise",), architecture="cnn", split="held-out")
def x_hasty_annotators(seed: int, mended: bool = False) -> Program:
    """Nearly half of the training labels were clicked at random; validation is clean."""
    x, y, x_val, y_val = data.pictures("fashion_mnist", seed + 7, 1800, 1400, side=14)
    if not mended:
        rng = np.random.default_rng(seed)
        hasty = rng.uniform(size=len(y)) < 0.5
        y = np.where(hasty, rng.integers(10, size=len(y)), y)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, (x_val, y_val), epochs=12, batch_size=32)
