"""Training and validation sets that leak, differ, or carry wrong labels."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import more_datasets_q as data
from doctor_programs.registry import Program, program


def _copied(x, y, rng) -> tuple:
    """Return the rows in random order, those who left eight times each."""
    often = np.where(y == 1, 8, 1)
    x, y = np.repeat(x, often, axis=0), np.repeat(y, often)
    order = rng.permutation(len(x))
    return x[order], y[order]


@program(faults=("data-leakage",), architecture="tabular", split="tune")
def q_copied_before_the_split(seed: int, mended: bool = False) -> Program:
    """The few who left were copied eight times, and only then the rows were split."""
    rng = np.random.default_rng(seed)
    x, y = data.customers(seed, 2200, sharpness=1.0, share=0.1)
    x = data.standardised(x, 1700)
    if mended:
        x_val, y_val = _copied(x[1700:], y[1700:], rng)
        x, y = _copied(x[:1700], y[:1700], rng)
    else:
        x, y = _copied(x, y, rng)
        x, y, x_val, y_val = data.cut(x, y, int(0.7 * len(x)))
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(128, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(4e-3), "binary_crossentropy", metrics=["accuracy", "auc"]
    )
    stop = keras.callbacks.EarlyStopping(patience=4, restore_best_weights=True)
    more = {"callbacks": [stop]}
    held = (x_val, y_val[:, None])
    return Program(model, x, y[:, None], held, epochs=18, batch_size=64, more=more)


def _moved(images, labels, rng, copies: int) -> tuple:
    """Return each image several times, moved a little and made lighter or darker."""
    found = []
    for _ in range(copies):
        down, right = rng.integers(0, 2, size=2)
        light = rng.uniform(0.9, 1.1, (len(images), 1, 1, 1))
        found.append(np.roll(images, (down, right), axis=(1, 2)) * light)
    x, y = np.concatenate(found), np.tile(labels, copies)
    order = rng.permutation(len(x))
    return x[order].astype("float32"), y[order]


@program(faults=("data-leakage",), architecture="cnn", split="tune")
def q_augmented_before_the_split(seed: int, mended: bool = False) -> Program:
    """Each of 240 pictures was augmented to eight, and only then they were split."""
    rng = np.random.default_rng(seed)
    x, y = data.pictures("fashion_mnist", seed, 240)
    if mended:
        x_val, y_val = x[170:], y[170:]
        x, y = _moved(x[:170], y[:170], rng, 8)
    else:
        x, y = _moved(x, y, rng, 8)
        x, y, x_val, y_val = data.cut(x, y, 1360)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(24, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(48, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(2e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    stop = keras.callbacks.EarlyStopping(patience=4, restore_best_weights=True)
    more = {"callbacks": [stop]}
    return Program(model, x, y, (x_val, y_val), epochs=16, batch_size=32, more=more)


@program(faults=("train-validation-shift",), architecture="tabular", split="tune")
def q_validation_split_of_sorted_wines(seed: int, mended: bool = False) -> Program:
    """Scikit-learn's wines are sorted, and validation_split takes the last third."""
    from sklearn.datasets import load_wine

    x, y = load_wine(return_X_y=True)
    if mended:
        order = np.random.default_rng(seed).permutation(len(x))
        x, y = x[order], y[order]
    x = data.standardised(x, len(x))
    model = keras.Sequential(
        [
            keras.Input((13,)),
            layers.Dense(12, activation="tanh"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(5e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    more = {"validation_split": 0.3}
    return Program(model, x, y, None, epochs=25, batch_size=8, more=more)


@program(faults=("train-validation-shift",), architecture="recurrent", split="tune")
def q_sales_that_grow(seed: int, mended: bool = False) -> Program:
    """Sales grow all the time, so the last year lies where no training window was."""
    series = data.sales(seed, 1100, growth=6.0)
    series = (series - series[:800].mean()) / series[:800].std()
    x, y = data.windows(series, 21)
    if mended:
        last = x[:, -1:, :]
        x, y = x - last, y - last[:, 0]
    x, y, x_val, y_val = data.cut(x, y, 779)
    model = keras.Sequential(
        [
            keras.Input((21, 1)),
            layers.GRU(20, return_sequences=True),
            layers.GRU(20),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-3), "mse", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=12, batch_size=32)


@program(faults=("label-noise",), architecture="transformer", split="tune")
def q_topics_from_hasty_clicks(seed: int, mended: bool = False) -> Program:
    """Two of five training tickets got a topic by a hasty click; validation was checked."""
    x, y = data.tickets(seed, 1700, topics=4, share=0.3)
    x, y, x_val, y_val = data.cut(x, y, 1400)
    rng = np.random.default_rng(seed)
    if not mended:
        hasty = rng.uniform(size=len(y)) < 0.5
        y = np.where(hasty, rng.integers(4, size=len(y)), y)
    inputs = keras.Input((24,), dtype="int32")
    words = layers.Embedding(800, 16)(inputs)
    words = words + layers.MultiHeadAttention(2, 8)(words, words)
    words = layers.LayerNormalization()(words)
    pooled = layers.GlobalAveragePooling1D()(words)
    hidden = layers.Dense(32, activation="relu")(pooled)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(hidden))
    model.compile(
        keras.optimizers.Adam(3e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=6, batch_size=40)


@program(faults=("label-noise",), architecture="cnn", split="tune")
def q_some_files_off_by_one(seed: int, mended: bool = False) -> Program:
    """A third of the files was converted with class numbers that begin at 1."""
    x, y = data.pictures("fashion_mnist", seed, 2000)
    rng = np.random.default_rng(seed)
    if not mended:
        y = np.where(rng.uniform(size=len(y)) < 0.35, (y + 1) % 10, y)
    x, y, x_val, y_val = data.cut(x, y, 1600)
    train = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(1600, seed=seed)
    held = tf.data.Dataset.from_tensor_slices((x_val, y_val)).batch(100)
    inputs = keras.Input((14, 14, 1))
    hidden = layers.Conv2D(16, 3, strides=2, activation="relu")(inputs)
    hidden = layers.Conv2D(32, 3, activation="relu")(hidden)
    hidden = layers.Flatten()(hidden)
    hidden = layers.Dense(64, activation="relu")(hidden)
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(hidden))
    model.compile(
        keras.optimizers.Adam(2e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, train.batch(32), None, held, epochs=9, batch_size=None)
