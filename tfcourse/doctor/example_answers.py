"""What neighbours, a linear model and single inputs tell of the targets.

Plain numpy, on some hundred examples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcourse.doctor.example_points import (
    MAX_FEATURES,
    Points,
    distances,
    features,
    fingerprints,
    finite_floats,
)
from tfcourse.doctor.example_statistics import as_labels, target_kind

NUM_COMPARED = 500  # Examples in comparisons of all with all.
NUM_NEIGHBOURS = 5
NUM_MIXTURES = 8  # Of the entries of large targets, such as images.
MIN_FEATURES = 4  # Of fewer, one may well tell the label by itself.


def agreement(
    inputs: dict[str, list[np.ndarray]],
    targets: dict[str, list[np.ndarray]],
    place: int = 0,
) -> dict[str, Any]:
    """Return how well neighbours and a linear model tell a target: the first one.

    For each side: leaving one out ("train", "validation"), and from the one side to the
    other ("across"). Shares of right labels, or of explained variance, with the share
    that the largest class (0 for values) gets by itself. Of targets as large as images,
    random mixtures of their entries are told ("reduced").
    """
    record: dict[str, Any] = {}
    prepared: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    like: Points | None = None
    for side in ("train", "validation"):
        arrays = inputs.get(side, [])
        if not arrays or len(targets.get(side, [])) <= place:
            continue
        target = targets[side][place]
        _, first = np.unique(np.array(fingerprints(arrays)), return_index=True)
        first = np.sort(np.random.default_rng(0).permutation(first)[:NUM_COMPARED])
        points = features([array[first] for array in arrays], like)
        answers = as_answers(target[first])
        if answers is None:
            answers, record["reduced"] = mixtures(target[first]), True
        if points is None or answers is None or len(first) < 20:
            continue
        like = like or points
        prepared[side] = points.scaled, answers
        record[side] = leave_one_out(points.scaled, answers)
    if len(prepared) == 2 and _same_width(prepared):
        record["across"] = from_to(*prepared["train"], *prepared["validation"])
    return record


def giveaway(inputs: list[np.ndarray], target: np.ndarray) -> dict[str, float]:
    """Return how much of the target single features explain: the best two, of 0 to 1.

    Of classes the share of a feature's variance that lies between them, of values the
    squared correlation. Empty for few features, images of targets, and few examples.
    """
    answers = as_answers(target)
    tables = [
        finite_floats(a).reshape(len(a), -1) for a in inputs if a.dtype.kind == "f"
    ]
    if answers is None or not tables or len(answers) < 50:
        return {}
    if answers.shape[1] > 1 and not is_one_hot(answers):
        return {}  # An input that comes back among many targets is to be rebuilt.
    table = np.concatenate(tables, axis=1)
    if not MIN_FEATURES <= table.shape[1] <= MAX_FEATURES or len(table) != len(answers):
        return {}
    centred = table - table.mean(axis=0)
    variance = np.square(centred).mean(axis=0)
    live = variance > 1e-12
    if is_one_hot(answers):
        counts = np.maximum(answers.sum(axis=0), 1)
        means = answers.T @ centred / counts[:, None]  # [classes, features]
        between = (counts[:, None] * np.square(means)).sum(axis=0) / len(answers)
        explained = between[live] / variance[live]
    else:
        aim = answers[:, 0] - answers[:, 0].mean()
        scale = max(float(np.square(aim).mean()), 1e-12)
        explained = (
            np.square(centred[:, live].T @ aim / len(aim)) / variance[live] / scale
        )
    order = np.sort(explained)[::-1]
    if len(order) < 2:
        return {}
    return {"best": float(order[0]), "next": float(order[1])}


def _same_width(prepared: dict[str, tuple[np.ndarray, np.ndarray]]) -> bool:
    widths = {(p.shape[1], a.shape[1]) for p, a in prepared.values()}
    return len(widths) == 1


def as_answers(target: np.ndarray) -> np.ndarray | None:
    """Return one-hot classes [n, classes] or values [n, size]; None for images."""
    flat = target.reshape(len(target), -1).astype(np.float64)
    kind = target_kind(flat, target.dtype)
    if kind == "large" or not np.isfinite(flat).all():
        return None
    labels = as_labels(flat, kind)
    if labels is None:
        return flat
    width = flat.shape[1] if kind == "one_hot" else int(labels.max()) + 1
    return np.asarray(np.eye(max(width, 2))[labels])


def mixtures(target: np.ndarray) -> np.ndarray | None:
    """Return eight random mixtures of each target's entries [n, 8]; None if not finite."""
    flat = target.reshape(len(target), -1).astype(np.float64)
    if not np.isfinite(flat).all():
        return None
    rng = np.random.default_rng(flat.shape[1])
    return flat @ rng.normal(size=(flat.shape[1], NUM_MIXTURES))


def leave_one_out(points: np.ndarray, answers: np.ndarray) -> dict[str, Any]:
    """Return the scores of neighbours and of ridge regression, leaving one out."""
    between = distances(points, points)
    np.fill_diagonal(between, np.inf)
    nearest = np.argsort(between, axis=1)[:, :NUM_NEIGHBOURS]
    record = {"num_examples": len(points), "baseline": baseline(answers)}
    record["neighbours"] = score(answers[nearest].mean(axis=1), answers)
    # The hat matrix of ridge regression gives all left-out predictions at once.
    kernel = points @ points.T / points.shape[1]
    centred = answers - answers.mean(axis=0)
    ridge = 0.1 * np.eye(len(points), dtype=kernel.dtype)
    hat = np.linalg.solve(kernel + ridge, kernel)  # Both commute.
    residual = (centred - hat @ centred) / np.maximum(1 - np.diag(hat), 1e-6)[:, None]
    record["linear"] = score(answers - residual, answers)
    return record


def from_to(
    points: np.ndarray, answers: np.ndarray, queries: np.ndarray, truth: np.ndarray
) -> dict[str, Any]:
    """Return how well neighbours among the training examples tell the others."""
    nearest = np.argsort(distances(queries, points), axis=1)[:, :NUM_NEIGHBOURS]
    guesses = answers[nearest].mean(axis=1)
    return {"neighbours": score(guesses, truth), "baseline": baseline(truth)}


def is_one_hot(answers: np.ndarray) -> bool:
    """Return whether the answers [n, k] are classes."""
    return answers.shape[1] > 1 and bool(
        np.isin(answers, (0.0, 1.0)).all() and (answers.sum(axis=1) == 1).all()
    )


def score(guesses: np.ndarray, answers: np.ndarray) -> float:
    """Return the accuracy, or the share of explained variance (at least -1)."""
    if is_one_hot(answers):
        return float((guesses.argmax(axis=1) == answers.argmax(axis=1)).mean())
    variance = np.square(answers - answers.mean(axis=0)).mean()
    error = np.square(guesses - answers).mean()
    return float(max(-1.0, 1 - error / variance)) if variance else 0.0


def baseline(answers: np.ndarray) -> float:
    """Return what a constant guess scores."""
    return float(answers.mean(axis=0).max()) if is_one_hot(answers) else 0.0
