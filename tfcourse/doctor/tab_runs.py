"""What the TensorBoard tab knows of the runs, read with TensorBoard's data provider.

Text in logs is anybody's: here it is cut to a length and checked for its form; the tab
shows it as text, never as HTML.
"""

import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tensorboard.data import provider

from tfcourse.doctor.findings import SEVERITIES, Finding, from_json, to_json

PLUGIN_NAME = "doctor"
FACTS, PROBES, FINDINGS = "doctor/facts", "doctor/probes", "doctor/findings"
# Scalars that nearly every run has, to see how far it is.
CLOCKS = ("step/loss", "epoch_loss", "loss", "batch_loss", "epoch_learning_rate")
TRAIN, VALIDATION = "train", "validation"
RECENT_SECONDS = 120.0  # A run that wrote since is taken to be going on.
MAX_FINDINGS = 100
MAX_TEXT = 8000  # Characters of one text of a finding.
MAX_ROWS = 24  # Numbers, series or links of one finding.
MAX_POINTS = 240  # Of one series: the charts have fewer pixels.
MAX_READ_POINTS = 2000  # TensorBoard keeps 1000 of a series unless told otherwise.


class Source(NamedTuple):
    """Where to read: TensorBoard's data provider and what its methods ask for."""

    provider: Any
    context: Any
    experiment_id: str


@dataclass
class Run:
    """One training run: its training side and its validation side.

    Attributes:
        name: As TensorBoard calls it, "." for the logdir itself.
        recorded: By Recorder; otherwise its findings come from its scalars alone.
        findings: None if nobody has diagnosed it yet.
        problems: What could not be read, a sentence each.
        missing: What the diagnosis could not see, a sentence each.
        last_step: None if it is not known.
        written_seconds: When it wrote last, since the epoch; 0 if not known.
    """

    name: str
    recorded: bool = False
    finished: bool = False
    findings: list[Finding] | None = None
    problems: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    last_step: int | None = None
    written_seconds: float = 0.0

    def take(self, answer: dict[str, Any]) -> None:
        """Take over what the diagnosis of the run's event files gave."""
        self.problems = [str(line)[:MAX_TEXT] for line in answer.get("problems", ())]
        self.missing = [str(line)[:MAX_TEXT] for line in answer.get("missing", ())]
        if answer.get("findings") is not None:
            self.findings, problems = parse_findings(answer["findings"])
            self.problems += problems

    @property
    def state(self) -> str:
        """Return the worst severity, or healthy, waiting or unreadable."""
        if self.findings is None:
            return "unreadable" if self.problems else "waiting"
        found = {finding.severity for finding in self.findings}
        worst = next((name for name in SEVERITIES if name in found), "healthy")
        return "healthy" if worst == "note" else worst

    def summary(self) -> dict[str, Any]:
        """Return what a list of runs shows of it."""
        findings = self.findings or []
        age_seconds = time.time() - self.written_seconds
        return {
            "name": self.name,
            "state": self.state,
            "recorded": self.recorded,
            "running": not self.finished and 0 <= age_seconds < RECENT_SECONDS,
            "finished": self.finished,
            "step": self.last_step,
            "written": round(self.written_seconds, 1),
            "counts": {
                name: sum(finding.severity == name for finding in findings)
                for name in SEVERITIES
            },
            "findings": [
                {
                    "fault": finding.fault,
                    "severity": finding.severity,
                    "confidence": finding.confidence,
                    "message": finding.message[:300],
                }
                for finding in findings
            ],
        }

    def details(self) -> dict[str, Any]:
        """Return everything about it."""
        findings = [to_json(finding) for finding in self.findings or []]
        return {
            **self.summary(),
            "findings": findings,
            "problems": self.problems,
            "missing": self.missing,
        }


def side_of(run: str, runs: Iterable[str], recorded: Iterable[str]) -> tuple[str, str]:
    """Return (name of the training run, side) for TensorBoard's run `run`.

    Recorder writes "mine" and "mine/validation", Keras's callback "mine/train" and
    "mine/validation".

    Args:
        run: One of `runs`.
        runs: All runs of TensorBoard.
        recorded: Those into which Recorder wrote.
    """
    parent, _, last = run.rpartition("/")
    if run not in recorded:
        if last == VALIDATION:
            return parent or ".", VALIDATION
        if last == TRAIN and f"{run}/{VALIDATION}" not in runs:
            return parent or ".", TRAIN
    return run, TRAIN


def read_runs(source: Source) -> dict[str, Run]:
    """Return all runs by name, in the order of their names."""
    where = {"experiment_id": source.experiment_id}
    read = source.provider
    tensors = read.read_tensors(
        source.context, plugin_name=PLUGIN_NAME, downsample=10, **where
    )
    clocks = read.list_scalars(
        source.context,
        plugin_name="scalars",
        run_tag_filter=provider.RunTagFilter(tags=CLOCKS),
        **where,
    )
    listed = {run.run_name for run in read.list_runs(source.context, **where)}
    recorded = {name for name, tags in tensors.items() if tags}
    runs: dict[str, Run] = {}
    for name in sorted(listed | recorded):
        group, _ = side_of(name, listed, recorded)
        run = runs.setdefault(group, Run(group))
        for tag, clock in clocks.get(name, {}).items():
            run.written_seconds = max(run.written_seconds, clock.max_wall_time)
            if not tag.startswith("epoch_"):  # Those count epochs, not steps.
                run.last_step = max(run.last_step or 0, clock.max_step)
        if name in recorded:
            _read_recorded(run, tensors[name])
    return dict(sorted(runs.items()))


