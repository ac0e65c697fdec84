"""What stands around the trainings of residual networks: data, one `fit`, what is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split

from tfcourse.errors import UserError
from tfcourse.image_parts import Part, load_image_parts, standardised
from tfcourse.random_crops import random_crops
from tfcourse.runs import Run

Compile = Callable[
    [keras.Model, int, float], None
]  # Model, number of steps, peak rate.


class Study:
    """Trains networks on CIFAR-10.

    Args:
        run: Gets curves, figures and what was measured.
        settings: The exercise's config: `source`, `val_fraction`, `seed`, `padding`,
            `mirror`, and what the methods name.
        compile_model: Compiles a model for a number of steps and a largest rate, with a
            loss of logits and one-hot labels, and the metric "accuracy".
    """

    def __init__(self, run: Run, settings: Any, compile_model: Compile):
        self.run = run
        self.settings = settings
        self.compile_model = compile_model
        stored, info = load_image_parts(
            run,
            "cifar10",
            settings.source,
            val_fraction=settings.val_fraction,
            seed=settings.seed,
        )
        self.parts = standardised(stored)
        self.image_shape = stored["train"][0].shape[1:]
        self.class_names = info.class_names
        self.num_classes = len(self.class_names)

    def small_part(self, num_images: int, size: int) -> Part:
        """Return some training images, of each class as many, averaged to `size` pixels.

        Raises:
            UserError: If there are fewer, or the size does not divide the images'.
        """
        images, labels = self.parts["train"]
        if num_images > len(images):
            raise UserError(
                f"study_images <= {len(images)}, the training images; got {num_images}"
            )
        if num_images < len(images):
            images, _, labels, _ = train_test_split(
                images,
                labels,
                train_size=num_images,
                stratify=labels,
                random_state=self.settings.seed,
            )
        return averaged(images, size), labels

    def train(
        self,
        name: str,
        model: keras.Model,
        part: Part,
        *,
        epochs: int,
        batch_size: int,
        peak_rate: float,
        validate: bool = False,
        histograms: bool = False,
    ) -> dict[str, list[float]]:
        """Train a model on one part, cropped and mirrored at random; return its history.

        Args:
            name: Of the stage in the run.
            model: From images to logits.
            part: Images and labels.
            epochs: Number of epochs.
            batch_size: Images of a step.
            peak_rate: The largest learning rate.
            validate: Whether to measure loss and accuracy of the validation images.
            histograms: Whether to log histograms of the weights.
        """
        images, labels = part
        padding = round(self.settings.padding * images.shape[1] / self.image_shape[0])
        train_ds = training_batches(
            part,
            num_classes=self.num_classes,
            batch_size=batch_size,
            padding=padding,
            mirror=self.settings.mirror,
            seed=self.settings.seed,
        )
        self.compile_model(model, epochs * -(-len(labels) // batch_size), peak_rate)
        callbacks = self.run.callbacks(
            name, epochs=epochs, train_ds=train_ds, histograms=histograms
        )
        history = model.fit(
            train_ds,
            epochs=epochs,
            validation_data=self.scored("val") if validate else None,
            validation_batch_size=500,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )
        return history.history

    def scored(self, part: str) -> Part:
        """Return the images of a part with one-hot labels, float32 [n, classes]."""
        images, labels = self.parts[part]
        return images, np.eye(self.num_classes, dtype=np.float32)[labels]


def averaged(images: np.ndarray, size: int) -> np.ndarray:
    """Return images of `size` pixels in height and width, means of squares of pixels.

    Args:
        images: float32 [n, height, width, channels].
        size: A divisor of height and width.

    Raises:
        UserError: If it is none.
    """
    count, height, width, channels = images.shape
    if height % size or width % size:
        raise UserError(f"study_size must divide {height}; got {size}")
    blocks = (count, size, height // size, size, width // size, channels)
    return images.reshape(blocks).mean(axis=(2, 4))


def confusion(model: keras.Model, part: Part, num_classes: int) -> np.ndarray:
    """Return the counts of true classes (rows) and predicted ones: int64 [c, c]."""
    images, labels = part
    logits = model.predict(images, batch_size=500, verbose=0)  # [n, classes]
    classes = range(num_classes)
    return confusion_matrix(labels, logits.argmax(axis=1), labels=classes)


def training_batches(
    part: Part,
    *,
    num_classes: int,
    batch_size: int,
    padding: int,
    mirror: bool,
    seed: int,
) -> tf.data.Dataset:
    """Return batches (images, one-hot labels), shuffled and cropped anew in each epoch.

    Args:
        part: Images and labels.
        num_classes: Length of a one-hot label.
        batch_size: Images of a batch; the last of an epoch may have fewer.
        padding: Of the random crops.
        mirror: Whether they are mirrored too.
        seed: Of orders and crops.
    """
    images, labels = tf.constant(part[0]), tf.constant(part[1])

    def prepare(places: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = random_crops(tf.gather(images, places), key, padding, mirror)
        return batch, tf.one_hot(tf.gather(labels, places), num_classes)

    places_ds = tf.data.Dataset.range(len(labels)).shuffle(len(labels), seed)
    seed_ds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)
    batches = tf.data.Dataset.zip(places_ds.batch(batch_size), seed_ds)
    return batches.map(prepare, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
