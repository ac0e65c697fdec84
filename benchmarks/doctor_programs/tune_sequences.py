"""Recurrent networks and transformers that fail, one cause each."""

import keras
import numpy as np
from keras import layers

from doctor_programs import datasets
from doctor_programs.registry import Program, program


@program(
    faults=("exploding-gradients", "initialisation-scale"),
    architecture="recurrent",
    split="tune",
)
def relu_rnn_that_grows(seed: int, mended: bool = False) -> Program:
    """A ReLU RNN whose recurrent kernel more than doubles the state at each step."""
    (x, y), validation = datasets.part(*datasets.waves(seed))
    gain = 0.9 if mended else 2.5
    model = keras.Sequential(
        [
            keras.Input((32, 1)),
            layers.SimpleRNN(
                32,
                activation="relu",
                recurrent_initializer=keras.initializers.Orthogonal(gain=gain),
            ),
            layers.Dense(4, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.Adam(0.002)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=20)


@program(faults=("vanishing-gradients",), architecture="recurrent", split="tune")
def first_symbol_of_sixty(seed: int, mended: bool = False) -> Program:
    """A sigmoid RNN must remember its first symbol for 60 steps; the gradient fades."""
    length = 6 if mended else 60
    (x, y), validation = datasets.part(*datasets.recall(seed, length=length))
    model = keras.Sequential(
        [
            keras.Input((length, 4)),
            layers.SimpleRNN(24, activation="tanh" if mended else "sigmoid"),
            layers.Dense(4, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.2)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=20)


@program(faults=("learning-rate-too-low",), architecture="recurrent", split="tune")
def patient_lstm(seed: int, mended: bool = False) -> Program:
    """An LSTM with Adam at 1e-7 (somebody wanted to be careful)."""
    (x, y), validation = datasets.part(*datasets.waves(seed, n=600, length=24))
    model = keras.Sequential(
        [
            keras.Input((24, 1)),
            layers.LSTM(24),
            layers.Dense(4, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.Adam(0.01 if mended else 1e-7)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=12)


@program(faults=("train-validation-shift",), architecture="recurrent", split="tune")
def trend_after_the_split(seed: int, mended: bool = False) -> Program:
    """The series is cut in time, and the later part lies at another level and scale."""
    series = datasets.seasons(seed)
    if not mended:
        series[1250:] = 3 * series[1250:] + 4
    x, y = datasets.windows(series, 24)
    model = keras.Sequential([keras.Input((24, 1)), layers.GRU(16), layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return Program(model, x[:1220], y[:1220], (x[1260:], y[1260:]), epochs=8)


def _transformer(words: int, length: int, width: int = 16) -> keras.Model:
    """Return one encoder block on word numbers, with a sigmoid head; not compiled."""
    inputs = keras.Input((length,), dtype="int32")
    x = layers.Embedding(words, width)(inputs)  # [batch, length, width]
    attended = layers.MultiHeadAttention(2, width // 2)(x, x)
    x = layers.LayerNormalization()(x + attended)
    hidden = layers.Dense(2 * width, activation="relu")(x)
    x = layers.LayerNormalization()(x + layers.Dense(width)(hidden))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


@program(faults=("learning-rate-too-high",), architecture="transformer", split="tune")
def hasty_transformer(seed: int, mended: bool = False) -> Program:
    """A transformer with Adam at 0.3."""
    (x, y), validation = datasets.part(*datasets.reviews(seed, n=1500))
    model = _transformer(500, 20)
    optimizer = keras.optimizers.Adam(0.003 if mended else 0.3)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=3)


@program(faults=("overfitting",), architecture="transformer", split="tune")
def few_reviews_many_epochs(seed: int, mended: bool = False) -> Program:
    """120 reviews with 500 words, a wide transformer, 40 epochs."""
    x, y = datasets.reviews(seed, n=2000)
    validation = (x[1600:], y[1600:])
    count, epochs = (1600, 4) if mended else (120, 40)
    model = _transformer(500, 20, width=32)
    optimizer = keras.optimizers.Adam(0.003)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x[:count], y[:count], validation, epochs)


@program(faults=("class-imbalance",), architecture="transformer", split="tune")
def one_complaint_in_a_hundred(seed: int, mended: bool = False) -> Program:
    """One review in a hundred is bad; the model says good to all, accuracy 99 %."""
    x, y = datasets.reviews(seed, n=3000)
    if not mended:
        bad = np.flatnonzero(y == 0)
        keep = np.sort(np.concatenate([np.flatnonzero(y == 1), bad[: len(bad) // 99]]))
        x, y = x[keep], y[keep]
    (x, y), validation = datasets.part(x[:1500], y[:1500])
    model = _transformer(500, 20, width=16)
    optimizer = keras.optimizers.Adam(0.002)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=4)


@program(faults=("symmetric-initialisation",), architecture="recurrent", split="tune")
def constant_lstm(seed: int, mended: bool = False) -> Program:
    """Every weight of the LSTM starts at 0.1: all of its units stay the same."""
    (x, y), validation = datasets.part(*datasets.waves(seed, n=700, length=24))
    start = {} if mended else {"kernel_initializer": keras.initializers.Constant(0.1)}
    inner = {} if mended else {"recurrent_initializer": start["kernel_initializer"]}
    model = keras.Sequential(
        [
            keras.Input((24, 1)),
            layers.LSTM(24, **start, **inner),
            layers.Dense(4, activation="softmax", **start),
        ]
    )
    optimizer = keras.optimizers.Adam(0.01)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=15)
