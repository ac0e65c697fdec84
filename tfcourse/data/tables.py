"""Tables: raw columns by name, from scikit-learn, a folder, the cache or the network.

    table, info = load_table("loan")                       # embedded, no network
    table, info = load_table("loan", source="real", data_dir="originals")

FOLDER/loan/loan_data.csv is the original and is compared with its checksum; a CSV from
elsewhere is called FOLDER/loan/loan.csv, is checked cell by cell and reported as
unverified.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcourse.data import cache
from tfcourse.data.folder import (
    Progress,
    find_in_folder,
    named_folder,
    sha256_of_file,
    verify_originals,
)
from tfcourse.data.locks import exclusive
from tfcourse.data.records import DatasetStatus, PathLike, VerifiedFile
from tfcourse.data.table_specs import TableSpec, find_table_spec
from tfcourse.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SOURCES = ("embedded", "real")


@dataclass(frozen=True)
class Table:
    """Raw columns and the target, row by row in the order of the file."""

    columns: dict[str, NDArray[Any]]  # By name: float64 [n], or texts, objects [n].
    targets: NDArray[np.int64]  # [n], 0 or 1.


@dataclass(frozen=True)
class TableInfo:
    """What was loaded, for people and for `result.json`; it names no folder."""

    name: str
    split: str  # "all": a table comes in one piece.
    source: str  # "embedded", "folder", "csv" or "network".
    origin: str
    num_examples: int
    column_names: tuple[str, ...]
    target: str
    class_names: tuple[str, ...]
    licence: str
    verified: bool  # By a checksum; what is embedded came with the package.
    note: str = ""


def as_matrix(columns: dict[str, NDArray[Any]]) -> NDArray[np.object_]:
    """Return the columns side by side, as scikit-learn takes them: objects [n, columns].

    >>> import numpy as np
    >>> sizes = np.array(["small", "large"], object)
    >>> as_matrix({"size": sizes, "mass": np.array([1.5, 20.0])})
    array([['small', 1.5],
           ['large', 20.0]], dtype=object)
    """
    import numpy as np

    return np.stack([np.asarray(column, object) for column in columns.values()], axis=1)


def load_table(
    name: str, *, source: str = "embedded", data_dir: PathLike | None = None
) -> tuple[Table, TableInfo]:
    """Return (table, info), all rows in the order of the file.

    Args:
        name: A table of the catalogue.
        source: "embedded": the small twin, no network. "real": the folder that
            `data_dir` or TFCOURSE_DATA_DIR names, if one does; else the cache, else
            the network.
        data_dir: Folder of original files, for source "real".

    Raises:
        UserError: If there is no such table, or it can't be had; says what to do.
    """
    spec = find_table_spec(name)
    if source not in SOURCES:
        raise UserError(f"source must be one of {', '.join(SOURCES)}; got {source!r}")
    if source == "real":
        return _real(spec, data_dir)
    if data_dir is not None:
        raise UserError(
            f"source 'embedded' reads no folder; got data_dir={str(data_dir)!r}: "
            "take source='real'"
        )
    from tfcourse.data.breast_cancer import breast_cancer

    twin = spec.twin
    table = Table(*breast_cancer())
    origin = (twin.origin, twin.licence, twin.note)
    return table, _info(spec, table, "embedded", *origin, names=twin.class_names)


def _info(
    spec: TableSpec,
    table: Table,
    source: str,
    origin: str,
    licence: str,
    note: str = "",
    *,
    names: tuple[str, ...],
) -> TableInfo:
    return TableInfo(
        name=spec.name,
        split="all",
        source=source,
        origin=origin,
        num_examples=len(table.targets),
        column_names=tuple(table.columns),
        target="malignant" if source == "embedded" else spec.target,
        class_names=names,
        licence=licence,
        verified=source != "csv",
        note=note,
    )


def _real(spec: TableSpec, data_dir: PathLike | None) -> tuple[Table, TableInfo]:
    from tfcourse.data.csv_tables import read_table

    path, source = _located(spec, named_folder(data_dir))
    columns, targets, names = read_table(spec, path)
    table = Table(columns, targets)
    origin = f"{path.name}, verified original from " + (
        "the network" if source == "network" else "a folder of original files"
    )
    note = ""
    if source == "csv":
        origin = f"{path.name} in the data folder, SHA-256 {sha256_of_file(path)}"
        note = f"unverified: read as it is, {len(targets):,} rows"
        if names != (*columns, spec.target):
            note += "; its columns stand in another order and were found by their names"
    arguments = (spec, table, source, origin, spec.licence, note)
    return table, _info(*arguments, names=spec.class_names)


def _located(spec: TableSpec, root: Path | None) -> tuple[Path, str]:
    """Return the verified file and its source; without a folder, the network serves."""
    if root is not None:
        found = find_in_folder(spec, root)
        if not found.registered:
            return found.path, "csv"
        (file,) = verify_originals(spec, found.path)
        return file.path, "folder"
    folder = cache.set_folder(spec)
    if not folder.is_dir():
        _download(spec, None)
    (file,) = verify_originals(spec, folder)
    return file.path, "network"


def _download(spec: TableSpec, progress: Progress | None) -> None:
    """Bring the verified file into the cache; nothing half-made gets its final name."""
    from tfcourse.data.network import download_originals

    folder = cache.set_folder(spec)
    work = folder.with_name(f"{spec.name}.incomplete")
    with cache.storage_errors(spec, spec.download_bytes):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f"{spec.name}.lock")
        with exclusive(lock, when_waiting=lambda: None):
            try:
                cache.remove(work)
                work.mkdir()
                download_originals(spec, work, progress)
                cache.remove(folder)
                work.rename(folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)


def prepare_table(
    name: str, data_dir: PathLike | None, progress: Progress | None
) -> DatasetStatus:
    """Return what is there of the table, after reading all of it.

    A table in a folder is used where it is; without a folder it is downloaded, and a
    damaged one in the cache is downloaded again.

    Raises:
        UserError: If it is missing, damaged or holds something else.
    """
    spec, root = find_table_spec(name), named_folder(data_dir)
    if root is None:
        try:
            verify_originals(spec, cache.set_folder(spec))
        except UserError:
            _download(spec, progress)
    load_table(name, source="real", data_dir=data_dir)
    return table_status(name, data_dir)


def verify_table(
    name: str, data_dir: PathLike | None, progress: Progress | None
) -> tuple[VerifiedFile, ...]:
    """Return the table's file, read from end to end and found whole.

    Raises:
        UserError: If it is missing, damaged or holds something else.
    """
    from tfcourse.data.csv_tables import read_table

    spec, root = find_table_spec(name), named_folder(data_dir)
    if root is not None:
        found = find_in_folder(spec, root)
        if not found.registered:
            read_table(spec, found.path)
            size, digest = found.path.stat().st_size, sha256_of_file(found.path)
            return (VerifiedFile(found.path, size, digest, registered=False),)
        return verify_originals(spec, found.path, progress)
    if not cache.set_folder(spec).is_dir():
        raise UserError(
            f"there is no real {name} to verify: run: tfcourse data prepare {name}"
        )
    return verify_originals(spec, cache.set_folder(spec), progress)


def table_status(name: str, data_dir: PathLike | None = None) -> DatasetStatus:
    """Return what is there of the real table; reads names and sizes only."""
    spec, root = find_table_spec(name), named_folder(data_dir)
    complaint = "the first use downloads it"
    try:
        found = find_in_folder(spec, root) if root is not None else None
    except UserError as error:
        found, complaint = None, str(error)
    if found and found.registered:
        detail = "original file; it is read where it is"
        return DatasetStatus(name, "originals", detail, found.path, spec.download_bytes)
    if found:
        size = found.path.stat().st_size
        return DatasetStatus(name, "csv", "read as it is, unverified", found.path, size)
    folder = cache.set_folder(spec)
    if folder.is_dir():
        detail = "verified original from the network"
        return DatasetStatus(name, "prepared", detail, folder, spec.download_bytes)
    return DatasetStatus(name, "absent", complaint)
