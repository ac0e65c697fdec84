"""Sound programs on tables, signals and texts, most of which look odd somewhere."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import datasets
from doctor_programs import more_datasets_p as data
from doctor_programs.registry import Program, program


@program(architecture="tabular", split="tune")
def p_iris_with_forty_flowers(seed: int, mended: bool = False) -> Program:
    """Only forty flowers for training, so the curves are rough and there is a gap."""
    x, y, x_val, y_val = data.bundled("iris", seed, share=0.27)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(10, activation="tanh"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.02),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=25, batch_size=8)


@program(architecture="tabular", split="tune")
def p_patients_that_return_or_not(seed: int, mended: bool = False) -> Program:
    """Outcomes are by chance to a large part: nobody gets beyond about 70 %."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3000, 8)).astype("float32")
    score = 0.7 * x[:, 0] - 0.6 * x[:, 1] + 0.5 * x[:, 2] * x[:, 3]
    y = (rng.uniform(size=3000) < 1 / (1 + np.exp(-score))).astype("float32")
    x, y, x_val, y_val = data.split(x, y)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(3e-3),
        "binary_crossentropy",
        metrics=["accuracy", keras.metrics.AUC(name="auc")],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10)


@program(architecture="mlp", split="tune")
def p_one_defect_in_twenty_five(seed: int, mended: bool = False) -> Program:
    """Four per cent are defects, but they are easy to see, and the model finds them."""
    rng = np.random.default_rng(seed)
    y = (rng.uniform(size=3000) < 0.04).astype("float32")
    x = rng.normal(size=(3000, 10)).astype("float32")
    x[:, :4] += 2.2 * y[:, None]
    x, y, x_val, y_val = data.split(x, y)
    inputs = keras.Input((10,))
    h = layers.Dense(24, activation="relu")(inputs)
    model = keras.Model(inputs, layers.Dense(1)(h))
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[
            keras.metrics.Recall(thresholds=0.0, name="recall"),
            keras.metrics.AUC(from_logits=True, curve="PR", name="pr"),
        ],
    )
    return Program(model, x, y, (x_val, y_val), epochs=12)


@program(architecture="recurrent", split="tune")
def p_counter_that_clicks_late(seed: int, mended: bool = False) -> Program:
    """Nothing happens for some epochs, until the GRU finds out what parity is."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(2, size=(3000, 6))
    y = bits.sum(1) % 2
    x = (2 * bits - 1).astype("float32")[..., None]
    x, y, x_val, y_val = data.split(x, y)
    model = keras.Sequential(
        [keras.Input((6, 1)), layers.GRU(24), layers.Dense(1, activation="sigmoid")]
    )
    model.compile(
        keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(model, x, y, (x_val, y_val), epochs=20, batch_size=64)


@program(architecture="mlp", split="tune")
def p_quarter_of_the_data_per_step(seed: int, mended: bool = False) -> Program:
    """Batches of 256 and SGD at a rate of 0.8, which batch normalisation allows."""
    x, y, x_val, y_val = data.images("mnist", 14, n=1400)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Flatten(),
            layers.BatchNormalization(momentum=0.8),
            layers.Dense(64, use_bias=False),
            layers.BatchNormalization(momentum=0.8),
            layers.Activation("relu"),
            layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.8),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=20, batch_size=256)


@program(architecture="regression", split="tune")
def p_diabetes_as_published(seed: int, mended: bool = False) -> Program:
    """Targets of 25 to 346 as published; the last layer starts at their mean."""
    x, y, x_val, y_val = data.bundled("diabetes", seed)
    mean = keras.initializers.Constant(float(y.mean()))
    inputs = keras.Input((10,))
    h = layers.Dense(16, activation="relu")(inputs)
    outputs = layers.Dense(1, bias_initializer=mean)(h)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=16)


@program(architecture="tabular", split="tune")
def p_batchnorm_takes_the_scales(seed: int, mended: bool = False) -> Program:
    """Columns from 0.001 to 4,000 go into batch normalisation, which copes with them."""
    x, y, x_val, y_val = data.bundled("breast_cancer", seed, scaled=False)
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.BatchNormalization(momentum=0.9),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(3e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=32)


@program(architecture="recurrent", split="tune")
def p_vocabulary_nobody_uses(seed: int, mended: bool = False) -> Program:
    """The table of words has 20,000 rows, of which 800 ever get a gradient."""
    x, y, x_val, y_val = data.split(*data.tickets(seed, n=1200))
    inputs = keras.Input((24,), dtype="int32", name="words")
    h = layers.Embedding(20_000, 16)(inputs)
    h = layers.Bidirectional(layers.GRU(12))(h)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(h))
    model.compile(
        keras.optimizers.Adam(5e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=5)


@program(architecture="recurrent", split="tune")
def p_demand_of_tomorrow(seed: int, mended: bool = False) -> Program:
    """A GRU forecasts standardised demand; validation is the time after it."""
    series = data.demand(seed)
    series = (series - series[:1100].mean()) / series[:1100].std()
    x, y, x_val, y_val = data.split(*datasets.windows(series, 24))
    model = keras.Sequential(
        [keras.Input((24, 1)), layers.GRU(20), layers.Dense(1, name="next_hour")]
    )
    model.compile(keras.optimizers.Adam(5e-3), keras.losses.Huber(), metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=64)


@program(architecture="regression", split="tune")
def p_plane_through_a_plane(seed: int, mended: bool = False) -> Program:
    """One dense layer without activation is all that a linear relation needs."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(900, 5)).astype("float32")
    y = (x @ rng.normal(size=5) + 2 + 0.3 * rng.normal(size=900)).astype("float32")
    x, y, x_val, y_val = data.split(x, y)
    model = keras.Sequential([keras.Input((5,)), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.02), "mse")
    return Program(model, x, y, (x_val, y_val), epochs=8, batch_size=16)


def _pinball(y, quantiles):
    """Return the pinball loss of the quantiles 0.1, 0.5 and 0.9."""
    levels = ops.convert_to_tensor([0.1, 0.5, 0.9])
    error = ops.reshape(y, (-1, 1)) - quantiles  # [batch, 3]
    return ops.mean(ops.maximum(levels * error, (levels - 1) * error))


@program(architecture="regression", split="tune")
def p_three_quantiles_of_a_yield(seed: int, mended: bool = False) -> Program:
    """Three outputs stand for one target: the loss is the pinball loss."""
    x, y, x_val, y_val = data.split(*data.yields(seed))
    inputs = keras.Input((6,))
    h = layers.Dense(64, activation="swish")(inputs)
    h = layers.Dense(32, activation="swish")(h)
    model = keras.Model(inputs, layers.Dense(3)(h))
    model.compile(keras.optimizers.Adam(3e-3), _pinball)
    return Program(model, x, y, (x_val, y_val), epochs=20)


@program(architecture="tabular", split="tune")
def p_validation_in_order_of_class(seed: int, mended: bool = False) -> Program:
    """The validation rows are sorted by class, which harms nobody."""
    x, y, x_val, y_val = data.bundled("digits", seed, share=0.75, scaled=False)
    order = np.argsort(y_val, kind="stable")
    train = tf.data.Dataset.from_tensor_slices((x / 16, y))
    train = train.shuffle(len(x), seed=seed).batch(32)
    validation = tf.data.Dataset.from_tensor_slices((x_val[order] / 16, y_val[order]))
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, train, None, validation.batch(32), epochs=10, batch_size=None)
