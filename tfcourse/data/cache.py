"""The cache: sets that were prepared once, as arrays that load in a moment.

    CACHE/data/mnist/manifest.json       what, from where, and the checksum of each array
    CACHE/data/mnist/train_images.npy    ...
    CACHE/data/mnist.lock                held while a process prepares the set
    CACHE/data/mnist.incomplete/         the work of that process; renamed when whole

A folder gets its final name in one step, after everything in it is written, and every
array is compared with its checksum when it is loaded. So a process may die at any moment.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcourse.data.records import SPLITS, DatasetSpec, Files, Split, VerifiedFile
from tfcourse.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VARIABLE = "TFCOURSE_CACHE_DIR"
FORMAT = 1
MANIFEST = "manifest.json"
SOURCES = ("tfds", "folder")  # From the network, from a folder of original files.


@dataclass(frozen=True)
class Manifest:
    """What stands in `manifest.json`."""

    format: int
    name: str
    source: str  # One of SOURCES.
    tfds_version: str  # Of the set, not of the package.
    originals: dict[str, str]  # File name to SHA-256.
    arrays: dict[str, dict[str, Any]]  # File name to num_bytes and sha256.


def cache_folder() -> Path:
    """Return the folder that prepared sets live in, whether or not it exists yet."""
    named = os.environ.get(VARIABLE)
    try:
        root = Path(named) if named else Path("~/.cache/tfcourse")
        return root.expanduser().absolute() / "data"
    except RuntimeError:
        raise UserError(f"there is no home folder: set {VARIABLE}") from None


def set_folder(spec: Files) -> Path:
    """Return the folder of one prepared set, whether or not it exists yet."""
    return cache_folder() / spec.name


def read_manifest(spec: DatasetSpec) -> Manifest | None:
    """Return the manifest of the prepared set, None if the set is not prepared.

    Reads no array; `load_prepared` does.

    Raises:
        UserError: If what is there is damaged or of another version of the set.
    """
    folder = set_folder(spec)
    if not folder.exists():
        return None
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        manifest = Manifest(**json.loads(text))
        _refuse_other(manifest, spec)
        for name, facts in manifest.arrays.items():
            if (folder / name).stat().st_size != facts["num_bytes"]:
                raise ValueError(f"{name} should have {facts['num_bytes']} bytes")
    except PermissionError as error:
        raise UserError(f"{folder} can't be read: {error.strerror}") from error
    # The last four: JSON of another form than `write_prepared` gives it.
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
    ) as error:
        if isinstance(error, OSError) and error.filename:
            reason = f"{Path(error.filename).name}: {error.strerror}"
        else:
            reason = f"{MANIFEST}: {error or type(error).__name__}"
        raise damaged(spec, reason) from error
    return manifest


def _refuse_other(manifest: Manifest, spec: DatasetSpec) -> None:
    """Raise ValueError if the manifest describes anything but this set, whole."""
    if (manifest.format, manifest.name) != (FORMAT, spec.name):
        raise ValueError("another format or set")
    if manifest.originals != _registered(spec):
        raise ValueError("other original files")
    if manifest.tfds_version != spec.tfds_version or manifest.source not in SOURCES:
        raise ValueError("another version or source")
    if manifest.arrays.keys() != {_file_of(split, kind) for split, kind in _PARTS}:
        raise ValueError("other arrays")
    if any(set(facts) != {"num_bytes", "sha256"} for facts in manifest.arrays.values()):
        raise ValueError("other facts about an array")


_KINDS = ("images", "labels")
_PARTS = [(split, kind) for split in SPLITS for kind in _KINDS]


def _file_of(split: Split, kind: str) -> str:
    return f"{split}_{kind}.npy"


def _registered(spec: DatasetSpec) -> dict[str, str]:
    return {original.filename: original.sha256 for original in spec.originals}


def damaged(spec: DatasetSpec, reason: str) -> UserError:
    """Return the error for a prepared set that can't be used."""
    return UserError(
        f"the prepared {spec.name} in {set_folder(spec)} is damaged ({reason[:100]}): "
        f"run: tfcourse data prepare {spec.name}"
    )


