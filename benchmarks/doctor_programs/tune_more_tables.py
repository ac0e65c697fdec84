"""More: tables and regressions with a fault each."""

import keras
import numpy as np
from keras import layers as L

from doctor_programs import more_datasets as data
from doctor_programs.registry import Program, program

CROSS_ENTROPY = "sparse_categorical_crossentropy"


def network(inputs, outputs=1, head=None, widths=(64, 32), activation="relu", **more):
    """Return a Functional dense network."""
    first = h = keras.Input((inputs,))
    for width in widths:
        h = L.Dense(width, activation=activation, **more)(h)
    return keras.Model(first, L.Dense(outputs, activation=head)(h))


@program(
    faults=("initialisation-scale", "vanishing-gradients"),
    architecture="regression",
    split="tune",
)
def whisper_of_a_start(seed, mended=False):
    """Five tanh layers with kernels of 1e-4: outputs and gradients are nothing."""
    x, y, xv, yv = data.impedance(seed)
    start = "glorot_normal" if mended else keras.initializers.RandomNormal(stddev=1e-4)
    model = network(4, widths=(32,) * 5, activation="tanh", kernel_initializer=start)
    model.compile(keras.optimizers.SGD(0.02, momentum=0.5), "mse")
    return Program(model, x, y, (xv, yv), epochs=12)


@program(faults=("learning-rate-too-high",), architecture="regression", split="tune")
def three_for_a_regression(seed, mended=False):
    """Plain SGD at 2 on standardised data: the error is NaN within an epoch."""
    x, y, xv, yv = data.diabetes(seed)
    model = network(10, widths=(16,))
    model.compile(keras.optimizers.SGD(0.01 if mended else 2.0), "mse", metrics=["mae"])
    return Program(model, x, y, (xv, yv), epochs=12)


@program(faults=("unnormalised-inputs",), architecture="regression", split="tune")
def ohms_and_hertz(seed, mended=False):
    """Frequencies of up to 1,760 next to inductances below 1; targets are standardised."""
    x, y, xv, yv = data.impedance(seed, raw=not mended)
    if not mended:
        mean, std = y.mean(), y.std()
        y, yv = (y - mean) / std, (yv - mean) / std
    model = network(4, widths=(32, 32))
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return Program(model, x, y, (xv, yv), epochs=12)


@program(faults=("unnormalised-inputs",), architecture="tabular", split="tune")
def wine_without_scaling(seed, mended=False):
    """Proline of 1,000 beside hue of 1: thirteen raw columns of wine."""
    x, y, xv, yv = data.wine(seed, standardise=mended)
    model = network(13, 3, "softmax", widths=(24,))
    model.compile(keras.optimizers.SGD(0.02), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=30, batch_size=16)


@program(faults=("dead-relu",), architecture="tabular", split="tune")
def shifted_below_zero(seed, mended=False):
    """A normalisation layer shifts everything to -6 in front of each ReLU."""
    x, y, xv, yv = data.cancer(seed)
    model = keras.Sequential([L.Input((30,))])
    for _ in range(2):
        model.add(L.Dense(32))
        shift = 0.0 if mended else -6.0
        beta = keras.initializers.Constant(shift)
        model.add(L.LayerNormalization(beta_initializer=beta))
        model.add(L.ReLU())
    model.add(L.Dense(1, activation="sigmoid"))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=12)


@program(faults=("vanishing-gradients",), architecture="tabular", split="tune")
def twelve_squashings(seed, mended=False):
    """Twelve sigmoid layers on a table that one layer could learn."""
    x, y, xv, yv = data.cancer(seed)
    layer = "selu" if mended else "sigmoid"
    start = "lecun_normal" if mended else "glorot_uniform"
    model = network(
        30, 1, "sigmoid", (24,) * 12, activation=layer, kernel_initializer=start
    )
    model.compile(keras.optimizers.SGD(0.02), "binary_crossentropy", metrics=["acc"])
    return Program(model, x, y, (xv, yv), epochs=8, batch_size=16)


@program(faults=("symmetric-initialisation",), architecture="regression", split="tune")
def everything_one(seed, mended=False):
    """kernel_initializer="ones" divided by the width: forty equal hidden units."""
    x, y, xv, yv = data.impedance(seed)
    start = "he_normal" if mended else keras.initializers.Constant(0.15)
    model = network(4, widths=(40, 40), kernel_initializer=start)
    model.compile(keras.optimizers.Adam(0.003), "mse")
    return Program(model, x, y, (xv, yv), epochs=15)


