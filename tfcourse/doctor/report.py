"""Diagnoses of runs as JSON and as text for a terminal. No TensorFlow.

Names, tags and sentences come from logs that anybody may have written: whatever they hold
is shown as text, never taken for markup or for a terminal's control characters.
"""

from __future__ import annotations

import dataclasses
import math
import shlex
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfcourse.doctor.coverage import can_be_judged, missing
from tfcourse.doctor.fault import Fault
from tfcourse.doctor.findings import Evidence, Finding, Severity, to_json
from tfcourse.doctor.record import Record

STYLES: dict[Severity, str] = {
    "error": "bold red",
    "warning": "bold yellow",
    "note": "bold blue",
}
NUM_IN_FULL = 3  # Findings; the others have one line each unless all are asked for.
MAX_CHARACTERS = 2000  # Of one text from a log.
INDENT = 3
LABEL = 8  # Width of `change` and its like.


@dataclass(frozen=True)
class Diagnosis:
    """What is said about one run; the record itself isn't kept.

    Attributes:
        judged: Whether there was anything to judge.
        finished: Whether the run's end was seen.
        recorded: Whether `Recorder` recorded it.
        summary: What was read, in one line.
    """

    run: str
    folder: Path
    findings: tuple[Finding, ...]
    missing: tuple[str, ...]
    problems: tuple[str, ...]
    judged: bool
    finished: bool
    recorded: bool
    summary: str

    @property
    def healthy(self) -> bool:
        """Whether nothing was found but notes, in a run that could be judged."""
        return self.judged and all(f.severity == "note" for f in self.findings)


def diagnosis_of(record: Record, findings: list[Finding], name: str) -> Diagnosis:
    """Return what is to be said about a run, its tags as they are in the files."""
    return Diagnosis(
        run=name,
        folder=record.folder,
        findings=tuple(_with_tags_of_files(finding, record) for finding in findings),
        missing=tuple(missing(record)),
        problems=tuple(record.problems),
        judged=can_be_judged(record),
        finished=record.finished,
        recorded=record.recorded,
        summary=_summary(record),
    )


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the diagnosis for programs; what isn't finite becomes null."""
    record = {
        "run": diagnosis.run,
        "healthy": diagnosis.healthy,
        "findings": [to_json(finding) for finding in diagnosis.findings],
        "missing": list(diagnosis.missing),
        "problems": list(diagnosis.problems),
    }
    finite: dict[str, Any] = _finite(record)
    return finite


def print_run(console: Console, diagnosis: Diagnosis, *, in_full: bool = False) -> None:
    """Print everything about one run, the most important first."""
    console.print(
        Text.assemble((safe(diagnosis.run), "bold"), ": ", _verdict(diagnosis))
    )
    if diagnosis.summary:
        console.print(Text(diagnosis.summary, "dim"))
    for rank, finding in enumerate(diagnosis.findings, start=1):
        console.print()
        print_finding(console, rank, finding, in_full=in_full or rank <= NUM_IN_FULL)
    if len(diagnosis.findings) > NUM_IN_FULL and not in_full:
        console.print(Text("\nall in full: add --all", "dim"))
    for title, lines in (
        ("missing", diagnosis.missing),
        ("problems", diagnosis.problems),
    ):
        if lines:
            console.print(Text(f"\n{title}", "bold"))
            for line in lines:
                _indented(console, safe(line))
    folder = diagnosis.folder.resolve()
    logdir = folder.parent if folder.parent != folder else folder
    console.print()
    _command(console, "look", f"tensorboard --logdir {shlex.quote(_shown(logdir))}")


def print_finding(
    console: Console, rank: int, finding: Finding, *, in_full: bool = True
) -> None:
    """Print one finding: where, what, why, what to change, where to look."""
    head = Text.assemble(
        (f"{rank:<{INDENT}}", "bold"),
        (finding.severity, STYLES[finding.severity]),
        "  ",
        (safe(finding.fault), "bold"),
        (f"  {_where(finding)}  " if _where(finding) else "  "),
        (f"confidence {finding.confidence:.0%}", "dim"),
    )
    console.print(head)
    _indented(console, safe(finding.message))
    if not in_full:
        return
    for evidence in finding.evidence:
        _indented(console, _seen(evidence), "seen")
    if finding.remedy.strip():
        console.print(Text(" " * INDENT + "change", "dim"))
        for line in safe(finding.remedy, keep_lines=True).strip("\n").split("\n"):
            code = Text(" " * 2 * INDENT + line, "cyan")
            console.print(code, soft_wrap=True)  # Code is copied: no breaks of ours.
    for see in finding.see:
        place = f"{safe(see.dashboard).capitalize()}: {safe(see.tag)}".rstrip(": ")
        _indented(console, place, "look")
    explain = f"tfcourse doctor --explain {shlex.quote(safe(finding.fault))}"
    _command(console, "learn", explain, INDENT)


