"""Weights that don't move as they should: frozen, cut off, or wrongly updated."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import more_datasets_q as data
from doctor_programs.registry import Program, program


@program(faults=("frozen-weights",), architecture="cnn", split="tune")
def q_backbone_without_weights(seed: int, mended: bool = False) -> Program:
    """The backbone was frozen as in the tutorial, but has no pretrained weights."""
    x, y = data.pictures("fashion_mnist", seed, 1500)
    x, y, x_val, y_val = data.cut(x, y, 1200)
    backbone = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
        ],
        name="backbone",
    )
    backbone.trainable = mended
    inputs = keras.Input((14, 14, 1))
    features = backbone(inputs)
    outputs = layers.Dense(10, activation="softmax")(features)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(6e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=20)


class Reader(keras.Model):
    """A GRU over symbols with a step of its own.

    Args:
        whole: Train all variables rather than those of the head.
    """

    def __init__(self, whole: bool):
        super().__init__()
        self.whole = whole
        self.embedding = layers.Embedding(13, 12)
        self.encoder = layers.GRU(24)
        self.head = layers.Dense(1)

    def call(self, x, training=None):
        """Return a logit [batch, 1] for each sequence."""
        return self.head(self.encoder(self.embedding(x), training=training))

    def train_step(self, batch):
        """Make one step and return the metrics."""
        x, y = batch
        with tf.GradientTape() as tape:
            logits = self(x, training=True)
            loss = self.compute_loss(x, y, logits)
        part = self if self.whole else self.head
        variables = part.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, logits)
        return {metric.name: metric.result() for metric in self.metrics}


@program(faults=("frozen-weights",), architecture="recurrent", split="tune")
def q_step_for_the_head_alone(seed: int, mended: bool = False) -> Program:
    """The custom train_step takes the gradients of the head's variables alone."""
    x, y = data.who_came_first(seed, n=1300)
    x, y, x_val, y_val = data.cut(x, y[:, None], 1000)
    model = Reader(whole=mended)
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
    )
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=50)


class BinaryCode(layers.Layer):
    """Turns scores into bits.

    Args:
        straight_through: Let the gradient pass as if nothing were rounded.
    """

    def __init__(self, straight_through: bool):
        super().__init__()
        self.straight_through = straight_through

    def call(self, scores):
        """Return 0 or 1 for each score."""
        chances = ops.sigmoid(scores)
        bits = ops.round(chances)
        if self.straight_through:
            return chances + ops.stop_gradient(bits - chances)
        return bits


@program(faults=("disconnected-gradient",), architecture="autoencoder", split="tune")
def q_code_of_round_bits(seed: int, mended: bool = False) -> Program:
    """The code is rounded to bits, and round() lets no gradient into the encoder."""
    x, _, x_val, _ = data.table("digits", seed, 1400, scaled=False)
    x, x_val = x / 16, x_val / 16
    inputs = keras.Input((64,))
    hidden = layers.Dense(64, activation="relu")(inputs)
    scores = layers.BatchNormalization(momentum=0.9)(layers.Dense(10)(hidden))
    code = BinaryCode(straight_through=mended)(scores)
    hidden = layers.Dense(64, activation="relu")(code)
    outputs = layers.Dense(64, activation="sigmoid")(hidden)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    return Program(model, x, x, (x_val, x_val), epochs=30, batch_size=40)


def _pairs(x, y, seed: int, n: int) -> tuple:
    """Return n left and n right examples, and 1 where both are of one class [n, 1]."""
    rng = np.random.default_rng(seed)
    left = rng.integers(len(x), size=n)
    right = rng.integers(len(x), size=n)
    for i in range(0, n, 2):
        right[i] = rng.choice(np.flatnonzero(y == y[left[i]]))
    same = (y[left] == y[right]).astype("float32")
    return [x[left], x[right]], same[:, None]


@program(faults=("disconnected-gradient",), architecture="siamese", split="tune")
def q_twins_behind_stop_gradient(seed: int, mended: bool = False) -> Program:
    """Both embeddings go through stop_gradient, so the encoder never learns."""
    x, y, x_val, y_val = data.table("digits", seed, 1400, scaled=False)
    train, same = _pairs(x / 16, y, seed, 2400)
    held, held_same = _pairs(x_val / 16, y_val, seed + 1, 600)
    encoder = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(24, activation="relu"),
        ]
    )
    left, right = keras.Input((64,)), keras.Input((64,))
    first, second = encoder(left), encoder(right)
    if not mended:
        first, second = ops.stop_gradient(first), ops.stop_gradient(second)
    apart = ops.abs(first - second)
    outputs = layers.Dense(1, activation="sigmoid")(apart)
    model = keras.Model([left, right], outputs)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Program(model, train, same, (held, held_same), epochs=15, batch_size=32)


class EveryFewBatches(keras.Model):
    """Updates after every few batches, as its author thinks."""

    every = 16
    batches = 0

    def train_step(self, batch):
        """Make one step and return the metrics."""
        x, y = batch
        with tf.GradientTape() as tape:
            scores = self(x, training=True)
            loss = self.compute_loss(x, y, scores)
        gradients = tape.gradient(loss, self.trainable_variables)
        # Python counts while the graph is traced, and never again.
        self.batches += 1
        if self.batches % self.every == 0:
            self.optimizer.apply(gradients, self.trainable_variables)
        self._loss_tracker.update_state(loss)
        return self.compute_metrics(x, y, scores)


@program(faults=("wrong-update",), architecture="mlp", split="tune")
def q_counter_in_the_graph(seed: int, mended: bool = False) -> Program:
    """A Python counter in train_step decides when to apply; the graph has seen 1 only."""
    x, y, x_val, y_val = data.table("digits", seed, 1400)
    inputs = keras.Input((64,))
    hidden = layers.Dense(48, activation="elu")(inputs)
    hidden = layers.Dense(48, activation="elu")(hidden)
    outputs = layers.Dense(10, activation="softmax")(hidden)
    model = EveryFewBatches(inputs, outputs)
    model.every = 1 if mended else 16
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=64)


def overlap(truth, guess):
    """Return Dice's coefficient of each mask: 1 where they are the same."""
    both = ops.sum(truth * guess, axis=(1, 2, 3))
    either = ops.sum(truth, axis=(1, 2, 3)) + ops.sum(guess, axis=(1, 2, 3))
    return (2 * both + 1) / (either + 1)


def missing_overlap(truth, guess):
    """Return what is missing to a full overlap, for each mask."""
    return 1 - overlap(truth, guess)


@program(faults=("wrong-update",), architecture="cnn", split="tune")
def q_dice_as_loss(seed: int, mended: bool = False) -> Program:
    """The Dice coefficient itself is the loss, so the overlap is made small."""
    x, y = data.cells(seed, n=600)
    x, y, x_val, y_val = data.cut(x, y, 500)
    model = keras.Sequential(
        [
            keras.Input((20, 20, 1)),
            layers.Conv2D(12, 3, padding="same", activation="relu"),
            layers.Conv2D(12, 3, padding="same", activation="relu"),
            layers.Conv2D(1, 1, activation="sigmoid"),
        ]
    )
    loss = missing_overlap if mended else overlap
    metric = keras.metrics.BinaryIoU(target_class_ids=[1], name="iou")
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=[metric])
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=25)
