"""What exercise 10 compares: numbers of parameters, depths, and one long training."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from tfcourse import plots
from tfcourse import residual_figures as figures
from tfcourse.residual_study import Study, averaged, confusion
from tfcourse.runs import Run

Build = Callable[[Any], keras.Model]  # Of an input shape.

KINDS = ("plain", "residual")


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


def gradients_at_the_start(
    study: Study, networks: Mapping[str, Build], gradient_norms: Callable[..., Any]
) -> dict[str, list[float]]:
    """Return the norms of the kernels' gradients before the first step, by name.

    Args:
        study: Its settings have `study_size`, `study_images` and `norm_images`.
        networks: Build a model from an input shape.
        gradient_norms: Of a model, images and labels.
    """
    settings = study.settings
    images, labels = study.small_part(settings.study_images, settings.study_size)
    batch = images[: settings.norm_images], labels[: settings.norm_images]

    def measure(build: Build) -> list[float]:
        model = build(images.shape[1:])
        return np.asarray(gradient_norms(model, *batch)).tolist()

    return {
        name: study.run.once(f"gradients/{name}", functools.partial(measure, build))
        for name, build in networks.items()
    }


def compare_depths(
    study: Study, networks: Mapping[str, Build]
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return training errors by epoch and test errors of plain and residual networks.

    All are trained alike. An epoch's error is the mean over its batches, as they come.

    Args:
        study: Its settings have `study_images`, `study_size`, `study_epochs`,
            `study_batch` and `study_rate`.
        networks: Build a model from an input shape, by `plain_<depth>` and
            `residual_<depth>`; others are left out.
    """
    settings = study.settings
    part = study.small_part(settings.study_images, settings.study_size)
    test = averaged(study.parts["test"][0], settings.study_size), study.parts["test"][1]
    errors, test_errors = {}, {}
    for name, build in networks.items():
        kind, _, depth = name.partition("_")
        if kind not in KINDS:
            continue
        model = build(part[0].shape[1:])
        history = study.train(
            f"depths/{name}",
            model,
            part,
            epochs=settings.study_epochs,
            batch_size=settings.study_batch,
            peak_rate=settings.study_rate,
        )
        errors[name] = [1 - accuracy for accuracy in history["accuracy"]]
        matrix = confusion(model, test, study.num_classes)
        test_errors[name] = float(1 - np.trace(matrix) / matrix.sum())
        study.run.hparams(
            name,
            {"kind": kind, "depth": int(depth)},
            {"train_error": errors[name][-1], "test_error": test_errors[name]},
        )
    return errors, test_errors


def report_depths(
    study: Study,
    errors: Mapping[str, list[float]],
    test_errors: Mapping[str, float],
    gradients: Mapping[str, list[float]],
) -> dict[str, float]:
    """Draw training errors and gradient norms; return what the depths did.

    Args:
        study: Its settings have `study_depths`, the shallow one first.
        errors: By kind and depth, over the epochs.
        test_errors: By kind and depth.
        gradients: By name, over the kernels.

    Returns:
        `train_error_<kind>_<shallow or deep>` and `test_error_...`; `degradation`, by how
        much the deep plain network's training error is above the shallow one's;
        `residual_degradation`, the same with shortcuts; `residual_gain`, by how much
        shortcuts lower the deep network's; `first_over_last_gradient_<kind>_<place>`.
    """
    shallow, deep = study.settings.study_depths
    networks = {
        f"{kind}_{place}": f"{kind}_{depth}"
        for kind in KINDS
        for place, depth in (("shallow", shallow), ("deep", deep))
    }
    last = {place: errors[name][-1] for place, name in networks.items()}
    study.run.figure("training_error", figures.training_error(errors))
    study.run.figure("gradient_norms", figures.gradient_norms(gradients))
    for name, norms in gradients.items():
        for place, norm in enumerate(norms):
            study.run.scalars(f"gradients/{name}", {"gradient_norm": norm}, place + 1)
    metrics = {f"train_error_{place}": error for place, error in last.items()}
    metrics |= {f"test_error_{place}": test_errors[n] for place, n in networks.items()}
    metrics["degradation"] = last["plain_deep"] - last["plain_shallow"]
    metrics["residual_degradation"] = last["residual_deep"] - last["residual_shallow"]
    metrics["residual_gain"] = last["plain_deep"] - last["residual_deep"]
    for name, norms in gradients.items():
        kind, _, depth = name.rpartition("_")
        place = "shallow" if int(depth) == shallow else "deep"
        metrics[f"first_over_last_gradient_{kind}_{place}"] = norms[0] / norms[-1]
    return metrics


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
