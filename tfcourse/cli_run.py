"""Commands around training: `run`, `board`, `results`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tfcourse.catalog import TIERS, find_exercise, load_catalog
from tfcourse.cli_learn import ExerciseArgument, JsonOption
from tfcourse.errors import UserError
from tfcourse.processes import child_environment, run_in_terminal
from tfcourse.workspace import Workspace


def run(
    exercise: ExerciseArgument,
    tier: Annotated[
        str, typer.Option("--tier", help="smoke (embedded data), lab or full.")
    ] = "smoke",
    file: Annotated[
        Path | None, typer.Option("--file", help="Your file instead of the reference.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Folder of original data files.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change one setting; repeat."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, max=2**31 - 1)] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the newest unfinished run.")
    ] = False,
) -> None:
    """Train an exercise: live progress, a TensorBoard run, measured against promised."""
    from tfcourse.submission import require_file

    found = find_exercise(exercise)
    if tier not in TIERS:
        raise UserError(f"--tier is one of {', '.join(TIERS)}; got {tier[:40]!r}")
    if data_dir and not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir} is not a folder")
    for setting in settings or ():
        if "=" not in setting:
            raise UserError(f"--set takes name=value; got {setting[:60]!r}")
    request = {
        "exercise": found.name,
        "tier": tier,
        "file": str(require_file(file).resolve()) if file else None,
        "data_dir": str(data_dir.resolve()) if data_dir else None,
        "settings": settings or (),
        "seed": seed,
        "resume": resume,
        "runs": str(Workspace.find().runs),
    }
    command = [sys.executable, "-P", "-m", "tfcourse.child", "run", json.dumps(request)]
    raise typer.Exit(run_in_terminal(command, child_environment()))


def board(
    exercise: Annotated[
        str | None, typer.Argument(metavar="[EXERCISE]", help="Default: all runs.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 6006,
) -> None:
    """Start TensorBoard on the runs."""
    folder = Workspace.find().runs
    number = "1"
    if exercise:
        found = find_exercise(exercise)
        folder, number = folder / found.name, str(found.number)
    if not folder.is_dir():
        raise UserError(f"no runs at {folder}: type `tfcourse run {number}` first")
    if port:
        from tfcourse.run_folder import BOARD_VIEW

        print(f"open: http://localhost:{port}/{BOARD_VIEW}", flush=True)
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    raise typer.Exit(run_in_terminal([*command, "--port", str(port)]))


def results(
    as_json: JsonOption = False,
    write: Annotated[
        bool, typer.Option("--write", help="Renew the table in README.md here.")
    ] = False,
    record: Annotated[
        list[Path] | None,
        typer.Option("--record", help="Add a finished run's folder to the evidence."),
    ] = None,
) -> None:
    """Show what the tiers promise and what was measured."""
    from tfcourse import results as evidence

    for folder in record or ():
        print(f"recorded {evidence.record(folder)}")
    table = evidence.rows(load_catalog())
    if write:
        readme = Path("README.md")
        if not readme.is_file():
            raise UserError("there is no README.md here: go to the project's folder")
        text = evidence.updated_readme(readme.read_text(encoding="utf-8"), table)
        readme.write_text(text, encoding="utf-8")
    if as_json:
        print(json.dumps(table, indent=1))
    elif not record:
        from rich.console import Console

        from tfcourse.console import print_results

        print_results(Console(), table)
