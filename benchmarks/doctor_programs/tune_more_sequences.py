"""More: sequence, text and attention programs with a fault each."""

import keras
import numpy as np
from keras import layers as L
from keras import ops

from doctor_programs import more_datasets as data
from doctor_programs.registry import Program, program

CROSS_ENTROPY = "sparse_categorical_crossentropy"


@program(
    faults=("exploding-gradients", "initialisation-scale"),
    architecture="recurrent",
    split="tune",
)
def echo_that_grows(seed, mended=False):
    """A linear recurrent layer whose kernel has norm 1.6: sixteen steps are too many."""
    x, y = data.lagged(data.walk(seed), 24)
    if mended:
        layer = L.SimpleRNN(16, activation="tanh")
    else:
        layer = L.SimpleRNN(
            16,
            activation="linear",
            recurrent_initializer=keras.initializers.Orthogonal(1.6),
        )
    model = keras.Sequential([L.Input((24, 1)), layer, L.Dense(1)])
    model.compile(keras.optimizers.SGD(0.02), "mse")
    return Program(model, x[:1200], y[:1200], (x[1224:], y[1224:]), epochs=8)


@program(faults=("frozen-weights",), architecture="recurrent", split="tune")
def sleeping_lstm(seed, mended=False):
    """A copied line says lstm.trainable = False; only the last layer learns."""
    x, y, xv, yv = data.heartbeats(seed)
    inputs = keras.Input((40, 2))
    lstm = L.LSTM(8, name="lstm")
    conv = L.Conv1D(4, 5, strides=2, activation="relu", name="conv")
    lstm.trainable = conv.trainable = mended
    outputs = L.Dense(3, activation="softmax")(lstm(conv(inputs)))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=12)


@program(faults=("learning-rate-too-high",), architecture="recurrent", split="tune")
def gru_in_a_hurry(seed, mended=False):
    """A GRU with RMSprop at 0.8."""
    x, y, xv, yv = data.heartbeats(seed)
    model = keras.Sequential([L.Input((40, 2)), L.Conv1D(8, 5, strides=2), L.GRU(16)])
    model.add(L.Dense(3, activation="softmax"))
    rate = 0.004 if mended else 0.8
    model.compile(keras.optimizers.RMSprop(rate), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=10)


@program(faults=("unscaled-targets",), architecture="recurrent", split="tune")
def visitors_per_day(seed, mended=False):
    """The inputs are standardised, but the next value is left at about 40,000."""
    series = data.walk(seed)
    x, y = data.lagged(series, 16)
    if not mended:
        y = 40_000 + 9_000 * y
    model = keras.Sequential([L.Input((16, 1)), L.LSTM(16), L.Dense(1)])
    model.compile(keras.optimizers.Adam(0.005), "mse", metrics=["mae"])
    return Program(model, x[:1200], y[:1200], (x[1220:], y[1220:]), epochs=8)