@program(
    faults=("missing-nonlinearity", "underfitting"),
    architecture="tabular",
    split="tune",
)
def deep_and_linear(seed, mended=False):
    """Four layers with activation="linear" face a product of three columns."""
    x, y, xv, yv = data.parity(seed)
    model = network(6, 2, "softmax", (64,) * 4, "relu" if mended else "linear")
    model.compile(keras.optimizers.Adam(0.003), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=10)


@program(faults=("loss-activation-mismatch",), architecture="tabular", split="tune")
def one_probability_two_classes(seed, mended=False):
    """categorical_crossentropy on a single sigmoid: the loss is 0 from the start."""
    x, y, xv, yv = data.cancer(seed)
    model = network(30, 1, "sigmoid", (16,))
    loss = "binary_crossentropy" if mended else "categorical_crossentropy"
    model.compile("adam", loss, metrics=["binary_accuracy"])
    y, yv = y[:, None].astype("float32"), yv[:, None].astype("float32")
    return Program(model, x, y, (xv, yv), epochs=12)


@program(
    faults=("loss-activation-mismatch", "unscaled-targets"),
    architecture="regression",
    split="tune",
)
def sigmoid_for_degrees(seed, mended=False):
    """Temperatures of 5 to 30 degrees, and a sigmoid on the output."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1200, 5)).astype("float32")
    y = 17 + 4 * x[:, 0] + 3 * np.sin(x[:, 1]) + 0.5 * rng.normal(size=1200)
    y = y.astype("float32")
    model = network(5, head=None if mended else "sigmoid")
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return Program(model, x[:1000], y[:1000], (x[1000:], y[1000:]), epochs=15)


@program(faults=("non-finite-values",), architecture="tabular", split="tune")
def divided_by_no_spread(seed, mended=False):
    """Columns are divided by their deviation, and one column is constant: 0 / 0."""
    x, y, xv, yv = data.cancer(seed, standardise=False)
    x[:, 7] = xv[:, 7] = 1.0
    mean, std = x.mean(0), x.std(0)
    if mended:
        std = np.maximum(std, 1e-6)
    with np.errstate(invalid="ignore"):
        x, xv = (x - mean) / std, (xv - mean) / std
    model = network(30, 1, "sigmoid", (32,))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=10)


@program(faults=("unshuffled-data",), architecture="regression", split="tune")
def smallest_first(seed, mended=False):
    """Rows sorted by target, shuffle=False, a lively SGD: it forgets the small ones."""
    x, y, xv, yv = data.impedance(seed)
    order = np.argsort(y)
    model = network(4, widths=(32,))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    more = {"shuffle": bool(mended)}
    return Program(model, x[order], y[order], (xv, yv), epochs=10, more=more)


@program(faults=("wrong-metric",), architecture="tabular", split="tune")
def one_hot_metric_on_numbers(seed, mended=False):
    """CategoricalAccuracy on class numbers compares positions that mean nothing."""
    x, y, xv, yv = data.wine(seed)
    model = network(13, 3, "softmax", (16,))
    if mended:
        metric = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    else:
        metric = keras.metrics.CategoricalAccuracy(name="accuracy")
    model.compile(keras.optimizers.Adam(0.01), CROSS_ENTROPY, metrics=[metric])
    y, yv = y[:, None], yv[:, None]
    return Program(model, x, y, (xv, yv), epochs=7, batch_size=16)


@program(faults=("overfitting",), architecture="tabular", split="tune")
def more_columns_than_rows(seed, mended=False):
    """100 patients, 400 columns of which five matter, and a wide network."""
    rng = np.random.default_rng(seed)
    n, columns = (2400, 20) if mended else (500, 400)
    x = rng.normal(size=(n, columns)).astype("float32")
    y = (x[:, :5].sum(1) + rng.normal(size=n) > 0).astype("int64")
    train = 2000 if mended else 100
    model = network(columns, 2, "softmax", (16,) if mended else (256, 256))
    model.compile(keras.optimizers.Adam(0.002), CROSS_ENTROPY, metrics=["accuracy"])
    epochs = 6 if mended else 40
    return Program(model, x[:train], y[:train], (x[train:], y[train:]), epochs)


@program(faults=("underfitting",), architecture="regression", split="tune")
def two_units(seed, mended=False):
    """Two hidden units for a landscape of hills and valleys."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, size=(1500, 2)).astype("float32")
    y = 1.5 * np.sin(2 * x[:, :1]) * np.cos(2 * x[:, 1:])
    y = (y + 0.05 * rng.normal(size=y.shape)).astype("float32")
    model = network(2, widths=(64, 64) if mended else (2,), activation="tanh")
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return Program(model, x[:1200], y[:1200], (x[1200:], y[1200:]), epochs=30)


