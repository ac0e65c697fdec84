"""What exercise 10 compares: numbers of parameters, depths, and one long training."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from tfcourse import plots
from tfcourse import residual_figures as figures
from tfcourse.residual_study import Part, Study, averaged, confusion
from tfcourse.runs import Run

Build = Callable[..., keras.Model]  # Of an input shape, and where it says so `depth`.

TRAINED = ("plain", "residual")
NUM_NORM_IMAGES = 128  # A batch, for the gradients' norms.


def count_parameters(
    run: Run, builders: Mapping[str, Callable[[], keras.Model]]
) -> dict[str, float]:
    """Return `<name>_parameters`: how many numbers of each model are trained.

    A table goes to TensorBoard.
    """

    def count(build: Callable[[], keras.Model]) -> int:
        return sum(int(np.prod(v.shape)) for v in build().trainable_variables)

    counts = {
        name: run.once(f"parameters/{name}", functools.partial(count, build))
        for name, build in builders.items()
    }
    rows = [f"| {name} | {count:,} |" for name, count in counts.items()]
    table = ["| network | trained parameters |", "|:--|--:|", *rows]
    run.text("parameters", "\n".join(table))
    print("\n".join(table))
    return {f"{name}_parameters": float(count) for name, count in counts.items()}


def compare_depths(
    study: Study, kinds: Mapping[str, Build], gradient_norms: Callable[..., Any]
) -> dict[str, float]:
    """Return what depth does to gradients and errors, with and without shortcuts.

    Plain and residual networks of both depths are trained alike, on small images. The
    gradients are those before the first step, of one batch.

    Args:
        study: Its settings have `study_depths`, the shallow one first, `study_images`,
            `study_size`, `study_epochs`, `study_batch` and `study_rate`.
        kinds: Build a model from an input shape and `depth`: "plain" and "residual" are
            trained; of others the gradients alone are measured, of the deep network.
        gradient_norms: Of a model, images and labels: a number for each kernel.

    Returns:
        `train_error_<kind>_<shallow or deep>` and `test_error_...`; `degradation`, by how
        much the deep plain network's training error is above the shallow one's;
        `residual_degradation`, the same with shortcuts; `residual_gain`, by how much
        shortcuts lower the deep network's; `first_over_last_gradient_<kind>_<place>`.
    """
    settings = study.settings
    places = dict(zip(settings.study_depths, ("shallow", "deep"), strict=True))
    part = study.small_part(settings.study_images, settings.study_size)
    gradients, metrics = {}, {}
    for (depth, place), kind in itertools.product(places.items(), kinds):
        if kind in TRAINED or place == "deep":
            build = functools.partial(kinds[kind], depth=depth)
            norms = _norms(study, f"{kind}_{depth}", build, part, gradient_norms)
            gradients[f"{kind}_{depth}"] = norms
            metrics[f"first_over_last_gradient_{kind}_{place}"] = norms[0] / norms[-1]
    study.run.figure("gradient_norms", figures.gradient_norms(gradients))
    curves, last = {}, {}
    for (depth, place), kind in itertools.product(places.items(), TRAINED):
        build = functools.partial(kinds[kind], depth=depth)
        errors, test_error = _errors(study, kind, depth, build, part)
        curves[f"{kind}_{depth}"] = errors
        last[kind, place] = errors[-1]
        metrics[f"train_error_{kind}_{place}"] = errors[-1]
        metrics[f"test_error_{kind}_{place}"] = test_error
    size = settings.study_size
    title = f"training error, {len(part[0]):,} images of {size}x{size} pixels"
    study.run.figure("training_error", figures.training_error(curves, title))
    metrics["degradation"] = last["plain", "deep"] - last["plain", "shallow"]
    metrics["residual_degradation"] = (
        last["residual", "deep"] - last["residual", "shallow"]
    )
    metrics["residual_gain"] = last["plain", "deep"] - last["residual", "deep"]
    return metrics


def _norms(
    study: Study,
    name: str,
    build: Build,
    part: Part,
    gradient_norms: Callable[..., Any],
) -> list[float]:
    """Return the norms of the kernels' gradients before the first step."""
    images, labels = (array[:NUM_NORM_IMAGES] for array in part)

    def measure() -> list[float]:
        model = build(images.shape[1:])
        return np.asarray(gradient_norms(model, images, labels)).tolist()

    norms: list[float] = study.run.once(f"gradients/{name}", measure)
    for place, norm in enumerate(norms):
        study.run.scalars(f"gradients/{name}", {"gradient_norm": norm}, place + 1)
    return norms


def _errors(
    study: Study, kind: str, depth: int, build: Build, part: Part
) -> tuple[list[float], float]:
    """Return a network's training error by epoch, and its test error.

    An epoch's error is the mean over its batches, as they come.
    """
    settings, name = study.settings, f"{kind}_{depth}"
    model = build(part[0].shape[1:])
    history = study.train(
        f"depths/{name}",
        model,
        part,
        epochs=settings.study_epochs,
        batch_size=settings.study_batch,
        peak_rate=settings.study_rate,
    )
    errors = [1 - accuracy for accuracy in history["accuracy"]]
    images, labels = study.parts["test"]
    test = averaged(images, settings.study_size), labels
    matrix = confusion(model, test, study.num_classes)
    test_error = float(1 - np.trace(matrix) / matrix.sum())
    outcome = {"train_error": errors[-1], "test_error": test_error}
    study.run.hparams(name, {"kind": kind, "depth": depth}, outcome)
    return errors, test_error


def train_for_accuracy(study: Study, model: keras.Model) -> dict[str, float]:
    """Return the accuracies of a model after a training on all training images.

    Args:
        study: Its settings have `depth`, `epochs`, `batch_size` and `peak_rate`.
        model: From images to logits.
    """
    settings = study.settings
    name = f"resnet_{settings.depth}"
    history = study.train(
        name,
        model,
        study.parts["train"],
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        peak_rate=settings.peak_rate,
        validate=True,
        histograms=True,
    )
    matrix = confusion(model, study.parts["test"], study.num_classes)
    study.run.figure("learning_curves", plots.loss_curves({name: history}))
    study.run.figure("confusion", plots.confusion_matrix(matrix, study.class_names))
    return {
        "train_accuracy": history["accuracy"][-1],
        "val_accuracy": history["val_accuracy"][-1],
        "test_accuracy": float(np.trace(matrix) / matrix.sum()),
    }