@program(faults=("misaligned-labels",), architecture="recurrent", split="tune")
def windows_cut_elsewhere(seed, mended=False):
    """The windows start at 0, but the targets were taken from 61 steps further on."""
    x, y = data.lagged(data.walk(seed), 16)
    if not mended:
        x, y = x[:-61], y[61:]
    model = keras.Sequential([L.Input((16, 1)), L.GRU(16), L.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return Program(model, x[:1150], y[:1150], (x[1170:], y[1170:]), epochs=10)


@program(
    # With plain SGD a rate divided by the number of terms is the same cure.
    faults=("loss-reduction", "learning-rate-too-high"),
    architecture="recurrent",
    split="tune",
)
def adds_up_the_time(seed, mended=False):
    """The error of each sequence is added up over all steps and over the batch."""
    series = data.walk(seed)
    x, _ = data.lagged(series, 24)
    y = np.concatenate([x[1:], x[-1:]])  # The sequence one step later.

    def error(target, guess):
        square = ops.square(target - guess)
        return ops.mean(square) if mended else ops.sum(square)

    model = keras.Sequential(
        [L.Input((24, 1)), L.SimpleRNN(16, return_sequences=True), L.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(0.05), error)
    return Program(model, x[:1200], y[:1200], (x[1224:], y[1224:]), epochs=8)


@program(faults=("vanishing-gradients",), architecture="recurrent", split="tune")
def which_came_first(seed, mended=False):
    """The class is marked in the first of 80 steps; the recurrence forgets by halves."""
    steps = 8 if mended else 80
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=1000)
    x = rng.normal(size=(1000, steps, 3)).astype("float32") * 0.2
    x[np.arange(1000), 0, y] += 2
    scale = 1.0 if mended else 0.4
    start = keras.initializers.Orthogonal(scale)
    model = keras.Sequential([L.Input((steps, 3))])
    model.add(L.SimpleRNN(16, recurrent_initializer=start))
    model.add(L.Dense(3, activation="softmax"))
    model.compile(keras.optimizers.Adam(0.003), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x[:800], y[:800], (x[800:], y[800:]), epochs=10)


@program(faults=("unshuffled-data",), architecture="recurrent", split="tune")
def texts_by_class(seed, mended=False):
    """All texts of class 0, then of 1, then of 2, through a generator in that order."""
    x, y, xv, yv = data.brackets(seed)
    order = np.random.default_rng(seed).permutation(len(y)) if mended else np.argsort(y)
    x, y = x[order], y[order]

    def endless():
        while True:
            for i in range(0, len(x) - 29, 30):
                yield x[i : i + 30], y[i : i + 30]

    model = keras.Sequential(
        [
            L.Input((16,)),
            L.Embedding(31, 12),
            L.GlobalAveragePooling1D(),
            L.Dense(24, activation="relu"),
            L.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), CROSS_ENTROPY, metrics=["accuracy"])
    more = {"steps_per_epoch": 50}
    return Program(model, endless(), None, (xv, yv), 8, batch_size=None, more=more)


def attention_model(width=16, start="glorot_uniform", table="uniform", dropout=None):
    """Return a classifier of `brackets`: embedding, one attention block, softmax."""
    tokens = keras.Input((16,), dtype="int32")
    h = L.Embedding(31, width, embeddings_initializer=table)(tokens)
    h = h + L.MultiHeadAttention(2, width, kernel_initializer=start)(h, h)
    h = h + L.Dense(width, activation="relu", kernel_initializer=start)(h)
    h = L.GlobalAveragePooling1D()(h)
    if dropout:
        h = dropout(h)
    return keras.Model(tokens, L.Dense(3, "softmax", kernel_initializer=start)(h))


@program(faults=("learning-rate-too-low",), architecture="transformer", split="tune")
def careful_adamw(seed, mended=False):
    """AdamW at 2e-7, the value of a fine-tuning recipe, on a network from scratch."""
    x, y, xv, yv = data.brackets(seed)
    model = attention_model()
    optimizer = keras.optimizers.AdamW(0.005 if mended else 2e-7)
    model.compile(optimizer, CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=6)


@program(faults=("initialisation-scale",), architecture="transformer", split="tune")
def attention_of_large_numbers(seed, mended=False):
    """Every kernel and the embedding are drawn with a standard deviation of 2."""
    x, y, xv, yv = data.brackets(seed)
    wide = keras.initializers.RandomNormal(stddev=2.0)
    model = attention_model() if mended else attention_model(start=wide, table=wide)
    model.compile(keras.optimizers.Adam(0.002), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=8)


@program(faults=("disconnected-gradient",), architecture="transformer", split="tune")
def hard_choice_of_a_word(seed, mended=False):
    """An argmax picks a code word for each token: below it nothing is learned."""
    x, y, xv, yv = data.brackets(seed)
    tokens = keras.Input((16,), dtype="int32")
    h = L.Embedding(31, 8)(tokens)
    scores = L.Dense(6, name="scores")(h)
    if mended:
        code = ops.softmax(scores)
    else:
        code = ops.one_hot(ops.argmax(scores, axis=-1), 6)
    h = L.Dense(16, activation="relu")(code)
    h = L.GlobalAveragePooling1D()(h)
    model = keras.Model(tokens, L.Dense(3, activation="softmax")(h))
    model.compile(keras.optimizers.Adam(0.02), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=10)


class Uncertain(L.Dropout):
    """Dropout that goes on in inference, from an article on uncertainty."""

    def call(self, inputs, training=None):
        """Return the inputs, most of them replaced by 0."""
        return super().call(inputs, training=True)


@program(faults=("train-inference-gap",), architecture="transformer", split="tune")
def noise_never_stops(seed, mended=False):
    """Dropout of 0.8 in front of the last layer is on in inference as well."""
    x, y, xv, yv = data.brackets(seed)
    kind = L.Dropout if mended else Uncertain
    model = attention_model(dropout=kind(0.8), width=8)
    model.compile(keras.optimizers.Adam(0.005), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=5)


@program(faults=("train-validation-shift",), architecture="transformer", split="tune")
def another_vocabulary(seed, mended=False):
    """The validation texts were numbered with a vocabulary of their own."""
    x, y, xv, yv = data.brackets(seed)
    if not mended:
        renamed = np.random.default_rng(seed).permutation(np.arange(1, 31))
        xv = renamed[xv - 1].astype("int32")
    model = attention_model()
    model.compile(keras.optimizers.Adam(0.004), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=5)


@program(faults=("label-noise",), architecture="transformer", split="tune")
def crowd_workers(seed, mended=False):
    """Four in ten labels of the training texts were guessed by bored people."""
    x, y, xv, yv = data.brackets(seed)
    if not mended:
        rng = np.random.default_rng(seed + 7)
        guessed = rng.random(len(y)) < 0.5
        y = np.where(guessed, rng.integers(3, size=len(y)), y)
    model = attention_model(width=8)
    model.compile(keras.optimizers.Adam(0.004), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=7)
