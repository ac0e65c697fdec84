"""More: dense programs that train well, some of them strange at first sight."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers as L
from keras import ops

from doctor_programs import more_datasets as data
from doctor_programs.registry import Program, program

CROSS_ENTROPY = "sparse_categorical_crossentropy"


def flat_clothes(seed, n=2500, train=2000):
    """Return garments as rows in [0, 1] with labels, for training and validation."""
    x, y, xv, yv = data.clothes(seed, n, train)
    x, xv = (a.reshape(len(a), 196).astype("float32") / 255 for a in (x, xv))
    return x, y, xv, yv


def stack(inputs, *more):
    """Return a Sequential model of these layers."""
    return keras.Sequential([L.Input((inputs,)), *more])


@program(architecture="mlp", split="tune")
def winners_take_all(seed):
    """Only eight of 128 units are let through: 94 % zeros on purpose."""

    def top(h):
        limit = ops.min(ops.top_k(h, 8)[0], axis=-1, keepdims=True)
        return ops.where(h >= limit, ops.relu(h), 0.0)

    x, y, xv, yv = flat_clothes(seed)
    model = stack(
        196, L.Dense(128), L.Activation(top), L.Dense(10, activation="softmax")
    )
    model.compile(keras.optimizers.Adam(0.002), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=6)


@program(architecture="regression", split="tune")
def progress_of_a_disease(seed):
    """Real data of which half of the variance can be explained at best."""
    x, y, xv, yv = data.diabetes(seed)
    model = stack(10, L.Dense(8, activation="relu"), L.Dense(1))
    model.compile(keras.optimizers.Adam(0.003), "mse", metrics=["mae"])
    return Program(model, x, y, (xv, yv), epochs=20)


@program(architecture="tabular", split="tune")
def three_overlapping_kinds(seed):
    """Three classes that overlap so much that 60 % is the most one can get."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=3000)
    x = rng.normal(size=(3000, 5))
    x[:, 0] += 0.8 * (y == 1)
    x[:, 1] += 0.8 * (y == 2)
    x[:, 2] += 0.4 * y
    x = x.astype("float32")
    model = stack(5, L.Dense(16, activation="relu"), L.Dense(3, activation="softmax"))
    model.compile(keras.optimizers.Adam(0.003), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x[:2400], y[:2400], (x[2400:], y[2400:]), epochs=8)


@program(architecture="mlp", split="tune")
def step_by_step_decay(seed):
    """SGD with Nesterov momentum, and the rate falls tenfold after two thirds."""
    x, y, xv, yv = flat_clothes(seed)
    rate = keras.optimizers.schedules.PiecewiseConstantDecay(
        [300, 420], [0.05, 5e-3, 5e-4]
    )
    model = stack(
        196, L.Dense(64, activation="relu"), L.Dense(10, activation="softmax")
    )
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True)
    model.compile(optimizer, CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=8)


@program(architecture="mlp", split="tune")
def lightly_penalised(seed):
    """L2 of 1e-3, dropout of 0.3, label smoothing of 0.1: the loss can't come near 0."""
    x, y, xv, yv = flat_clothes(seed)
    y, yv = np.eye(10, dtype="float32")[y], np.eye(10, dtype="float32")[yv]
    l2 = keras.regularizers.L2(1e-3)
    model = stack(
        196,
        L.Dense(128, activation="relu", kernel_regularizer=l2),
        L.Dropout(0.3),
        L.Dense(10, activation="softmax", kernel_regularizer=l2),
    )
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    model.compile(keras.optimizers.Adam(0.002), loss, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=10)


@program(architecture="tabular", split="tune")
def weighted_nine_to_one(seed):
    """Nine to one, with class weights and recall: the rare class is found."""
    rng = np.random.default_rng(seed)
    y = (rng.random(3000) < 0.1).astype("float32")
    x = rng.normal(size=(3000, 8))
    x[:, :4] += 1.4 * y[:, None]
    x = x.astype("float32")
    model = stack(8, L.Dense(24, activation="relu"), L.Dense(1, activation="sigmoid"))
    metrics = ["accuracy", keras.metrics.Recall(name="recall")]
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy", metrics=metrics)
    more = {"class_weight": {0: 1.0, 1: 9.0}}
    validation = (x[2400:], y[2400:])
    return Program(model, x[:2400], y[:2400], validation, 8, more=more)


@program(architecture="regression", split="tune")
def robust_to_outliers(seed):
    """A few wild targets, and the Huber loss that lets them be."""
    x, y, xv, yv = data.impedance(seed)
    rng = np.random.default_rng(seed)
    wild = rng.random(len(y)) < 0.03
    y = y + wild * rng.normal(scale=6, size=len(y))
    model = stack(
        4, L.Dense(48, activation="elu"), L.Dense(48, activation="elu"), L.Dense(1)
    )
    model.compile(keras.optimizers.Adam(0.004), keras.losses.Huber(), metrics=["mae"])
    return Program(model, x, y.astype("float32"), (xv, yv), epochs=12)


