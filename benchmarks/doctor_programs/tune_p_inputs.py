"""Networks whose inputs, labels, heads or activations are not what they should be."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import datasets
from doctor_programs import more_datasets_p as data
from doctor_programs.registry import Program, program


@program(faults=("unnormalised-inputs",), architecture="tabular", split="tune")
def p_wine_raw_columns(seed: int, mended: bool = False) -> Program:
    """The wine table goes in as it is: proline is near 1,000, hue near 1."""
    x, y, x_val, y_val = data.bundled("wine", seed, share=0.7, scaled=False)
    inputs = keras.Input((13,), name="analysis")
    h = inputs
    if mended:
        normalization = layers.Normalization()
        normalization.adapt(x)
        h = normalization(h)
    h = layers.Dense(32, activation="relu")(h)
    h = layers.Dense(16, activation="relu")(h)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(h))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, (x_val, y_val), epochs=40, batch_size=16)


@program(faults=("unnormalised-inputs",), architecture="cnn", split="tune")
def p_colour_bytes_straight_in(seed: int, mended: bool = False) -> Program:
    """Colour pictures of 0 to 255 go into a CNN without being scaled."""
    x, y, x_val, y_val = data.images("cifar10", 16, n=1500)
    x, x_val = x.astype("float32"), x_val.astype("float32")
    if mended:
        x, x_val = x / 255, x_val / 255
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(24, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10)


@program(faults=("misaligned-labels",), architecture="tabular", split="tune")
def p_rows_dropped_on_one_side(seed: int, mended: bool = False) -> Program:
    """Rows with gaps were dropped from the features, but not from the labels."""
    x, y, x_val, y_val = data.bundled("breast_cancer", seed)
    broken = np.random.default_rng(seed).uniform(size=len(x)) < 0.04
    broken[:2] = (True, False)
    x = x[~broken]
    y = y[~broken] if mended else y[: len(x)]
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(8, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, (x_val, y_val), epochs=25, batch_size=16)


@program(faults=("misaligned-labels",), architecture="cnn", split="tune")
def p_zip_of_two_shuffles(seed: int, mended: bool = False) -> Program:
    """Signals and kinds are shuffled each by themselves, and zipped afterwards."""
    x, y, x_val, y_val = data.split(*data.bearings(seed))
    signals = tf.data.Dataset.from_tensor_slices(x)
    kinds = tf.data.Dataset.from_tensor_slices(y)
    if mended:
        train = tf.data.Dataset.zip(signals, kinds).shuffle(1000, seed=seed)
    else:
        train = tf.data.Dataset.zip(
            signals.shuffle(1000, seed=seed), kinds.shuffle(1000, seed=seed + 1)
        )
    model = keras.Sequential(
        [
            keras.Input((64, 1)),
            layers.Conv1D(16, 7, activation="relu"),
            layers.MaxPooling1D(2),
            layers.Conv1D(24, 5, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(3e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    validation = tf.data.Dataset.from_tensor_slices((x_val, y_val)).batch(50)
    return Program(model, train.batch(20), None, validation, epochs=12, batch_size=None)


@program(faults=("loss-activation-mismatch",), architecture="tabular", split="tune")
def p_softmax_over_one_unit(seed: int, mended: bool = False) -> Program:
    """The only output unit has a softmax, so that the prediction is always 1."""
    x, y, x_val, y_val = data.bundled("breast_cancer", seed)
    inputs = keras.Input((30,))
    h = layers.Dense(24, activation="relu")(inputs)
    h = layers.BatchNormalization()(h)
    h = layers.Dense(12, activation="relu")(h)
    head = "sigmoid" if mended else "softmax"
    model = keras.Model(inputs, layers.Dense(1, activation=head)(h))
    model.compile(
        keras.optimizers.Adam(2e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(
        model,
        x,
        y.astype("float32"),
        (x_val, y_val.astype("float32")),
        epochs=20,
    )


@program(faults=("loss-activation-mismatch",), architecture="recurrent", split="tune")
def p_forecast_through_a_sigmoid(seed: int, mended: bool = False) -> Program:
    """A forecast of standardised demand ends in a sigmoid, which is never below 0."""
    series = data.demand(seed, 1300)
    series = (series - series[:1000].mean()) / series[:1000].std()
    x, y, x_val, y_val = data.split(*datasets.windows(series, 24))
    head = "linear" if mended else "sigmoid"
    model = keras.Sequential(
        [
            keras.Input((24, 1)),
            layers.GRU(24),
            layers.Dense(12, activation="relu"),
            layers.Dense(1, activation=head),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-3), "mse", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=10)


@program(
    faults=("missing-nonlinearity", "underfitting"),
    architecture="cnn",
    split="tune",
)
def p_convolutions_without_activation(seed: int, mended: bool = False) -> Program:
    """Nobody gave the convolutions an activation; with mean pooling all is linear."""
    x, y, x_val, y_val = data.images("cifar10", 16, n=1500)
    activation = "relu" if mended else None
    model = keras.Sequential([keras.Input((16, 16, 3)), layers.Rescaling(1 / 255)])
    for filters in (16, 24, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", activation=activation))
        model.add(layers.AveragePooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(64, activation=activation))
    model.add(layers.Dense(10))
    model.compile(
        keras.optimizers.Adam(2e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=12)


class YieldModel(keras.Model):
    """A regression written as a class."""

    def __init__(self, lost):
        super().__init__()
        self.lost = lost
        self.first = layers.Dense(64)
        self.second = layers.Dense(64)
        self.head = layers.Dense(1)

    def call(self, x):
        """Return the yields [batch, 1]."""
        h = self.first(x)
        a = ops.relu(h)
        h = self.second(h if self.lost else a)
        a = ops.relu(h)
        return self.head(h if self.lost else a)


@program(
    faults=("missing-nonlinearity", "underfitting"),
    architecture="regression",
    split="tune",
)
def p_relu_computed_and_dropped(seed: int, mended: bool = False) -> Program:
    """The model's call computes each ReLU, and goes on with the values before it."""
    x, y, x_val, y_val = data.split(*data.yields(seed))
    model = YieldModel(lost=not mended)
    model.compile(keras.optimizers.Adam(3e-3), "mse", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=25)