def load_prepared(
    spec: DatasetSpec, manifest: Manifest, split: Split
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return one split of a prepared set: images uint8 [n, *image_shape], labels int64.

    Raises:
        UserError: If an array is not what the manifest says.
    """
    import numpy as np

    arrays = []
    for kind in _KINDS:
        data = _read_verified(spec, manifest, _file_of(split, kind))
        arrays.append(np.lib.format.read_array(io.BytesIO(data), allow_pickle=False))
    images, labels = arrays
    return images, labels


def verify_prepared(spec: DatasetSpec, manifest: Manifest) -> tuple[VerifiedFile, ...]:
    """Return the arrays' files, each compared with its checksum.

    Raises:
        UserError: If one is damaged.
    """
    for name in manifest.arrays:
        _read_verified(spec, manifest, name)
    return tuple(
        VerifiedFile(set_folder(spec) / name, facts["num_bytes"], facts["sha256"], True)
        for name, facts in manifest.arrays.items()
    )


def _read_verified(spec: DatasetSpec, manifest: Manifest, name: str) -> bytes:
    try:
        data = (set_folder(spec) / name).read_bytes()
    except OSError as error:
        raise damaged(spec, f"{name}: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != manifest.arrays[name]["sha256"]:
        raise damaged(spec, f"{name} differs from its checksum")
    return data


def write_prepared(
    spec: DatasetSpec,
    arrays: dict[Split, tuple[NDArray[np.uint8], NDArray[np.int64]]],
    folder: Path,
    source: str,
) -> None:
    """Write arrays and manifest into the new folder `folder`.

    Raises:
        OSError: If they can't be written.
    """
    folder.mkdir()
    files = {}
    for split, (images, labels) in arrays.items():
        for kind in _KINDS:
            name = _file_of(split, kind)
            array = images if kind == "images" else labels
            files[name] = _write_array(folder / name, array)
    manifest = Manifest(
        FORMAT, spec.name, source, spec.tfds_version, _registered(spec), files
    )
    text = json.dumps(asdict(manifest), indent=2)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def _write_array(path: Path, array: NDArray[Any]) -> dict[str, Any]:
    """Write one npy file and return its entry in the manifest."""
    from numpy.lib import format as npy

    header = io.BytesIO()
    npy.write_array_header_1_0(header, npy.header_data_from_array_1_0(array))
    checksum = hashlib.sha256()
    # Not numpy.save, whose error on a full disk has no number to recognise it by.
    with path.open("wb") as file:
        for part in (header.getvalue(), array.tobytes()):
            checksum.update(part)
            file.write(part)
    return {"num_bytes": path.stat().st_size, "sha256": checksum.hexdigest()}


def remove(folder: Path) -> None:
    """Remove a folder, or whatever has its name, if it is there.

    Raises:
        OSError: If it can't be removed.
    """
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


@contextlib.contextmanager
def storage_errors(spec: Files, needed_bytes: int) -> Iterator[None]:
    """Turn what a disk can refuse into one clear line."""
    root = cache_folder()
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(spec, needed_bytes) from error
        reason = error.strerror or str(error)
        raise UserError(
            f"can't write to the cache {root} ({reason}): make it writable, or set "
            f"{VARIABLE} to a folder that is"
        ) from error


def is_disk_full(error: OSError) -> bool:
    """Return whether the disk, or the user's share of it, is used up."""
    return error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def disk_full(spec: Files, needed_bytes: int) -> UserError:
    """Return the error for a full disk."""
    return UserError(
        f"the disk of {cache_folder()} is full: {spec.name} needs about "
        f"{needed_bytes / 1e6:,.0f} MB while it is prepared; free some space, or set "
        f"{VARIABLE} to a folder on another disk"
    )