@program(architecture="mlp", split="tune")
def clipped_momentum(seed):
    """SGD with momentum and clipnorm=1, no validation data, 64 at a time."""
    x, y, _, _ = data.moons(seed, n=2000, train=2000)
    model = stack(
        2,
        L.Dense(32, activation="tanh"),
        L.Dense(32, activation="tanh"),
        L.Dense(2),
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return Program(model, x, y, epochs=12, batch_size=64)


@program(architecture="mlp", split="tune")
def half_precision(seed):
    """mixed_float16 with a float32 head, as the guide says."""
    x, y, xv, yv = flat_clothes(seed)
    half = keras.DTypePolicy("mixed_float16")
    model = stack(
        196,
        L.Dense(64, activation="relu", dtype=half),
        L.Dense(64, activation="relu", dtype=half),
        L.Dense(10, activation="softmax", dtype="float32"),
    )
    model.compile(keras.optimizers.Adam(0.002), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=6)


@program(architecture="tabular", split="tune")
def stops_by_itself(seed):
    """EarlyStopping and ReduceLROnPlateau on real tumours."""
    x, y, xv, yv = data.cancer(seed)
    model = stack(30, L.Dense(16, activation="relu"), L.Dense(1, activation="sigmoid"))
    model.compile(
        keras.optimizers.Adam(0.003), "binary_crossentropy", metrics=["accuracy"]
    )
    callbacks = [
        keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(patience=2),
    ]
    return Program(model, x, y, (xv, yv), 15, more={"callbacks": callbacks})


@program(architecture="mlp", split="tune")
def wide_range_of_inputs(seed):
    """Inputs in [-3, 3], swish, batch of 256: a parity of three."""
    x, y, xv, yv = data.parity(seed, n=5000, train=4000)
    model = stack(
        6,
        L.Dense(64, activation="swish"),
        L.Dense(64, activation="swish"),
        L.Dense(2, activation="softmax"),
    )
    model.compile(keras.optimizers.Adam(0.01), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, 3 * x, y, (3 * xv, yv), epochs=15, batch_size=256)


@program(architecture="regression", split="tune")
def minutes_not_standardised(seed):
    """Targets of 5 to 60 minutes as they are: Adam at 0.01 manages."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(1600, 4)).astype("float32")
    y = 5 + 30 * x[:, 0] + 20 * x[:, 1] * x[:, 2] + rng.normal(size=1600)
    y = y.astype("float32")
    model = stack(
        4, L.Dense(64, activation="relu"), L.Dense(64, activation="relu"), L.Dense(1)
    )
    model.compile(keras.optimizers.Adam(0.01), "mae")
    return Program(model, x[:1300], y[:1300], (x[1300:], y[1300:]), epochs=15)


@program(architecture="mlp", split="tune")
def some_examples_count_more(seed):
    """Sample weights from 0.2 to 2 in a tf.data pipeline, and only four epochs."""
    x, y, xv, yv = flat_clothes(seed)
    weights = np.random.default_rng(seed).uniform(0.2, 2, len(y)).astype("float32")
    train_ds = tf.data.Dataset.from_tensor_slices((x, y, weights))
    train_ds = train_ds.shuffle(2000).batch(50).prefetch(1)
    model = stack(
        196, L.Dense(96, activation="relu"), L.Dense(10, activation="softmax")
    )
    model.compile("adam", CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, train_ds, None, (xv, yv), 4, batch_size=None)


@program(architecture="tabular", split="tune")
def many_tags_few_ones(seed):
    """Twelve tags, each on in 10 % of the rows; AUC and sigmoids."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2500, 20)).astype("float32")
    scores = x @ rng.normal(size=(20, 12)) / 4
    y = (scores > np.quantile(scores, 0.9, axis=0)).astype("float32")
    model = stack(20, L.Dense(64, activation="relu"), L.Dense(12))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    metric = keras.metrics.AUC(multi_label=True, from_logits=True, name="auc")
    model.compile(keras.optimizers.Adam(0.005), loss, metrics=[metric])
    return Program(model, x[:2000], y[:2000], (x[2000:], y[2000:]), epochs=8)


@program(architecture="tabular", split="tune")
def a_hundred_wines(seed):
    """118 real wines, standardised, and a small net that gets nearly all right."""
    x, y, xv, yv = data.wine(seed)
    model = stack(13, L.Dense(12, activation="relu"), L.Dense(3, activation="softmax"))
    model.compile(keras.optimizers.SGD(0.1), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=15, batch_size=16)
