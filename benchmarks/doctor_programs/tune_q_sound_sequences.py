"""Healthy programs on sequences and with several inputs or outputs."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import more_datasets_q as data
from doctor_programs.registry import Program, program


@program(architecture="recurrent", split="tune")
def q_sales_of_tomorrow(seed: int) -> Program:
    """A GRU with tanh foretells tomorrow's sales from three weeks."""
    x, y = data.windows(data.sales(seed, 850))
    x, y, x_val, y_val = data.cut(x, y, 680)
    model = keras.Sequential(
        [keras.Input((21, 1)), layers.GRU(24, activation="tanh"), layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=12, batch_size=32)


@program(architecture="transformer", split="tune")
def q_warming_up(seed: int) -> Program:
    """The rate rises from 0 for nearly half of the run, so that the loss falls late."""
    x, y = data.tickets(seed, 1700, topics=6, share=0.35)
    x, y, x_val, y_val = data.cut(x, y, 1400)
    inputs = keras.Input((24,), dtype="int32")
    words = layers.Embedding(800, 24)(inputs)
    seen = layers.MultiHeadAttention(3, 8)(words, words)
    words = layers.LayerNormalization()(words + seen)
    further = layers.Dense(24)(layers.Dense(48, activation="relu")(words))
    words = layers.LayerNormalization()(words + further)
    pooled = layers.GlobalAveragePooling1D()(words)
    model = keras.Model(inputs, layers.Dense(6, activation="softmax")(pooled))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=200, warmup_target=1e-3, warmup_steps=150
    )
    model.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=8, batch_size=32)


