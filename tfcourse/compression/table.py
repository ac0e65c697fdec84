"""Prints what `tfcourse compress` measured: for people, and as JSON for programs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from tfcourse.compression.session import Row

LEGEND = """\
bytes: of the file as it lies on the disk. Methods that make zeros or repeated values are
  packed with gzip (.gz): that is where these save bytes; unpack them before use.
ratio: bytes of the float32 LiteRT file over bytes.
accuracy: on the test images, by the file itself, with its 95 % interval (Wilson).
µs: microseconds for one image, median and quartiles of 200 calls, 1 and 2 threads."""


def print_table(console: Console, rows: list[Row], folder: Path) -> None:
    """Print the rows, the legend and where the files are."""
    table = Table(box=None, pad_edge=False)
    columns = ("method", "bytes", "ratio", "accuracy %", "µs, 1 thread", "2 threads")
    for column in columns:
        right = column != "method"
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        if not row.problem:
            low, high = row.interval
            table.add_row(
                row.method,
                f"{row.num_bytes:,}",
                f"{row.ratio:.2f}",
                f"{row.accuracy:.2%} [{low:.1%}, {high:.1%}]".replace("%", ""),
                *(latency.text() for latency in row.latencies),
            )
    # A pipe has no width; lines that break there could not be read by programs.
    if not console.is_terminal:
        console = Console(file=console.file, width=200, highlight=False)
    console.print(table)
    console.print(f"\n[dim]{escape(LEGEND)}[/]\n", highlight=False)
    for row in rows:
        if not row.problem:
            console.print(
                f"{row.method:24}{folder / row.file}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )


def as_json(rows: list[Row], folder: Path) -> list[dict[str, Any]]:
    """Return the rows as plain data, with the paths of the files."""
    return [
        {
            **dataclasses.asdict(row),
            "file": None if row.problem else str(folder / row.file),
        }
        for row in rows
    ]
