"""Names what is wrong with a recorded run: all rules, then causes before symptoms."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tfcourse.doctor.findings import SEVERITIES, Finding
from tfcourse.doctor.record import Record
from tfcourse.doctor.rules import (
    data,
    generalisation,
    heads,
    labels,
    metrics,
    modes,
    reach,
    signals,
    steps,
    structure,
    updates,
)
from tfcourse.doctor.rules.outputs import by_output
from tfcourse.doctor.view import View

FAMILIES: tuple[Callable[[View], Iterator[Finding]], ...] = (
    heads.find,
    metrics.find,
    structure.find,
    data.find,
    labels.find,
    reach.find,
    steps.find,
    updates.find,
    signals.find,
    modes.find,
    generalisation.find,
)
# What follows from what: a symptom stands behind its cause and is no longer an error.
FOLLOWS: dict[str, tuple[str, ...]] = {
    "non-finite-values": (
        "exploding-gradients",
        "learning-rate-too-high",
        "unscaled-targets",
        "unnormalised-inputs",
        "initialisation-scale",
        "loss-reduction",
        "loss-activation-mismatch",
        "wrong-update",
    ),
    "exploding-gradients": (
        "learning-rate-too-high",
        "unscaled-targets",
        "unnormalised-inputs",
        "initialisation-scale",
        "loss-reduction",
        "wrong-update",
        "loss-activation-mismatch",
    ),
    "learning-rate-too-high": (
        "unscaled-targets",
        "unnormalised-inputs",
        "loss-reduction",
        "initialisation-scale",
        "wrong-update",
        "loss-activation-mismatch",
    ),
    "dead-relu": (
        "initialisation-scale",
        "misaligned-labels",
        "learning-rate-too-high",
        "unnormalised-inputs",
        "unscaled-targets",
        "loss-activation-mismatch",
        "loss-reduction",
        "over-regularised",
        "exploding-gradients",
        "non-finite-values",
        "symmetric-initialisation",
    ),
    "saturated-activations": (
        "unnormalised-inputs",
        "learning-rate-too-high",
        "unscaled-targets",
    ),
    "initialisation-scale": (),
    "vanishing-gradients": (
        "saturated-activations",
        "dead-relu",
        "initialisation-scale",
        "symmetric-initialisation",
        "disconnected-gradient",
        "loss-activation-mismatch",
        "over-regularised",
        "unnormalised-inputs",
        "learning-rate-too-high",
    ),
    "underfitting": (
        "*",  # It is what is left when nothing else explains a poor fit.
    ),
    "overfitting": (
        "label-noise",
        "misaligned-labels",
        "train-validation-shift",
        "train-inference-gap",
        "unshuffled-data",
    ),
    # Where nothing is learned for another reason, the labels may be right.
    "misaligned-labels": (
        "unshuffled-data",
        "non-finite-values",
        "wrong-update",
        "disconnected-gradient",
        "frozen-weights",
        "symmetric-initialisation",
        "initialisation-scale",
        "saturated-activations",
        "vanishing-gradients",
        "learning-rate-too-low",
        "learning-rate-too-high",
        "over-regularised",
        "loss-reduction",
        "missing-nonlinearity",
        "loss-activation-mismatch",
    ),
    "label-noise": (
        "misaligned-labels",
        "unshuffled-data",
        "loss-activation-mismatch",
    ),
    "class-imbalance": ("misaligned-labels",),
    "wrong-metric": ("loss-activation-mismatch", "class-imbalance"),
    "train-inference-gap": ("unshuffled-data",),
    # What the model can't give at all, it can't give on validation data.
    "train-validation-shift": ("loss-activation-mismatch",),
    "learning-rate-too-low": (
        "wrong-update",
        "unnormalised-inputs",
        "symmetric-initialisation",
        "dead-relu",
        "saturated-activations",
        "vanishing-gradients",
        "over-regularised",
        "disconnected-gradient",
        "unscaled-targets",
        "initialisation-scale",
    ),
    "frozen-weights": (),
    "over-regularised": (),
}
DAMAGED = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError)
SURE = 0.6  # A cause must be this sure to stand before its symptoms.


def diagnose(record: Record) -> list[Finding]:
    """Return the findings, the likeliest cause first; none for a healthy run."""
    view = View(record)
    found: list[Finding] = []
    try:
        parts = by_output(view)
    except DAMAGED:
        parts = []
    view.parts = parts if len(parts) > 1 else []
    for family in FAMILIES:
        try:
            found += family(view)
        except DAMAGED as error:
            # What a file holds may be anything; the other rules go on without.
            rules = family.__module__.rpartition(".")[2]
            record.problems.append(
                f"rules of {rules} not applied: the recorded facts are damaged "
                f"({type(error).__name__})"
            )
    return rank(found)


def rank(found: list[Finding]) -> list[Finding]:
    """Return findings with causes before symptoms, then by severity and confidence."""
    sure = {f.fault for f in found if f.confidence >= SURE and f.severity != "note"}

    def depth(fault: str, seen: frozenset[str] = frozenset()) -> int:
        """How many causes stand before a fault."""
        if fault in seen:
            return 0
        causes = FOLLOWS.get(fault, ())
        present = sure - {fault} if "*" in causes else sure.intersection(causes)
        if not present:
            return 0
        return 1 + max(depth(cause, seen | {fault}) for cause in present)

    def order(finding: Finding) -> tuple[bool, int, int, float]:
        severity = SEVERITIES.index(finding.severity)
        is_note = finding.severity == "note"
        return is_note, depth(finding.fault), severity, -finding.confidence

    return sorted(found, key=order)
