"""Faulty programs of y: data, objectives and what is read off."""

from collections import Counter

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_breast_cancer, load_diabetes

from doctor_programs import datasets
from doctor_programs.held_out_data_y import (
    like_the_first,
    pictures,
    sentences,
    split,
    weather,
)
from doctor_programs.registry import Program, program


def _moved(images, labels, times: int, seed: int) -> tuple:
    """Return each image `times` times, a little noisy and moved by up to a pixel."""
    rng = np.random.default_rng(seed)
    copies = []
    for image in np.repeat(images, times, axis=0):
        copy = np.roll(image, rng.integers(-1, 2, size=2), axis=(0, 1))
        copies.append(copy + 0.05 * rng.normal(size=copy.shape))
    return np.array(copies, "float32"), np.repeat(labels, times)


@program(faults=("data-leakage",), architecture="cnn", split="held-out")
def y_augmented_then_split(seed: int, mended: bool = False) -> Program:
    """Images were augmented first and split afterwards: copies stand in both parts."""
    images, labels = pictures("fashion_mnist", 300, start=500)
    images = images[:, ::2, ::2]
    if mended:
        x, x_val, y, y_val = split(seed, images, labels)
        x, y = _moved(x, y, 5, seed)
    else:
        x, x_val, y, y_val = split(seed, *_moved(images, labels, 5, seed))
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.AdamW(0.002),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10)


def _slant(images):
    """Return how far the ink leans, [n, 1]: the mean of row times column."""
    place = np.linspace(-1, 1, images.shape[1])
    ink = images[..., 0] / images.sum((1, 2, 3))[:, None, None]
    return (ink * place[:, None] * place).sum((1, 2))[:, None]


@program(faults=("loss-activation-mismatch",), architecture="cnn", split="held-out")
def y_sigmoid_for_standard_scores(seed: int, mended: bool = False) -> Program:
    """The second head has a sigmoid, but its target is standardised: half are below 0."""
    x, y = datasets.digits("train")
    x_val, y_val = datasets.digits("test")
    x, x_val = x[..., None] / np.float32(255), x_val[..., None] / np.float32(255)
    slant, slant_val = like_the_first(_slant(x), _slant(x_val))
    inputs = keras.Input((14, 14, 1))
    h = layers.Conv2D(12, 3, strides=2, activation="relu")(inputs)
    h = layers.Flatten()(layers.Conv2D(24, 3, activation="relu")(h))
    digit = layers.Dense(10, activation="softmax", name="digit")(h)
    squash = None if mended else "sigmoid"
    model = keras.Model(
        inputs,
        {"digit": digit, "slant": layers.Dense(1, activation=squash, name="slant")(h)},
    )
    model.compile(
        keras.optimizers.Adam(0.002),
        loss={"digit": "sparse_categorical_crossentropy", "slant": "mse"},
        metrics={"digit": "accuracy", "slant": "mae"},
    )
    targets, checks = {"digit": y, "slant": slant}, {"digit": y_val, "slant": slant_val}
    return Program(model, x, targets, (x_val, checks), epochs=8, batch_size=48)


