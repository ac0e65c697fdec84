"""`tfcourse data`: what sets there are, preparing and verifying them."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from tfcourse.cli_learn import JsonOption
from tfcourse.errors import UserError

app = typer.Typer(
    help="The data sets: what is there, how large, which licence.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="For example mnist.")]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Folder of original files; default: TFCOURSE_DATA_DIR."
    ),
]


@app.command("list", epilog="Example: tfcourse data list --json")
def list_sets(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List the sets: size, licence, what is there."""
    from tfcourse import data

    rows: list[dict[str, Any]] = []
    specs: list[data.DatasetSpec | data.TableSpec | data.RecordingsSpec]
    specs = [*data.catalogue(), *data.table_catalogue(), *data.recordings_catalogue()]
    for spec in specs:
        found = data.status(spec.name, _existing(data_dir))
        rows.append(
            {
                "name": spec.name,
                "title": spec.title,
                "num_train": spec.num_examples["train"],
                "num_test": spec.num_examples["test"],
                "download_bytes": spec.download_bytes,
                "prepared_bytes": spec.prepared_bytes,
                "licence": spec.licence,
                "state": found.state,
                "detail": found.detail,
                "embedded": spec.twin.origin,
                "embedded_note": spec.twin.note,
            }
        )
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        megabytes = f"{row['download_bytes'] / 1e6:.1f} MB"
        print(f"{row['name']}: {row['title']}")
        parts = [f"{row[key]:,}" for key in ("num_train", "num_test") if row[key]]
        print(f"  examples  {' + '.join(parts)}, {megabytes}")
        print(f"  licence   {row['licence']}")
        print(f"  state     {row['state']}: {row['detail']}")
        print(f"  embedded  {row['embedded']}")


@app.command(epilog="Example: tfcourse data prepare mnist --data-dir originals")
def prepare(name: NameArgument, data_dir: DataDirOption = None) -> None:
    """Bring a set into the cache, from original files or the network."""
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from tfcourse import data

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Read when TensorFlow loads.
    # Standard output is muted while TFDS works; a bar there would stand still.
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bars: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in bars:
                bars[step] = progress.add_task(step, total=total)
            progress.update(bars[step], completed=done, total=total)

        found = data.prepare(
            name, _existing(data_dir), notice=progress.console.print, progress=show
        )
    print(f"{found.name}: {found.state}, {found.detail}")


@app.command(epilog="Example: tfcourse data verify mnist")
def verify(
    name: NameArgument, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Read a set's files from end to end and compare their checksums."""
    from tfcourse import data

    files = data.verify(name, _existing(data_dir))
    if as_json:
        print(json.dumps([dataclasses.asdict(file) for file in files], default=str))
        return
    for file in files:
        verdict = "whole" if file.registered else "readable, no checksum registered"
        print(f"{verdict}  {file.path}  {file.num_bytes:,} bytes")


def _existing(data_dir: Path | None) -> Path | None:
    if data_dir is not None and not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir} is not a folder")
    return data_dir
