"""What the data are: scales, labels, order, overlap, shifts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfcourse.doctor.findings import Finding
from tfcourse.doctor.rules.making import make, severity_of
from tfcourse.doctor.rules.outputs import by_output
from tfcourse.doctor.view import View, number

LARGE_INPUT = 10.0  # Root mean square; standardised data have 1.
SMALL_INPUT = 1e-3
UNEQUAL_FEATURES = 50.0
LARGE_OFFSET = 15.0  # Mean over spread of a feature.
LARGE_TARGET = 20.0
NORMALISING = ("Normalization", "Rescaling", "BatchNormalization", "LayerNormalization")
DISCRETE = ("Embedding", "StringLookup", "IntegerLookup", "Hashing", "CategoryEncoding")
SCALE_FREE = ("poisson", "mean_squared_logarithmic_error", "cosine_similarity")
MAJORITY = 0.85


def find(view: View) -> Iterator[Finding]:
    """Yield faults of the data."""
    yield from _inputs(view)
    yield from _order(view)
    for focused in by_output(view) or [view]:
        yield from _targets(focused)
        yield from _imbalance(focused)


def _inputs(view: View) -> Iterator[Finding]:
    consumers = {layer["class"] for layer in view.layers}
    first_layers = [layer["class"] for layer in view.layers[: 1 + len(view.inputs())]]
    if any(kind in NORMALISING for kind in first_layers):
        return
    for record in view.inputs():
        is_token = record.get("integers") and consumers & set(DISCRETE)
        if is_token or math.isnan(number(record, "std")):
            continue
        size = math.hypot(number(record, "mean"), number(record, "std"))
        widest = number(record, "feature_std_max")
        uneven = widest / max(number(record, "feature_std_median"), 1e-12)
        offset = number(record, "feature_offset_max")
        # A feature that hardly varies beside the others costs nothing.
        is_uneven = uneven > UNEQUAL_FEATURES and widest > 3
        is_off = offset > LARGE_OFFSET and size > 3
        if size > LARGE_INPUT or 0 < size < SMALL_INPUT or is_uneven or is_off:
            yield _scale_of_inputs(view, record, size, uneven, offset)
            return


def _scale_of_inputs(
    view: View, record: dict[str, Any], size: float, uneven: float, offset: float
) -> Finding:
    low, high = number(record, "min"), number(record, "max")
    pixels = low >= 0 and 200 < high <= 256
    severity = severity_of(view)
    if severity == "note" and size > 3 * LARGE_INPUT:
        severity = "warning"
    return make(
        "unnormalised-inputs",
        severity,
        0.9 if severity != "note" else 0.6,
        f"The inputs go from {low:.4g} to {high:.4g}; networks start from the assumption "
        "that they have a mean near 0 and a spread near 1.",
        "x = x / 255.0"
        if pixels
        else "normalise = layers.Normalization(); normalise.adapt(x_train)  # first layer",
        rule=f"root mean square beyond {LARGE_INPUT:g}, a feature {UNEQUAL_FEATURES:g} "
        f"times as wide as the median one, or a mean {LARGE_OFFSET:g} spreads from 0",
        numbers={"root mean square": size, "widest feature": uneven, "offset": offset},
        series=("input_std/input", "input_mean/input"),
        see=(("histograms", "inputs/input"),),
    )


def _targets(view: View) -> Iterator[Finding]:
    target = view.targets()
    if target.get("kind") not in ("values", "large"):
        return
    losses = {str(loss.get("name")) for loss in view.losses}
    scaled_inside = view.layers and view.layers[-1]["class"] in ("Rescaling",)
    if losses & set(SCALE_FREE) or scaled_inside:
        return
    spread, centre = number(target, "std"), abs(number(target, "mean"))
    size = math.hypot(spread, centre)
    if not (size > LARGE_TARGET or 0 < size < SMALL_INPUT):
        return
    # A loss that starts far below the targets measures them on another scale.
    losses_seen = view.data_loss[np.isfinite(view.data_loss)]
    if size > LARGE_TARGET and len(losses_seen) and abs(losses_seen[0]) < 0.2 * size:
        return
    severity = severity_of(view)
    yield make(
        "unscaled-targets",
        severity,
        0.9 if severity != "note" else 0.5,
        f"The targets have a mean of {number(target, 'mean'):.4g} and a spread of "
        f"{spread:.4g}: errors and gradients are as large, and the head starts near 0.",
        "y = (y - y_train.mean()) / y_train.std()  # and back again after predict",
        rule=f"root mean square of the targets beyond {LARGE_TARGET:g}",
        numbers={"mean": number(target, "mean"), "spread": spread},
        series=("step/loss",),
        see=(("histograms", "targets/target"), ("scalars", "step/loss")),
    )


def _order(view: View) -> Iterator[Finding]:
    """Neighbours in a batch, or batches, that are more alike than chance allows."""
    target = view.targets()
    batch_size = number(view.data, "batch_size")
    largest = view.values("labels/largest_share")
    if len(largest) >= 4 and target.get("kind") in ("classes", "one_hot", "binary"):
        overall = number(target, "largest_share")
        same = view.values("labels/same_as_previous")
        chance = float(np.square(np.array(target.get("shares") or [1.0])).sum())
        # What the largest class of a random batch rarely exceeds.
        usual = (
            overall + 3 * math.sqrt(overall * (1 - overall) / max(batch_size, 2)) + 0.05
        )
        concentrated = float(np.median(largest)) > min(usual + 0.1, 0.98)
        followed = float(np.median(same)) - chance
        if (concentrated and overall < 0.9) or (followed > 0.35 and batch_size >= 8):
            yield _unshuffled(
                view,
                0.95 if concentrated and followed > 0.3 else 0.85,
                {
                    "largest class in a batch": float(np.median(largest)),
                    "in all": overall,
                    "same as the one before": float(np.median(same)),
                },
                "labels/largest_share",
            )
            return
    means = view.named("target_mean")
    if target.get("kind") == "values" and means:
        values = next(iter(means.values()))
        values = values[np.isfinite(values)]
        variance = number(target, "std") ** 2
        if len(values) >= 6 and variance > 0 and batch_size >= 4:
            ratio = float(values.var(ddof=1) * batch_size / variance)
            # Of a chi-squared variable over its freedom: 4 is far beyond chance.
            if ratio > max(4.0, 0.25 * batch_size):
                yield _unshuffled(
                    view,
                    0.85,
                    {"variance of batch means over that of random batches": ratio},
                    f"target_mean/{next(iter(means))}",
                )


def _unshuffled(
    view: View, confidence: float, numbers: dict[str, float], tag: str
) -> Finding:
    severity = severity_of(view)
    best = view.outcome.attainable
    if severity == "note" and view.outcome.validation < 0.85 * best:
        severity = "warning"
    return make(
        "unshuffled-data",
        severity,
        confidence,
        "The examples come sorted: each batch holds its neighbours alone, so the model "
        "learns one part and forgets the others.",
        "train_ds = train_ds.shuffle(num_examples)  # before batch; fit(shuffle=True)",
        rule="batches whose targets are more alike than random batches can be",
        numbers=numbers,
        series=(tag, "step/loss"),
        see=(("scalars", tag), ("images", "images/inputs")),
    )


def _imbalance(view: View) -> Iterator[Finding]:
    target = view.targets()
    share = number(target, "largest_share")
    if not share >= MAJORITY or number(target, "num_classes") < 2:
        return
    fit = view.output_fit("validation") or view.output_fit("train")
    zero = view.activation == ""
    recall = number(fit, "rarest_recall")
    if math.isnan(recall):
        recall = number(fit, f"smallest_recall_at_{'zero' if zero else 'half'}")
    if recall >= 0.5:
        return
    yield make(
        "class-imbalance",
        "warning" if recall > 0.2 else "error",
        0.9 if recall < 0.3 else 0.7,
        f"{share:.1%} of the labels are one class, and of the rarest class only "
        f"{recall:.0%} are found: guessing the common class is nearly always right.",
        "model.fit(..., class_weight={0: 1.0, 1: 20.0})  # and watch recall, not accuracy",
        rule=f"a class with at least {MAJORITY:.0%} of the labels, and a recall of the "
        "rarest below one half",
        numbers={"share of the largest class": share, "recall of the rarest": recall},
        see=(("histograms", "targets/target"), ("scalars", "labels/largest_share")),
        series=("labels/largest_share",),
    )
