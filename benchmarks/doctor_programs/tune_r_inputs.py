"""Programs whose data come in badly, or don't suit the loss."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import more_datasets_r as data
from doctor_programs.registry import Program, program


@program(faults=("unnormalised-inputs",), architecture="tabular", split="tune")
def r_income_beside_cards(seed: int, mended: bool = False) -> Program:
    """Income in dollars, age in years and a number of cards go in side by side."""
    x, y, x_val, y_val = data.applicants(seed)
    inputs = keras.Input((5,), name="application")
    h = inputs
    if mended:
        scale = layers.Normalization()
        scale.adapt(x)
        h = scale(h)
    for units in (32, 16):
        h = layers.Dense(units, activation="relu")(h)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(h))
    model.compile(
        keras.optimizers.Adam(2e-3),
        "binary_crossentropy",
        metrics=["accuracy", keras.metrics.AUC(name="auc")],
    )
    return Program(model, x, y[:, None], (x_val, y_val[:, None]), 15, 32)


class Folder(keras.utils.PyDataset):
    """Batches of images by file name, and of labels by row of the table."""

    def __init__(self, images: object, labels: object, batch: int = 32) -> None:
        super().__init__()
        self.images, self.labels, self.batch = images, labels, batch

    def __len__(self) -> int:
        return len(self.images) // self.batch

    def __getitem__(self, index: int) -> tuple:
        rows = slice(index * self.batch, (index + 1) * self.batch)
        return self.images[rows], self.labels[rows]


@program(faults=("misaligned-labels",), architecture="cnn", split="tune")
def r_files_sorted_as_text(seed: int, mended: bool = False) -> Program:
    """The files are listed as 0, 1, 10, 100, but the labels' table goes 0, 1, 2, 3."""
    x, y, x_val, y_val = data.pictures("mnist", seed, 1424, 1200)

    def folder(images: np.ndarray, labels: np.ndarray) -> Folder:
        names = [f"{i}.png" for i in range(len(images))]
        listed = names if mended else sorted(names)
        return Folder(images[[int(name[:-4]) for name in listed]], labels)

    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(12, 3, strides=2, activation="relu"),
            layers.Conv2D(24, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(48, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.AdamW(2e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(
        model, folder(x, y), None, folder(x_val, y_val), epochs=8, batch_size=None
    )


@program(faults=("loss-activation-mismatch",), architecture="recurrent", split="tune")
def r_sigmoid_for_tides(seed: int, mended: bool = False) -> Program:
    """The sigmoid of a classification tutorial was left on a forecast of sea levels."""
    x, y = data.lagged(data.tides(seed), 24)
    x, y, x_val, y_val = data.cut(x, y, 1100)
    model = keras.Sequential(
        [
            keras.Input((24, 1)),
            layers.LSTM(24),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation=None if mended else "sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "mse", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=32)


@program(faults=("unshuffled-data",), architecture="cnn", split="tune")
def r_buffer_of_one_batch(seed: int, mended: bool = False) -> Program:
    """Recordings lie sorted by machine, and the shuffle buffer holds 32 of them."""
    x, y = data.machine_sounds(seed, each=300)
    x_val, y_val = data.machine_sounds(seed + 50, each=60)
    pairs = tf.data.Dataset.from_tensor_slices((x, y))
    train = pairs.shuffle(len(x) if mended else 32, seed=seed).batch(32).prefetch(2)
    inputs = keras.Input((64, 1))
    h = inputs
    for filters in (16, 24, 32):
        h = layers.Conv1D(filters, 5, padding="same", activation="relu")(h)
        h = layers.MaxPooling1D(2)(h)
    h = layers.GlobalAveragePooling1D()(h)
    model = keras.Model(inputs, layers.Dense(5)(h))
    model.compile(
        keras.optimizers.SGD(0.03, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, train, None, (x_val, y_val), epochs=10, batch_size=None)
