"""Regression and tabular networks that fail, one cause each."""

import keras
import numpy as np
from keras import layers

from doctor_programs import datasets
from doctor_programs.registry import Program, program


def _scaled(x: np.ndarray) -> np.ndarray:
    """Return the columns with mean 0 and standard deviation 1."""
    return ((x - x.mean(0)) / x.std(0)).astype("float32")


def _regressor(inputs: int, hidden: int = 48, head: str | None = None) -> keras.Model:
    """Return two hidden layers and one output; not compiled."""
    return keras.Sequential(
        [
            keras.Input((inputs,)),
            layers.Dense(hidden, activation="relu"),
            layers.Dense(hidden, activation="relu"),
            layers.Dense(1, activation=head),
        ]
    )


@program(faults=("loss-activation-mismatch",), architecture="regression", split="tune")
def relu_on_the_output(seed: int, mended: bool = False) -> Program:
    """Standardised targets, half of them negative, and a ReLU on the output."""
    x, y = datasets.friedman(seed)
    (x, y), validation = datasets.part(_scaled(x), _scaled(y))
    model = _regressor(10, head=None if mended else "relu")
    model.compile(keras.optimizers.Adam(0.003), "mse", metrics=["mae"])
    return Program(model, x, y, validation, epochs=15)


@program(faults=("unscaled-targets",), architecture="regression", split="tune")
def prices_in_euros(seed: int, mended: bool = False) -> Program:
    """Prices of 50,000 to 900,000 as they are, mean squared error, plain SGD."""
    x, y = datasets.houses(seed)
    (x, y), validation = datasets.part(_scaled(x), _scaled(y) if mended else y)
    model = _regressor(5)
    model.compile(keras.optimizers.SGD(0.01), "mse", metrics=["mae"])
    return Program(model, x, y, validation, epochs=12)


@program(faults=("unscaled-targets",), architecture="tabular", split="tune")
def salaries_with_adam(seed: int, mended: bool = False) -> Program:
    """Targets of about 300,000 and Adam: the output creeps towards them."""
    x, y = datasets.houses(seed)
    (x, y), validation = datasets.part(_scaled(x), _scaled(y) if mended else y)
    inputs = keras.Input((5,))
    hidden = layers.Dense(64, activation="gelu")(inputs)
    hidden = layers.Dense(32, activation="gelu")(hidden)
    model = keras.Model(inputs, layers.Dense(1)(hidden))
    model.compile("adam", "mae")
    return Program(model, x, y, validation, epochs=15)


@program(faults=("wrong-metric",), architecture="regression", split="tune")
def accuracy_of_a_regression(seed: int, mended: bool = False) -> Program:
    """Accuracy is watched for a regression: it stays at 0 while the loss falls."""
    x, y = datasets.friedman(seed)
    (x, y), validation = datasets.part(_scaled(x), _scaled(y))
    model = _regressor(10)
    metric = "mae" if mended else "accuracy"
    model.compile(keras.optimizers.Adam(0.003), "mse", metrics=[metric])
    return Program(model, x, y, validation, epochs=15)


