"""What the data are: scales, labels, order, overlap, shifts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfcourse.doctor.findings import Finding
from tfcourse.doctor.rules.making import make, severity_of
from tfcourse.doctor.view import View, above_chance, as_dict, early, first, number

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
    yield from _targets(view)
    yield from _order(view)
    yield from _labels(view)
    yield from _leakage(view)
    yield from _shift(view)
    yield from _imbalance(view)


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


def _quality(record: dict[str, Any]) -> float:
    """Return what neighbours or a linear model reach, from 0 (chance) to 1."""
    best = max(number(record, "neighbours"), number(record, "linear"))
    return above_chance(best, number(record, "baseline"))


def _labels(view: View) -> Iterator[Finding]:
    agreement = as_dict(view.examples.get("agreement"))
    train, validation = (
        as_dict(agreement.get("train")),
        as_dict(agreement.get("validation")),
    )
    if not train:
        return
    outcome = view.outcome
    count = max(number(train, "num_examples"), 1.0)
    noise = 2.5 / math.sqrt(count) / max(1 - number(train, "baseline"), 0.1)
    told, told_there = _quality(train), _quality(validation) if validation else math.nan
    learned = (
        outcome.validation if not math.isnan(outcome.validation) else outcome.train
    )
    if told < noise + 0.05 and not learned > 0.15:
        contrast = told_there > 0.3
        yield make(
            "misaligned-labels",
            "error",
            0.93 if contrast else 0.6,
            "The labels have nothing to do with their inputs: alike inputs have labels "
            "no more alike than chance, and what is learned does not carry over.",
            "order = rng.permutation(len(x)); x, y = x[order], y[order]  # one order "
            "for both",
            rule="neighbours and a linear model tell the label no better than a constant "
            "guess, and neither does the trained model on validation data",
            numbers={
                "told by neighbours": number(train, "neighbours"),
                "told by a linear model": number(train, "linear"),
                "constant guess": number(train, "baseline"),
                "the same in validation data": told_there,
            },
            series=("epoch_loss",),
            see=(("images", "images/inputs"), ("scalars", "epoch_loss")),
        )
        return
    yield from _noise(view, told, told_there)


def _noise(view: View, told: float, told_there: float) -> Iterator[Finding]:
    fit = view.output_fit("train")
    rank = number(fit, "wrong_rank")
    other = view.output_fit("validation")
    wrong = 1 - number(fit, "accuracy")
    share = wrong
    gap = view.outcome.validation - view.outcome.train
    contrast = told_there - told
    has_dropout = any("Dropout" in layer["class"] for layer in view.layers)
    # Where classes overlap the label is next best; where it is wrong, it is anywhere.
    scattered = 0.3 < rank < 0.75 and wrong > 0.08 and view.outcome.train > 0.2
    by_val = number(other, "wrong_rank")
    scattered_there = 0.3 < by_val < 0.75 and number(other, "accuracy") < 0.9
    cleaner = gap > 0.12 and contrast > 0.1 and not (has_dropout and gap < 0.2)
    signs = (
        2 * bool(cleaner) + bool(scattered) + bool(scattered_there) + (contrast > 0.2)
    )
    if signs < 2:
        return
    yield make(
        "label-noise",
        "warning",
        min(0.9, 0.5 + 0.12 * signs),
        f"About {share:.0%} of the training labels look wrong: they contradict inputs "
        "like theirs, and where the model errs the label is any of the other classes.",
        "look at the examples with the greatest loss; then clean them, or use "
        "CategoricalCrossentropy(label_smoothing=0.1) and stop early",
        rule="labels of wrong guesses scattered evenly over the other classes; or "
        "validation labels that fit their inputs better than training labels do",
        numbers={
            "rank of the label when wrong (0.5: any)": rank,
            "validation minus training": gap,
            "neighbours, validation minus training": contrast,
        },
        series=("epoch_loss",),
        see=(("scalars", "epoch_loss"), ("images", "images/inputs")),
    )


def _leakage(view: View) -> Iterator[Finding]:
    record = as_dict(view.examples.get("overlap"))
    count = number(record, "num_validation")
    if not count > 0:
        return
    natural = number(record, "repeated_in_validation") / count
    exact = number(record, "exact")
    queries = max(number(record, "num_queries"), 1.0)
    near = number(record, "near")
    near_share = near / queries - number(record, "near_in_validation") / queries
    steps = number(view.data, "steps_per_epoch")
    size = number(view.data, "batch_size")
    seen = number(record, "num_train")
    coverage = min(1.0, seen / (steps * size)) if steps > 0 else 1.0
    leaked = min(1.0, (exact / count - natural) / max(coverage, 0.01))
    is_exact = exact >= 4 and exact / count > natural + 0.01 and leaked > 0.03
    is_near = near >= 5 and near_share > 0.05
    if not is_exact and not is_near:
        return
    share = max(leaked if is_exact else 0.0, near_share)
    yield make(
        "data-leakage",
        "warning" if share < 0.3 else "error",
        0.95 if is_exact else 0.8,
        f"About {min(share, 1.0):.0%} of the validation examples are training examples: "
        "the validation score says nothing about new data.",
        "split once, before shuffling and augmenting: x_val, x_train = x[:n], x[n:]",
        rule="validation inputs that are equal, or nearly, to training inputs seen",
        numbers={
            "equal": exact,
            "nearly equal": near,
            "compared": count,
            "share of the training data seen": coverage,
        },
        see=(("scalars", "epoch_loss"), ("images", "images/inputs")),
        series=("epoch_loss",),
    )


def _shift(view: View) -> Iterator[Finding]:
    record = as_dict(view.examples.get("shift"))
    overall, ratio = number(record, "overall_shift"), number(record, "std_ratio")
    noise = number(record, "noise")
    median = number(record, "median_shift")
    moved = median > max(0.35, 3 * noise) or overall > max(0.35, 3 * noise)
    scaled = ratio > 2.0 or ratio < 0.5
    train, validation = view.targets(), view.targets("validation")
    labels = label_distance(train, validation)
    if not (moved or scaled or labels > 0.4):
        return
    drop = view.outcome.train - view.outcome.validation
    costs = drop > 0.1 or math.isnan(drop)
    extreme = ratio > 5 or ratio < 0.2 or overall > 1.0
    yield make(
        "train-validation-shift",
        "error" if costs and (scaled or moved) else "warning" if extreme else "note",
        0.9 if costs else 0.5,
        "The validation inputs lie elsewhere than the training inputs"
        + (f" (spread {ratio:.2g} times as large)" if scaled else "")
        + ": the two were not prepared in the same way, or come from different sources."
        if moved or scaled
        else "The classes are mixed differently in training and validation data.",
        "x_val = normalise(x_val)  # the same function, with the training data's numbers",
        rule="means that differ by more than 0.35 spreads, or spreads by more than 2",
        numbers={
            "shift of the mean": overall,
            "median over features": median,
            "ratio of spreads": ratio,
            "labels that differ": labels,
        },
        see=(("histograms", "inputs/input"), ("scalars", "epoch_loss")),
        series=("epoch_loss",),
    )


def label_distance(train: dict[str, Any], validation: dict[str, Any]) -> float:
    """Return the share of labels that differ between two mixtures of classes."""
    one, other = train.get("shares"), validation.get("shares")
    if not isinstance(one, list) or not isinstance(other, list):
        return 0.0
    width = max(len(one), len(other))
    a, b = (np.pad(np.array(s, float), (0, width - len(s))) for s in (one, other))
    return float(np.abs(a - b).sum() / 2)


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


__all__ = ["early", "find", "first", "label_distance"]