@program(faults=("over-regularised",), architecture="regression", split="tune")
def nine_tenths_dropped(seed, mended=False):
    """Dropout 0.9 and L2 of 1 at once in a small regression."""
    x, y, xv, yv = data.impedance(seed)
    model = keras.Sequential([L.Input((4,))])
    for _ in range(2):
        penalty = keras.regularizers.L2(0.0 if mended else 1.0)
        model.add(L.Dense(32, activation="relu", kernel_regularizer=penalty))
        model.add(L.Dropout(0.02 if mended else 0.9))
    model.add(L.Dense(1))
    model.compile(keras.optimizers.Adam(0.003), "mse")
    return Program(model, x, y, (xv, yv), epochs=15)


@program(faults=("data-leakage",), architecture="tabular", split="tune")
def oversampled_before_the_split(seed, mended=False):
    """Rows were drawn with replacement first, and divided into two parts afterwards."""
    x, y, xv, yv = data.parity(seed, n=900, train=600)
    rng = np.random.default_rng(seed)
    if mended:
        rows = rng.integers(600, size=1600)
        x, y = x[rows], y[rows]
    else:
        x, y = np.concatenate([x, xv]), np.concatenate([y, yv])
        rows = rng.integers(400, size=2000)
        x, y, xv, yv = x[rows[:1600]], y[rows[:1600]], x[rows[1600:]], y[rows[1600:]]
    model = network(6, 2, "softmax", (64, 64))
    model.compile(keras.optimizers.Adam(0.003), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=12)


@program(faults=("class-imbalance",), architecture="tabular", split="tune")
def ninety_seven_two_one(seed, mended=False):
    """Three outcomes with 97, 2 and 1 %; the network always says the first."""
    rng = np.random.default_rng(seed)
    shares = [0.34, 0.33, 0.33] if mended else [0.97, 0.02, 0.01]
    y = rng.choice(3, size=2000, p=shares)
    x = rng.normal(size=(2000, 8))
    x[:, 0] += 1.2 * (y == 1)
    x[:, 1] -= 1.2 * (y == 2)
    x[:, 2] += y
    x = x.astype("float32")
    model = network(8, 3, "softmax", (16,))
    model.compile("adam", CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x[:1600], y[:1600], (x[1600:], y[1600:]), epochs=6)


@program(faults=("unscaled-targets",), architecture="regression", split="tune")
def revenue_in_cents(seed, mended=False):
    """Ohms as the authors gave them, times a thousand; momentum SGD."""
    x, y, xv, yv = data.impedance(seed)
    if not mended:
        y, yv = 500_000 + 350_000 * y, 500_000 + 350_000 * yv
    model = network(4, widths=(32, 16), activation="tanh")
    optimizer = keras.optimizers.SGD(0.005, momentum=0.9)
    model.compile(optimizer, "mse", metrics=["mae"])
    return Program(model, x, y, (xv, yv), epochs=12)


@program(faults=("train-validation-shift",), architecture="tabular", split="tune")
def scaled_by_another_hand(seed, mended=False):
    """Validation rows were never standardised, training rows were."""
    x, y, xv, yv = data.cancer(seed)
    if not mended:
        xv = data.cancer(seed, standardise=False)[2]
    model = network(30, 1, "sigmoid", (32,))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=10)


@program(faults=("misaligned-labels",), architecture="regression", split="tune")
def merged_without_a_key(seed, mended=False):
    """Two tables were put side by side though one had been sorted by date."""
    x, y, xv, yv = data.impedance(seed)
    if not mended:
        y = y[np.argsort(np.random.default_rng(seed).normal(size=len(y)))]
        yv = yv[::-1].copy()
    model = network(4)
    model.compile(keras.optimizers.Adam(0.003), "mse")
    return Program(model, x, y, (xv, yv), epochs=12)


@program(
    faults=("exploding-gradients", "initialisation-scale"),
    architecture="tabular",
    split="tune",
)
def sums_that_double(seed, mended=False):
    """Twenty-four residual blocks without any normalisation: each doubles the signal."""
    x, y, xv, yv = data.parity(seed)
    first = keras.Input((6,))
    h = L.Dense(32)(first)
    for _ in range(24 if not mended else 8):
        branch = L.LayerNormalization()(h) if mended else h
        h = h + L.Dense(32, activation="relu", kernel_initializer="he_normal")(branch)
    h = L.LayerNormalization()(h) if mended else h
    model = keras.Model(first, L.Dense(2, activation="softmax")(h))
    optimizer = keras.optimizers.SGD(0.05)
    model.compile(optimizer, CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=10)
