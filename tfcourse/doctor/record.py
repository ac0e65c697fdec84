"""One run as the doctor sees it. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfcourse.doctor.event_values import Histogram
from tfcourse.doctor.series import Series


@dataclass
class Record:
    """Everything that was read of one run, in bounded memory.

    Attributes:
        name: Of the run, as TensorBoard lists it below its parent.
        folder: Where it lies.
        train: Scalars of the training side, by tag.
        validation: Scalars of the validation side, by tag.
        histograms: By tag; the first, the last and some between, ascending in step.
        facts: What `Recorder` wrote about model and data, or None.
        probes: What `Recorder` tried at the start and at the end.
        recorded: Whether `Recorder` wrote it.
        finished: Whether it has ended, as far as the files tell: `Recorder` says so;
            other runs have ended if the last record is whole and the files have been
            silent for three times as long as ever before.
        problems: One line for each damaged, foreign or unreadable file.
        aliases: `epoch_loss` and its like that stand for a tag of another name: from
            `train/epoch_loss` or `validation/epoch_loss` to the tag in the files.
    """

    name: str
    folder: Path
    train: dict[str, Series] = field(default_factory=dict)
    validation: dict[str, Series] = field(default_factory=dict)
    histograms: dict[str, list[Histogram]] = field(default_factory=dict)
    facts: dict[str, Any] | None = None
    probes: list[dict[str, Any]] = field(default_factory=list)
    recorded: bool = False
    finished: bool = True
    problems: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
