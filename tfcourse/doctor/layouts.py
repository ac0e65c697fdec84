"""Scalars that `Recorder` and Keras did not name: which of them is the loss.

PyTorch's `SummaryWriter`, Lightning and hand-written loops put everything into one
folder: `loss` and `val_loss`, `Loss/train` and `Loss/val`, `accuracy/validation`. What is
clearly one of these gets Keras's name as well; what is not clear stays as it is.
"""

from __future__ import annotations

import re

import numpy as np

from tfcourse.doctor.record import Record
from tfcourse.doctor.series import Series, Steps

TRAIN_WORDS = frozenset({"train", "training"})
VALIDATION_WORDS = frozenset(
    {"val", "valid", "validation", "eval", "evaluation", "dev"}
)
TEST_WORDS = frozenset({"test", "testing"})  # Validation, if nothing else is.
EPOCH_WORDS = frozenset({"epoch"})
# What is known to be a metric or a setting, and Keras's name of it.
QUANTITIES = {
    "loss": "loss",
    "acc": "accuracy",
    "accuracy": "accuracy",
    "binary_accuracy": "binary_accuracy",
    "categorical_accuracy": "categorical_accuracy",
    "sparse_categorical_accuracy": "sparse_categorical_accuracy",
    "top1": "accuracy",
    "top_1_accuracy": "accuracy",
    "mae": "mae",
    "mean_absolute_error": "mae",
    "mse": "mse",
    "mean_squared_error": "mse",
    "rmse": "rmse",
    "auc": "auc",
    "f1": "f1",
    "precision": "precision",
    "recall": "recall",
    "perplexity": "perplexity",
    "lr": "learning_rate",
    "learning_rate": "learning_rate",
}
# Losses per step beside losses per epoch: this many times as many points.
DENSE = 3
# Without a validation to compare with, more points than this are steps, not epochs.
MAX_EPOCHS = 1000
NUM_STRETCHES = 100


def add_keras_names(record: Record) -> None:
    """Give clear training and validation curves the tags `epoch_<name>`, in place."""
    if "epoch_loss" in record.train or "epoch_loss" in record.validation:
        return
    found: dict[tuple[str, str], tuple[str, Series]] = {}
    for side, tags in (("train", record.train), ("validation", record.validation)):
        for tag in sorted(tags, key=len):
            meant = meaning(tag)
            if meant is None:
                continue
            word, name = meant
            target = word or side
            if side == "validation" and target == "train":
                continue
            found.setdefault((target, name), (tag, tags[tag]))
    for (target, name), (tag, curve) in found.items():
        if target == "test":
            if ("validation", name) in found:
                continue
            target = "validation"
        home = record.train if target == "train" else record.validation
        if f"epoch_{name}" not in home:
            home[f"epoch_{name}"] = curve
            record.aliases[f"{target}/epoch_{name}"] = tag
    _average_dense_series(record)


def meaning(tag: str) -> tuple[str, str] | None:
    """Return the side ("train", "validation", "test" or "") and Keras's name, if clear.

    >>> meaning("Loss/val"), meaning("train_acc"), meaning("loss_G")
    (('validation', 'loss'), ('train', 'accuracy'), None)
    """
    words = [word for word in re.split(r"[/_\-. ]+", tag.lower()) if word]
    sides = {
        side
        for side, known in (
            ("train", TRAIN_WORDS),
            ("validation", VALIDATION_WORDS),
            ("test", TEST_WORDS),
        )
        if known.intersection(words)
    }
    known = TRAIN_WORDS | VALIDATION_WORDS | TEST_WORDS | EPOCH_WORDS
    name = QUANTITIES.get("_".join(word for word in words if word not in known))
    if name is None or len(sides) > 1:
        return None
    return (sides.pop() if sides else ""), name


def _average_dense_series(record: Record) -> None:
    """Make a curve of each step a mean per epoch, in place.

    Keras's `epoch_loss` is the mean over the epoch. A single batch's loss against a mean
    over the validation data would compare noise. The values per step stay, as `step/`.
    """
    for alias in record.aliases:
        side, _, name = alias.partition("/")
        if side != "train" or name == "epoch_learning_rate":
            continue
        dense, checks = record.train[name], record.validation.get(name)
        if checks is None or len(checks) < 2:
            if len(dense) <= MAX_EPOCHS:
                continue
            steps = _even_ends(dense, NUM_STRETCHES)
            ends: Steps | None = steps
        else:
            if len(dense) < DENSE * len(checks):
                continue
            ends, steps = _ends(dense, checks), checks.steps
        if ends is not None:
            record.train.setdefault(f"step/{name.removeprefix('epoch_')}", dense)
            record.train[name] = _means(dense, ends, steps)


def _ends(dense: Series, checks: Series) -> Steps | None:
    """Return the step at which each of the epochs ended, or None if that isn't clear."""
    if checks.steps[-1] > dense.steps[-1] / 2:  # Both count steps.
        return checks.steps
    if (np.diff(checks.steps) == 1).all():  # The checks count epochs.
        return _even_ends(dense, len(checks))
    return None


def _even_ends(dense: Series, num_stretches: int) -> Steps:
    """Return the last steps of as many stretches of equal length."""
    first = int(dense.steps[0])
    num_steps = int(dense.steps[-1]) - first + 1
    ends = [
        first + num_steps * i // num_stretches - 1 for i in range(1, num_stretches + 1)
    ]
    return np.array(ends, dtype=np.int64)


def _means(dense: Series, ends: Steps, steps: Steps) -> Series:
    """Return the mean of `dense` up to each of the ends, where it has any."""
    places = np.searchsorted(dense.steps, ends, side="right")
    starts = np.concatenate([[0], places[:-1]])
    filled = np.flatnonzero(places > starts)
    means = [float(np.mean(dense.values[starts[i] : places[i]])) for i in filled]
    return Series(steps[filled], np.array(means, dtype=np.float64))
