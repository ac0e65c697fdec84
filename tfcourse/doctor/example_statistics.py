"""What kept examples say of the data: scales, labels, duplicates, shifts.

Plain numpy: no model is needed, only the predictions where there are some.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from tfcourse.doctor.examples import Examples

MAX_CLASSES = 1000
MAX_SHARES = 32  # Classes whose shares are written one by one.
MAX_TARGET_SIZE = 64  # A larger target is an image or a sequence, no label.
NUM_COMPARED = 800  # Examples in comparisons of all with all.
MAX_FEATURES = 1024
NUM_NEIGHBOURS = 5
CONFIDENT = 0.9


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
    return record


def describe_input(values: np.ndarray) -> dict[str, Any]:
    """Return how an input [n, ...] lies, over all and from feature to feature."""
    record: dict[str, Any] = {
        "shape": list(values.shape[1:]),
        "dtype": str(values.dtype),
        "num_examples": len(values),
    }
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    record["non_finite_share"] = float(1 - finite.mean())
    if not finite.any():
        return record
    values = np.where(finite, values, 0.0)
    record |= {
        "mean": float(values.mean()),
        "std": float(values.std()),
        "min": float(values.min()),
        "max": float(values.max()),
        "integers": bool((values == np.round(values)).all()),
    }
    spread, centre = per_feature(values)
    live = spread > 0
    if live.any():
        record["feature_std_max"] = float(spread[live].max())
        record["feature_std_median"] = float(np.median(spread[live]))
        record["feature_std_min"] = float(spread[live].min())
        record["feature_offset_max"] = float(np.abs(centre[live] / spread[live]).max())
    record["constant_feature_share"] = float(1 - live.mean())
    return record


def per_feature(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return spread and mean of each feature.

    A feature is a column of [n, features], a channel (last axis) of anything larger.
    """
    table = values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1)
    return table.std(axis=0), table.mean(axis=0)


def describe_target(values: np.ndarray) -> dict[str, Any]:
    """Return what kind of target [n, ...] this is, and how it lies.

    kind: "classes" (whole numbers, few), "one_hot", "binary" (0 and 1), "multi_label",
    "values" (anything else), "large" (an image or a sequence for each example).
    """
    shape = values.shape[1:]
    size = int(np.prod(shape)) if shape else 1
    record: dict[str, Any] = {
        "shape": list(shape),
        "dtype": str(values.dtype),
        "num_examples": len(values),
    }
    flat = values.reshape(len(values), size).astype(np.float64)
    finite = np.isfinite(flat)
    record["non_finite_share"] = float(1 - finite.mean())
    flat = np.where(finite, flat, 0.0)
    record |= {
        "mean": float(flat.mean()),
        "std": float(flat.std()),
        "min": float(flat.min()),
        "max": float(flat.max()),
    }
    record["kind"] = target_kind(flat, values.dtype)
    labels = as_labels(flat, record["kind"])
    if labels is not None:
        shares = np.bincount(labels) / len(labels)
        record["num_classes"] = int((shares > 0).sum())
        record["largest_class"] = int(labels.max())
        record["shares"] = shares[:MAX_SHARES].tolist()
        record["largest_share"] = float(shares.max())
        record["smallest_share"] = float(shares[shares > 0].min())
    return record