@program(faults=("misaligned-labels",), architecture="tabular", split="held-out")
def y_rows_dropped_on_one_side(seed: int, mended: bool = False) -> Program:
    """Rows with gaps were dropped from the table, but not from the column of labels."""
    x, y = load_breast_cancer(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    x, y = x[order], y[order]
    gaps = rng.uniform(size=len(x)) < 0.12
    gaps[:4] = True
    x[gaps, rng.integers(30)] = np.nan
    complete = ~np.isnan(x).any(axis=1)
    x = x[complete]
    y = y[complete] if mended else y[: len(x)]
    x, x_val, y, y_val = split(seed, x, y)
    x, x_val = like_the_first(x, x_val)
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(32, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("rmsprop", "binary_crossentropy", metrics=["accuracy", "auc"])
    return Program(model, x, y[:, None], (x_val, y_val[:, None]), 15, batch_size=16)


@program(faults=("overfitting",), architecture="regression", split="held-out")
def y_diabetes_by_heart(seed: int, mended: bool = False) -> Program:
    """Three wide layers learn 300 patients by heart; nothing stops them at the turn."""
    x, y = load_diabetes(return_X_y=True)
    x, x_val, y, y_val = split(seed, x, y[:, None], share=0.7)
    x, x_val = like_the_first(x, x_val)
    y, y_val = like_the_first(y, y_val)
    model = keras.Sequential([keras.Input((10,))])
    for _ in range(3):
        model.add(layers.Dense(200, activation="relu"))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(1e-3), "mse", metrics=["mae"])
    stop = keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    more = {"callbacks": [stop]} if mended else {}
    return Program(model, x, y, (x_val, y_val), 30, batch_size=32, more=more)


def _numbered(texts: list, known: list) -> np.ndarray:
    """Return word numbers by their frequency in the `known` texts; 0: not known."""
    counted = Counter(word for text in known for word in text)
    number = {word: i + 1 for i, (word, _) in enumerate(counted.most_common(499))}
    return np.array([[number.get(word, 0) for word in text] for text in texts], "int32")


@program(faults=("train-validation-shift",), architecture="cnn", split="held-out")
def y_second_tokenizer(seed: int, mended: bool = False) -> Program:
    """A new tokenizer was fitted on the validation texts, so its numbers mean others."""
    texts, labels = sentences(seed, 1600)
    train, check = texts[:1200], texts[1200:]
    x = _numbered(train, train)
    x_val = _numbered(check, train if mended else check)
    model = keras.Sequential(
        [
            keras.Input((18,), dtype="int32"),
            layers.Embedding(500, 16),
            layers.Conv1D(16, 1, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    metric = keras.metrics.BinaryAccuracy(threshold=0.0)
    model.compile(keras.optimizers.Adam(0.005), loss, metrics=[metric])
    y = labels[:, None]
    return Program(model, x, y[:1200], (x_val, y[1200:]), epochs=10, batch_size=40)


@program(faults=("unnormalised-inputs",), architecture="recurrent", split="held-out")
def y_weather_in_its_units(seed: int, mended: bool = False) -> Program:
    """Pressure of 1013, kelvins, degrees and shares go into an LSTM as they are."""
    x, y = weather(seed, 1600)
    if mended:
        mean, deviation = x[:1200].mean((0, 1)), x[:1200].std((0, 1))
        x = (x - mean) / deviation
    model = keras.Sequential(
        [
            keras.Input((14, 4)),
            layers.LSTM(24),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.004),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x[:1200], y[:1200], (x[1200:], y[1200:]), epochs=10)


class _Folders(keras.utils.PyDataset):
    """Batches of a list of files, in the order of the list."""

    def __init__(self, x, y, order, size: int = 40):
        super().__init__()
        self.x, self.y, self.order, self.size = x, y, order, size

    def __len__(self):
        """Return the number of batches."""
        return len(self.order) // self.size

    def __getitem__(self, index):
        """Return one batch."""
        rows = self.order[index * self.size : (index + 1) * self.size]
        return self.x[rows], self.y[rows]


@program(faults=("unshuffled-data",), architecture="cnn", split="held-out")
def y_folder_after_folder(seed: int, mended: bool = False) -> Program:
    """The generator lists one folder after the other, so a batch holds one class."""
    x, y = pictures("fashion_mnist", 2000)
    x = x[:, ::2, ::2]
    rng = np.random.default_rng(seed)
    order = np.argsort(y[:1600], kind="stable")
    if mended:
        rng.shuffle(order)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(48, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.03, momentum=0.9, nesterov=True)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    data = _Folders(x, y, order)
    validation = (x[1600:], y[1600:])
    return Program(model, data, None, validation, 8, None, {"shuffle": False})


@program(faults=("wrong-metric",), architecture="recurrent", split="held-out")
def y_argmax_of_numbers(seed: int, mended: bool = False) -> Program:
    """CategoricalAccuracy with class numbers: it takes the argmax of one column, 0."""
    x, y = datasets.waves(seed, n=1100)
    y = y[:, None]
    model = keras.Sequential(
        [
            keras.Input((32, 1)),
            layers.Bidirectional(layers.LSTM(20, return_sequences=True)),
            layers.GlobalMaxPooling1D(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    metric = "sparse_categorical_accuracy" if mended else "categorical_accuracy"
    model.compile(
        keras.optimizers.RMSprop(0.005),
        "sparse_categorical_crossentropy",
        metrics=[metric],
    )
    train = tf.data.Dataset.from_tensor_slices((x[:900], y[:900]))
    train = train.shuffle(900, seed=seed).batch(30)
    return Program(model, train, None, (x[900:], y[900:]), epochs=8, batch_size=None)
