"""`tfcourse doctor`: what is wrong with a training run. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfcourse.cli_learn import JsonOption
from tfcourse.errors import UserError

if TYPE_CHECKING:
    from tfcourse.doctor.fault import Fault
    from tfcourse.doctor.report import Diagnosis


def doctor(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="Of one run, or of several."),
    ] = None,
    as_json: JsonOption = False,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain", metavar="CODE", help="Tell about a fault: dead-relu."
        ),
    ] = None,
    in_full: Annotated[
        bool, typer.Option("--all", help="Each finding in full, of each run.")
    ] = False,
) -> None:
    """Say what is wrong with a training run, and how to mend it.

    Reads TensorBoard's event files: best those of tfcourse.doctor.Recorder, but any with
    a loss will do. Exit code 0: diagnosed, whatever was found; 2: nothing to diagnose.
    """
    fault = _fault(explain) if explain is not None else None
    if folder is None and fault is None:
        raise UserError(
            "name the folder of a run, such as `tfcourse doctor logs/runs/mine`, or a "
            "fault, such as `tfcourse doctor --explain dead-relu`"
        )
    diagnoses = _diagnoses(folder, quiet=as_json) if folder is not None else []
    if as_json:
        _print_json(diagnoses, folder, fault)
        return
    from rich.console import Console

    from tfcourse.doctor import report

    console = Console(highlight=False)
    if folder is not None and len(diagnoses) > 1 and not in_full:
        report.print_runs(console, diagnoses, folder)
    else:
        for place, diagnosis in enumerate(diagnoses):
            if place:
                console.rule(style="dim")
            report.print_run(console, diagnosis, in_full=in_full)
    if fault is not None:
        if diagnoses:
            console.rule(style="dim")
        report.print_fault(console, fault)


def _fault(code: str) -> Fault:
    from tfcourse.doctor.faults import FAULTS, near_codes

    if code in FAULTS:
        return FAULTS[code]
    near = near_codes(code)
    if near:
        raise UserError(f"no fault {code[:40]!r}; did you mean {', '.join(near)}?")
    raise UserError(f"no fault {code[:40]!r}; the codes are {', '.join(FAULTS)}")


def _diagnoses(folder: Path, *, quiet: bool) -> list[Diagnosis]:
    """Return the diagnosis of each run in and below the folder."""
    from rich.console import Console
    from rich.progress import Progress

    from tfcourse.doctor.run_folders import find_runs

    runs = find_runs(folder) or [folder]
    if len(runs) == 1:
        return [_diagnosis(runs[0], runs[0].resolve().name)]
    found = []
    hidden = quiet or not sys.stderr.isatty()
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=hidden) as progress:
        for run in progress.track(runs, description="reading runs"):
            name = "." if run == folder else str(run.relative_to(folder))
            try:
                found.append(_diagnosis(run, name))
            except UserError as error:  # One bad run doesn't hide the others.
                found.append(_unread(run, name, str(error)))
    return found


def _diagnosis(run: Path, name: str) -> Diagnosis:
    from tfcourse.doctor.diagnosis import diagnose
    from tfcourse.doctor.reading import read_run
    from tfcourse.doctor.report import diagnosis_of

    record = read_run(run)
    try:
        findings = diagnose(record)
    except (
        TypeError,
        ValueError,
        AttributeError,
        LookupError,
        ArithmeticError,
    ) as error:
        if record.facts is None and not record.probes:
            raise
        # JSON of the right form with other content than Recorder writes.
        record.facts, record.probes = None, []
        record.problems.append(
            "doctor/facts and doctor/probes are left out: they don't hold what Recorder "
            f"writes ({type(error).__name__})"
        )
        findings = diagnose(record)
    return diagnosis_of(record, findings, name)


def _unread(run: Path, name: str, problem: str) -> Diagnosis:
    from tfcourse.doctor.record import Record
    from tfcourse.doctor.report import diagnosis_of

    return diagnosis_of(Record(name, run, problems=[problem]), [], name)


def _print_json(
    diagnoses: list[Diagnosis], folder: Path | None, fault: Fault | None
) -> None:
    from tfcourse.doctor.report import as_json

    records = [as_json(diagnosis) for diagnosis in diagnoses]
    explained = {} if fault is None else {"explained": dataclasses.asdict(fault)}
    if folder is None:
        answer = explained["explained"]
    elif len(records) == 1:
        answer = {**records[0], **explained}
    else:
        answer = {"runs": records, **explained}
    print(json.dumps(answer, indent=1))