@program(faults=("wrong-metric",), architecture="mlp", split="tune")
def binary_accuracy_of_ten_classes(seed: int, mended: bool = False) -> Program:
    """binary_accuracy on one-hot digits: an untrained model has 90 %."""
    x, y = datasets.digits("train")
    x = x.reshape(len(x), -1).astype("float32") / 255
    (x, y), validation = datasets.part(x, np.eye(10, dtype="float32")[y])
    model = keras.Sequential(
        [
            keras.Input((196,)),
            layers.Dense(48, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    metric = "categorical_accuracy" if mended else "binary_accuracy"
    model.compile("adam", "categorical_crossentropy", metrics=[metric])
    return Program(model, x, y, validation, epochs=10)


@program(
    # With plain SGD a rate divided by the batch size is the same cure.
    faults=("loss-reduction", "learning-rate-too-high"),
    architecture="regression",
    split="tune",
)
def summed_errors(seed: int, mended: bool = False) -> Program:
    """The loss is summed over the batch, with a learning rate meant for the mean."""
    x, y = datasets.friedman(seed)
    (x, y), validation = datasets.part(_scaled(x), _scaled(y))
    reduction = "sum_over_batch_size" if mended else "sum"
    loss = keras.losses.MeanSquaredError(reduction=reduction)
    model = _regressor(10)
    model.compile(keras.optimizers.SGD(0.05), loss, metrics=["mae"])
    return Program(model, x, y, validation, epochs=12, batch_size=64)


@program(
    # With plain SGD a rate divided by the batch size is the same cure.
    faults=("loss-reduction", "learning-rate-too-high"),
    architecture="mlp",
    split="tune",
)
def summed_cross_entropy(seed: int, mended: bool = False) -> Program:
    """A hand-written cross-entropy that adds up all examples of the batch."""
    (x, y), validation = datasets.part(*datasets.blobs(seed, spread=1.5, classes=6))

    def cross_entropy(labels, probabilities):
        chosen = keras.ops.one_hot(keras.ops.cast(labels, "int32"), 6)
        chosen = keras.ops.reshape(chosen, keras.ops.shape(probabilities))
        logs = keras.ops.log(probabilities + 1e-7)
        total = -keras.ops.sum(chosen * logs, axis=-1)
        return keras.ops.mean(total) if mended else keras.ops.sum(total)

    model = keras.Sequential(
        [
            keras.Input((20,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(6, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.1)
    model.compile(optimizer, cross_entropy, metrics=["sparse_categorical_accuracy"])
    return Program(model, x, y, validation, epochs=10, batch_size=128)


@program(faults=("non-finite-values",), architecture="tabular", split="tune")
def missing_values(seed: int, mended: bool = False) -> Program:
    """Some cells of the table are missing (NaN), and nobody filled them in."""
    x, y = datasets.risks(seed)
    gaps = np.random.default_rng(seed).uniform(size=x.shape) < 0.002
    x[gaps] = 0.0 if mended else np.nan
    (x, y), validation = datasets.part(x, y)
    model = _regressor(12, head="sigmoid")
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=10)


@program(
    faults=("non-finite-values", "loss-activation-mismatch"),
    architecture="regression",
    split="tune",
)
def logarithm_of_a_guess(seed: int, mended: bool = False) -> Program:
    """A hand-written log error takes the logarithm of outputs that can be negative."""
    x, y = datasets.counts(seed)
    (x, y), validation = datasets.part(x, y + 1)

    def log_error(target, guess):
        guess = keras.ops.softplus(guess) if mended else guess
        return keras.ops.square(keras.ops.log(target) - keras.ops.log(guess))

    model = _regressor(6)
    model.compile(keras.optimizers.Adam(0.003), log_error)
    return Program(model, x, y, validation, epochs=12)


@program(faults=("unnormalised-inputs",), architecture="tabular", split="tune")
def raw_columns(seed: int, mended: bool = False) -> Program:
    """Year of 1,960 and distance of 5,000 m stand beside a floor of 3, unscaled."""
    x, y = datasets.houses(seed)
    (x, y), validation = datasets.part(_scaled(x) if mended else x, _scaled(y))
    model = _regressor(5)
    model.compile(keras.optimizers.Adam(0.003), "mse", metrics=["mae"])
    return Program(model, x, y, validation, epochs=12)


@program(faults=("class-imbalance",), architecture="tabular", split="tune")
def fraud_in_one_percent(seed: int, mended: bool = False) -> Program:
    """One transaction in a hundred is a fraud; accuracy is 99 %, none is found."""
    x, y = datasets.risks(seed, n=2500, positive=0.5 if mended else 0.01, noise=0.5)
    (x, y), validation = datasets.part(x, y)
    model = _regressor(12, hidden=16, head="sigmoid")
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=6)


@program(faults=("misaligned-labels",), architecture="tabular", split="tune")
def dropped_rows(seed: int, mended: bool = False) -> Program:
    """One bad row was dropped from the features and not from the labels."""
    x, y = datasets.risks(seed, n=1800)
    x = np.delete(x, 5, axis=0)
    y = np.delete(y, 5) if mended else y[:-1]
    (x, y), validation = datasets.part(x, y)
    model = _regressor(12, head="sigmoid")
    model.compile(
        keras.optimizers.Adam(0.002), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(model, x, y, validation, epochs=12)


@program(faults=("missing-nonlinearity",), architecture="regression", split="tune")
def forgotten_activations(seed: int, mended: bool = False) -> Program:
    """Four dense layers, and nobody passed activation= to any of them."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, size=(1200, 2)).astype("float32")
    y = (np.sin(2 * x[:, 0]) * np.cos(x[:, 1]) + 0.05 * rng.normal(size=1200)) * 1.5
    (x, y), validation = datasets.part(x, y.astype("float32"))
    activation = "tanh" if mended else None
    hidden = [layers.Dense(40, activation=activation) for _ in range(3)]
    model = keras.Sequential([keras.Input((2,)), *hidden, layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.005), "mse")
    return Program(model, x, y, validation, epochs=25)


@program(faults=("label-noise",), architecture="tabular", split="tune")
def careless_annotators(seed: int, mended: bool = False) -> Program:
    """A third of the training labels is wrong; the validation labels are clean."""
    x, y = datasets.blobs(seed, n=1800, classes=5, spread=0.9)
    (x, y), validation = datasets.part(x, y)
    y = y if mended else datasets.flip_labels(y, 0.35, 5, seed)
    model = keras.Sequential(
        [
            keras.Input((20,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=12)
