"""Programs on images."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from doctor_programs import datasets
from doctor_programs import more_datasets_w as data
from doctor_programs.registry import Program, program


@program(faults=("data-leakage",), architecture="cnn", split="tune")
def w_take_and_skip_reshuffled(seed: int, mended: bool = False) -> Program:
    """The set is shuffled anew each epoch before take() and skip() divide it."""
    x, y = data.pictures("mnist", seed, 300)
    x = data.smaller(x)[..., None]
    everything = tf.data.Dataset.from_tensor_slices((x, y))
    everything = everything.shuffle(300, seed=seed, reshuffle_each_iteration=not mended)
    train, test = everything.take(200).batch(10), everything.skip(200).batch(50)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(48, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(2e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, train, None, test, epochs=18, batch_size=None)


@program(faults=("dead-relu", "initialisation-scale"), architecture="cnn", split="tune")
def w_focal_prior_in_every_layer(seed: int, mended: bool = False) -> Program:
    """The bias of -4.6, meant for the last layer's rare pixels, is in all of them."""
    x, masks = datasets.shapes(seed, 450)
    x, masks, x_val, masks_val = data.cut(x, masks, 360)
    prior = keras.initializers.Constant(-4.6)
    hidden = "zeros" if mended else prior
    inputs = keras.Input((16, 16, 1))
    h = inputs
    for filters in (12, 24, 12):
        h = layers.Conv2D(
            filters, 3, padding="same", activation="relu", bias_initializer=hidden
        )(h)
    outputs = layers.Conv2D(1, 1, activation="sigmoid", bias_initializer=prior)(h)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(5e-3),
        keras.losses.BinaryFocalCrossentropy(gamma=2.0),
        metrics=[keras.metrics.BinaryIoU(target_class_ids=[1], name="iou")],
    )
    return Program(model, x, masks, (x_val, masks_val), epochs=8, batch_size=16)


@program(faults=("misaligned-labels",), architecture="siamese", split="tune")
def w_two_shuffles_then_zip(seed: int, mended: bool = False) -> Program:
    """The pairs and their labels are shuffled as two streams and zipped afterwards."""
    images, labels = data.pictures("mnist", seed, 1200)
    images = data.smaller(images).reshape(-1, 196)
    left, right, same = datasets.pairs(images[:900], labels[:900], seed, 1500)
    test = datasets.pairs(images[900:], labels[900:], seed + 1, 400)
    pairs = tf.data.Dataset.from_tensor_slices((left, right))
    targets = tf.data.Dataset.from_tensor_slices(same)
    if mended:
        train = tf.data.Dataset.zip(pairs, targets).shuffle(1500, seed=seed)
    else:
        train = tf.data.Dataset.zip(
            pairs.shuffle(1500, seed=seed), targets.shuffle(1500, seed=seed + 1)
        )
    encoder = keras.Sequential(
        [
            keras.Input((196,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(32),
        ]
    )
    inputs = [keras.Input((196,)), keras.Input((196,))]
    apart = ops.abs(encoder(inputs[0]) - encoder(inputs[1]))
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(apart))
    model.compile(
        keras.optimizers.Adam(2e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    validation = ((test[0], test[1]), test[2])
    return Program(model, train.batch(50), None, validation, 14, batch_size=None)


class HandMade(layers.Layer):
    """A dense layer written by hand, as in the guide to custom layers."""

    def __init__(self, units: int, start: str) -> None:
        super().__init__()
        self.units, self.start = units, start

    def build(self, shape: tuple) -> None:
        """Make the weights."""
        self.w = self.add_weight(shape=(shape[-1], self.units), initializer=self.start)
        self.b = self.add_weight(shape=(self.units,), initializer="zeros")

    def call(self, x: Any) -> Any:
        """Return [batch, units]."""
        return ops.tanh(ops.matmul(x, self.w) + self.b)


class Writer(keras.Model):
    """Two hand-made layers and a dense one."""

    def __init__(self, start: str) -> None:
        super().__init__(name="writer")
        self.first, self.second = HandMade(64, start), HandMade(32, start)
        self.last = layers.Dense(10)

    def call(self, x: Any) -> Any:
        """Return logits [batch, 10]."""
        return self.last(self.second(self.first(x)))


@program(faults=("symmetric-initialisation",), architecture="mlp", split="tune")
def w_custom_layer_from_zeros(seed: int, mended: bool = False) -> Program:
    """The weights of a hand-made layer start as zeros."""
    x, y = data.pictures("mnist", seed, 1400)
    x, y, x_val, y_val = data.cut(x.reshape(len(x), -1), y, 1100)
    model = Writer("glorot_uniform" if mended else "zeros")
    model.compile(
        keras.optimizers.RMSprop(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=8)


@program(faults=("vanishing-gradients",), architecture="autoencoder", split="tune")
def w_ten_sigmoid_layers_rebuild(seed: int, mended: bool = False) -> Program:
    """The deep autoencoder has sigmoids throughout, and rebuilds one grey mean."""
    x, _ = data.pictures("fashion_mnist", seed, 1500)
    x = data.smaller(x).reshape(-1, 196)
    x, x_val = x[:1200], x[1200:]
    model = keras.Sequential([keras.Input((196,))])
    for units in (96, 64, 48, 32, 16, 32, 48, 64, 96):
        model.add(layers.Dense(units, activation="relu" if mended else "sigmoid"))
    model.add(layers.Dense(196, activation="sigmoid"))
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", metrics=["mse"])
    return Program(model, x, x, (x_val, x_val), epochs=15, batch_size=32)
