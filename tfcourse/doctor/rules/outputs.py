"""What the model gives and how it is measured, as the rules of several files ask."""

from __future__ import annotations

from typing import Any

from tfcourse.doctor.view import View, number


def observed_activation(view: View) -> str | None:
    """Return the head's activation: from the model, or from what it gives.

    "probabilities" stands for outputs that sum to 1 without a known softmax, "unbounded"
    for outputs beyond 0 and 1 without a known activation; None: can't be told.
    """
    if view.activation:
        return view.activation
    fit = view.output_fit("train") or view.output_fit("validation")
    if not fit:
        return view.activation
    if fit.get("sums_to_one") and fit.get("in_unit_interval"):
        return "probabilities"
    low, high = number(fit, "min"), number(fit, "max")
    if low < -1e-3 or high > 1 + 1e-3:
        return "" if view.activation == "" else "unbounded"
    return view.activation


def output_width(view: View) -> int:
    """Return the length of the first output's last axis; 0 if unknown."""
    shape = view.output_fit("train").get("shape")
    if shape is None and view.outputs:
        shape = (view.outputs[0].get("shape") or [None])[1:]
    if shape is None:
        return 0
    return int(shape[-1] or 0) if shape else 1


def metrics_of(view: View) -> list[dict[str, Any]]:
    """Return the compiled metrics."""
    found = view.facts.get("metrics") or []
    return [item for item in found if isinstance(item, dict)]


def is_accuracy(metric: dict[str, Any]) -> bool:
    """Return whether a metric counts right classes."""
    text = f"{metric.get('function', '')} {metric.get('class', '')}".lower()
    return "accuracy" in text


def near(one: float, other: float) -> bool:
    """Return whether two losses are the same but for rounding and batches."""
    return abs(one - other) <= 0.02 * max(abs(one), abs(other)) + 1e-4
