"""Programs whose numbers stop being finite, or whose batches hold one class each."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import datasets
from doctor_programs import more_datasets_p as data
from doctor_programs.registry import Program, program


@program(faults=("non-finite-values",), architecture="tabular", split="tune")
def p_gaps_in_the_table(seed: int, mended: bool = False) -> Program:
    """Three missing measurements stand in the table as NaN; nobody filled them."""
    x, y, x_val, y_val = data.bundled("diabetes", seed)
    y, y_val = (y - 150) / 75, (y_val - 150) / 75
    rows = np.random.default_rng(seed).choice(len(x), 3, replace=False)
    x[rows, (2, 5, 8)] = np.nan
    if mended:
        x = np.nan_to_num(x, nan=0.0)  # The mean of a standardised column.
    inputs = keras.Input((10,))
    h = layers.Dense(24, activation="relu")(inputs)
    h = layers.Dropout(0.2)(h)
    model = keras.Model(inputs, layers.Dense(1)(h))
    model.compile(keras.optimizers.Adam(2e-3), "mse", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=20, batch_size=32)


class _Euclid(layers.Layer):
    """Distance of two embeddings; the square root has no slope at 0."""

    def __init__(self, least):
        super().__init__()
        self.least = least

    def call(self, pair):
        """Return [batch, 1]."""
        squares = ops.sum(ops.square(pair[0] - pair[1]), axis=1, keepdims=True)
        return ops.sqrt(squares + self.least)


@program(faults=("non-finite-values",), architecture="siamese", split="tune")
def p_root_of_a_distance_of_zero(seed: int, mended: bool = False) -> Program:
    """Some pairs hold one picture twice, and the root's slope at 0 is infinite."""
    x, y, x_val, y_val = data.images("mnist", 14)
    left, right, same = datasets.pairs(x, y, seed, 1500)
    twice = np.flatnonzero(same > 0.5)[::7]
    right[twice] = left[twice]
    left_val, right_val, same_val = datasets.pairs(x_val, y_val, seed + 1, 300)
    encoder = keras.Sequential(
        [
            layers.Rescaling(1 / 255),
            layers.Conv2D(12, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(8),
        ]
    )
    inputs = [keras.Input((14, 14, 1), name=side) for side in ("first", "second")]
    distance = _Euclid(1e-6 if mended else 0.0)([encoder(side) for side in inputs])
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(distance))
    model.compile(
        keras.optimizers.Adam(4e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    validation = ([left_val, right_val], same_val)
    return Program(model, [left, right], same, validation, epochs=12)


@program(faults=("unshuffled-data",), architecture="cnn", split="tune")
def p_batched_before_shuffled(seed: int, mended: bool = False) -> Program:
    """Files come class by class, and the batches are shuffled, not the pictures."""
    x, y, x_val, y_val = data.images("fashion_mnist", 14, n=1500)
    order = np.argsort(y, kind="stable")
    pairs = tf.data.Dataset.from_tensor_slices((x[order], y[order]))
    if mended:
        train = pairs.shuffle(len(x), seed=seed).batch(25)
    else:
        train = pairs.batch(25).shuffle(100, seed=seed)
    validation = tf.data.Dataset.from_tensor_slices((x_val, y_val)).batch(100)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(48, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, train, None, validation, epochs=10, batch_size=None)


class _Folders(keras.utils.PyDataset):
    """Batches of signals in the order in which the recordings lie on the disk."""

    def __init__(self, x, y, order, size=32):
        super().__init__()
        self.x, self.y, self.order, self.size = x, y, order, size

    def __len__(self):
        """Return the number of batches."""
        return math.ceil(len(self.order) / self.size)

    def __getitem__(self, index):
        """Return one batch of signals and kinds."""
        rows = self.order[index * self.size : (index + 1) * self.size]
        return self.x[rows], self.y[rows]


@program(faults=("unshuffled-data",), architecture="recurrent", split="tune")
def p_generator_walks_the_folders(seed: int, mended: bool = False) -> Program:
    """A generator reads one folder per class after the other, without shuffling."""
    x, y, x_val, y_val = data.split(*data.bearings(seed))
    x, x_val = x.reshape(-1, 16, 4), x_val.reshape(-1, 16, 4)
    if mended:
        order = np.random.default_rng(seed).permutation(len(x))
    else:
        order = np.argsort(y, kind="stable")
    model = keras.Sequential(
        [
            keras.Input((16, 4)),
            layers.Dense(16, activation="relu"),
            layers.LSTM(24),
            layers.Dense(4),
        ]
    )
    model.compile(
        keras.optimizers.Adam(5e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    train = _Folders(x, y, order)
    more = {"shuffle": mended}
    return Program(
        model, train, None, (x_val, y_val), epochs=10, batch_size=None, more=more
    )
