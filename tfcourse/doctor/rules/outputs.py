"""What the model gives and how it is measured, as the rules of several files ask."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfcourse.doctor.view import View, as_dict, number


def by_output(view: View) -> list[View]:
    """Return the run as each output has it: its loss, targets, metrics and fit.

    With one output, the run itself.
    """
    if view.parts:
        return view.parts
    names = list(as_dict(view.end.get("train_outputs")))
    if len(names) < 2:
        # What belongs to what can't be told.
        return [] if view.num_outputs > 1 or len(view.losses) > 1 else [view]
    return [_focused(view, name, place) for place, name in enumerate(names)]


def _focused(view: View, name: str, place: int) -> View:
    mine = (name, place)
    target_names = view.data.get("target_names")
    keys = target_names if isinstance(target_names, list) else []
    target = keys.index(name) if name in keys else place
    outputs = view.outputs
    of_output = [item for item in outputs if item.get("output") == name]
    facts = view.facts | {
        "focused": True,
        "losses": [loss for loss in view.losses if loss.get("output") in mine],
        "metrics": [m for m in metrics_of(view) if m.get("output") == name],
        "model": view.model | {"outputs": of_output or outputs[place : place + 1]},
    }
    examples = dict(view.examples)
    for side in ("train_targets", "validation_targets"):
        examples[side] = (examples.get(side) or [])[target : target + 1]
    if target:
        others = [as_dict(item) for item in examples.get("other_agreements") or []]
        examples["agreement"] = dict(enumerate(others, 1)).get(target, {})
    end: dict[str, Any] = view.end | {"examples": examples}
    start = dict(view.start)
    for probe, kind in (
        (start, "outputs"),
        (end, "train_outputs"),
        (end, "validation_outputs"),
    ):
        probe[kind] = {k: v for k, v in as_dict(probe.get(kind)).items() if k == name}
    probes = [start, end]
    return View(dataclasses.replace(view.record, facts=facts, probes=probes))


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
