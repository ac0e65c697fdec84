"""The folder source: original files that somebody put into a folder.

    FOLDER/mnist/train-images-idx3-ubyte.gz ...   under the names that TFDS registers, or
    FOLDER/cifar10/cifar10.npz                    in Keras's layout (FOLDER/cifar10.npz too)
    FOLDER/loan/loan_data.csv                     a table; FOLDER/loan/loan.csv: of others
    FOLDER/fsdd/fsdd_recordings...tar.xz          sounds; FOLDER/fsdd/fsdd.tar.gz: of others

A folder that the user names is the one that is used: what is missing or damaged in it is
an error, never a reason to look elsewhere.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfcourse.data.records import Files, OriginalFile, VerifiedFile
from tfcourse.errors import UserError

VARIABLE = "TFCOURSE_DATA_DIR"
BLOCK_BYTES = 1 << 20

# Called as progress(what, done, in all): bytes, or examples while TFDS prepares.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Folder:
    """What a folder of original files holds of one set."""

    path: Path  # The folder of the originals, or the npz or CSV file.
    registered: bool  # Whether checksums of the files are registered.


def named_folder(data_dir: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder that the user named: the argument, else the variable's."""
    named = data_dir if data_dir is not None else os.environ.get(VARIABLE)
    if named is None or str(named) == "":
        return None
    return Path(named).expanduser()


def find_in_folder(spec: Files, root: Path) -> Folder:
    """Return where `root` holds the set; looks at names and sizes only.

    Raises:
        UserError: If `root` is no folder, or holds nothing or a part of the set.
    """
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise UserError(
            f"the data folder {root} {what}: check --data-dir or {VARIABLE}"
        )
    folder = root / spec.name
    missing = [
        original.filename
        for original in spec.originals
        if not (folder / original.filename).is_file()
    ]
    if not missing:
        return Folder(folder, registered=True)
    if len(missing) < len(spec.originals):
        raise UserError(
            f"{folder} holds a part of {spec.name} only: put {', '.join(missing)} there"
        )
    for loose in (folder / spec.loose_filename, root / spec.loose_filename):
        if loose.is_file():
            return Folder(loose, registered=False)
    raise UserError(f"{root} does not hold {spec.name}: {_how_to_place(spec, root)}")


def _how_to_place(spec: Files, root: Path) -> str:
    names = [original.filename for original in spec.originals]
    if any((root / name).is_file() for name in [*names, spec.loose_filename]):
        if root.name == spec.name:
            return f"name the folder above it, {root.parent}"
        return f"its files belong in the subfolder {root / spec.name}"
    return f"put {', '.join(names)} (or {spec.loose_filename}) in {root / spec.name}"


def where_to_put(spec: Files) -> str:
    """Return the advice for those without network, the end of a sentence."""
    names = ", ".join(original.filename for original in spec.originals)
    return f"put {names} in FOLDER/{spec.name} and pass --data-dir FOLDER"


def verify_originals(
    spec: Files, folder: Path, progress: Progress | None = None
) -> tuple[VerifiedFile, ...]:
    """Return the set's original files in `folder`, each compared with its checksum.

    Raises:
        UserError: If one is missing, damaged or can't be read; names the file.
    """
    return tuple(
        verify_original(original, folder / original.filename, progress)
        for original in spec.originals
    )


def verify_original(
    original: OriginalFile, path: Path, progress: Progress | None = None
) -> VerifiedFile:
    """Return the file at `path` if it is the original.

    Raises:
        UserError: If its size or its SHA-256 differs, or it can't be read.
    """
    remedy = original.remedy
    try:
        facts = path.stat()
        if facts.st_size != original.num_bytes:
            raise UserError(
                f"{path} is damaged: {facts.st_size:,} bytes instead of "
                f"{original.num_bytes:,}; {remedy}"
            )
        digest = _sha256(path, facts.st_size, facts.st_mtime_ns, progress)
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}): {remedy}") from error
    if digest != original.sha256:
        raise UserError(
            f"{path} is damaged: its SHA-256 is {digest[:12]}..., registered is "
            f"{original.sha256[:12]}...; {remedy}"
        )
    return VerifiedFile(path, original.num_bytes, digest, registered=True)


def _sha256(
    path: Path, num_bytes: int, mtime_ns: int, progress: Progress | None
) -> str:
    """Return the checksum of a file; a second call for the same state is free."""
    key = (path.resolve(), num_bytes, mtime_ns)
    if key not in _digests:
        _digests[key] = sha256_of_file(path, progress)
    return _digests[key]


# A run loads the training and the test split: one reading of the folder serves both.
_digests: dict[tuple[Path, int, int], str] = {}


def sha256_of_file(path: Path, progress: Progress | None = None) -> str:
    """Return the file's SHA-256 in hexadecimal digits.

    Raises:
        OSError: If it can't be read.
    """
    checksum = hashlib.sha256()
    done, total = 0, path.stat().st_size
    with path.open("rb") as file:
        for block in iter(functools.partial(file.read, BLOCK_BYTES), b""):
            checksum.update(block)
            done += len(block)
            if progress:
                progress(f"verifying {path.name}", done, total)
    return checksum.hexdigest()
