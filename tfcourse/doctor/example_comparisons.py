"""Examples beside one another: duplicates, shifts, and what neighbours tell of labels.

Plain numpy, on some hundred examples.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from tfcourse.doctor.example_statistics import (
    as_labels,
    describe_input,
    describe_target,
    per_feature,
    target_kind,
)
from tfcourse.doctor.examples import Examples

NUM_COMPARED = 500  # Examples in comparisons of all with all.
MAX_FEATURES = 1024
NUM_NEIGHBOURS = 5
MIN_FEATURES = 4  # Of fewer, one may well tell the label by itself.


def describe(train: Examples, validation: Examples) -> dict[str, Any]:
    """Return scales, labels, agreement, overlap and shift of the kept examples."""
    record: dict[str, Any] = {}
    sides = {"train": train, "validation": validation}
    inputs = {name: side.inputs() for name, side in sides.items() if side}
    targets = {name: side.targets() for name, side in sides.items() if side}
    for name, arrays in inputs.items():
        record[f"{name}_inputs"] = [describe_input(array) for array in arrays]
    for name, arrays in targets.items():
        record[f"{name}_targets"] = [describe_target(array) for array in arrays]
    if "validation" in inputs and inputs["train"]:
        record["overlap"] = overlap(inputs["train"], inputs["validation"])
        record["shift"] = shift(inputs["train"], inputs["validation"])
    record["agreement"] = agreement(inputs, targets)
    if inputs.get("train") and targets.get("train"):
        record["giveaway"] = giveaway(inputs["train"], targets["train"][0])
    return record


class Points:
    """Examples as points whose features are of one scale: [n, features], float32."""

    def __init__(self, table: np.ndarray, centre: np.ndarray, spread: np.ndarray):
        self.centre = centre
        self.spread = spread
        self.scaled = ((table - centre) / spread).astype(np.float32)


def features(arrays: list[np.ndarray], like: Points | None) -> Points | None:
    """Return the inputs of examples as points; scaled as those of `like` if given.

    Whole numbers (tokens) become counts; of too many features an even choice is taken.
    """
    tables = []
    for array in arrays:
        flat = array.reshape(len(array), -1)
        if array.dtype.kind in "iu" and array.dtype.itemsize > 1 and flat.shape[1] > 1:
            flat = token_counts(flat)
        tables.append(finite_floats(flat))
    if not tables or any(len(table) != len(tables[0]) for table in tables):
        return None
    if len(tables) == 2 and tables[0].shape == tables[1].shape:
        tables.append(np.abs(tables[0] - tables[1]))  # Pairs are judged by difference.
    table = np.concatenate(tables, axis=1)
    if table.shape[1] > MAX_FEATURES:
        columns = np.linspace(0, table.shape[1] - 1, MAX_FEATURES).astype(int)
        table = table[:, columns]
    if like is not None:
        if table.shape[1] != len(like.centre):
            return None
        return Points(table, like.centre, like.spread)
    spread = table.std(axis=0)
    # Pixels that hardly vary would be noise if they were scaled up.
    spread = np.maximum(spread, 0.1 * spread.mean() + 1e-12)
    return Points(table, table.mean(axis=0), spread)


def token_counts(tokens: np.ndarray) -> np.ndarray:
    """Return how often each token occurs: [n, buckets], with a square root taken."""
    buckets = tokens.astype(np.int64) % MAX_FEATURES
    counts = np.zeros((len(tokens), MAX_FEATURES), np.float32)
    for column in buckets.T:
        counts[np.arange(len(tokens)), column] += 1
    return np.sqrt(counts)


def fingerprints(arrays: list[np.ndarray]) -> list[bytes]:
    """Return a hash of each example over all inputs."""
    tables = [np.ascontiguousarray(a, np.float32).reshape(len(a), -1) for a in arrays]
    return [
        hashlib.blake2b(
            b"".join(t[i].tobytes() for t in tables), digest_size=8
        ).digest()
        for i in range(len(tables[0]))
    ]


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return squared distances [n, m] of points [n, d] and [m, d]."""
    squares = np.square(one).sum(axis=1)[:, None] + np.square(other).sum(axis=1)[None]
    return np.maximum(squares - 2 * one @ other.T, 0.0)


