"""What stands around the trainings of exercise 11: data, draws of labels, one trainer."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from sklearn.model_selection import train_test_split

from tfcourse import data
from tfcourse.errors import UserError
from tfcourse.runs import Run
from tfcourse.transfer_networks import small_cnn
from tfcourse.transfer_training import Trainer, decaying_sgd

DRAWS_PER_SEED = 1_000  # Runs with other seeds draw other labels.
SCORED_BATCH = 500

Part = tuple[np.ndarray, np.ndarray]  # float32 [n, height, width, channels]; int64 [n].


class Methods(NamedTuple):
    """The exercise's functions that a training uses."""

    augment: Callable[..., Any]  # Of images, labels, seed and operations.
    batches: Callable[..., tf.data.Dataset]
    transfer: Callable[..., keras.Model]  # Of a source, classes and a start.
    rate_factors: Callable[..., Any]  # Of variables and a factor.
    train_step: Callable[..., tf.Tensor]
    unfreeze: Callable[..., None]  # Of a model and a rate.


class Study:
    """Trains a small network on draws of CIFAR-10, from several starts.

    Args:
        run: Gets curves, figures and what was measured.
        settings: The exercise's config.
        methods: The exercise's functions.
        operations: What can be done to a batch, by name.

    Raises:
        UserError: If the settings don't fit the images.
    """

    def __init__(
        self,
        run: Run,
        settings: Any,
        methods: Methods,
        operations: Mapping[str, Callable[..., Any]],
    ):
        self.run = run
        self.settings = s = settings
        self.methods = methods
        self.operations = operations
        (images, labels), info = data.load_arrays("cifar10", "train", source=s.source)
        test, test_info = data.load_arrays("cifar10", "test", source=s.source)
        run.record_data(info)
        run.record_data(test_info)
        self.class_names = info.class_names
        if not s.train_on_all:
            images, val_images, labels, val_labels = train_test_split(
                images,
                labels,
                test_size=s.num_val,
                stratify=labels,
                random_state=s.seed,
            )
            test = val_images, val_labels
        self.train: Part = images.astype(np.float32) / 255, labels
        self.scored: Part = test[0].astype(np.float32) / 255, test[1]
        # Accuracies by group, way, images and draw.
        self.measured: dict[tuple[str, str, int, int], float] = {}
        self._trainers: dict[tuple[int, bool], Trainer] = {}
        self._scored_ds: dict[tuple[int, ...], tf.data.Dataset] = {}
        if max(s.sizes) > len(labels):
            raise UserError(
                f"sizes <= {len(labels)}, the training images; got {max(s.sizes)}"
            )
        if s.num_labels not in s.sizes:
            raise UserError(f"sizes must contain num_labels, {s.num_labels}")
        if len(s.draws) != len(s.sizes):
            raise UserError("give one number of draws for each of the sizes")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.train[0].shape[1:]

    @property
    def all_classes(self) -> tuple[int, ...]:
        """The labels."""
        return tuple(range(len(self.class_names)))

    def network(self, num_classes: int) -> keras.Model:
        """Return the small network with fresh weights."""
        return small_cnn(self.image_shape, num_classes, self.settings.widths)

    def draws(self, size: int) -> list[int]:
        """Return the seeds of the draws of so many images."""
        first = DRAWS_PER_SEED * self.settings.seed
        count = dict(zip(self.settings.sizes, self.settings.draws, strict=True))[size]
        return list(range(first, first + count))

    def subset(self, num_images: int, classes: tuple[int, ...], seed: int) -> Part:
        """Return training images of some classes, of each as many, by the seed."""
        images, labels = of_classes(self.train, classes)
        if num_images < len(labels):
            images, _, labels, _ = train_test_split(
                images,
                labels,
                train_size=num_images,
                stratify=labels,
                random_state=seed,
            )
        return images, labels

    def change(self, names: Sequence[str]) -> Callable[..., Any]:
        """Return the named operations, one after another, as one.

        Raises:
            UserError: If there is no such operation.
        """
        unknown = set(names) - set(self.operations)
        if unknown:
            known = ", ".join(self.operations)
            raise UserError(f"operations are {known}; got {', '.join(unknown)}")
        chosen = [self.operations[name] for name in names]
        return functools.partial(self.methods.augment, operations=chosen)

    def trial(
        self,
        group: str,
        way: str,
        source: keras.Model,
        *,
        size: int,
        seed: int,
        start: str = "scratch",
        names: Sequence[str] = (),
        factor: float = 1.0,
        classes: tuple[int, ...] | None = None,
    ) -> float:
        """Return the accuracy after one training, recorded for HParams.

        Args:
            group: What it is compared with.
            way: Its name in the group.
            source: Gives the trunk.
            size: Images with a label.
            seed: Of the draw, and of all that is random.
            start: As for `transfer`.
            names: Of the operations.
            factor: From a block's rate to the one before.
            classes: That are told apart; by default all.
        """
        chosen = self.all_classes if classes is None else classes
        stage = f"{group}/{re.sub('[^a-z0-9]+', '_', way)}_{size}_{seed}"

        def measure() -> list[float]:
            part = self.subset(size, chosen, seed)
            rate = self.settings.rate
            rate = rate if start == "scratch" else self.settings.tuned_rate
            keras.utils.set_random_seed(seed)
            model = self.methods.transfer(source, len(chosen), start)
            trainer = self._trainer(model, len(chosen), frozen=start == "frozen")
            factors = self.methods.rate_factors(model.trainable_variables, factor)
            train_ds = self._batches(part, len(chosen), names, seed)
            first, last = trainer.train(model, train_ds, rate=rate, factors=factors)
            scored, labels = of_classes(self.scored, chosen)
            if chosen not in self._scored_ds:
                self._scored_ds[chosen] = self._scoring(scored, labels, len(chosen))
            reached = trainer.accuracy(self._scored_ds[chosen], len(labels))
            return [reached, first, last]

        reached, first, last = self.run.once(stage, measure)
        hparams = {"group": group, "way": way, "images": size, "draw": seed}
        metrics = {"accuracy": reached, "first_loss": first, "last_loss": last}
        self.run.hparams(stage, hparams | {"start": start}, metrics)
        self.measured[group, way, size, seed] = float(reached)
        return float(reached)

    def fit(
        self,
        name: str,
        model: keras.Model,
        train_ds: tf.data.Dataset,
        val: Part,
        *,
        epochs: int,
        steps_per_epoch: int,
    ) -> dict[str, list[float]]:
        """Compile and train a source by `fit`, and return its history."""
        s = self.settings
        optimizer = decaying_sgd(epochs * steps_per_epoch, s.rate, s.decay)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, metrics=["accuracy"])
        return self.fit_compiled(name, model, train_ds, val, epochs=epochs)

    def fit_compiled(
        self,
        name: str,
        model: keras.Model,
        train_ds: tf.data.Dataset,
        val: Part,
        *,
        epochs: int,
    ) -> dict[str, list[float]]:
        """Train a compiled model by `fit`, and return its history.

        Args:
            name: Of the stage in the run.
            model: From images to logits.
            train_ds: One epoch of images and labels.
            val: Images, and labels float32 [n, classes].
            epochs: Number of epochs.
        """
        callbacks = self.run.callbacks(name, epochs=epochs, train_ds=train_ds)
        history = model.fit(
            train_ds,
            epochs=epochs,
            validation_data=val,
            validation_batch_size=SCORED_BATCH,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )
        return history.history

    def _trainer(
        self, model: keras.Model, num_classes: int, *, frozen: bool
    ) -> Trainer:
        key = num_classes, frozen
        if key not in self._trainers:
            step, s = self.methods.train_step, self.settings
            self._trainers[key] = Trainer(
                model, step, num_steps=s.num_steps, decay=s.decay
            )
        return self._trainers[key]

    def _batches(
        self, part: Part, num_classes: int, names: Sequence[str], seed: int
    ) -> tf.data.Dataset:
        images, labels = part
        return self.methods.batches(
            images,
            one_hot(labels, num_classes),
            self.change(names),
            batch_size=self.settings.batch_size,
            seed=seed,
            training=True,
        )

    def _scoring(
        self, images: np.ndarray, labels: np.ndarray, num_classes: int
    ) -> tf.data.Dataset:
        return self.methods.batches(
            images,
            one_hot(labels, num_classes),
            self.change(()),
            batch_size=SCORED_BATCH,
            seed=0,
            training=False,
        )


def of_classes(part: Part, classes: tuple[int, ...]) -> Part:
    """Return the examples of some classes, their labels counted from 0 in this order."""
    images, labels = part
    place = np.full(int(labels.max()) + 1, -1)
    place[list(classes)] = np.arange(len(classes))
    chosen = place[labels] >= 0
    if chosen.all():
        return images, place[labels]
    return images[chosen], place[labels[chosen]]


def one_hot(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return labels as rows with a 1: float32 [n, classes]."""
    return np.eye(num_classes, dtype=np.float32)[labels]
