"""Reads runs from TensorBoard's event files, in bounded memory. No TensorFlow.

Understood are the layouts of `tfcourse.doctor.Recorder` and `tfcourse.runs.Run`, of
`keras.callbacks.TensorBoard`, and of anything that writes scalars.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tfcourse.doctor.event_files import Event, EventFile
from tfcourse.doctor.event_values import (
    Histogram,
    histogram_of_proto,
    histogram_of_tensor,
    scalar,
    text,
)
from tfcourse.doctor.layouts import add_keras_names
from tfcourse.doctor.record import Record
from tfcourse.doctor.run_folders import RunFiles, find_runs, run_files
from tfcourse.doctor.series import Budget, HistogramBuilder, Series, SeriesBuilder

__all__ = ["Histogram", "Record", "Series", "find_runs", "read_run"]

Builder: TypeAlias = SeriesBuilder | HistogramBuilder | None

MAX_TAGS = 5000  # Of one side; the largest models have some hundreds.
MAX_TAG_CHARACTERS = 500
MAX_PROBLEMS = 20
MAX_PROBES = 16
MAX_JSON_BYTES = 4 * 1024 * 1024
MAX_JSON_DEPTH = 40
SILENCES = 3  # Longest pauses between two records after which a run has ended.
FACTS, PROBES = "doctor/facts", "doctor/probes"


def read_run(folder: str | Path, name: str | None = None) -> Record:
    """Return what the event files of one run hold.

    Args:
        folder: The run's folder: event files in it, or in `train` and `validation` below.
        name: Of the run; default: the folder's.

    Raises:
        UserError: The folder is missing, unreadable, no folder, or holds no run.
    """
    files = run_files(Path(folder))
    with np.errstate(all="ignore"):  # Logs may hold any numbers.
        return _read(files, name)


def _read(files: RunFiles, name: str | None) -> Record:
    record = Record(name or files.folder.resolve().name, files.folder)
    train = _Side(record, is_train=True)
    train.read(files.train)
    validation = _Side(record, is_train=False)
    validation.read(files.validation)
    record.train, record.histograms = train.series(), train.histograms()
    record.validation = validation.series()
    if not record.recorded:
        record.finished = _has_ended(train, validation)
    add_keras_names(record)
    _shorten(record, files)
    return record


class _Side:
    """Collects one side of a run, training or validation, from its files in order."""

    def __init__(self, record: Record, *, is_train: bool) -> None:
        self.record = record
        self.is_train = is_train
        self.is_cut = False
        self.last_seconds = 0.0  # When the last record was written, since 1970.
        self.longest_pause_seconds = 0.0
        self._budget = Budget()
        self._builders: dict[str, Builder] = {}

    def read(self, paths: list[Path]) -> None:
        """Read the files, oldest first."""
        for path in paths:
            file = EventFile(path)
            for event in file.events():
                self._take(event)
            self.is_cut = file.is_cut
            if file.problem:
                place = path.relative_to(self.record.folder)
                self.record.problems.append(f"{place} {file.problem}")

    def series(self) -> dict[str, Series]:
        """Return the scalars by tag."""
        return {
            tag: builder.build()
            for tag, builder in self._builders.items()
            if isinstance(builder, SeriesBuilder) and len(builder.steps)
        }

    def histograms(self) -> dict[str, list[Histogram]]:
        """Return the histograms by tag."""
        return {
            tag: builder.build()
            for tag, builder in self._builders.items()
            if isinstance(builder, HistogramBuilder) and builder.histograms
        }

    def _take(self, event: Event) -> None:
        seconds = event.wall_time
        if self.last_seconds < seconds:
            if self.last_seconds:
                pause = seconds - self.last_seconds
                self.longest_pause_seconds = max(self.longest_pause_seconds, pause)
            self.last_seconds = seconds
        step = event.step
        for value in event.summary.value:
            tag = value.tag
            if tag not in self._builders:
                self._meet(tag, value)
            builder = self._builders.get(tag)
            if type(builder) is SeriesBuilder:
                number = _number(value)
                if number is not None:
                    builder.add(step, number)
            elif type(builder) is HistogramBuilder:
                histogram = _histogram(step, value)
                if histogram is not None:
                    builder.add(histogram)
            elif tag in (FACTS, PROBES) and self.is_train:
                self._take_json(tag, value)

    def _meet(self, tag: str, value: Any) -> None:
        """Decide what a new tag holds; the first record of it says so."""
        if len(self._builders) >= MAX_TAGS:
            line = f"holds more than {MAX_TAGS:,} tags: the others are left out"
            if line not in self.record.problems:
                self.record.problems.append(line)
            return
        if len(tag) > MAX_TAG_CHARACTERS:
            return
        builder: Builder = None
        plugin = value.metadata.plugin_data.plugin_name
        kind = value.WhichOneof("value")
        if kind == "histo" or (kind == "tensor" and plugin == "histograms"):
            builder = HistogramBuilder() if self.is_train else None
        elif kind == "simple_value" or _number(value) is not None:
            if plugin in ("", "scalars"):
                builder = SeriesBuilder(self._budget)
        self._builders[tag] = builder

    def _take_json(self, tag: str, value: Any) -> None:
        """Take the facts, which begin a recording, or one probe."""
        record = self.record
        record.recorded = True
        found = _json_dict(tag, text(value.tensor), record.problems)
        if tag == FACTS:
            record.facts, record.probes, record.finished = found, [], False
        elif found is not None:
            record.probes = [*record.probes[: MAX_PROBES - 1], found]
            record.finished = found.get("when") == "end"


def _number(value: Any) -> float | None:
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    return scalar(value.tensor) if kind == "tensor" else None


def _histogram(step: int, value: Any) -> Histogram | None:
    kind = value.WhichOneof("value")
    if kind == "histo":
        return histogram_of_proto(step, value.histo)
    return histogram_of_tensor(step, value.tensor) if kind == "tensor" else None


def _json_dict(
    tag: str, data: bytes | None, problems: list[str]
) -> dict[str, Any] | None:
    """Return the JSON object, or None and a line in `problems`."""
    try:
        if data is None or len(data) > MAX_JSON_BYTES:
            raise ValueError("no text, or too long")
        found = json.loads(data)
        if not isinstance(found, dict) or _is_deeper(found, MAX_JSON_DEPTH):
            raise ValueError("not an object, or nested too deeply")
    except (ValueError, RecursionError):
        problems.append(f"{tag} can't be read: not the JSON that Recorder writes")
        return None
    return found


def _is_deeper(value: Any, max_depth: int) -> bool:
    """Return whether lists and dicts are nested more deeply, without recursion."""
    layer = [value]
    for _ in range(max_depth):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(layer)


def _has_ended(*sides: _Side) -> bool:
    """Return whether a run that says nothing about its end is over."""
    if any(side.is_cut for side in sides):
        return False
    silence_seconds = time.time() - max(side.last_seconds for side in sides)
    pause_seconds = max(side.longest_pause_seconds for side in sides)
    return silence_seconds > SILENCES * pause_seconds


def _shorten(record: Record, files: RunFiles) -> None:
    """Make each problem one line, and keep the list short."""
    lines = [" ".join(line.split()) for line in [*files.problems, *record.problems]]
    if len(lines) > MAX_PROBLEMS:
        lines[MAX_PROBLEMS - 1 :] = [f"and {len(lines) - MAX_PROBLEMS + 1} more"]
    record.problems = lines
