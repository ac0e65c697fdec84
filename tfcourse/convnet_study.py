"""What exercise 07 trains and measures: data, one `fit`, the networks, what is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from sklearn.model_selection import train_test_split

from tfcourse import convnet_figures as figures
from tfcourse import data, plots, training
from tfcourse.convnet_ablation import Ablation
from tfcourse.convnet_by_hand import by_hand_differences
from tfcourse.convnet_training import (
    Methods,
    Recipe,
    accuracy,
    compiled,
    flip_averaged,
    predict,
    standardised,
)
from tfcourse.convolutional_networks import good_cnn, plain_cnn
from tfcourse.runs import Run
from tfcourse.training.clock import EpochClock

Part = tuple[np.ndarray, np.ndarray]  # Images uint8 [n, h, w, channels], labels [n].
SMALL_BATCH = 500  # Images that the loss at step 0 is measured on.


class ImageSet(NamedTuple):
    """One set of images."""

    train: Part  # What the reported networks learn from.
    chosen_on: Part  # A part of the training images.
    rest: Part  # The training images without these.
    scored: Part  # Test images; where choices are made, `chosen_on`.
    class_names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.train[0].shape[1:]


def load_images(
    run: Run, name: str, source: str, *, num_val: int, train_on_all: bool, seed: int
) -> ImageSet:
    """Return a set with a channel axis, images as they are stored: uint8.

    Args:
        run: Keeps a record of the data.
        name: "fashion_mnist" or "cifar10".
        source: "embedded" or "real".
        num_val: Training images that choices are made on.
        train_on_all: Whether networks learn from these too, and test images are scored;
            else they are what is scored.
        seed: Of the split.
    """
    (images, labels), info = data.load_arrays(name, "train", source=source)
    (test_images, test_labels), test_info = data.load_arrays(
        name, "test", source=source
    )
    run.record_data(info)
    run.record_data(test_info)
    if images.ndim == 3:
        images, test_images = images[..., None], test_images[..., None]
    rest, val, rest_labels, val_labels = train_test_split(
        images, labels, test_size=num_val, stratify=labels, random_state=seed
    )
    chosen_on, without = (val, val_labels), (rest, rest_labels)
    return ImageSet(
        train=(images, labels) if train_on_all else without,
        chosen_on=chosen_on,
        rest=without,
        scored=(test_images, test_labels) if train_on_all else chosen_on,
        class_names=tuple(info.class_names),
    )


class Study:
    """Trains networks on both sets, and measures them.

    Args:
        run: Gets curves, figures and what was measured.
        settings: The exercise's config.
        methods: Augmentation, schedule and loss.
    """

    def __init__(self, run: Run, settings: Any, methods: Methods):
        self.run = run
        self.settings = settings
        self.methods = methods
        self.fashion = self.load("fashion_mnist")

    def compiled(self, network: keras.Model, recipe: Recipe) -> keras.Model:
        """Return the network, ready to be trained by the recipe."""
        return compiled(network, recipe, self.methods, self.settings)

    def load(self, name: str) -> ImageSet:
        """Return one of the sets."""
        s = self.settings
        options = {"num_val": s.num_val, "train_on_all": s.train_on_all, "seed": s.seed}
        return load_images(self.run, name, s.source, **options)

    def check_by_hand(self, conv2d, max_pool, layer_table, fields) -> dict[str, float]:
        """Compare what was computed by hand with TensorFlow and Keras; draw both.

        Returns:
            `conv2d_difference`, `max_pool_difference`: largest differences;
            `parameter_difference`, `receptive_field_difference`: numbers of layers for
            which another figure came out.
        """
        s, shape = self.settings, (32, 32, 3)
        networks = {
            "plain": plain_cnn(shape, 10, s.plain_filters, s.plain_units),
            "good": good_cnn(shape, 10, s.cifar_widths, pool_first=s.cifar_pool_first),
        }
        metrics, growth = by_hand_differences(
            conv2d, max_pool, layer_table, fields, networks
        )
        images, labels = self.fashion.scored
        figure = figures.convolutions(
            images[np.argmax(labels == 8)], images[np.argmax(labels == 9)], conv2d
        )
        self.run.figure("convolutions", figure)
        self.run.figure("receptive_fields", figures.receptive_fields(growth))
        return metrics

    def fit(
        self,
        name: str,
        model: keras.Model,
        part: Part,
        *,
        epochs: int,
        val: Part | None = None,
        others: Sequence[keras.callbacks.Callback] = (),
    ) -> dict[str, list[float]]:
        """Train the compiled model and return its history, with seconds of each epoch."""
        clock = EpochClock()
        history = training.fit(
            model,
            *part,
            batch_size=self.settings.batch_size,
            epochs=epochs,
            validation_data=val,
            validation_batch_size=SMALL_BATCH,
            seed=self.settings.seed,
            callbacks=[clock, *others, *self.run.callbacks(name, epochs=epochs)],
        )
        return history.history

    def num_steps(self, num_images: int, epochs: int) -> int:
        """Return the steps of a training."""
        return epochs * math.ceil(num_images / self.settings.batch_size)

    def val_of(self, images: ImageSet) -> Part | None:
        """Return what a training is watched on: nothing, if it learns from all."""
        return None if self.settings.train_on_all else images.chosen_on

    def compare_fashion(self, plain, good) -> dict[str, float]:
        """Train the plain and the good network on Fashion-MNIST; return the metrics."""
        s, images = self.settings, self.fashion
        network = plain(
            images.shape, len(images.class_names), s.plain_filters, s.plain_units
        )
        model = standardised(network, images.train[0])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(s.plain_rate), loss, metrics=["accuracy"])
        metrics = self.measure("plain", model, network, images, s.plain_epochs)
        model, _, _, of_good = self.train_good("fashion", good, images)
        logits = predict(model, images.scored[0])
        matrix = tf.math.confusion_matrix(images.scored[1], logits.argmax(axis=1))
        self.run.figure(
            "confusion",
            plots.confusion_matrix(np.asarray(matrix), images.class_names),
        )
        return metrics | of_good

    def train_good(
        self, name: str, good, images: ImageSet
    ) -> tuple[keras.Model, keras.Model, keras.Model, dict[str, float]]:
        """Train the good network by the settings that begin with `name`.

        Returns:
            The model that was trained, the network behind its scale, the network, and the
            metrics.
        """
        keys = ("widths", "pool_first", "epochs", "rate", "shift")
        widths, pool_first, epochs, rate, shift = (
            getattr(self.settings, f"{name}_{key}") for key in keys
        )
        num_classes = len(images.class_names)
        network = good(images.shape, num_classes, widths, pool_first=pool_first)
        recipe = Recipe(
            num_steps=self.num_steps(len(images.train[0]), epochs),
            rate=rate,
            smoothing=self.settings.smoothing,
            max_shift=shift,
        )
        scaled = standardised(network, images.train[0])
        model = self.compiled(scaled, recipe)
        return (
            model,
            scaled,
            network,
            self.measure(name, model, network, images, epochs),
        )

    def measure(
        self,
        name: str,
        model: keras.Model,
        network: keras.Model,
        images: ImageSet,
        epochs: int,
    ) -> dict[str, float]:
        """Train one network; return its size, its loss at step 0, accuracy and seconds."""
        started_with = self.start_loss(name, model, images)
        history = self.fit(
            f"{name}/trained",
            model,
            images.train,
            epochs=epochs,
            val=self.val_of(images),
            others=[figures.FilterImages(self.run, network, f"filters/{name}")],
        )
        return {
            f"{name}_parameters": network.count_params(),
            f"{name}_start_loss_over_ln_classes": started_with,
            **self.scores(name, model, images),
            **seconds(name, history),
        }

    def start_loss(self, name: str, model: keras.Model, images: ImageSet) -> float:
        """Return the cross-entropy before any step, over that of equal probabilities."""

        def measure() -> float:
            logits = predict(model, images.scored[0][:SMALL_BATCH])
            labels = images.scored[1][:SMALL_BATCH]
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            return float(tf.reduce_mean(loss)) / math.log(len(images.class_names))

        return self.run.once(f"{name}/start_loss", measure)

    def scores(
        self, name: str, model: keras.Model, images: ImageSet
    ) -> dict[str, float]:
        """Return the accuracy, and that of the mean over an image and its mirror image."""
        scored, labels = images.scored
        return {
            f"{name}_accuracy": accuracy(predict(model, scored), labels),
            f"{name}_flip_averaged_accuracy": accuracy(
                flip_averaged(model, scored), labels
            ),
        }

    def ablation(self) -> dict[str, float]:
        """Leave each part out by turns; return the errors and draw them."""
        return Ablation(self).measure()

    def train_cifar(self, good) -> dict[str, float]:
        """Train the good network on CIFAR-10; return the metrics."""
        images = self.load("cifar10")
        _, scaled, network, metrics = self.train_good("cifar", good, images)
        self.run.figure("filters", figures.first_filters(network))
        self.draw_maps(scaled, network, images.scored[0][:1])
        return metrics | {"cifar_train_images": len(images.train[0])}

    def draw_maps(
        self, scaled: keras.Model, network: keras.Model, image: np.ndarray
    ) -> None:
        """Draw the maps of the last layer of each size.

        Args:
            scaled: As `standardised` returns it for `network`.
            network: The network.
            image: uint8 [1, height, width, channels].
        """
        last = {
            layer.output.shape[1:3]: layer.output
            for layer in network.layers
            if not isinstance(layer, keras.layers.InputLayer | keras.Model)
            and len(layer.output.shape) == 4
        }
        if not last:
            return  # The layers stand in models of their own.
        (rescaling,) = (
            x for x in scaled.layers if isinstance(x, keras.layers.Rescaling)
        )
        extractor = keras.Model(network.input, list(last.values()))
        maps = [np.asarray(m) for m in extractor(rescaling(image.astype("float32")))]
        titles = [f"{m.shape[1]} × {m.shape[2]}" for m in maps]
        self.run.figure("feature_maps", figures.feature_maps(image, maps, titles))
        for title, array in zip(titles, maps, strict=True):
            shown = np.moveaxis(array[0], -1, 0)[: figures.NUM_SHEET_MAPS, :, :, None]
            name = f"feature_maps/{title.replace(' × ', 'x')}"
            self.run.image(name, figures.filter_sheet(shown)[None])


def seconds(name: str, history: dict[str, list[float]]) -> dict[str, float]:
    """Return the wall and processor seconds of all epochs, tracing included."""
    return {
        f"{name}_train_{key}": sum(history[key]) for key in ("seconds", "cpu_seconds")
    }
