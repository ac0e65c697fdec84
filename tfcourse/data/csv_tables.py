"""Reads a table from CSV text with distrust: every complaint is one line.

Columns are found by the names in the header, in whatever order they stand. A cell that is
missing, is no finite number or names an unknown category is refused with its line: what
a run silently made of it would be harder to find.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcourse.data.table_specs import Column, TableSpec
from tfcourse.errors import UserError

MAX_BYTES = 1 << 28  # A table that the course knows has less than 1 MB.
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")  # In any case of letters.

Columns = dict[str, NDArray[Any]]


def read_table(
    spec: TableSpec, path: Path
) -> tuple[Columns, NDArray[np.int64], tuple[str, ...]]:
    """Return columns, targets int64 [n], and the column names in the file's order.

    Columns come in the order of `spec`: float64 [n], or texts [n].

    Raises:
        UserError: If the file can't be read or holds anything but such a table.
    """
    names, rows = _cells(path)
    order = _places(spec, path, names)
    if not rows:
        raise UserError(f"{path} holds a header and no rows: copy it again")
    for number, row in rows:
        if len(row) != len(names):
            raise UserError(
                f"{path}, line {number}: {len(row)} cells instead of {len(names)}; "
                "is it cut off, or is a comma inside a cell?"
            )
    cells = {
        name: [(line, row[place].strip()) for line, row in rows]
        for name, place in order.items()
    }
    columns = {
        column.name: _parsed(column, cells[column.name], path)
        for column in spec.columns
    }
    return columns, _targets(spec, cells[spec.target], path), tuple(names)


def _cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and the rows, each with the number of its line."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} has over {MAX_BYTES:,} bytes: no such table has")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            rows = [(reader.line_num, row) for row in reader if row]
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        reason = (
            "not UTF-8" if isinstance(error, UnicodeDecodeError) else f"{error}"[:80]
        )
        raise UserError(f"{path} is damaged or no CSV file ({reason})") from error
    if not rows:
        raise UserError(f"{path} is empty: copy it again")
    return [name.strip() for name in rows[0][1]], rows[1:]


def _places(spec: TableSpec, path: Path, names: Sequence[str]) -> dict[str, int]:
    """Return where each column stands; others than those of `spec` are refused."""
    wanted = [*(column.name for column in spec.columns), spec.target]
    missing = [name for name in wanted if name not in names]
    if len(missing) == len(wanted):
        raise UserError(
            f"{path} has none of the columns of {spec.name} in its first line: it must "
            f"be a header with commas, {', '.join(wanted[:3])}, ..."
        )
    if missing:
        raise UserError(f"{path} lacks the columns {', '.join(missing)}")
    extra = [name for name in names if name not in wanted]
    if extra:
        raise UserError(
            f"{path} has columns that {spec.name} has not: {', '.join(extra)[:100]}"
        )
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise UserError(f"{path} has the column {twice[0]} twice")
    return {name: names.index(name) for name in wanted}


def _parsed(column: Column, cells: Sequence[tuple[int, str]], path: Path) -> Any:
    """Return one column's values.

    Raises:
        UserError: At the first cell that is not what the column holds.
    """
    missing = [line for line, cell in cells if cell.lower() in MISSING]
    if missing:
        raise UserError(
            f"{path}, line {missing[0]}: {column.name} is missing (in {len(missing):,} "
            "of the rows); fill such cells or leave their rows out"
        )
    if column.categories:
        for line, cell in cells:
            if cell not in column.categories:
                raise UserError(
                    f"{path}, line {line}: {column.name} is {cell[:30]!r}; it must be "
                    f"one of {', '.join(column.categories)}"
                )
        # Objects: Keras takes texts in no other numpy type.
        return np.array([cell for _, cell in cells], object)
    return np.array([_number(path, line, column.name, cell) for line, cell in cells])


def _number(path: Path, line: int, name: str, cell: str) -> float:
    try:
        # float() takes 1_000 for a number; a CSV means something else by it.
        value = math.nan if "_" in cell else float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(
            f"{path}, line {line}: {name} must be a number; it is {cell[:30]!r}"
        )
    return value


def _targets(
    spec: TableSpec, cells: Sequence[tuple[int, str]], path: Path
) -> NDArray[np.int64]:
    values = _parsed(Column(spec.target, ""), cells, path)
    for (line, cell), value in zip(cells, values, strict=True):
        if value not in (0.0, 1.0):
            raise UserError(
                f"{path}, line {line}: {spec.target} must be 0 or 1; it is {cell[:30]}"
            )
    if len(np.unique(values)) < 2:
        raise UserError(f"{path}: {spec.target} is {values[0]:.0f} in every row")
    return np.asarray(values, np.int64)