def _read_recorded(run: Run, tags: dict[str, list[Any]]) -> None:
    """Fill in what Recorder wrote of a run."""
    run.recorded = True
    # The time rather than the step: a folder may hold two runs, one after the other.
    newest = {
        tag: max(data, key=lambda datum: datum.wall_time)
        for tag, data in tags.items()
        if data
    }
    for datum in newest.values():
        run.written_seconds = max(run.written_seconds, datum.wall_time)
    start_seconds = newest[FACTS].wall_time if FACTS in newest else 0.0
    for datum in tags.get(PROBES, ()):
        probe = _parse(datum)
        ended = isinstance(probe, dict) and probe.get("when") == "end"
        run.finished |= ended and datum.wall_time >= start_seconds
    if FINDINGS in newest and newest[FINDINGS].wall_time >= start_seconds:
        run.findings, run.problems = parse_findings(_parse(newest[FINDINGS]))


def _parse(datum: Any) -> Any:
    """Return the JSON of a string tensor, or None if it holds none."""
    try:
        text = datum.numpy.reshape(-1)[0]
        return json.loads(text)
    except (ValueError, IndexError, TypeError, RecursionError):
        return None


def parse_findings(records: Any) -> tuple[list[Finding] | None, list[str]]:
    """Return (findings, problems); None for findings if there is no list of them."""
    if not isinstance(records, list):
        return None, ["The findings in the log can't be read: they are no list."]
    findings, problems = [], []
    for number, record in enumerate(records[:MAX_FINDINGS], start=1):
        try:
            findings.append(_bounded(from_json(record)))
        except ValueError:
            problems.append(f"Finding {number} in the log can't be read.")
    if len(records) > MAX_FINDINGS:
        problems.append(f"Only the first {MAX_FINDINGS} findings are shown.")
    return findings, problems


def _bounded(finding: Finding) -> Finding:
    """Return the finding with texts and lists cut, and a confidence from 0 to 1."""
    record = to_json(finding)
    confidence = finding.confidence
    record["confidence"] = min(max(0.0, confidence), 1.0)  # max(0.0, nan) is 0.0.
    record["evidence"] = record["evidence"][:MAX_ROWS]
    for evidence in record["evidence"]:
        evidence["numbers"] = dict(list(evidence["numbers"].items())[:MAX_ROWS])
        evidence["series"] = evidence["series"][:MAX_ROWS]
    record["see"] = record["see"][:MAX_ROWS]
    return from_json(_cut(record))


def _cut(value: Any) -> Any:
    """Return nested dicts and lists with each text cut to `MAX_TEXT` characters."""
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + " ..."
    if isinstance(value, dict):
        return {_cut(key): _cut(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cut(item) for item in value]
    return value


def read_series(source: Source, name: str, tags: Sequence[str]) -> list[dict[str, Any]]:
    """Return the scalars of a training run, of both its sides.

    A tag that starts with "validation/" is that of the validation side as well.

    Returns:
        A dict for each series: tag (as asked for), side, steps int [n], values
        float [n], with n at most about `MAX_POINTS`.
    """
    if not tags:
        return []
    prefix = "" if name == "." else f"{name}/"
    sides = {name: TRAIN, prefix + TRAIN: TRAIN, prefix + VALIDATION: VALIDATION}
    short = {tag: tag.removeprefix(f"{VALIDATION}/") for tag in tags}
    data = source.provider.read_scalars(
        source.context,
        experiment_id=source.experiment_id,
        plugin_name="scalars",
        downsample=MAX_READ_POINTS,
        run_tag_filter=provider.RunTagFilter(
            runs=list(sides), tags=sorted({*tags, *short.values()})
        ),
    )
    series = []
    for tag in dict.fromkeys(tags):
        for run, side in sides.items():
            of_run = data.get(run, {})
            points = of_run.get(tag)
            if points is None and side == VALIDATION:
                points = of_run.get(short[tag])
            if points:
                steps = [point.step for point in points]
                values = [point.value for point in points]
                steps, values = thinned(steps, values)
                series.append(
                    {"tag": tag, "side": side, "steps": steps, "values": values}
                )
    return series


def thinned(
    steps: list[int], values: list[float], max_points: int = MAX_POINTS
) -> tuple[list[int], list[float]]:
    """Return a series of few points that looks the same.

    Of each stretch the first, the least, the greatest and the first non-finite value
    stay, so that no spike is lost; the last of all stays too.
    """
    count = len(values)
    if count <= max_points:
        return steps, values
    length = math.ceil(count / (max_points // 4))
    kept = {count - 1}
    for start in range(0, count, length):
        stretch = range(start, min(start + length, count))
        finite = [index for index in stretch if math.isfinite(values[index])]
        kept.add(start)
        if finite:
            kept |= {min(finite, key=values.__getitem__)}
            kept |= {max(finite, key=values.__getitem__)}
        kept |= set([index for index in stretch if index not in finite][:1])
    order = sorted(kept)
    return [steps[index] for index in order], [values[index] for index in order]