def overlap(train: list[np.ndarray], validation: list[np.ndarray]) -> dict[str, Any]:
    """Return how many kept validation examples are kept training examples as well.

    near: examples that lie a hundred times closer to a training example than two of the
    validation set lie to each other, or the same up to a small error.
    """
    marks = fingerprints(train)
    seen = set(marks)
    prints = fingerprints(validation)
    record: dict[str, Any] = {
        "num_train": len(seen),
        "num_validation": len(prints),
        "exact": sum(mark in seen for mark in prints),
        "repeated_in_validation": len(prints) - len(set(prints)),
    }
    _, first = np.unique(np.array(marks), return_index=True)
    points = features([array[np.sort(first)] for array in train], None)
    if points is None:
        return record
    queries = features(validation, points)
    scaled = points.scaled[:NUM_COMPARED]
    if queries is None or queries.scaled.shape[1] != scaled.shape[1]:
        return record
    others = queries.scaled[:NUM_COMPARED]
    to_train = np.sqrt(distances(others, scaled).min(axis=1, initial=np.inf))
    among = distances(others, others)
    np.fill_diagonal(among, np.inf)
    typical = np.sqrt(np.median(among.min(axis=1, initial=np.inf)))
    record["num_compared"] = len(scaled)
    record["num_queries"] = len(others)
    record["near"] = int((to_train < 0.1 * typical).sum())
    record["near_in_validation"] = int(
        (np.sqrt(among.min(axis=1, initial=np.inf)) < 0.1 * typical).sum()
    )
    return record


def shift(train: list[np.ndarray], validation: list[np.ndarray]) -> dict[str, Any]:
    """Return how far the validation inputs lie from the training inputs.

    mean_shift: over features (columns, or channels), the largest difference of means in
    training standard deviations; noise: what two samples of these sizes differ by.
    std_ratio: the spread of the validation inputs over that of the training inputs.
    """
    largest: dict[str, Any] = {}
    for one, other in zip(train, validation, strict=False):
        if one.ndim != other.ndim or one.dtype.kind in "iu" and one.dtype.itemsize > 1:
            continue
        a, b = (finite_floats(array) for array in (one, other))
        if a.shape[-1] != b.shape[-1]:
            continue
        (std_a, mean_a), (_, mean_b) = per_feature(a), per_feature(b)
        live = std_a > 1e-3 * max(std_a.max(initial=0.0), 1e-12)
        if not live.any():
            continue
        difference = np.abs(mean_b - mean_a)[live] / std_a[live]
        noise = np.sqrt(1 / len(a) + 1 / len(b))
        total_a, total_b = a.std(), b.std()
        record = {
            "mean_shift": float(difference.max()),
            "median_shift": float(np.median(difference)),
            "noise": float(noise * np.sqrt(2 * np.log(max(2, int(live.sum()))))),
            "std_ratio": float(total_b / total_a) if total_a else float("inf"),
            "overall_shift": float(abs(b.mean() - a.mean()) / max(total_a, 1e-12)),
            "range_ratio": float(np.abs(b).max() / max(np.abs(a).max(), 1e-12)),
        }
        if record["mean_shift"] > largest.get("mean_shift", -1.0):
            largest = record
    return largest


def finite_floats(array: np.ndarray) -> np.ndarray:
    """Return the array as float64 [n, ...] with zeros for what isn't finite."""
    values = array.astype(np.float64)
    values = values.reshape(len(values), -1) if values.ndim == 1 else values
    return np.where(np.isfinite(values), values, 0.0)


def agreement(
    inputs: dict[str, list[np.ndarray]], targets: dict[str, list[np.ndarray]]
) -> dict[str, Any]:
    """Return how well neighbours and a linear model tell the first target.

    For each side: leaving one out ("train", "validation"), and from the one side to the
    other ("across"). Shares of right labels, or of explained variance, with the share
    that the largest class (0 for values) gets by itself.
    """
    record: dict[str, Any] = {}
    prepared: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    like: Points | None = None
    for side in ("train", "validation"):
        arrays = [array for array in inputs.get(side, [])]
        if not arrays or not targets.get(side):
            continue
        target = targets[side][0]
        _, first = np.unique(np.array(fingerprints(arrays)), return_index=True)
        first = np.sort(np.random.default_rng(0).permutation(first)[:NUM_COMPARED])
        points = features([array[first] for array in arrays], like)
        answers = as_answers(target[first])
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
    return np.eye(max(width, 2))[labels]


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
    hat = kernel @ np.linalg.inv(kernel + 0.1 * np.eye(len(points)))
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
