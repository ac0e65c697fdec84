"""Programs on sequences, texts and time series."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import datasets, more_datasets
from doctor_programs import more_datasets_w as data
from doctor_programs.registry import Program, program


@program(faults=("exploding-gradients",), architecture="recurrent", split="tune")
def w_identity_rnn_unclipped(seed: int, mended: bool = False) -> Program:
    """A recurrent network with ReLU and an identity start lacks the paper's clipping."""
    x, y, x_val, y_val = more_datasets.heartbeats(seed, 1000, 800)
    model = keras.Sequential(
        [
            keras.Input((40, 2)),
            layers.SimpleRNN(48, activation="relu", recurrent_initializer="identity"),
            layers.Dense(3),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9, clipnorm=0.1 if mended else None),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=14)


class _Block(layers.Layer):
    """Self-attention and a small dense network, each with a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = layers.MultiHeadAttention(heads, width // heads)
        self.wide = layers.Dense(2 * width, activation="gelu")
        self.narrow = layers.Dense(width)
        self.norms = [layers.LayerNormalization(), layers.LayerNormalization()]

    def call(self, x: Any) -> Any:
        """Return [batch, steps, width] of the same shape."""
        x = self.norms[0](x + self.attention(x, x))
        return self.norms[1](x + self.narrow(self.wide(x)))


@program(faults=("learning-rate-too-low",), architecture="transformer", split="tune")
def w_decay_counted_in_epochs(seed: int, mended: bool = False) -> Program:
    """The rate is to fall a little each epoch, but decay_steps counts batches."""
    x, y = data.alarms(seed)
    x, y, x_val, y_val = data.cut(x, y, 1200)
    steps = len(x) // 40
    schedule = keras.optimizers.schedules.ExponentialDecay(
        3e-4, decay_steps=steps if mended else 1, decay_rate=0.9, staircase=True
    )
    events = keras.Input((20,), dtype="int32")
    h = layers.Embedding(50, 32)(events)
    h = _Block(32, 2)(h)
    h = layers.GlobalAveragePooling1D()(h)
    model = keras.Model(events, layers.Dense(4, activation="softmax")(h))
    model.compile(
        keras.optimizers.Adam(schedule),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=40)


@program(faults=("over-regularised",), architecture="recurrent", split="tune")
def w_gru_with_l1_l2_everywhere(seed: int, mended: bool = False) -> Program:
    """Every kernel of the text model carries L1 and L2 factors copied from a blog."""
    words, moods = datasets.reviews(seed, 2000)
    words, moods, words_val, moods_val = data.cut(words, moods, 1700)
    strength = 1e-4 if mended else 0.02

    def penalty() -> keras.regularizers.Regularizer:
        return keras.regularizers.L1L2(l1=strength, l2=strength)

    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(500, 16),
            layers.GRU(
                16, kernel_regularizer=penalty(), recurrent_regularizer=penalty()
            ),
            layers.Dense(16, activation="relu", kernel_regularizer=penalty()),
            layers.Dense(1, activation="sigmoid", kernel_regularizer=penalty()),
        ]
    )
    model.compile(
        keras.optimizers.Adam(2e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(model, words, moods, (words_val, moods_val), epochs=5)


@program(faults=("unshuffled-data",), architecture="recurrent", split="tune")
def w_waves_file_after_file(seed: int, mended: bool = False) -> Program:
    """The recordings are read class by class, and the shuffle buffer holds only 64."""
    x, y = datasets.waves(seed, 1200)
    x, y, x_val, y_val = data.cut(x, y, 1000)
    order = np.argsort(y, kind="stable")
    train = tf.data.Dataset.from_tensor_slices((x[order], y[order]))
    train = train.shuffle(1000 if mended else 64, seed=seed).batch(20).prefetch(2)
    model = keras.Sequential(
        [
            keras.Input((32, 1)),
            layers.Conv1D(16, 5, strides=2, activation="relu"),
            layers.Bidirectional(layers.LSTM(12)),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(3e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    test = tf.data.Dataset.from_tensor_slices((x_val, y_val)).batch(50)
    return Program(model, train, None, test, epochs=8, batch_size=None)


@program(architecture="recurrent", split="tune")
def w_forecast_in_order_of_time(seed: int) -> Program:
    """Healthy: windows of one series, in order of time and unshuffled, tanh and all."""
    series = datasets.seasons(seed, 1200)
    x, y = datasets.windows(series, 24)
    x, y, x_val, y_val = data.cut(x, y, 950)
    inputs = keras.Input((24, 1))
    h = layers.GRU(20, activation="tanh")(inputs)
    model = keras.Model(inputs, layers.Dense(1)(h))
    model.compile(keras.optimizers.Nadam(5e-3), "mae")
    return Program(
        model,
        x,
        y,
        (x_val, y_val),
        epochs=10,
        batch_size=25,
        more={"shuffle": False},
    )


@program(architecture="transformer", split="tune")
def w_most_words_never_seen(seed: int) -> Program:
    """Healthy: the table has 20,000 words, of which the texts use a fortieth."""
    words, moods = datasets.reviews(seed, 1600)
    words, moods, words_val, moods_val = data.cut(words, moods, 1300)
    inputs = keras.Input((20,), dtype="int32")
    h = layers.Embedding(20_000, 24)(inputs)
    h = layers.Dropout(0.2)(h)
    h = _Block(24, 3)(h)
    h = layers.GlobalMaxPooling1D()(h)
    model = keras.Model(inputs, layers.Dense(1)(h))
    model.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=1e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
    )
    return Program(model, words, moods, (words_val, moods_val), epochs=6, batch_size=40)
