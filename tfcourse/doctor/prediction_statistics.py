"""How predictions lie beside their targets. Plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcourse.doctor.example_statistics import as_labels, target_kind

CONFIDENT = 0.9


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
        # A few outliers make up most of a variance, but not of a median.
        usual = np.median(np.abs(flat - np.median(flat, axis=0)))
        if usual > 0:
            share = float(np.median(np.abs(guesses - flat)) / usual)
            record["explained_by_medians"] = 1 - share**2
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
