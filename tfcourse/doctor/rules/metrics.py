"""Does the metric measure what it seems to?"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tfcourse.doctor.findings import Finding
from tfcourse.doctor.rules.heads import BINARY
from tfcourse.doctor.rules.labels import label_distance
from tfcourse.doctor.rules.making import make
from tfcourse.doctor.rules.outputs import (
    by_output,
    is_accuracy,
    metrics_of,
    observed_activation,
)
from tfcourse.doctor.view import View, as_dict, first, number

FAULT = "wrong-metric"


def find(view: View) -> Iterator[Finding]:
    """Yield metrics that say nothing, or something else, of each output."""
    for focused in by_output(view):
        yield from _of_output(focused)


def _of_output(view: View) -> Iterator[Finding]:
    yield from _accuracy_of_values(view)
    yield from _binary_of_classes(view)
    yield from _threshold_of_logits(view)
    found = list(_reported_and_recomputed(view))
    yield from found or _constant(view)


def _accuracy_of_values(view: View) -> Iterator[Finding]:
    target = view.targets()
    name = str(as_dict(first(view.losses)).get("name", ""))
    is_values = target.get("kind") in ("values", "large") and "crossentropy" not in name
    for metric in metrics_of(view):
        if is_values and is_accuracy(metric):
            yield _wrong(
                str(metric["name"]),
                0.9,
                "Accuracy counts exact hits, which hardly ever happen with targets that "
                "are measured values.",
                'metrics=["mae"]  # an error in the unit of the targets',
                rule="an accuracy on targets that are not classes",
            )


def _binary_of_classes(view: View) -> Iterator[Finding]:
    target = view.targets()
    if target.get("kind") != "one_hot" or number(target, "num_classes") < 3:
        return
    for metric in metrics_of(view):
        text = (metric.get("function"), metric.get("class"))
        if "binary_accuracy" in text or "BinaryAccuracy" in text:
            yield _wrong(
                str(metric["name"]),
                0.9,
                "Binary accuracy counts every output by itself: with ten classes nine "
                "zeros of ten are right whatever the model says.",
                'metrics=["accuracy"]  # Keras picks the one that fits the targets',
                rule="a binary accuracy on one-hot targets of three or more classes",
            )


def _threshold_of_logits(view: View) -> Iterator[Finding]:
    loss = as_dict(first(view.losses))
    kind = view.targets().get("kind")
    if kind not in ("binary", "multi_label", "large"):
        return
    is_logits = observed_activation(view) in ("", "unbounded")
    if loss.get("built_in") and str(loss.get("name")) not in BINARY:
        return
    if not is_logits or not (loss.get("from_logits") or not loss.get("built_in")):
        return
    for metric in metrics_of(view):
        text = (metric.get("function"), metric.get("class"))
        cut = metric.get("threshold")
        by_threshold = "binary_accuracy" in text or "Precision" in text
        if (by_threshold or "Recall" in text) and cut in (None, 0.5):
            fit = view.output_fit("validation") or view.output_fit("train")
            cuts = [number(fit, f"accuracy_at_{name}") for name in ("half", "zero")]
            if abs(cuts[0] - cuts[1]) < 0.01:
                return  # Sure logits lie far from both.
            yield _wrong(
                str(metric["name"]),
                0.9,
                "The metric cuts at 0.5 as if the outputs were probabilities, but they "
                "are logits, whose middle is 0.",
                "metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)]",
                rule="a threshold of 0.5 on an output without sigmoid",
            )


def _reported_and_recomputed(view: View) -> Iterator[Finding]:
    """Accuracy counted by us on kept validation examples, beside the reported one."""
    for side in ("validation", "train"):
        fit = view.output_fit(side)
        truth = number(fit, "accuracy")
        count = number(view.targets(side), "num_examples")
        if math.isnan(truth) or not count > 0:
            continue
        for metric in metrics_of(view):
            if not is_accuracy(metric):
                continue
            reported = view.values(f"epoch_{metric['name']}", side)
            if not len(reported) or not math.isfinite(reported[-1]):
                continue
            noise = 4 * np.sqrt(0.25 / min(count, 1024))
            margin = max(0.12, noise) + (0.15 if side == "train" else 0.0)
            # Kept are the first batches alone: of sorted data, some classes.
            margin += label_distance(view.targets(), view.targets(side))
            is_off = abs(reported[-1] - truth) > margin
            if is_off and (side == "validation" or _is_blind(reported, fit)):
                yield _wrong(
                    str(metric["name"]),
                    0.9 if side == "validation" else 0.7,
                    f"The metric reports {reported[-1]:.2f}, but {truth:.2f} of the "
                    "examples have their largest output at the right class.",
                    'metrics=["accuracy"]  # Keras picks the one that fits the targets',
                    rule="reported accuracy against the share of right largest outputs",
                    numbers={"reported": float(reported[-1]), "counted": truth},
                )
                return


def _constant(view: View) -> Iterator[Finding]:
    """A metric that stays where it is while the loss falls."""
    losses = view.values("epoch_loss")
    if len(losses) < 3 or not np.isfinite(losses).all() or not losses[0] > 0:
        return
    fall = 1 - float(losses.min() / losses[0])
    if fall < 0.5:
        return
    for metric in metrics_of(view):
        name, values = str(metric["name"]), view.values(f"epoch_{metric['name']}")
        there = view.values(f"epoch_{name}", "validation")
        is_still = len(values) >= 3 and all(len(set(v)) <= 1 for v in (values, there))
        counts_hits = str(metric.get("class")) in ("Precision", "Recall")
        if "learning_rate" in name or name == "lr":
            continue  # Some show the learning rate as a metric.
        if is_still and not (counts_hits and values[0] == 0):
            yield _wrong(
                name,
                0.7,
                f"{name} is {values[0]:.3g} in every epoch, though the loss falls by "
                f"{fall:.0%}: it does not see what is learned here.",
                'metrics=["accuracy"]  # or one whose value a better model changes: check '
                "thresholds, k and the number of classes",
                rule="a metric that is the same in all epochs while the loss halves",
                numbers={"metric": float(values[0]), "fall of the loss": fall},
            )


def _is_blind(reported: np.ndarray, fit: dict[str, object]) -> bool:
    """Return whether a training metric is too good, not merely behind (dropout)."""
    return float(reported[-1]) > float(str(fit.get("accuracy", 1.0)))


def _wrong(
    name: str,
    confidence: float,
    message: str,
    remedy: str,
    *,
    rule: str,
    numbers: dict[str, float] | None = None,
) -> Finding:
    return make(
        FAULT,
        "warning",
        confidence,
        message,
        remedy,
        rule=rule,
        numbers=numbers,
        series=(f"epoch_{name}", "epoch_loss"),
    )
