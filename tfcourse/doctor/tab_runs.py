"""What the TensorBoard tab knows of the runs, read with TensorBoard's data provider.

Text in logs is anybody's: here it is cut to a length and checked for its form; the tab
shows it as text, never as HTML.
"""

import functools
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tensorboard.data import provider

from tfcourse.doctor.findings import SEVERITIES, Finding, from_json, to_json
from tfcourse.doctor.run_folders import TRAIN_FOLDERS, VALIDATION_FOLDERS

PLUGIN_NAME = "doctor"
FACTS, PROBES, FINDINGS = "doctor/facts", "doctor/probes", "doctor/findings"
# Scalars that nearly every run has, to see how far it is.
CLOCKS = ("step/loss", "epoch_loss", "loss", "batch_loss", "epoch_learning_rate")
TRAIN, VALIDATION = "train", "validation"  # The two sides of a run.
RECENT_SECONDS = 120.0  # A run that wrote since is taken to be going on.
MAX_FINDINGS = 100
MAX_TEXT = 8000  # Characters of one text of a finding.
MAX_ROWS = 24  # Numbers, series or links of one finding.
MAX_KEPT_TEXTS = 512  # Parsed findings that are kept, since they are asked for again.


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
        written_seconds: When it wrote last, since 1970; 0 if not known.
        sides: TensorBoard's runs of which it consists, and which side each is.
        aliases: From "train/epoch_loss" and the like to the tag in the log, where the
            doctor took one for the other.
        is_training: False for texts, images or trials of a study.
    """

    name: str
    recorded: bool = False
    finished: bool = False
    findings: list[Finding] | None = None
    problems: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    last_step: int | None = None
    written_seconds: float = 0.0
    sides: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    is_training: bool = True

    def take(self, answer: dict[str, Any]) -> None:
        """Take over what the diagnosis of the run's event files gave."""
        self.problems = [str(line)[:MAX_TEXT] for line in answer.get("problems", ())]
        self.missing = [str(line)[:MAX_TEXT] for line in answer.get("missing", ())]
        self.aliases = answer.get("aliases", {})
        self.is_training = answer.get("is_training", True)
        self.finished = answer.get("finished", False)
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
        for see in (see for finding in findings for see in finding["see"]):
            for side in (VALIDATION, TRAIN):
                see["tag"] = self.aliases.get(f"{side}/{see['tag']}", see["tag"])
        return {
            **self.summary(),
            "findings": findings,
            "sides": list(self.sides),
            "problems": self.problems,
            "missing": self.missing,
        }


def sides_of(names: Iterable[str], recorded: Iterable[str]) -> dict[str, Run]:
    """Return the training runs that TensorBoard's runs `names` make, with their sides.

    Recorder writes "mine" and "mine/validation", Keras's callback "mine/train" and
    "mine/validation". The rules are those of `run_folders`, here for names.

    Args:
        names: Of all folders with event files, "." for the logdir itself.
        recorded: Those into which Recorder wrote: never a side of another.
    """
    known = set(names)
    inner: dict[str, dict[str, str]] = {}  # Folder to {lower name: run} in it.
    for name in known - {"."}:
        parent, _, last = name.rpartition("/")
        inner.setdefault(parent or ".", {})[last.lower()] = name
    own = set(recorded)
    side_names = {*TRAIN_FOLDERS, *VALIDATION_FOLDERS}
    own |= {name for name in inner if side_names.intersection(inner[name])}

    def side(parent: str, choices: Sequence[str]) -> str | None:
        there = inner.get(parent, {})
        sides = (there[name] for name in choices if name in there)
        return next((name for name in sides if name not in own), None)

    runs: dict[str, Run] = {}
    for parent in sorted({*known, *inner}):
        train = side(parent, TRAIN_FOLDERS)
        if parent in known or train:
            found = {parent: TRAIN} if parent in known else {}
            validation = side(parent, VALIDATION_FOLDERS)
            found |= {train: TRAIN} if train else {}
            found |= {validation: VALIDATION} if validation else {}
            runs[parent] = Run(parent, sides=found)
    for run in list(runs.values()):
        for name in set(run.sides) - {run.name}:
            del runs[name]
    return runs


def read_runs(source: Source, only: str | None = None) -> dict[str, Run]:
    """Return all runs by name, in the order of their names.

    Args:
        source: Where to read.
        only: The only run whose findings are needed, if not all.
    """
    where = {"experiment_id": source.experiment_id}
    read = source.provider
    listing = read.list_tensors(source.context, plugin_name=PLUGIN_NAME, **where)
    tensors = read.read_tensors(
        source.context,
        plugin_name=PLUGIN_NAME,
        downsample=10,
        run_tag_filter=provider.RunTagFilter(runs=None if only is None else [only]),
        **where,
    )
    clocks = read.list_scalars(
        source.context,
        plugin_name="scalars",
        run_tag_filter=provider.RunTagFilter(tags=CLOCKS),
        **where,
    )
    listed = {run.run_name for run in read.list_runs(source.context, **where)}
    recorded = {name for name, tags in listing.items() if tags}
    runs = sides_of(listed | recorded, recorded)
    for run in runs.values():
        for name in run.sides:
            for tag, clock in clocks.get(name, {}).items():
                run.written_seconds = max(run.written_seconds, clock.max_wall_time)
                if not tag.startswith("epoch_"):  # Those count epochs, not steps.
                    run.last_step = max(run.last_step or 0, clock.max_step)
        if run.name in recorded:
            _read_recorded(run, tensors.get(run.name, {}))
    return runs


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
        probe = _parsed(_text(datum))
        ended = isinstance(probe, dict) and probe.get("when") == "end"
        run.finished |= ended and datum.wall_time >= start_seconds
    if FINDINGS in newest and newest[FINDINGS].wall_time >= start_seconds:
        findings, problems = _findings_in(_text(newest[FINDINGS]))
        run.findings, run.problems = findings, list(problems)


def _text(datum: Any) -> bytes:
    """Return the text of a string tensor; an empty one if it is none."""
    values = datum.numpy.reshape(-1)
    return values[0] if len(values) and isinstance(values[0], bytes) else b""


def _parsed(text: bytes) -> Any:
    """Return the JSON of a text, or None if it holds none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


@functools.lru_cache(maxsize=MAX_KEPT_TEXTS)
def _findings_in(text: bytes) -> tuple[list[Finding] | None, list[str]]:
    return parse_findings(_parsed(text))


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
