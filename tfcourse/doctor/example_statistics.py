"""What kept examples say of the data: their scales and what their targets are.

Plain numpy: no model is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

MAX_CLASSES = 1000
MAX_SORTED = 256  # Examples whose values are sorted for quantiles.
MAX_SHARES = 32  # Classes whose shares are written one by one.
MAX_TARGET_SIZE = 64  # A larger target is an image or a sequence, no label.


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
    low, high = np.quantile(flat[:MAX_SORTED], (0.02, 0.98))
    record |= {"low": float(low), "high": float(high)}
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
        return np.asarray(flat.argmax(axis=1))
    if kind in ("classes", "binary"):
        return np.asarray(np.maximum(flat[:, 0], 0), np.int64)
    return None
