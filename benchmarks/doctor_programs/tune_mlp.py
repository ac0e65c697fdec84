"""Dense networks on digits and point clouds that fail, one cause each."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import datasets
from doctor_programs.registry import Program, program
from tfcourse.data.garments import garments


def _digits() -> tuple:
    """Return flat digits [n, 196] in [0, 1], labels, and the same for validation."""
    x, y = datasets.digits("train")
    x_val, y_val = datasets.digits("test")
    return (
        x.reshape(len(x), -1).astype("float32") / 255,
        y,
        x_val.reshape(len(x_val), -1).astype("float32") / 255,
        y_val,
    )


def _compiled(hidden: list, optimizer: object, inputs: int = 196) -> keras.Model:
    """Return a compiled classifier of ten digits."""
    model = keras.Sequential(
        [keras.Input((inputs,)), *hidden, layers.Dense(10, activation="softmax")]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@program(faults=("vanishing-gradients",), architecture="mlp", split="tune")
def sigmoid_tower(seed: int, mended: bool = False) -> Program:
    """Ten sigmoid layers on top of one another: next to no gradient gets down."""
    x, y, x_val, y_val = _digits()
    activation = "relu" if mended else "sigmoid"
    kernel = "he_normal" if mended else "glorot_uniform"
    hidden = [
        layers.Dense(48, activation=activation, kernel_initializer=kernel)
        for _ in range(10)
    ]
    model = _compiled(hidden, keras.optimizers.SGD(0.03))
    return Program(model, x, y, (x_val, y_val), epochs=15)


@program(faults=("dead-relu", "initialisation-scale"), architecture="mlp", split="tune")
def bias_of_minus_ten(seed: int, mended: bool = False) -> Program:
    """The hidden biases start at -10, so no ReLU ever fires."""
    x, y, x_val, y_val = _digits()
    bias = "zeros" if mended else keras.initializers.Constant(-10.0)
    hidden = [
        layers.Dense(64, activation="relu", bias_initializer=bias) for _ in range(2)
    ]
    return Program(_compiled(hidden, "adam"), x, y, (x_val, y_val), epochs=10)


@program(faults=("symmetric-initialisation",), architecture="mlp", split="tune")
def all_zeros(seed: int, mended: bool = False) -> Program:
    """All kernels start at zero, so the hidden units never become different."""
    x, y, x_val, y_val = _digits()
    kernel = "glorot_uniform" if mended else "zeros"
    hidden = [
        layers.Dense(64, activation="tanh", kernel_initializer=kernel) for _ in range(2)
    ]
    model = keras.Sequential([keras.Input((196,)), *hidden])
    model.add(layers.Dense(10, activation="softmax", kernel_initializer=kernel))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, (x_val, y_val), epochs=10)


@program(
    faults=("saturated-activations", "initialisation-scale"),
    architecture="mlp",
    split="tune",
)
def tanh_at_the_rails(seed: int, mended: bool = False) -> Program:
    """Kernels drawn with standard deviation 1 push every tanh to -1 or 1."""
    x, y, x_val, y_val = _digits()
    kernel = "glorot_normal" if mended else keras.initializers.RandomNormal(stddev=1.0)
    hidden = [
        layers.Dense(96, activation="tanh", kernel_initializer=kernel) for _ in range(3)
    ]
    model = _compiled(hidden, keras.optimizers.SGD(0.05))
    return Program(model, x, y, (x_val, y_val), epochs=12)


@program(faults=("learning-rate-too-high",), architecture="mlp", split="tune")
def rate_of_ten(seed: int, mended: bool = False) -> Program:
    """SGD with a learning rate of 10."""
    x, y, x_val, y_val = _digits()
    hidden = [layers.Dense(64, activation="relu"), layers.Dense(32, activation="relu")]
    model = _compiled(hidden, keras.optimizers.SGD(0.1 if mended else 10.0))
    return Program(model, x, y, (x_val, y_val), epochs=10)


@program(faults=("learning-rate-too-low",), architecture="mlp", split="tune")
def rate_of_a_millionth(seed: int, mended: bool = False) -> Program:
    """SGD with a learning rate of 1e-6: hardly anything moves."""
    x, y, x_val, y_val = _digits()
    hidden = [layers.Dense(64, activation="relu"), layers.Dense(32, activation="relu")]
    model = _compiled(hidden, keras.optimizers.SGD(0.1 if mended else 1e-6))
    return Program(model, x, y, (x_val, y_val), epochs=10)


@program(faults=("unnormalised-inputs",), architecture="mlp", split="tune")
def forgot_to_divide(seed: int, mended: bool = False) -> Program:
    """Pixels go in as 0 to 255; somebody forgot to divide."""
    x, y, x_val, y_val = _digits()
    scale = 1 if mended else 255
    hidden = [layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu")]
    model = _compiled(hidden, keras.optimizers.SGD(0.05))
    return Program(model, x * scale, y, (x_val * scale, y_val), epochs=12)


@program(faults=("misaligned-labels",), architecture="mlp", split="tune")
def shuffled_apart(seed: int, mended: bool = False) -> Program:
    """Images were shuffled, and the labels were shuffled once more by themselves."""
    x, y, x_val, y_val = _digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    x = x[order]
    y = y[order] if mended else y[rng.permutation(len(y))]
    hidden = [layers.Dense(128, activation="relu"), layers.Dense(64, activation="relu")]
    return Program(_compiled(hidden, "adam"), x, y, (x_val, y_val), epochs=12)


@program(faults=("loss-activation-mismatch",), architecture="mlp", split="tune")
def softmax_twice(seed: int, mended: bool = False) -> Program:
    """The head has a softmax, and TensorFlow's own loss applies another one."""
    x, y, x_val, y_val = _digits()

    def with_logits(labels, scores):
        labels = tf.cast(tf.reshape(labels, [-1]), tf.int32)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores)

    # Keras's own from_logits=True would notice the softmax and step back behind it.
    model = keras.Sequential(
        [
            keras.Input((196,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation=None if mended else "softmax"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), with_logits, metrics=["accuracy"])
    return Program(model, x, y, (x_val, y_val), epochs=12)


@program(faults=("loss-activation-mismatch",), architecture="mlp", split="tune")
def logits_as_probabilities(seed: int, mended: bool = False) -> Program:
    """The head gives raw scores, but the loss takes them for probabilities."""
    x, y, x_val, y_val = _digits()
    model = keras.Sequential(
        [
            keras.Input((196,)),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax" if mended else None),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, (x_val, y_val), epochs=10)


@program(
    faults=("missing-nonlinearity", "underfitting"), architecture="mlp", split="tune"
)
def linear_spirals(seed: int, mended: bool = False) -> Program:
    """Three dense layers without activations: a linear model of spirals."""
    (x, y), validation = datasets.part(*datasets.spirals(seed))
    hidden = [layers.Dense(64, activation="relu" if mended else None) for _ in range(3)]
    model = keras.Sequential([keras.Input((2,)), *hidden])
    model.add(layers.Dense(3, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(0.005),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, validation, epochs=20)


@program(faults=("unshuffled-data",), architecture="mlp", split="tune")
def sorted_by_class(seed: int, mended: bool = False) -> Program:
    """Examples sorted by class, and shuffle=False: each batch has one class."""
    x, y, x_val, y_val = _digits()
    order = np.argsort(y, kind="stable")
    hidden = [layers.Dense(64, activation="relu")]
    model = _compiled(hidden, keras.optimizers.SGD(0.1))
    more = {"shuffle": mended}
    return Program(model, x[order], y[order], (x_val, y_val), epochs=10, more=more)


@program(faults=("overfitting",), architecture="mlp", split="tune")
def hundred_garments(seed: int, mended: bool = False) -> Program:
    """A wide network learns 100 noisy examples by heart, for far too many epochs."""
    images, y = garments(2000, seed=seed)
    x = images.reshape(2000, 14, 2, 14, 2).mean((2, 4)).reshape(2000, 196) / 255
    x = (x + 0.15 * np.random.default_rng(seed).normal(size=x.shape)).astype("float32")
    count = 1400 if mended else 100
    hidden = [
        layers.Dense(256, activation="relu"),
        layers.Dense(256, activation="relu"),
    ]
    model = _compiled(hidden, keras.optimizers.Adam(1e-3))
    validation = (x[1400:], y[1400:])
    epochs = 3 if mended else 50
    return Program(model, x[:count], y[:count], validation, epochs, batch_size=20)


@program(faults=("underfitting",), architecture="mlp", split="tune")
def one_unit_for_ten_digits(seed: int, mended: bool = False) -> Program:
    """One hidden unit must tell ten digits apart."""
    x, y, x_val, y_val = _digits()
    hidden = [layers.Dense(64 if mended else 1, activation="tanh")]
    model = _compiled(hidden, keras.optimizers.Adam(0.005))
    return Program(model, x, y, (x_val, y_val), epochs=20)


@program(faults=("over-regularised",), architecture="mlp", split="tune")
def weights_pulled_to_zero(seed: int, mended: bool = False) -> Program:
    """L2 of 10 on each kernel: the penalty is all that is minimised."""
    x, y, x_val, y_val = _digits()
    penalty = keras.regularizers.L2(1e-5 if mended else 10.0)
    hidden = [
        layers.Dense(64, activation="relu", kernel_regularizer=penalty)
        for _ in range(2)
    ]
    return Program(_compiled(hidden, "adam"), x, y, (x_val, y_val), epochs=10)


@program(faults=("over-regularised",), architecture="mlp", split="tune")
def dropout_of_95_percent(seed: int, mended: bool = False) -> Program:
    """Dropout of 0.95 behind both hidden layers (somebody meant to keep 0.95)."""
    x, y, x_val, y_val = _digits()
    rate = 0.05 if mended else 0.95
    hidden = [
        layers.Dense(64, activation="relu"),
        layers.Dropout(rate),
        layers.Dense(64, activation="relu"),
        layers.Dropout(rate),
    ]
    return Program(_compiled(hidden, "adam"), x, y, (x_val, y_val), epochs=10)


@program(faults=("data-leakage",), architecture="mlp", split="tune")
def validation_inside_training(seed: int, mended: bool = False) -> Program:
    """The validation examples are a part of the training examples."""
    x, y, x_val, y_val = _digits()
    x, y = x[:500], y[:500]
    validation = (x_val, y_val) if mended else (x[-150:], y[-150:])
    hidden = [layers.Dense(128, activation="relu"), layers.Dense(64, activation="relu")]
    return Program(_compiled(hidden, "adam"), x, y, validation, epochs=12)


@program(faults=("train-validation-shift",), architecture="mlp", split="tune")
def only_training_divided(seed: int, mended: bool = False) -> Program:
    """Training pixels are divided by 255, validation pixels are not."""
    x, y, x_val, y_val = _digits()
    x_val = x_val if mended else x_val * 255
    hidden = [layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu")]
    return Program(_compiled(hidden, "adam"), x, y, (x_val, y_val), epochs=10)


@program(faults=("label-noise",), architecture="mlp", split="tune")
def forty_percent_wrong(seed: int, mended: bool = False) -> Program:
    """40 % of the labels are wrong, in the validation data too."""
    x, y, x_val, y_val = _digits()
    if not mended:
        y = datasets.flip_labels(y, 0.4, 10, seed)
        y_val = datasets.flip_labels(y_val, 0.4, 10, seed + 1)
    hidden = [layers.Dense(128, activation="relu"), layers.Dense(64, activation="relu")]
    return Program(_compiled(hidden, "adam"), x, y, (x_val, y_val), epochs=15)