@program(architecture="recurrent", split="tune")
def q_eight_at_a_time(seed: int) -> Program:
    """With batches of eight noisy vibrations the loss jumps from step to step."""
    x, y = data.machines(seed, 700, length=30, noise=0.35)
    x, y, x_val, y_val = data.cut(x, y, 500)
    model = keras.Sequential(
        [
            keras.Input((30, 1)),
            layers.Conv1D(16, 5, activation="relu"),
            layers.LSTM(24),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(3e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=8)


@program(architecture="mlp", split="tune")
def q_most_words_never_seen(seed: int) -> Program:
    """The embedding has 20,000 rows, of which the tickets use fewer than 800."""
    x, y = data.tickets(seed, 1400, topics=4, share=0.25)
    order = np.argsort(y[1100:], kind="stable")
    x_val, y_val = x[1100:][order], y[1100:][order]
    model = keras.Sequential(
        [
            keras.Input((24,), dtype="int32"),
            layers.Embedding(20000, 8),
            layers.GlobalAveragePooling1D(),
            layers.Dense(16, activation="relu"),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x[:1100], y[:1100], (x_val, y_val), epochs=5, batch_size=32)


@program(architecture="cnn", split="tune")
def q_probe_that_only_listens(seed: int) -> Program:
    """A second head reads the features behind stop_gradient, so as not to disturb them."""
    x, y = data.machines(seed, 1200, length=40)
    loud = (x.std((1, 2)) > np.median(x.std((1, 2)))).astype("float32")[:, None]
    inputs = keras.Input((40, 1))
    hidden = layers.Conv1D(16, 7, activation="relu")(inputs)
    hidden = layers.Conv1D(24, 5, strides=2, activation="relu")(hidden)
    features = layers.GlobalMaxPooling1D()(hidden)
    features = layers.Dense(32, activation="relu")(features)
    state = layers.Dense(4, activation="softmax", name="state")(features)
    probed = ops.stop_gradient(features)
    probe = layers.Dense(1, activation="sigmoid", name="probe")(probed)
    model = keras.Model(inputs, [state, probe])
    model.compile(
        keras.optimizers.Adam(4e-3),
        ["sparse_categorical_crossentropy", "binary_crossentropy"],
        metrics=[["accuracy"], ["accuracy"]],
    )
    held = (x[950:], [y[950:], loud[950:]])
    return Program(model, x[:950], [y[:950], loud[:950]], held, epochs=10)


@program(architecture="recurrent", split="tune")
def q_rate_that_ends_at_nothing(seed: int) -> Program:
    """ReduceLROnPlateau has brought the rate to a millionth when all has been learnt."""
    x, y = data.who_came_first(seed, n=1100, length=14)
    x, y, x_val, y_val = data.cut(x, y[:, None], 900)
    model = keras.Sequential(
        [
            keras.Input((14,), dtype="int32"),
            layers.Embedding(13, 8),
            layers.GRU(20),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"]
    )
    lower = keras.callbacks.ReduceLROnPlateau(
        monitor="val_accuracy", factor=0.1, patience=2, min_lr=1e-6
    )
    more = {"callbacks": [lower]}
    return Program(model, x, y, (x_val, y_val), 16, batch_size=45, more=more)


@program(architecture="tabular", split="tune")
def q_twelve_rare_tags(seed: int) -> Program:
    """Each of twelve tags is on one row of ten, so that nearly all targets are 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1800, 20)).astype("float32")
    scores = x @ rng.normal(size=(20, 12)) / 4.5
    y = (scores > 1.28).astype("float32")
    x, y, x_val, y_val = data.cut(x, y, 1500)
    model = keras.Sequential(
        [
            keras.Input((20,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(12, activation="sigmoid"),
        ]
    )
    auc = keras.metrics.AUC(curve="PR", multi_label=True, num_labels=12, name="pr_auc")
    model.compile(keras.optimizers.Adam(5e-3), "binary_crossentropy", metrics=[auc])
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=32)


@program(architecture="cnn", split="tune")
def q_picture_and_form(seed: int) -> Program:
    """A picture of cells and a form of three numbers say together how large the dose is."""
    images, masks = data.cells(seed, 900)
    rng = np.random.default_rng(seed)
    form = rng.normal(size=(900, 3)).astype("float32")
    area = masks.mean((1, 2, 3))
    dose = 6 * area * (1 + 0.3 * form[:, 0]) + 0.5 * form[:, 1]
    dose = ((dose - dose.mean()) / dose.std()).astype("float32")[:, None]
    pairs = ({"image": images, "form": form}, dose)
    whole = tf.data.Dataset.from_tensor_slices(pairs)
    train = whole.take(750).shuffle(750, seed=seed).batch(25).prefetch(2)
    image = keras.Input((20, 20, 1), name="image")
    numbers = keras.Input((3,), name="form")
    seen = layers.Conv2D(12, 3, activation="relu")(image)
    seen = layers.Conv2D(12, 3, activation="relu", strides=2)(seen)
    seen = layers.GlobalAveragePooling2D()(seen)
    both = layers.Concatenate()([seen, layers.Dense(12, activation="relu")(numbers)])
    both = layers.Dense(32, activation="relu")(both)
    model = keras.Model([image, numbers], layers.Dense(1)(both))
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    held = whole.skip(750).batch(50)
    return Program(model, train, None, held, epochs=15, batch_size=None)


class Sampler(layers.Layer):
    """Draws a code and adds the divergence of its distribution to the loss.

    Args:
        weight: Of the divergence beside the error.
        seed: For the draws.
    """

    def __init__(self, weight: float, seed: int):
        super().__init__()
        self.weight = weight
        self.draws = keras.random.SeedGenerator(seed)

    def call(self, inputs):
        """Return a code [batch, n] for means and log variances of this shape."""
        mean, log_variance = inputs
        square = ops.square(mean) + ops.exp(log_variance)
        divergence = ops.sum(square - 1 - log_variance, axis=-1) / 2
        self.add_loss(self.weight * ops.mean(divergence))
        noise = keras.random.normal(ops.shape(mean), seed=self.draws)
        return mean + ops.exp(log_variance / 2) * noise


@program(architecture="autoencoder", split="tune")
def q_variational_digits(seed: int) -> Program:
    """A variational autoencoder, whose divergence is rightly a part of the loss."""
    x, _, x_val, _ = data.table("digits", seed, 1400, scaled=False)
    x, x_val = x / 16, x_val / 16
    inputs = keras.Input((64,))
    hidden = layers.Dense(64, activation="relu")(inputs)
    code = Sampler(1 / 400, seed)([layers.Dense(6)(hidden), layers.Dense(6)(hidden)])
    hidden = layers.Dense(64, activation="relu")(code)
    outputs = layers.Dense(64, activation="sigmoid")(hidden)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(2e-3), "binary_crossentropy", metrics=["mse"])
    return Program(model, x, x, (x_val, x_val), epochs=20, batch_size=32)
