"""The networks whose layers are compared, trained and untrained, and their data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from tfcourse import training
from tfcourse.image_parts import load_image_parts
from tfcourse.images import with_shifts
from tfcourse.runs import Run

Part = tuple[np.ndarray, np.ndarray]  # Images float32 [n, height, width], labels [n].


def load_parts(
    run: Run, source: str, *, val_fraction: float, seed: int
) -> tuple[dict[str, Part], np.ndarray]:
    """Return MNIST as the networks get it, and the test images as they are stored.

    Returns:
        Parts "train", "val" and "test", shifted and scaled by the mean and the deviation
        of the training pixels; uint8 [n, height, width].
    """
    parts, _ = load_image_parts(
        run, "mnist", source, val_fraction=val_fraction, seed=seed
    )
    train_images = parts["train"][0]
    mean, deviation = np.float32(train_images.mean()), np.float32(train_images.std())
    return {
        name: ((images.astype("float32") - mean) / deviation, labels)
        for name, (images, labels) in parts.items()
    }, parts["test"][0]


def make_networks(
    run: Run,
    build: Callable[[], keras.Model],
    parts: Mapping[str, Part],
    settings: Any,
) -> dict[str, keras.Model]:
    """Return "trained", "retrained" and "untrained".

    The untrained one has the weights that the trained one started from; the retrained one
    started from others.

    Args:
        run: Gets curves, histograms and graphs of both trainings.
        build: Returns a new model each time, from float32 [batch, height, width] to logits.
        parts: As `load_parts` returns them.
        settings: Has `epochs`, `batch_size`, `learning_rate`, at the start of a cosine,
            `max_shift`, in pixels, and `seed`.
    """
    networks = {name: build() for name in ("trained", "retrained", "untrained")}
    networks["untrained"].set_weights(networks["trained"].get_weights())
    for name in ("trained", "retrained"):
        _train(name, networks[name], parts, settings, run)
    return networks


def _train(
    name: str, model: keras.Model, parts: Mapping[str, Part], settings: Any, run: Run
) -> None:
    """Train the model on shifted images."""
    images, labels = parts["train"]
    num_steps = settings.epochs * math.ceil(len(labels) / settings.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, num_steps)
    shifted = with_shifts(model, settings.max_shift)
    shifted.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    training.fit(
        shifted,
        images,
        labels,
        validation_data=parts["val"],
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        callbacks=run.callbacks(name, epochs=settings.epochs),
        seed=settings.seed,
    )
