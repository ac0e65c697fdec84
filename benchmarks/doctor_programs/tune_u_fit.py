"""Programs that learn too much, too little, or nothing but their penalty."""

import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_diabetes, load_digits, load_iris

from doctor_programs import more_datasets_u as data
from doctor_programs.registry import Program, program


@program(faults=("over-regularised",), architecture="autoencoder", split="tune")
def u_sparse_codes_all_zero(seed: int, mended: bool = False) -> Program:
    """The sparsity penalty on the codes is 1 in place of 1e-5, so all codes become 0."""
    x = load_digits().data.astype("float32") / 16
    x = x[np.random.default_rng(seed).permutation(len(x))]
    pixels = keras.Input((64,))
    codes = layers.Dense(
        32,
        activation="relu",
        activity_regularizer=keras.regularizers.L1(1e-5 if mended else 1.0),
    )(pixels)
    decoded = layers.Dense(64, activation="sigmoid")(codes)
    model = keras.Model(pixels, decoded)
    model.compile(keras.optimizers.Adam(0.002), "binary_crossentropy", metrics=["mse"])
    return Program(model, x[:1400], x[:1400], (x[1400:], x[1400:]), 15, 32)


@program(faults=("overfitting",), architecture="regression", split="tune")
def u_diabetes_by_heart(seed: int, mended: bool = False) -> Program:
    """A wide network learns 330 patients by heart for 45 epochs, without a stop."""
    x, y, x_val, y_val = data.table(load_diabetes(), seed, 330)
    x, x_val = data.standardised(x, x_val)
    y, y_val = data.standardised(y.astype("float32"), y_val.astype("float32"))
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(256, activation="relu"),
            layers.Dense(256, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.RMSprop(1e-3), "mse", metrics=["mae"])
    stop = keras.callbacks.EarlyStopping(patience=4, restore_best_weights=True)
    more = {"callbacks": [stop]} if mended else {}
    return Program(model, x, y, (x_val, y_val), 45, 16, more)


@program(faults=("underfitting",), architecture="cnn", split="tune")
def u_two_filters_for_ten_garments(seed: int, mended: bool = False) -> Program:
    """Two filters and a global mean are all that ten kinds of garments get."""
    x, y, x_val, y_val = data.images("fashion_mnist", seed, 1800, 1500)
    x, x_val = data.halved(x), data.halved(x_val)
    filters = 24 if mended else 2
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Nadam(0.005),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), 15, 32)


@program(faults=("train-validation-shift",), architecture="tabular", split="tune")
def u_iris_split_off_the_end(seed: int, mended: bool = False) -> Program:
    """Iris is sorted, so validation_split takes the last flowers, all of one kind."""
    flowers = load_iris()
    x = flowers.data.astype("float32")
    x = (x - x.mean(0)) / x.std(0)
    y = np.eye(3, dtype="float32")[flowers.target]
    if mended:
        order = np.random.default_rng(seed).permutation(len(x))
        x, y = x[order], y[order]
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(8, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01), "categorical_crossentropy", metrics=["accuracy"]
    )
    return Program(
        model, x, y, epochs=20, batch_size=10, more={"validation_split": 0.3}
    )


@program(faults=("train-inference-gap",), architecture="cnn", split="tune")
def u_slim_decay_of_0999(seed: int, mended: bool = False) -> Program:
    """Batch normalisation got the momentum 0.999 of an old script for a run of 90 steps."""
    x, y, x_val, y_val = data.images("mnist", seed, 1000, 720)
    x, x_val = data.halved(x), data.halved(x_val)
    momentum = 0.9 if mended else 0.999
    image = keras.Input((14, 14, 1))
    h = image
    for filters in (12, 16, 24):
        h = layers.Conv2D(filters, 3, padding="same", use_bias=False)(h)
        h = layers.BatchNormalization(momentum=momentum)(h)
        h = layers.ReLU()(h)
        h = layers.MaxPooling2D(2)(h)
    logits = layers.Dense(10)(layers.Flatten()(h))
    model = keras.Model(image, logits)
    model.compile(
        keras.optimizers.Adam(0.003),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), 8, 64)


@program(faults=("non-finite-values",), architecture="siamese", split="tune")
def u_root_of_no_distance(seed: int, mended: bool = False) -> Program:
    """The distance's root has no slope at 0, and some pairs show the same image twice."""
    x, y, _, _ = data.images("fashion_mnist", seed, 300, 300)
    x = data.halved(x)
    left, right, same = _pairs(x, y, seed, 1500)
    encode = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(16),
        ]
    )

    def distance(both):
        squares = ops.sum(ops.square(both[0] - both[1]), axis=-1, keepdims=True)
        return ops.sqrt(ops.maximum(squares, 1e-7) if mended else squares)

    def contrastive(is_same, apart):
        return is_same * apart + (1 - is_same) * ops.maximum(1 - apart, 0)

    def told_apart(is_same, apart):
        return ops.cast((apart < 0.5) == (is_same > 0.5), "float32")

    one, two = keras.Input((14, 14, 1)), keras.Input((14, 14, 1))
    apart = layers.Lambda(distance, output_shape=(1,))([encode(one), encode(two)])
    model = keras.Model([one, two], apart)
    model.compile(keras.optimizers.Adam(1e-3), contrastive, metrics=[told_apart])
    validation = ([left[1200:], right[1200:]], same[1200:])
    return Program(model, [left[:1200], right[:1200]], same[:1200], validation, 10, 32)


def _pairs(x, y, seed: int, n: int) -> tuple:
    """Return left and right images, and [n, 1]: 1 where they show one class."""
    rng = np.random.default_rng(seed)
    first = rng.integers(len(x), size=n)
    wanted = rng.integers(2, size=n)
    second = np.array(
        [
            rng.choice(np.flatnonzero((y == y[i]) == bool(w)))
            for i, w in zip(first, wanted, strict=True)
        ]
    )
    return x[first], x[second], wanted.astype("float32")[:, None]