def print_runs(console: Console, diagnoses: list[Diagnosis], folder: Path) -> None:
    """Print one line per run with its first finding, and how to see the rest."""
    table = Table(box=None, pad_edge=False)
    longest = max(len(safe(diagnosis.run)) for diagnosis in diagnoses)
    # Names are copied: they are broken only if they take more than half of the width.
    width = min(longest, console.width // 2)
    table.add_column("run", overflow="fold", width=width)
    table.add_column("state", no_wrap=True)
    table.add_column("first finding", overflow="fold")
    for diagnosis in diagnoses:
        first = diagnosis.findings[0] if diagnosis.findings else None
        text = Text(diagnosis.problems[0] if diagnosis.problems and not first else "")
        if first is not None:
            more = len(diagnosis.findings) - 1
            others = f" (+{more})" if more else ""
            place = f"  {_where(first)}" if _where(first) else ""
            text = Text.assemble((safe(first.fault), "bold"), others, place)
        table.add_row(
            Text(safe(diagnosis.run)),
            _state(diagnosis),
            Text(safe(text.plain)) if first is None else text,
        )
    console.print(table)
    healthy = sum(diagnosis.healthy for diagnosis in diagnoses)
    console.print(f"\n{len(diagnoses)} runs, {healthy} of them healthy")
    worst = next((d for d in diagnoses if not d.healthy), diagnoses[0])
    _command(console, "details", f"tfcourse doctor {_quoted(worst.folder)}")
    _command(console, "look", f"tensorboard --logdir {_quoted(folder)}")


def print_fault(console: Console, fault: Fault) -> None:
    """Print what there is to know about one fault."""
    console.print(Text.assemble((fault.title, "bold"), (f"  {fault.code}", "dim")))
    console.print(Text(fault.what))
    for title, lines in (
        ("In TensorBoard", fault.looks_like),
        ("Usual causes", fault.causes),
        ("What helps", fault.helps),
    ):
        console.print(Text(f"\n{title}", "bold"))
        for line in lines:
            _indented(console, f"- {line}")
    console.print(Text("\nExample", "bold"))
    for line in fault.example.rstrip().split("\n"):
        style = "dim" if line.lstrip().startswith("#") else "cyan"
        console.print(Text(" " * INDENT + line, style), soft_wrap=True)
    console.print(Text("\nSources", "bold"))
    for line in fault.sources:
        _indented(console, f"- {line}")


def safe(text: str, *, keep_lines: bool = False) -> str:
    r"""Return text from a log without anything that a terminal obeys, and not too long.

    >>> safe("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    text = text[:MAX_CHARACTERS]
    if not keep_lines:
        text = " ".join(text.split())
    return "".join(
        character
        # Control, direction of writing, halves of characters.
        if unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        or (keep_lines and character == "\n")
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def _verdict(diagnosis: Diagnosis) -> Text:
    num_faults = sum(finding.severity != "note" for finding in diagnosis.findings)
    if num_faults:
        plural = "s" if num_faults > 1 else ""
        return Text(f"{num_faults} finding{plural}", STYLES["error"])
    if not diagnosis.judged:
        return Text("nothing that could be judged", STYLES["warning"])
    so_far = "" if diagnosis.finished else " so far"
    scope = "" if diagnosis.recorded else " in what was recorded"
    return Text(f"healthy{so_far}: no fault was found{scope}", "bold green")


def _state(diagnosis: Diagnosis) -> Text:
    if diagnosis.healthy:
        return Text("healthy" if diagnosis.finished else "healthy so far", "green")
    if not diagnosis.findings:
        return Text("not judged", STYLES["warning"])
    severity = diagnosis.findings[0].severity
    return Text(severity, STYLES[severity])


def _where(finding: Finding) -> str:
    where = finding.where
    parts = [safe(part) for part in (where.variable or where.layer,) if part]
    if where.steps:
        first, last = where.steps
        parts.append(
            f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"
        )
    return ", ".join(parts)


def _seen(evidence: Evidence) -> str:
    numbers = ", ".join(
        f"{safe(name)} = {number:.4g}" for name, number in evidence.numbers.items()
    )
    return f"{safe(evidence.rule)} [{numbers}]" if numbers else safe(evidence.rule)


def _summary(record: Record) -> str:
    """Return what was read, in one line."""
    parts = ["recorded by Recorder" if record.recorded else "not recorded by Recorder"]
    epochs = record.train.get("epoch_loss") or record.validation.get("epoch_loss")
    if epochs:
        parts.append(f"epochs: {len(epochs):,}")
    parts.append(f"scalars: {len(record.train) + len(record.validation):,}")
    parts.append(f"histograms: {len(record.histograms):,}")
    return ", ".join(parts)


def _with_tags_of_files(finding: Finding, record: Record) -> Finding:
    """Return the finding with the tags that TensorBoard lists, not Keras's names."""
    real: dict[str, list[str]] = {}
    for alias, tag in sorted(record.aliases.items()):
        real.setdefault(alias.partition("/")[2], []).append(tag)
    if not real:
        return finding
    return dataclasses.replace(
        finding,
        see=tuple(
            dataclasses.replace(see, tag=tag)
            for see in finding.see
            for tag in real.get(see.tag, [see.tag])
        ),
        evidence=tuple(
            dataclasses.replace(
                evidence,
                series=tuple(
                    t for tag in evidence.series for t in real.get(tag, [tag])
                ),
            )
            for evidence in finding.evidence
        ),
    )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _indented(console: Console, text: str, label: str = "") -> None:
    """Print wrapped text behind a label, its lines below one another."""
    indent = INDENT + (LABEL if label else 0)
    lines = Text(text).wrap(console, max(20, console.width - indent))
    for place, line in enumerate(lines):
        start = label if not place else ""
        head = Text(f"{'':{INDENT}}{start:{indent - INDENT}}", "dim")
        console.print(Text.assemble(head, line.plain.rstrip()), soft_wrap=True)


def _command(console: Console, label: str, command: str, indent: int = 0) -> None:
    # Commands are copied: no breaks of ours.
    head = Text(f"{'':{indent}}{label:{LABEL}}", "dim")
    console.print(Text.assemble(head, (safe(command), "cyan")), soft_wrap=True)


def _quoted(folder: Path) -> str:
    return shlex.quote(_shown(folder.resolve()))


def _shown(folder: Path) -> str:
    """Return the folder as seen from here, if it lies below."""
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)