def target_kind(flat: np.ndarray, dtype: np.dtype) -> str:
    """Return the kind of a target [n, size], as `describe_target` names them."""
    whole = bool((flat == np.round(flat)).all())
    zero_or_one = bool(np.isin(flat, (0.0, 1.0)).all())
    size = flat.shape[1]
    if size > 1:
        if zero_or_one and (flat.sum(axis=1) == 1).all():
            return "one_hot"
        if size > MAX_TARGET_SIZE:
            return "large"
        return "multi_label" if zero_or_one else "values"
    if zero_or_one:
        return "binary"
    few = len(np.unique(flat)) <= min(MAX_CLASSES, max(3, len(flat) // 3))
    small = flat.min(initial=0) >= -1 and flat.max(initial=0) < MAX_CLASSES
    # Whole numbers as floats are counts or ratings as often as they are classes.
    is_integer = np.issubdtype(dtype, np.integer)
    return "classes" if whole and few and small and is_integer else "values"


def as_labels(flat: np.ndarray, kind: str) -> np.ndarray | None:
    """Return class numbers [n] of targets [n, size], None if they are no classes."""
    if kind == "one_hot":
        return flat.argmax(axis=1)
    if kind in ("classes", "binary"):
        return np.maximum(flat[:, 0], 0).astype(np.int64)
    return None


def describe_predictions(
    values: np.ndarray, target: np.ndarray | None
) -> dict[str, Any]:
    """Return how predictions [n, ...] lie, and how they fit their targets [n, ...]."""
    record: dict[str, Any] = {"shape": list(values.shape[1:])}
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    record["finite_share"] = float(finite.mean())
    if not finite.all():
        return record
    record |= {
        "min": float(values.min()),
        "max": float(values.max()),
        "mean": float(values.mean()),
        "std": float(values.std()),
        "variation": float(values.std(axis=0).mean()),
    }
    width = values.shape[-1] if values.ndim > 1 else 1
    sums = values.sum(axis=-1) if width > 1 else values
    record["in_unit_interval"] = bool(values.min() >= 0 and values.max() <= 1)
    record["sums_to_one"] = bool(width > 1 and np.abs(sums - 1).max() < 1e-3)
    if target is None or len(target) != len(values):
        return record
    record["losses"] = candidate_losses(values, target)
    return record | fit_of(values, target)


def candidate_losses(values: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Return what the usual losses say of predictions [n, ...] and targets [n, ...].

    Beside the loss that the run reports they show which one it computes, whatever its
    name: a softmax of probabilities, a mean over all pairs of the batch.
    """
    guesses = values.reshape(len(values), -1)
    flat = target.reshape(len(target), -1).astype(np.float64)
    found: dict[str, float] = {}
    if guesses.shape == flat.shape:
        found["mse"] = float(np.square(guesses - flat).mean())
        found["mae"] = float(np.abs(guesses - flat).mean())
        if flat.shape[1] == 1:
            found["mse_of_pairs"] = float(
                flat.var() + guesses.var() + (flat.mean() - guesses.mean()) ** 2
            )
        if flat.min() >= 0 and flat.max() <= 1:
            found["binary_of_logits"] = float(
                (np.logaddexp(0, guesses) - flat * guesses).mean()
            )
            clipped = np.clip(guesses, 1e-7, 1 - 1e-7)
            terms = flat * np.log(clipped) + (1 - flat) * np.log(1 - clipped)
            found["binary_of_probabilities"] = float(-terms.mean())
    labels = as_labels(flat, target_kind(flat, target.dtype))
    if labels is not None and guesses.shape[1] > max(1, labels.max()):
        at_label = guesses[np.arange(len(labels)), labels]
        top = guesses.max(axis=1)
        log_sum = top + np.log(np.exp(guesses - top[:, None]).sum(axis=1))
        found["categorical_of_logits"] = float((log_sum - at_label).mean())
        clipped = np.clip(at_label, 1e-7, 1 - 1e-7)
        found["categorical_of_probabilities"] = float(-np.log(clipped).mean())
    return found


def fit_of(values: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """Return accuracy or explained variance of predictions [n, ...]."""
    flat = target.reshape(len(target), -1).astype(np.float64)
    kind = target_kind(flat, target.dtype)
    guesses = values.reshape(len(values), -1)
    labels = as_labels(flat, kind)
    if labels is not None and guesses.shape[1] > max(1, labels.max()):
        return classification_fit(guesses, labels)
    if kind == "binary" and guesses.shape[1] == 1:
        # The threshold of what may be logits or probabilities is left to the rules.
        return binary_fit(guesses[:, 0], labels)
    if guesses.shape == flat.shape:
        error = np.square(guesses - flat).mean()
        variance = np.square(flat - flat.mean(axis=0)).mean()
        record = {"mse": float(error), "target_variance": float(variance)}
        record["mae"] = float(np.abs(guesses - flat).mean())
        if kind in ("multi_label", "large") and np.isin(flat, (0.0, 1.0)).all():
            record["accuracy_at_half"] = float(((guesses > 0.5) == flat).mean())
            record["accuracy_at_zero"] = float(((guesses > 0.0) == flat).mean())
        return record
    return {}


def classification_fit(guesses: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return how well scores [n, classes] fit labels [n], and how they err.

    wrong_rank: where the label stands among the other classes when the guess is wrong,
    from 0 (next best) to 1 (last); 0.5 on average where labels are random.
    """
    order = np.argsort(-guesses, axis=1)
    guess = order[:, 0]
    wrong = guess != labels
    num_classes = guesses.shape[1]
    shares = np.bincount(guess, minlength=num_classes) / len(guess)
    present = np.unique(labels)
    recalls = [float((guess[labels == c] == c).mean()) for c in present]
    record: dict[str, Any] = {
        "accuracy": float(1 - wrong.mean()),
        "largest_guess_share": float(shares.max()),
        "num_guessed": int((shares > 0).sum()),
        "smallest_recall": min(recalls),
        "mean_recall": float(np.mean(recalls)),
        "rarest_recall": recalls[int(np.argmin(np.bincount(labels)[present]))],
    }
    if wrong.any() and num_classes > 2:
        rank = np.argmax(order == labels[:, None], axis=1) - 1
        record["wrong_rank"] = float(rank[wrong].mean() / (num_classes - 2))
    scores = as_probabilities(guesses)
    confident = scores.max(axis=1) > CONFIDENT
    record["confident_share"] = float(confident.mean())
    record["confidently_wrong_share"] = float((confident & wrong).mean())
    return record


def as_probabilities(scores: np.ndarray) -> np.ndarray:
    """Return rows that sum to 1: the scores themselves, or their softmax."""
    is_distribution = scores.min() >= 0 and np.abs(scores.sum(axis=1) - 1).max() < 1e-3
    if is_distribution:
        return scores
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def binary_fit(scores: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return accuracy of scores [n] at both thresholds that are in use, and the AUC."""
    record: dict[str, Any] = {
        "accuracy_at_half": float(((scores > 0.5) == labels).mean()),
        "accuracy_at_zero": float(((scores > 0.0) == labels).mean()),
        "positive_at_half": float((scores > 0.5).mean()),
        "positive_at_zero": float((scores > 0.0).mean()),
    }
    positive, negative = scores[labels == 1], scores[labels == 0]
    if len(positive) and len(negative):
        higher = (positive[:, None] > negative[None]).mean()
        equal = (positive[:, None] == negative[None]).mean()
        record["auc"] = float(higher + equal / 2)
        for name, threshold in (("half", 0.5), ("zero", 0.0)):
            recalls = (positive > threshold).mean(), (negative <= threshold).mean()
            record[f"smallest_recall_at_{name}"] = float(min(recalls))
    return record


def fingerprints(arrays: list[np.ndarray]) -> list[bytes]:
    """Return a hash of each example over all inputs."""
    tables = [np.ascontiguousarray(a, np.float32).reshape(len(a), -1) for a in arrays]
    return [
        hashlib.blake2b(
            b"".join(t[i].tobytes() for t in tables), digest_size=8
        ).digest()
        for i in range(len(tables[0]))
    ]


def overlap(train: list[np.ndarray], validation: list[np.ndarray]) -> dict[str, Any]:
    """Return how many kept validation examples are kept training examples as well.

    near: examples that lie a hundred times closer to a training example than two of the
    validation set lie to each other, or the same up to a small error.
    """
    seen = set(fingerprints(train))
    prints = fingerprints(validation)
    record: dict[str, Any] = {
        "num_train": len(seen),
        "num_validation": len(prints),
        "exact": sum(mark in seen for mark in prints),
        "repeated_in_validation": len(prints) - len(set(prints)),
    }
    _, first = np.unique(np.array(fingerprints(train)), return_index=True)
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


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return squared distances [n, m] of points [n, d] and [m, d]."""
    squares = np.square(one).sum(axis=1)[:, None] + np.square(other).sum(axis=1)[None]
    return np.maximum(squares - 2 * one @ other.T, 0.0)


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
