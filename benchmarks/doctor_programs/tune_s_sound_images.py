"""Healthy programs on images, sequences and words, most of which look odd."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import datasets
from doctor_programs import more_datasets_s as data
from doctor_programs.registry import Program, program


@program(architecture="cnn", split="tune")
def s_backbone_frozen_after_pretraining(seed: int, mended: bool = False) -> Program:
    """The backbone is frozen on purpose: it was trained on ten classes before."""
    x, y, x_val, y_val = data.pictures("fashion_mnist", seed, 1300, 300)
    backbone = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(12, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(24, 3, activation="relu"),
            layers.Flatten(),
        ]
    )
    first = keras.Sequential([backbone, layers.Dense(10, activation="softmax")])
    first.compile("adam", "sparse_categorical_crossentropy")
    first.fit(x[:800], y[:800], epochs=5, verbose=0)
    backbone.trainable = False
    shoes, shoes_val = np.isin(y, (5, 7, 9)), np.isin(y_val, (5, 7, 9))
    head = layers.Dense(1, activation="sigmoid")
    model = keras.Sequential([keras.Input((14, 14, 1)), backbone, head])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    x, shoes = x[800:], shoes[800:].astype("float32")
    validation = (x_val, shoes_val.astype("float32"))
    return Program(model, x, shoes, validation, epochs=8)


@program(architecture="cnn", split="tune")
def s_three_epochs_are_enough(seed: int, mended: bool = False) -> Program:
    """The run has only three epochs and no validation data, and is good already."""
    x, y, _, _ = data.pictures("mnist", seed, 1200, 0)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.BatchNormalization(momentum=0.8),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.003),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, epochs=3, batch_size=16)


class ContrastiveTwins(keras.Model):
    """Two towers in one, trained by a contrastive loss in a step of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = keras.Sequential(
            [layers.Dense(64, activation="relu"), layers.Dense(12)]
        )
        self.loss_mean = keras.metrics.Mean(name="loss")
        self.hits = keras.metrics.BinaryAccuracy(name="hits")

    def call(self, images: tuple) -> tf.Tensor:
        """Return the distance of each pair [batch]."""
        gap = self.tower(images[0]) - self.tower(images[1])
        return tf.sqrt(tf.reduce_sum(gap * gap, axis=-1) + 1e-6)

    @property
    def metrics(self) -> list:
        """Return what `fit` resets at the start of an epoch."""
        return [self.loss_mean, self.hits]

    def measure(self, same: tf.Tensor, distance: tf.Tensor) -> tf.Tensor:
        """Return the loss, and count the pairs that are judged well."""
        same = tf.reshape(same, (-1,))
        apart = tf.square(tf.maximum(0.0, 2.0 - distance))
        loss = tf.reduce_mean(same * tf.square(distance) + (1 - same) * apart)
        self.loss_mean.update_state(loss)
        self.hits.update_state(same, tf.cast(distance < 1.0, tf.float32))
        return loss

    def train_step(self, batch: tuple) -> dict:
        """Take one step with clipped gradients."""
        images, same = batch
        with tf.GradientTape() as tape:
            loss = self.measure(same, self(images))
        gradients = tape.gradient(loss, self.trainable_variables)
        gradients, _ = tf.clip_by_global_norm(gradients, 5.0)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, batch: tuple) -> dict:
        """Measure one batch."""
        images, same = batch
        self.measure(same, self(images))
        return {metric.name: metric.result() for metric in self.metrics}


@program(architecture="siamese", split="tune")
def s_contrastive_twins(seed: int, mended: bool = False) -> Program:
    """A step of its own trains two towers by distances."""
    images, labels = datasets.digits("train", 7)
    images = images.reshape(len(images), 49).astype("float32") / 255
    left, right, same = datasets.pairs(images, labels, seed, 1800)
    model = ContrastiveTwins()
    model((left[:2], right[:2]))
    model.compile(keras.optimizers.Adam(0.002))
    train = ((left[:1500], right[:1500]), same[:1500])
    validation = ((left[1500:], right[1500:]), same[1500:])
    return Program(model, *train, validation, epochs=12)


@program(architecture="recurrent", split="tune")
def s_validation_sorted_by_rhythm(seed: int, mended: bool = False) -> Program:
    """The validation set is sorted by class, which changes nothing."""
    (x, y), (x_val, y_val) = datasets.part(*data.heartbeats(seed))
    order = np.argsort(y_val, kind="stable")
    model = keras.Sequential(
        [
            keras.Input((40, 1)),
            layers.Conv1D(12, 5, activation="relu", padding="same"),
            layers.Bidirectional(layers.GRU(12)),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.008),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val[order], y_val[order]), epochs=8)


class Windows(keras.utils.PyDataset):
    """Batches of 21 days and the day after, drawn as they are asked for."""

    def __init__(self, series: np.ndarray, size: int) -> None:
        super().__init__()
        self.x, self.y = datasets.windows(series, 21)
        self.order = np.random.default_rng(0).permutation(len(self.x))
        self.size = size

    def __len__(self) -> int:
        return math.ceil(len(self.x) / self.size)

    def __getitem__(self, index: int) -> tuple:
        rows = self.order[index * self.size : (index + 1) * self.size]
        return self.x[rows], self.y[rows]


@program(architecture="recurrent", split="tune")
def s_forecast_from_a_generator(seed: int, mended: bool = False) -> Program:
    """A generator gives the windows of a noisy series; the later years are validation."""
    series = data.passengers(seed, 1000)
    series = (series - series[:800].mean()) / series[:800].std()
    model = keras.Sequential(
        [keras.Input((21, 1)), layers.GRU(20), layers.Dense(1, name="tomorrow")]
    )
    model.compile(keras.optimizers.Adam(0.01), "huber", metrics=["mae"])
    train, validation = Windows(series[:800], 32), Windows(series[800:], 32)
    return Program(model, train, None, validation, epochs=12, batch_size=None)


@program(architecture="transformer", split="tune")
def s_attention_with_warm_up(seed: int, mended: bool = False) -> Program:
    """The rate warms up from zero for over an epoch, and then falls back to zero."""
    (x, y), validation = datasets.part(*datasets.reviews(seed, 1500))
    inputs = keras.Input((20,), dtype="int32")
    tokens = layers.Embedding(500, 24)(inputs)
    normed = layers.LayerNormalization()(tokens)
    tokens = tokens + layers.MultiHeadAttention(3, 8, dropout=0.1)(normed, normed)
    pooled = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(tokens))
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(pooled))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=140, warmup_target=0.004, warmup_steps=50
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.01),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, validation, epochs=5)


@program(architecture="mlp", split="tune")
def s_most_words_never_seen(seed: int, mended: bool = False) -> Program:
    """The vocabulary of 20,000 words is used for texts that have 500 of them."""
    (x, y), validation = datasets.part(*datasets.reviews(seed, 1500))
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(20_000, 8),
            layers.GlobalAveragePooling1D(),
            layers.Dense(16, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
    )
    return Program(model, x, y, validation, epochs=6)
