"""One process at a time: a lock that the operating system drops when its holder dies."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

POLL_SECONDS = 0.1

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextlib.contextmanager
def exclusive(path: Path, *, when_waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path` for the block; `when_waiting` is called once if it's held.

    The file stays behind, empty: removing it would let two processes lock two files.

    Raises:
        OSError: If the file can't be made.
    """
    with path.open("ab") as file:
        if not _try_lock(file):
            when_waiting()
            while not _try_lock(file):
                time.sleep(POLL_SECONDS)
        # Closing the file drops the lock; so does the death of the process.
        yield
