"""`tfcourse compress`: smaller files from a Keras 3 model. Imports no TensorFlow.

Arguments, recipe, file and fit are checked before TensorFlow is loaded.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfcourse.cli_learn import JsonOption
from tfcourse.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from tfcourse.compression.compressing import OnProgress, Progress
    from tfcourse.compression.session import Job

SECONDS_BETWEEN_LINES = 5.0


def compress(
    model: Annotated[
        Path | None, typer.Argument(metavar="MODEL", help="A .keras file.")
    ] = None,
    dataset: Annotated[
        str, typer.Option("--data", metavar="NAME", help="To fine-tune and test on.")
    ] = "mnist",
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="TOML; default: the example.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", help="Folder for the files.")
    ] = Path("compressed"),
    source: Annotated[
        str, typer.Option("--source", help="embedded (no network) or real.")
    ] = "embedded",
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Folder of original files, for --source real."),
    ] = None,
    example_recipe: Annotated[
        bool, typer.Option("--example-recipe", help="Print a recipe and end.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compress a Keras 3 model by several methods, and measure what each one costs.

    Exit code 0: all methods gave a file; 2: bad input, or a method that the model can't
    take (the others' files are there).
    """
    if example_recipe:
        from tfcourse.compression.recipe import EXAMPLE

        print(EXAMPLE, end="")
        return
    if model is None:
        raise UserError("name a model, such as `tfcourse compress mine.keras`")
    job = _checked(model, dataset, recipe, output, source, data_dir)
    _run(job, as_json)


def _checked(
    model: Path,
    dataset: str,
    recipe: Path | None,
    output: Path,
    source: str,
    data_dir: Path | None,
) -> Job:
    """Return the job if nothing is wrong with it as far as can be seen here."""
    from tfcourse.compression import check_model_file, read_blueprint
    from tfcourse.compression.fitting import check_fit
    from tfcourse.compression.recipe import EXAMPLE, parse_recipe, read_recipe
    from tfcourse.compression.session import Job
    from tfcourse.data.loading import SOURCES
    from tfcourse.data.specs import find_spec

    spec = find_spec(dataset)
    if source not in SOURCES:
        raise UserError(f"--source must be one of {', '.join(SOURCES)}; got {source!r}")
    if data_dir is not None and not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir} is not a folder")
    if data_dir is not None and source != "real":
        raise UserError("--data-dir is for --source real")
    chosen = read_recipe(recipe) if recipe else parse_recipe(EXAMPLE)
    config = check_model_file(model)
    if any(method.kind.runs_in == "worker" for method in chosen.methods):
        read_blueprint(config)  # Says which layer can't be moved, before minutes pass.
    shape = check_fit(config, spec)
    _check_writable(output)
    return Job(model, config, shape, chosen, dataset, source, data_dir, output)


def _check_writable(folder: Path) -> None:
    from tfcourse.run_folder import writing

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def _run(job: Job, as_json: bool) -> None:
    from rich.console import Console
    from rich.progress import Progress as Bars

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Read when TensorFlow loads.
    # Standard output is for the table, so that --json can be piped.
    aside = Console(stderr=True, highlight=False)
    with Bars(console=aside, transient=True, disable=not aside.is_terminal) as bars:
        from tfcourse.compression import session, table

        def say(text: str) -> None:
            aside.print(text, markup=False, soft_wrap=True)

        rows = session.run(job, say, _shown(bars, say, aside.is_terminal))
    if as_json:
        print(json.dumps(table.as_json(rows, job.output), indent=1))
    else:
        table.print_table(Console(highlight=False), rows, job.output)
    failed = [row for row in rows if row.problem]
    if failed:
        sys.stdout.flush()
        reasons = "; ".join(f"{row.method}: {row.problem}" for row in failed)
        raise UserError(f"{len(failed)} of {len(rows) - 2} methods failed: {reasons}")


def _shown(bars: Bars, say: Callable[[str], None], live: bool) -> OnProgress:
    """Return a function that moves a bar per stage, or prints a line now and then."""
    import time

    tasks: dict[str, TaskID] = {}
    last = [0.0]

    def show(progress: Progress) -> None:
        label = f"{progress.method}: {progress.stage}"
        if live and label not in tasks:
            for old in tasks.values():
                bars.update(old, visible=False)
            tasks[label] = bars.add_task(label, total=progress.total)
        if live:
            bars.update(tasks[label], completed=progress.done, total=progress.total)
        elif time.monotonic() - last[0] > SECONDS_BETWEEN_LINES:
            last[0] = time.monotonic()
            loss = "" if progress.loss is None else f", loss {progress.loss:.4g}"
            say(f"{label}, epoch {progress.done:.1f} of {progress.total:g}{loss}")

    return show
