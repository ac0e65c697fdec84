"""Held-out healthy programs on images: they look odd, and are right."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import datasets
from doctor_programs import more_datasets_w as data
from doctor_programs.registry import Program, program


@program(architecture="cnn", split="tune")
def w_borrowed_eyes_new_head(seed: int) -> Program:
    """Healthy: the convolutions come from other garments and stay frozen on purpose."""
    x, y = data.pictures("fashion_mnist", seed, 2600)
    x = data.smaller(x)[..., None]
    eyes = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
        ],
        name="eyes",
    )
    first = keras.Sequential([eyes, layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    first.compile("adam", loss)
    source, target = y >= 5, y < 5
    first.fit(x[source], y[source], epochs=4, verbose=0)
    eyes.trainable = False
    model = keras.Sequential([eyes, layers.Dropout(0.2), layers.Dense(5)])
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    x, y, x_val, y_val = data.cut(x[target], y[target], 900)
    return Program(model, x, y, (x_val, y_val), epochs=12)


def _contrastive(same: Any, distance: Any) -> Any:
    """Return the loss of Hadsell et al., 2006: near if the same, else 1 apart."""
    apart = ops.square(ops.maximum(1.0 - distance, 0.0))
    return ops.mean(same * ops.square(distance) + (1.0 - same) * apart, axis=-1)


@program(architecture="siamese", split="tune")
def w_contrastive_without_metric(seed: int) -> Program:
    """Healthy: a contrastive loss on distances, so there is no accuracy to show."""
    images, labels = data.eight_by_eight(seed)
    left, right, same = datasets.pairs(images[:1400], labels[:1400], seed, 2400)
    test = datasets.pairs(images[1400:], labels[1400:], seed + 1, 400)
    encoder = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="leaky_relu"),
            layers.Dense(16),
        ]
    )
    one, two = keras.Input((64,)), keras.Input((64,))
    gap = layers.Subtract()([encoder(one), encoder(two)])
    distance = ops.sqrt(ops.sum(ops.square(gap), axis=-1, keepdims=True) + 1e-6)
    model = keras.Model([one, two], distance)
    model.compile(keras.optimizers.Adam(1e-3), _contrastive)
    same, same_val = same[:, None], test[2][:, None]
    validation = ([test[0], test[1]], same_val)
    return Program(model, [left, right], same, validation, epochs=15, batch_size=64)


class Denoiser(keras.Model):
    """Gets pictures alone, makes them noisy itself and rebuilds the clean ones."""

    def __init__(self, seed: int) -> None:
        super().__init__(name="denoiser")
        self.mean_loss = keras.metrics.Mean(name="loss")
        self.noise = keras.random.SeedGenerator(seed)
        self.down = layers.Dense(64, activation="relu")
        self.up = layers.Dense(196, activation="sigmoid")

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return what is set back before each epoch."""
        return [self.mean_loss]

    def call(self, x: Any) -> Any:
        """Return pictures [batch, 196]."""
        return self.up(self.down(x))

    def train_step(self, x: Any) -> dict[str, Any]:
        """Return the loss of one step on noisy pictures."""
        noisy = x + 0.5 * keras.random.normal(ops.shape(x), seed=self.noise)
        with tf.GradientTape() as tape:
            loss = ops.mean(ops.square(self(noisy, training=True) - x))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.mean_loss.update_state(loss)
        return {"loss": self.mean_loss.result()}

    def test_step(self, x: Any) -> dict[str, Any]:
        """Return the loss on clean pictures."""
        self.mean_loss.update_state(ops.mean(ops.square(self(x, training=False) - x)))
        return {"loss": self.mean_loss.result()}


@program(architecture="autoencoder", split="tune")
def w_noisy_in_training_only(seed: int) -> Program:
    """Healthy: the denoiser's own step adds noise, so validation is the easier task."""
    x, _ = data.pictures("mnist", seed, 1400)
    x = data.smaller(x).reshape(-1, 196)
    train = tf.data.Dataset.from_tensor_slices(x[:1152]).shuffle(1152, seed=seed)
    test = tf.data.Dataset.from_tensor_slices(x[1152:]).batch(62)
    model = Denoiser(seed)
    model.compile(keras.optimizers.Adam(2e-3))
    return Program(model, train.batch(32), None, test, epochs=12, batch_size=None)


@program(architecture="cnn", split="tune")
def w_large_batch_large_rate(seed: int) -> Program:
    """Healthy: SGD at a rate of 0.4 with batches of 200, warmed up and normalised."""
    x, y = data.pictures("cifar10", seed, 2400)
    x, y, x_val, y_val = data.cut(x[:, ::2, ::2], y, 2000)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=100, warmup_target=0.4, warmup_steps=20
    )
    model = keras.Sequential([keras.Input((16, 16, 3))])
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.8))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(10))
    model.compile(
        keras.optimizers.SGD(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    order = np.argsort(y_val, kind="stable")
    validation = (x_val[order], y_val[order])
    return Program(model, x, y, validation, epochs=12, batch_size=200)
