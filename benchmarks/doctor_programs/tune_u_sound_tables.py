"""Healthy programs on tables and sequences that look odd in one place or another."""

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_breast_cancer, load_diabetes

from doctor_programs import datasets
from doctor_programs import more_datasets_u as data
from doctor_programs.registry import Program, program


@program(architecture="regression", split="tune")
def u_bias_starts_at_the_mean(seed: int, mended: bool = False) -> Program:
    """Targets of 25 to 346 as they are: the last bias starts at their mean."""
    x, y, x_val, y_val = data.table(load_diabetes(), seed, 340)
    x, x_val = data.standardised(x, x_val)
    y, y_val = y.astype("float32"), y_val.astype("float32")
    start = keras.initializers.Constant(float(y.mean()))
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(12, activation="elu"),
            layers.Dense(1, bias_initializer=start),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "mae", metrics=["r2_score"])
    return Program(model, x, y[:, None], (x_val, y_val[:, None]), 10, 34)


@program(architecture="tabular", split="tune")
def u_rare_alarms_well_told(seed: int, mended: bool = False) -> Program:
    """One alarm in twenty, without weights: the network tells them apart all the same."""
    rng = np.random.default_rng(seed)
    y = (rng.uniform(size=2400) < 0.05).astype("float32")
    x = rng.normal(size=(2400, 9))
    x[:, 0] += 3.0 * y
    x[:, 3] -= 2.5 * y * np.sign(x[:, 4])
    x[:, 5] += 2.0 * y
    x = x.astype("float32")
    model = keras.Sequential(
        [
            keras.Input((9,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(0.004),
        "binary_crossentropy",
        metrics=[
            keras.metrics.AUC(curve="PR", name="pr"),
            keras.metrics.Recall(name="recall"),
        ],
    )
    return Program(model, x[:1800], y[:1800], (x[1800:], y[1800:]), 12, 32)


@program(architecture="tabular", split="tune")
def u_three_in_four_at_best(seed: int, mended: bool = False) -> Program:
    """Customers whose choice is a weighted coin: nobody can be right more than 3 in 4."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(-1, 1, (4000, 1))
    others = rng.normal(size=(4000, 5))
    shop = rng.integers(6, size=4000)
    pull = np.array([-1.5, -0.8, -0.3, 0.3, 0.8, 1.5])[shop] + 1.2 * age[:, 0]
    pull += 0.5 * others[:, 0]
    y = (rng.uniform(size=4000) < 1 / (1 + np.exp(-pull))).astype("float32")
    x = np.concatenate([age, others], 1).astype("float32")
    numbers, place = keras.Input((6,)), keras.Input((), dtype="int32")
    h = layers.Concatenate()([numbers, layers.Embedding(6, 3)(place)])
    h = layers.Dense(16, activation="relu")(h)
    model = keras.Model([numbers, place], layers.Dense(1)(h))
    model.compile(
        keras.optimizers.Adam(0.002),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
    )
    validation = ([x[3200:], shop[3200:]], y[3200:])
    return Program(model, [x[:3200], shop[:3200]], y[:3200], validation, 10, 64)


@program(architecture="regression", split="tune")
def u_eight_at_a_time(seed: int, mended: bool = False) -> Program:
    """Batches of eight noisy measurements: the loss of a step jumps, the mean falls."""
    x, y = datasets.friedman(seed, 1200, noise=2.0)
    y = ((y - y[:1000].mean()) / y[:1000].std())[:, None]
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(40, activation="gelu"),
            layers.Dense(1),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        "mse",
        metrics=["r2_score"],
    )
    calm = keras.callbacks.ReduceLROnPlateau(factor=0.3, patience=2)
    more = {"callbacks": [calm]}
    return Program(model, x[:1000], y[:1000], (x[1000:], y[1000:]), 12, 8, more)


@program(architecture="mlp", split="tune")
def u_checkerboard_takes_its_time(seed: int, mended: bool = False) -> Program:
    """A checkerboard: for some epochs nothing seems to happen, then all at once it does."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (3000, 2)).astype("float32")
    y = (np.floor(x + 1).sum(1) % 2).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(64, activation="tanh"),
            layers.Dense(64, activation="tanh"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x[:2400], y[:2400], (x[2400:], y[2400:]), 20, 32)


@program(architecture="tabular", split="tune")
def u_raw_tumours_normalised_within(seed: int, mended: bool = False) -> Program:
    """Columns of 0.001 to 4,000 go in raw: BatchNormalization is the first layer."""
    x, y, x_val, y_val = data.table(load_breast_cancer(), seed, 420)
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.BatchNormalization(momentum=0.8),
            layers.Dense(20, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.003),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
    )
    return Program(model, x, y, (x_val, y_val), 15, 30)


@program(architecture="recurrent", split="tune")
def u_words_never_seen(seed: int, mended: bool = False) -> Program:
    """A vocabulary of 5,000 of which 400 occur: most rows of the embedding never move."""
    x, y = data.topics(seed, 1100)
    model = keras.Sequential(
        [
            keras.Input((24,), dtype="int32"),
            layers.Embedding(5000, 16, mask_zero=True),
            layers.GRU(24),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    more = {"callbacks": [stop]}
    return Program(model, x[:850], y[:850], (x[850:], y[850:]), 10, 32, more)


@program(architecture="transformer", split="tune")
def u_transformer_on_traces(seed: int, mended: bool = False) -> Program:
    """Patches of acceleration in a small transformer, warmed up for a third of the run."""
    x, y = data.activities(seed)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order], y[order]
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, 180, warmup_target=0.003, warmup_steps=90
    )
    trace = keras.Input((40, 3))
    h = layers.Dense(32)(layers.Reshape((8, 15))(trace))  # eight patches
    h = h + layers.Embedding(8, 32)(np.arange(8))
    normed = layers.LayerNormalization()(h)
    h = h + layers.MultiHeadAttention(4, 8)(normed, normed)
    wide = layers.Dense(64, activation="gelu")(layers.LayerNormalization()(h))
    h = h + layers.Dense(32)(wide)
    h = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(h))
    model = keras.Model(trace, layers.Dense(5, activation="softmax")(h))
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.01, clipnorm=1.0),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x[:1200], y[:1200], (x[1200:], y[1200:]), 7, 32)
