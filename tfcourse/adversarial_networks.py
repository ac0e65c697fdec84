"""Data, training and predictions of networks that are attacked and defended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse import training
from tfcourse.errors import UserError
from tfcourse.image_parts import load_image_parts
from tfcourse.runs import Run
from tfcourse.training.clock import EpochClock

Part = tuple[np.ndarray, np.ndarray]  # Images float32 [n, h, w] in [0, 1], labels [n].
Predict = Callable[[np.ndarray], np.ndarray]
BATCH_SIZE = 1_000  # Of predictions and attacks; training has its own.


def load_parts(run: Run, settings: Any) -> dict[str, Part]:
    """Return parts "train", "val" and "test" of MNIST, grey levels from 0 to 1.

    Args:
        run: Keeps a record of the data.
        settings: Has `source`, `val_fraction`, `num_test_images` (the first so many test
            images are taken) and `seed`.

    Raises:
        UserError: If there are fewer test images than that.
    """
    parts, _ = load_image_parts(
        run,
        "mnist",
        settings.source,
        val_fraction=settings.val_fraction,
        seed=settings.seed,
    )
    test_images, test_labels = parts["test"]
    if settings.num_test_images > len(test_labels):
        raise UserError(
            f"num_test_images <= {len(test_labels)}, the test images that there are; "
            f"got {settings.num_test_images}"
        )
    chosen = slice(settings.num_test_images)
    parts["test"] = test_images[chosen], test_labels[chosen]
    return {
        name: (images.astype(np.float32) / np.float32(255), labels)
        for name, (images, labels) in parts.items()
    }


def small_cnn(
    image_shape: tuple[int, ...],
    num_classes: int,
    filters: tuple[int, ...],
    units: int,
) -> keras.Model:
    """Return a Functional model from float32 [batch, height, width] to logits.

    Source: the network for MNIST in the code of Wong, Rice and Kolter, 2020,
    arXiv:2001.03994: two convolutions with stride 2 and a dense layer.
    """
    options = {"kernel_initializer": "he_normal", "activation": "relu"}
    inputs = keras.Input(image_shape)
    hidden = keras.layers.Reshape((*image_shape, 1))(inputs)  # [batch, h, w, 1]
    for count in filters:  # Each halves height and width.
        hidden = keras.layers.Conv2D(count, 4, 2, "same", **options)(hidden)
    hidden = keras.layers.Flatten()(hidden)
    hidden = keras.layers.Dense(units, **options)(hidden)
    return keras.Model(inputs, keras.layers.Dense(num_classes)(hidden))


def mlp(image_shape: tuple[int, ...], num_classes: int, units: int) -> keras.Model:
    """Return a network of another kind, from the same images to logits."""
    options = {"kernel_initializer": "he_normal", "activation": "relu"}
    inputs = keras.Input(image_shape)
    hidden = keras.layers.Flatten()(inputs)
    hidden = keras.layers.Dense(2 * units, **options)(hidden)
    hidden = keras.layers.Dense(units, **options)(hidden)
    return keras.Model(inputs, keras.layers.Dense(num_classes)(hidden))


def first_kernel(network: keras.Model) -> np.ndarray:
    """Return the kernel of a network's first convolution: [height, width, 1, filters]."""
    layers = [e for e in network.layers if isinstance(e, keras.layers.Conv2D)]
    return np.asarray(layers[0].kernel)


def batches(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the arrays in pieces of at most BATCH_SIZE rows, in their order."""
    for start in range(0, len(arrays[0]), BATCH_SIZE):
        yield tuple(array[start : start + BATCH_SIZE] for array in arrays)


def predictor(model: keras.Model) -> Predict:
    """Return a function from images [n, h, w] to logits float32 [n, classes], in numpy.

    It is all that a black box shows: no gradient comes through.
    """

    @tf.function(reduce_retracing=True)
    def logits_of(images: tf.Tensor) -> tf.Tensor:
        return model(images, training=False)

    def predict(images: np.ndarray) -> np.ndarray:
        images = np.asarray(images, np.float32)
        pieces = [tf.convert_to_tensor(piece) for (piece,) in batches(images)]
        return np.concatenate([logits_of(piece).numpy() for piece in pieces])

    return predict


def accuracy(predict: Predict, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of images that are classified as their labels."""
    return float(np.mean(predict(images).argmax(axis=-1) == labels))


class ProcessorClock(keras.callbacks.Callback):
    """Adds `processor_seconds` to each epoch's logs: of all cores together.

    On a machine that others use too, they say more about the cost than wall time does.
    """

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock."""
        self._started = time.process_time()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the epoch's processor seconds."""
        if logs is not None:
            logs["processor_seconds"] = time.process_time() - self._started


class AttackValidation(keras.callbacks.Callback):
    """Adds the accuracies on validation images, clean and attacked, to an epoch's logs.

    Args:
        network: What is validated: from images to logits.
        part: Validation images and labels.
        attacks: By the name in the logs: from images and labels to adversarial images.
    """

    def __init__(
        self,
        network: keras.Model,
        part: Part,
        attacks: Mapping[str, Callable[..., Any]],
    ):
        super().__init__()
        self.images, self.labels = part
        self.attacks = attacks
        self._predict = predictor(network)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add `val_accuracy` and `val_accuracy_<attack>`."""
        if logs is None:
            return
        logs["val_accuracy"] = accuracy(self._predict, self.images, self.labels)
        for name, attack in self.attacks.items():
            attacked = attack(self.images, self.labels)
            key = f"val_accuracy_{name}"
            logs[key] = accuracy(self._predict, attacked, self.labels)


def train(
    run: Run,
    name: str,
    model: keras.Model,
    parts: Mapping[str, Part],
    settings: Any,
    *,
    epochs: int,
    validation: AttackValidation | None = None,
) -> dict[str, list[float]]:
    """Train the model with Adam, its rate falling to 0; return the history by epoch.

    Args:
        run: Gets curves, histograms and resume points under `name`.
        name: Of the stage.
        model: Trained as it says itself (its `train_step`), or, if it is an ordinary
            model, on the cross-entropy of its logits.
        parts: As `load_parts` returns them.
        settings: Has `batch_size`, `learning_rate` and `seed`.
        epochs: Of the training.
        validation: What is measured after each epoch, if the model says itself how it is
            trained.

    Returns:
        What was logged; `seconds` and `processor_seconds` are without the validation by
        attacks.
    """
    images, labels = parts["train"]
    num_steps = epochs * math.ceil(len(labels) / settings.batch_size)
    warmup = num_steps // 20  # The first batches of a new network have large gradients.
    rate = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 100,
        num_steps - warmup,
        alpha=0.0,
        warmup_target=settings.learning_rate,
        warmup_steps=warmup,
    )
    own_step = type(model).train_step is not keras.Model.train_step
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.Adam(rate),
        None if own_step else loss,
        metrics=None if own_step else ["accuracy"],
    )
    history = training.fit(
        model,
        images,
        labels,
        validation_data=None if own_step else parts["val"],
        batch_size=settings.batch_size,
        epochs=epochs,
        callbacks=[
            EpochClock(),
            ProcessorClock(),
            *([validation] if validation else []),
            *run.callbacks(name, epochs=epochs),
        ],
        seed=settings.seed,
        engine="fit" if own_step else "auto",
    )
    return history.history
