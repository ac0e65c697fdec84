"""Training examples beside validation examples: duplicates, copies, shifts.

Plain numpy, on some hundred examples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcourse.doctor.example_answers import NUM_COMPARED, agreement, giveaway
from tfcourse.doctor.example_points import (
    distances,
    features,
    fingerprints,
    finite_floats,
)
from tfcourse.doctor.example_statistics import (
    describe_input,
    describe_target,
    per_feature,
)
from tfcourse.doctor.examples import Examples

MAX_TARGETS = 4  # Of more outputs only these are asked about.
MAX_COPIES = 5  # Of one example, slightly changed.
COPY_RATIO = 0.3


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
    record["other_agreements"] = [
        agreement(inputs, targets, place)
        for place in range(1, min(len(targets.get("train", [])), MAX_TARGETS))
    ]
    if inputs.get("train") and targets.get("train"):
        record["giveaway"] = giveaway(inputs["train"], targets["train"][0])
    return record


def overlap(train: list[np.ndarray], validation: list[np.ndarray]) -> dict[str, Any]:
    """Return how many kept validation examples are kept training examples as well.

    near: examples that lie ten times closer to a training example than two of the
    validation set lie to each other, or the same up to a small error; copies: examples
    with a few training examples close by and the next one over three times as far;
    distinct_share: of the training examples' values in the feature that repeats least.
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
    to_train = np.sqrt(distances(others, scaled))
    nearest = to_train.min(axis=1, initial=np.inf)
    among = distances(others, others)
    np.fill_diagonal(among, np.inf)
    typical = np.sqrt(np.median(among.min(axis=1, initial=np.inf)))
    record["num_compared"] = len(scaled)
    record["num_queries"] = len(others)
    record["near"] = int((nearest < 0.1 * typical).sum())
    record["near_in_validation"] = int(
        (np.sqrt(among.min(axis=1, initial=np.inf)) < 0.1 * typical).sum()
    )
    record["copies"] = num_with_copies(to_train)
    # Once more as they are: scaled up, the noise in a dark margin hides a copy.
    if several_directions(points.spread):
        unscaled = distances(others * points.spread, scaled * points.spread)
        record["copies"] = max(record["copies"], num_with_copies(np.sqrt(unscaled)))
    record["num_features"] = scaled.shape[1]
    record["levels"] = num_levels(scaled)
    record["distinct_share"] = max(
        len(np.unique(column)) / len(scaled)
        for column in scaled.T[:: max(1, scaled.shape[1] // 64)]
    )
    return record


def num_with_copies(to_train: np.ndarray) -> int:
    """Return how many queries have at most five training examples close by.

    Between the last of these and the next one the distance grows over three times, which
    points spread over several dimensions hardly do.

    Args:
        to_train: Distances [queries, training examples].
    """
    count = min(MAX_COPIES + 1, to_train.shape[1])
    nearest = np.sort(np.partition(to_train, count - 1, axis=1)[:, :count], axis=1)
    jumps = nearest[:, :-1] < COPY_RATIO * nearest[:, 1:]
    return int((jumps & (nearest[:, :1] > 0)).any(axis=1).sum())


def num_levels(scaled: np.ndarray) -> float:
    """Return how many values features take, a tenth of a spread apart: upper quartile."""
    columns = scaled.T[:: max(1, scaled.shape[1] // 64)]
    return float(
        np.quantile([len(np.unique(np.round(10 * column))) for column in columns], 0.75)
    )


def several_directions(spread: np.ndarray) -> bool:
    """Return whether no few features [features] have nearly all of the variance."""
    variance = np.square(spread)
    return bool(np.square(variance.sum()) >= 6 * np.square(variance).sum())


def shift(train: list[np.ndarray], validation: list[np.ndarray]) -> dict[str, Any]:
    """Return how far the validation inputs lie from the training inputs.

    mean_shift: over features (columns, or channels), the largest difference of means in
    training standard deviations; noise: what two samples of these sizes differ by.
    std_ratio: the spread of the validation inputs over that of the training inputs.
    tokens: of whole numbers, how differently often they come.
    """
    largest: dict[str, Any] = {}
    tokens: dict[str, Any] = {}
    for one, other in zip(train, validation, strict=False):
        if one.ndim != other.ndim:
            continue
        if one.dtype.kind in "iu" and one.dtype.itemsize > 1:
            tokens = tokens or {"tokens": token_shift(one, other)}
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
    return largest | tokens


def token_shift(train: np.ndarray, validation: np.ndarray) -> dict[str, float]:
    """Return how differently often tokens come in two sets of whole numbers [n, ...].

    distance: the share of tokens that would have to be others (total variation); noise:
    the same between two halves of the training examples.
    """
    half = len(train) // 2
    return {
        "distance": token_distance(train, validation),
        "noise": token_distance(train[:half], train[half:]),
    }


def token_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the total variation between the frequencies of whole numbers, 0 to 1."""
    if not one.size or not other.size:
        return 0.0
    _, places = np.unique(
        np.concatenate([one.ravel(), other.ravel()]), return_inverse=True
    )
    width = int(places.max()) + 1
    a, b = (
        np.bincount(part, minlength=width) / len(part)
        for part in (places[: one.size], places[one.size :])
    )
    return float(np.abs(a - b).sum() / 2)
