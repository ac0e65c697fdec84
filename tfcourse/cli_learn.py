"""Commands for learners: `list`, `start`, `check`, `hint`, `solution`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tfcourse.catalog import Exercise, find_exercise, load_catalog
from tfcourse.errors import UserError
from tfcourse.workspace import Workspace, now

ExerciseArgument = Annotated[
    str, typer.Argument(metavar="EXERCISE", help="Number or name: 1, deep_mlp.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def list_exercises(as_json: JsonOption = False) -> None:
    """List the exercises: number, state, minutes, dataset."""
    catalog, workspace = load_catalog(), Workspace.find()
    if as_json:
        rows = [
            {
                "number": exercise.number,
                "name": exercise.name,
                "title": exercise.title,
                "summary": exercise.summary,
                "state": workspace.progress(exercise).state(exercise),
                "minutes": exercise.minutes,
                "points": exercise.points,
                "dataset": exercise.dataset,
                "needs": list(exercise.needs),
            }
            for exercise in catalog
        ]
        print(json.dumps(rows, indent=1))
        return
    from rich.console import Console

    from tfcourse.console import print_exercises

    print_exercises(Console(highlight=False), catalog, workspace)


def start(
    exercise: ExerciseArgument,
    notebook: Annotated[
        bool, typer.Option("--notebook", help="Copy the notebook instead.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace your file; a backup is kept.")
    ] = False,
) -> None:
    """Copy an exercise's skeleton to work/."""
    found = find_exercise(exercise)
    workspace = Workspace.find()
    path, backup = workspace.start(found, notebook=notebook, force=force)
    scripts = workspace.copy_scripts(found, force=force)
    if backup:
        print(f"backup   {backup}")
    print(f"yours    {path}")
    if scripts:
        print(f"scripts  {scripts}")
    print(f"read     {found.path('handout.md')}")
    needed = ", ".join(str(number) for number in found.needs)
    if needed:
        print(f"before   exercise {needed}")
    print(f"next     tfcourse check {found.number} --watch")


def check(
    exercise: ExerciseArgument,
    file: Annotated[
        Path | None, typer.Option("--file", help="A .py file or notebook.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="One task only.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Check again at each save.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0.1, help="Seconds for one check."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check your work; exit code 0 only when all checks pass."""
    from tfcourse.submission import require_file

    found = find_exercise(exercise)
    if task:
        found.task(task)
    if watch and as_json:
        raise UserError("--watch and --json don't go together")
    workspace = Workspace.find()
    path = require_file(file or workspace.require_file(found))
    status = _check_once(found, path, workspace, task, timeout, as_json)
    if watch:
        from watchfiles import watch as watch_files

        watching = f"\nwatching {path} (Ctrl-C ends)"
        print(watching, flush=True)
        for changes in watch_files(path.parent, recursive=False):
            is_ours = any(Path(name).name == path.name for _, name in changes)
            if is_ours and path.is_file():
                _check_once(found, path, workspace, task, timeout, as_json)
                print(watching, flush=True)
        return
    raise typer.Exit(0 if status == "pass" else 1)


def _check_once(
    exercise: Exercise,
    path: Path,
    workspace: Workspace,
    task: str | None,
    timeout: float | None,
    as_json: bool,
) -> str:
    from rich.console import Console

    from tfcourse.check_process import check_file
    from tfcourse.console import ReportPrinter

    console = Console(quiet=as_json)
    printer = ReportPrinter(console, exercise)
    with console.status("loading TensorFlow, then checking"):
        run = check_file(
            exercise,
            path,
            task=task,
            timeout_seconds=timeout,
            on_result=printer.result,
        )
    if as_json:
        print(json.dumps(run.report.to_dict(), indent=1))
    printer.end(run, _short(path))
    own = workspace.file(exercise)
    if own and own.resolve() == path.resolve():
        try:
            workspace.record_report(exercise, run.report)
        except UserError as error:
            print(f"tfcourse: your progress was not stored: {error}", file=sys.stderr)
    return run.report.status


def _short(path: Path) -> Path:
    """Return the path as seen from the current folder, if it is below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def hint(
    exercise: ExerciseArgument,
    task: Annotated[
        str | None, typer.Argument(help="Default: the first that is not passed.")
    ] = None,
) -> None:
    """Show the next hint, from a nudge to nearly the answer."""
    found, workspace = find_exercise(exercise), Workspace.find()
    progress = workspace.progress(found)
    waiting = [t for t in found.tasks if progress.tasks.get(t.function) != "pass"]
    if task is None and not waiting:
        print(f"all tasks are passed: tfcourse solution {found.number}")
        return
    chosen = found.task(task) if task else waiting[0]
    shown = min(progress.hints.get(chosen.function, 0), len(chosen.hints) - 1)
    print(f"{chosen.function}, hint {shown + 1} of {len(chosen.hints)}:\n")
    print(chosen.hints[shown])
    if shown + 1 == len(chosen.hints):
        print(f"\n(the last one; after it: tfcourse solution {found.number} --reveal)")
    progress.hints[chosen.function] = shown + 1
    workspace.save(found, progress)


def solution(
    exercise: ExerciseArgument,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show all of it; this is recorded.")
    ] = False,
) -> None:
    """Show the reference for the tasks that you have passed."""
    from tfcourse.skeleton import solution_sources

    found, workspace = find_exercise(exercise), Workspace.find()
    progress = workspace.progress(found)
    text = found.path("solution.py").read_text(encoding="utf-8")
    sources = solution_sources(text)
    passed = [
        t.function for t in found.tasks if progress.tasks.get(t.function) == "pass"
    ]
    if reveal and len(passed) < len(found.tasks):
        progress.revealed = progress.revealed or now()
        workspace.save(found, progress)
    shown = [t.function for t in found.tasks] if reveal else passed
    if not shown:
        raise UserError(
            f"no task of exercise {found.id} is passed yet: tfcourse check "
            f"{found.number}, tfcourse hint {found.number}, or --reveal"
        )
    from rich.console import Console
    from rich.syntax import Syntax

    console = Console()
    for name in shown:
        console.print(Syntax(sources[name], "python", theme="ansi_light"))
        console.print()
    if len(shown) < len(found.tasks):
        print(
            f"{len(found.tasks) - len(shown)} tasks are not passed yet (or: --reveal)"
        )
