"""The folder of one run: made without collisions, found again, locked, written whole.

Every write goes to a temporary file that then takes the place of the old one, so that a
process killed at any moment leaves the old file or the new one, never a part.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfcourse.errors import UserError

RESULT_NAME = "result.json"
LOCK_NAME = ".lock"

# Where TensorBoard opens best. With more than 40 runs its older tabs (Scalars, Images,
# Histograms, Text) show none of them; leaving the trials of studies out keeps below that.
# Time Series takes the pattern from the query, the older tabs from the fragment.
_NO_TRIALS = "%5E(%3F!.*%2Fstudy%2F)"
BOARD_VIEW = f"?runFilter={_NO_TRIALS}#timeseries&regexInput={_NO_TRIALS}"

# The descriptor of an open lock file per run folder of this process. The operating
# system gives a lock back when its process ends, however it ends.
_locks: dict[Path, int] = {}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failed write below into one line for the user.

    Raises:
        UserError: If the body raises OSError, as on a full disk.
    """
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise cannot_write(path, reason) from error


def cannot_write(path: Path, reason: str) -> UserError:
    """Return the error that says why `path` can't be written and what to do."""
    advice = (
        "make room there" if "space" in reason else "check the folder's permissions"
    )
    return UserError(
        f"can't write {path}: {reason}; {advice}, or run in another folder"
    )


def write_bytes(path: Path, content: bytes) -> None:
    """Write `path` whole or not at all, making its folder.

    Raises:
        UserError: If the disk is full or the folder is not writable.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode())


def read_json(path: Path) -> Any | None:
    """Return the JSON file's value, or None if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def make_run_folder(parent: Path, tier: str) -> Path:
    """Return a new folder `<tier>-<date>-<time>` below `parent`.

    Two runs that start within a second get different folders: making one is atomic.

    Raises:
        UserError: If the folder can't be made.
    """
    stem = f"{tier}-{time.strftime('%Y%m%d-%H%M%S')}"
    with writing(parent / stem):
        parent.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            folder = parent / (stem if number == 1 else f"{stem}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return folder


def unfinished_run_folder(parent: Path, tier: str) -> Path | None:
    """Return the newest run of `tier` that is unfinished and that no process works on.

    The folder is locked for this process.
    """
    candidates = []
    for path in parent.glob(f"{tier}-*/{RESULT_NAME}"):
        result = read_json(path)
        if isinstance(result, dict) and result.get("status") == "running":
            candidates.append(path.parent)
    for folder in sorted(candidates, reverse=True):  # Names end in date and time.
        if lock(folder):
            return folder
    return None


def lock(folder: Path) -> bool:
    """Reserve the folder for this process; return False if another process has it."""
    folder = folder.resolve()
    if folder in _locks:
        return True
    with writing(folder / LOCK_NAME):
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT)
    try:
        _lock_file(descriptor)
    except OSError:
        os.close(descriptor)
        return False
    _locks[folder] = descriptor
    return True


def unlock(folder: Path) -> None:
    """Give the folder free and remove its lock file."""
    descriptor = _locks.pop(folder.resolve(), None)
    if descriptor is not None:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            (folder / LOCK_NAME).unlink()


def _lock_file(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
