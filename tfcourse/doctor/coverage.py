"""What a recording lacks, and which faults can therefore not be judged. No TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tfcourse.doctor.record import Record

ADVICE = 'callbacks=[Recorder("logs/runs/mine")] records it'


@dataclass(frozen=True)
class Part:
    """One part of a complete recording.

    Attributes:
        name: What is missing if it is.
        is_there: Whether a record has it.
        faults: Codes that can't be judged without it.
        by_recorder: Whether only `Recorder` writes it.
    """

    name: str
    is_there: Callable[[Record], bool]
    faults: tuple[str, ...]
    by_recorder: bool = True


def _has_scalars(*prefixes: str) -> Callable[[Record], bool]:
    return lambda record: any(tag.startswith(prefixes) for tag in record.train)


PARTS = (
    Part(
        "the training loss",
        lambda record: bool({"epoch_loss", "step/loss"} & set(record.train)),
        ("learning-rate-too-high", "learning-rate-too-low", "underfitting"),
        by_recorder=False,
    ),
    Part(
        "the validation loss",
        lambda record: "epoch_loss" in record.validation,
        (
            "overfitting",
            "train-validation-shift",
            "data-leakage",
            "train-inference-gap",
        ),
        by_recorder=False,
    ),
    Part(
        "the true loss of single steps",
        _has_scalars("step/loss"),
        ("loss-reduction", "unshuffled-data"),
    ),
    Part(
        "gradients",
        _has_scalars("gradient_norm/"),
        ("vanishing-gradients", "exploding-gradients", "disconnected-gradient"),
    ),
    Part(
        "updates",
        _has_scalars("update_ratio/"),
        ("wrong-update", "frozen-weights"),
    ),
    Part(
        "activations",
        _has_scalars("activation_mean/", "zero_share/", "dead_units/"),
        ("dead-relu", "saturated-activations", "initialisation-scale"),
    ),
    Part(
        "model, loss and metrics",
        lambda record: record.facts is not None,
        (
            "loss-activation-mismatch",
            "missing-nonlinearity",
            "wrong-metric",
            "symmetric-initialisation",
            "over-regularised",
        ),
    ),
    Part(
        "inputs and targets",
        lambda record: any(
            tag.startswith(("inputs/", "targets/")) for tag in record.histograms
        ),
        (
            "unnormalised-inputs",
            "unscaled-targets",
            "class-imbalance",
            "misaligned-labels",
            "label-noise",
        ),
    ),
)


def missing(record: Record) -> list[str]:
    """Return a sentence for each part that isn't there, and for an end that isn't."""
    absent = [part for part in PARTS if not part.is_there(record)]
    sentences = [_sentence((part,)) for part in absent if not part.by_recorder]
    rest = [part for part in absent if part.by_recorder]
    if rest and not record.recorded:
        sentences.append(f"{_sentence(rest)}. {ADVICE}")
    elif record.recorded:
        sentences += [_sentence((part,)) for part in rest]
    if not record.finished:
        sentences.append(
            "the run's end is not recorded: it goes on, or was stopped; what comes "
            "later can't be judged"
        )
    return sentences


def can_be_judged(record: Record) -> bool:
    """Return whether there is anything at all to call healthy or not."""
    return any(
        part.is_there(record)
        for part in PARTS
        if part.name != "model, loss and metrics"
    )


def _sentence(parts: tuple[Part, ...] | list[Part]) -> str:
    names = [part.name for part in parts]
    faults = [fault for part in parts for fault in part.faults]
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if names[1:] else names[0]
    return f"not recorded: {listed}; so can't be judged: {', '.join(faults)}"
