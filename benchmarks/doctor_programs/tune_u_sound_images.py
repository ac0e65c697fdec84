"""Healthy programs on images: frozen on purpose, large rates, noise, triplets."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from sklearn.datasets import load_digits

from doctor_programs import more_datasets_u as data
from doctor_programs.registry import Program, program


@program(architecture="cnn", split="tune")
def u_frozen_below_on_purpose(seed: int, mended: bool = False) -> Program:
    """Convolutions trained on the digits 0 to 4 stay frozen under a head for 5 to 9."""
    x, y, _, _ = data.images("mnist", seed, 2000, 2000)
    x = data.halved(x)
    base = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
        ]
    )
    first = keras.Sequential([base, layers.Dense(5, activation="softmax")])
    first.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
    first.fit(x[y < 5], y[y < 5], epochs=3, batch_size=32, verbose=0)
    base.trainable = False
    x, y = x[y > 4], y[y > 4] - 5
    model = keras.Sequential([base, layers.Dense(5, activation="softmax")])
    model.compile(
        keras.optimizers.Adam(0.003),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x[:560], y[:560], (x[560:], y[560:]), 10, 32)


@program(architecture="mlp", split="tune")
def u_big_batches_big_rate(seed: int, mended: bool = False) -> Program:
    """Batches of 256 and a rate that is warmed up to 1; validation is sorted by class."""
    x, y, x_val, y_val = data.images("fashion_mnist", seed, 3200, 2560)
    order = np.argsort(y_val, kind="stable")
    rate = keras.optimizers.schedules.CosineDecay(
        0.02, 120, warmup_target=1.0, warmup_steps=20
    )
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(100, activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.SGD(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=5,
    )
    return Program(model, x, y, (x_val[order], y_val[order]), 14, 256)


@program(architecture="autoencoder", split="tune")
def u_denoiser_with_a_floor(seed: int, mended: bool = False) -> Program:
    """A denoiser of digits: no network gets below what the noise has wiped out."""
    clean = load_digits().images.astype("float32")[..., None] / 16
    rng = np.random.default_rng(seed)
    clean = clean[rng.permutation(len(clean))]
    noisy = (clean + 0.4 * rng.normal(size=clean.shape)).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="silu"),
            layers.Conv2D(24, 3, strides=2, padding="same", activation="silu"),
            layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="silu"),
            layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.AdamW(0.004, weight_decay=1e-4), "mse")
    validation = (noisy[1400:], clean[1400:])
    return Program(model, noisy[:1400], clean[:1400], validation, 12, 32)


class Triplets(keras.Model):
    """An encoder whose loss compares an anchor with a like and an unlike image."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.mean_loss = keras.metrics.Mean(name="loss")
        self.ranked = keras.metrics.Mean(name="ranked")

    def call(self, three):
        """Return the three codes, each of length 1."""
        return [self.encoder(image) for image in three]

    def distances(self, three):
        """Return squared distances of the anchor to the like and the unlike image."""
        anchor, like, unlike = self(three, training=True)
        return (
            ops.sum(ops.square(anchor - like), axis=-1),
            ops.sum(ops.square(anchor - unlike), axis=-1),
        )

    def measured(self, near, far):
        """Return the loss of each triplet, and take it into the metrics."""
        losses = ops.maximum(near - far + 0.5, 0.0)
        self.mean_loss.update_state(losses)
        self.ranked.update_state(ops.cast(near < far, "float32"))
        return ops.mean(losses)

    def train_step(self, data):
        """Take one step."""
        with tf.GradientTape() as tape:
            loss = self.measured(*self.distances(data))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": self.mean_loss.result(), "ranked": self.ranked.result()}

    def test_step(self, data):
        """Measure without a step."""
        self.measured(*self.distances(data))
        return {"loss": self.mean_loss.result(), "ranked": self.ranked.result()}

    @property
    def metrics(self):
        """Return what is reset at each epoch."""
        return [self.mean_loss, self.ranked]


def _triplets(x, y, seed: int, n: int) -> tf.data.Dataset:
    """Return batches of 40 triplets of images."""
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(y == c) for c in range(10)]
    picked = []
    for _ in range(n):
        one, other = rng.permutation(10)[:2]
        picked.append((*rng.choice(groups[one], 2), rng.choice(groups[other])))
    three = tuple(x[list(column)] for column in zip(*picked, strict=True))
    return tf.data.Dataset.from_tensor_slices(three).shuffle(n, seed=seed).batch(40)


@program(architecture="siamese", split="tune")
def u_triplets_mostly_at_zero(seed: int, mended: bool = False) -> Program:
    """Triplets in a step of one's own: soon most of them have no loss and no gradient."""
    x, y, x_val, y_val = data.images("fashion_mnist", seed, 1500, 1100)
    x, x_val = data.halved(x), data.halved(x_val)
    encoder = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Flatten(),
            layers.Dense(96, activation="relu"),
            layers.Dense(24),
            layers.UnitNormalization(),
        ]
    )
    model = Triplets(encoder)
    model.compile(keras.optimizers.Adam(1e-3))
    train = _triplets(x, y, seed, 2000)
    return Program(model, train, None, _triplets(x_val, y_val, seed + 1, 400), 10, None)
