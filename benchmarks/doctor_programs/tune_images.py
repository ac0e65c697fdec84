"""Convolutional networks and autoencoders that fail, one cause each."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import datasets
from doctor_programs.registry import Program, program


def _shapes(seed: int, n: int = 900) -> tuple:
    """Return images [n, 16, 16, 1] in [0, 1] and labels 0 to 2 in random order."""
    images, _ = datasets.shapes(seed, n)
    order = np.random.default_rng(seed).permutation(n)
    return images[order], (np.arange(n) % 3)[order]


def _small_cnn(classes: int = 3, **conv: object) -> keras.Sequential:
    """Return two convolutions, pooling and a softmax; not compiled."""
    return keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(16, 3, activation="relu", **conv),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu", **conv),
            layers.Flatten(),
            layers.Dense(classes, activation="softmax"),
        ]
    )


@program(faults=("initialisation-scale",), architecture="cnn", split="tune")
def standard_normal_filters(seed: int, mended: bool = False) -> Program:
    """All kernels are drawn with standard deviation 1; the first loss is enormous."""
    x, y = _shapes(seed)
    kernel = "he_normal" if mended else keras.initializers.RandomNormal(stddev=1.0)
    model = _small_cnn(kernel_initializer=kernel)
    model.layers[-1].kernel_initializer = kernel
    if not mended:
        model.layers[-1].kernel.assign(kernel(model.layers[-1].kernel.shape))
    optimizer = keras.optimizers.SGD(0.03)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    (x, y), validation = datasets.part(x, y)
    return Program(model, x, y, validation, epochs=10)


@program(faults=("learning-rate-too-high",), architecture="cnn", split="tune")
def adam_with_one_half(seed: int, mended: bool = False) -> Program:
    """Adam with a learning rate of 0.5 on a small CNN."""
    (x, y), validation = datasets.part(*_shapes(seed))
    model = _small_cnn()
    optimizer = keras.optimizers.Adam(0.002 if mended else 0.5)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=8)


@program(faults=("frozen-weights", "underfitting"), architecture="cnn", split="tune")
def frozen_but_never_pretrained(seed: int, mended: bool = False) -> Program:
    """The body is frozen as if it were pretrained, but its weights are random."""
    (x, y), validation = datasets.part(*_shapes(seed))
    inputs = keras.Input((16, 16, 1))
    body = keras.Sequential(
        [
            layers.Conv2D(12, 3, strides=2, activation="relu"),
            layers.Conv2D(24, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
        ],
        name="body",
    )
    body.trainable = mended
    outputs = layers.Dense(3, activation="softmax")(body(inputs))
    model = keras.Model(inputs, outputs)
    optimizer = keras.optimizers.Adam(0.01)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=15)


@program(faults=("train-inference-gap",), architecture="cnn", split="tune")
def slow_moving_averages(seed: int, mended: bool = False) -> Program:
    """Batch normalisation with momentum 0.9999 and few steps: inference lags behind."""
    x, y = _shapes(seed)
    momentum = 0.8 if mended else 0.9999
    model = keras.Sequential([keras.Input((16, 16, 1))])
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, use_bias=False))
        model.add(layers.BatchNormalization(momentum=momentum))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(3, activation="softmax"))
    optimizer = keras.optimizers.Adam(0.003)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    (x, y), validation = datasets.part(x, y)
    return Program(model, x, y, validation, epochs=8)


@program(faults=("train-validation-shift",), architecture="cnn", split="tune")
def inverted_validation_images(seed: int, mended: bool = False) -> Program:
    """Validation images come from another export: black on white, not white on black."""
    (x, y), (x_val, y_val) = datasets.part(*_shapes(seed))
    model = _small_cnn()
    optimizer = keras.optimizers.Adam(0.003)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    validation = (x_val if mended else 1 - x_val, y_val)
    return Program(model, x, y, validation, epochs=8)


@program(faults=("loss-activation-mismatch",), architecture="cnn", split="tune")
def softmax_over_one_channel(seed: int, mended: bool = False) -> Program:
    """A segmentation head with a softmax over its single channel: always exactly 1."""
    images, masks = datasets.shapes(seed, 500)
    (x, y), validation = datasets.part(images, masks)
    head = "sigmoid" if mended else "softmax"
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(12, 3, padding="same", activation="relu"),
            layers.Conv2D(12, 3, padding="same", activation="relu"),
            layers.Conv2D(1, 1, activation=head),
        ]
    )
    optimizer = keras.optimizers.Adam(0.005)
    model.compile(optimizer, "binary_crossentropy", metrics=["binary_accuracy"])
    return Program(model, x, y, validation, epochs=8)


@program(faults=("unshuffled-data",), architecture="cnn", split="tune")
def folder_after_folder(seed: int, mended: bool = False) -> Program:
    """Files come folder by folder (class by class) through a shuffle buffer of 10."""
    x, y = datasets.digits("train")
    x_val, y_val = datasets.digits("test")
    x, x_val = x[..., None].astype("float32") / 255, x_val[..., None] / 255.0
    order = np.argsort(y, kind="stable")
    train_ds = tf.data.Dataset.from_tensor_slices((x[order], y[order]))
    train_ds = train_ds.shuffle(len(x) if mended else 10, seed=seed).batch(32)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.1)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(
        model, train_ds, None, (x_val.astype("float32"), y_val), 8, batch_size=None
    )


@program(faults=("misaligned-labels",), architecture="cnn", split="tune")
def two_shuffled_streams(seed: int, mended: bool = False) -> Program:
    """Images and labels are two datasets, each shuffled by itself, then zipped."""
    (x, y), validation = datasets.part(*_shapes(seed))
    image_ds = tf.data.Dataset.from_tensor_slices(x).shuffle(1000, seed=seed)
    label_seed = seed if mended else seed + 1
    label_ds = tf.data.Dataset.from_tensor_slices(y).shuffle(1000, seed=label_seed)
    train_ds = tf.data.Dataset.zip((image_ds, label_ds)).batch(32)
    model = _small_cnn()
    optimizer = keras.optimizers.Adam(0.003)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, train_ds, None, validation, 8, batch_size=None)


@program(faults=("loss-activation-mismatch",), architecture="autoencoder", split="tune")
def sigmoid_cannot_be_negative(seed: int, mended: bool = False) -> Program:
    """Images are scaled to [-1, 1], but the decoder ends in a sigmoid."""
    images, _ = datasets.digits("train")
    x = images.reshape(len(images), -1).astype("float32") / 127.5 - 1
    model = keras.Sequential(
        [
            keras.Input((196,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(16),
            layers.Dense(64, activation="relu"),
            layers.Dense(196, activation="tanh" if mended else "sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mse")
    return Program(model, x[:1100], x[:1100], (x[1100:], x[1100:]), epochs=12)


@keras.saving.register_keras_serializable("doctor_programs")
class Rounding(layers.Layer):
    """Rounds to whole numbers, which has no gradient."""

    def call(self, inputs):
        """Return the rounded values."""
        return tf.cast(tf.cast(inputs * 4, tf.int32), tf.float32) / 4


@program(faults=("disconnected-gradient",), architecture="autoencoder", split="tune")
def rounded_code(seed: int, mended: bool = False) -> Program:
    """The code is cast to integers on the way: the encoder gets no gradient."""
    (x, _), (x_val, _) = datasets.part(*[datasets.sensors(seed)] * 2)
    inputs = keras.Input((24,))
    code = layers.Dense(32, activation="relu", name="encoder")(inputs)
    code = layers.Dense(3, name="code")(code)
    if not mended:
        code = Rounding()(code)
    outputs = layers.Dense(32, activation="relu")(code)
    outputs = layers.Dense(24)(outputs)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.005), "mse")
    return Program(model, x, x, (x_val, x_val), epochs=15)


@program(faults=("underfitting",), architecture="autoencoder", split="tune")
def one_unit_for_twelve_factors(seed: int, mended: bool = False) -> Program:
    """Twelve independent factors must pass through a code of one unit."""
    x = datasets.sensors(seed, n=1500, features=40, factors=12)
    inputs = keras.Input((40,))
    hidden = layers.Dense(64, activation="relu")(inputs)
    code = layers.Dense(16 if mended else 1)(hidden)
    hidden = layers.Dense(64, activation="relu")(code)
    model = keras.Model(inputs, layers.Dense(40)(hidden))
    model.compile(keras.optimizers.Adam(0.003), "mse")
    return Program(model, x[:1200], x[:1200], (x[1200:], x[1200:]), epochs=20)
