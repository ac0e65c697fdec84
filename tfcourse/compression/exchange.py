"""The border between the parent and its child: a folder, a process, events. No TensorFlow.

    folder/request.json    what to do, plain data
    folder/*.npz           arrays, without pickle
    folder/events.jsonl    one JSON object a line, written by the child while it works
    folder/...             results, each written whole or not at all

A child that fails says why in an event `error`; one that dies is told by its exit code.
The folder is temporary, so nothing is left of either.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcourse.errors import UserError
from tfcourse.processes import EventReader, Output, started
from tfcourse.run_folder import write_bytes, write_json, writing

POLL_SECONDS = 0.05
REQUEST, EVENTS = "request.json", "events.jsonl"

Event = dict[str, Any]
OnEvent = Callable[[Event], None]


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as npz, whole or not at all.

    Raises:
        UserError: If the disk is full or the folder is not writable.
        ValueError: If an array holds Python objects, which only pickle could write.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise ValueError(f"the array {name} holds objects, not numbers")
    stream = io.BytesIO()
    np.savez(stream, **dict(arrays))  # type: ignore[arg-type]
    write_bytes(path, stream.getvalue())


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file.

    Raises:
        UserError: If the file is missing or damaged, or needs pickle.
    """
    try:
        # Opened here: numpy leaves a damaged file open.
        with (
            open(path, "rb") as stream,
            np.load(stream, allow_pickle=False) as stored,
        ):
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path.name} is damaged or missing: {error}") from None


def numbered(arrays: list[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return arrays under names that keep their order."""
    return {f"{number:06}": array for number, array in enumerate(arrays)}


def in_order(arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Return what `numbered` named."""
    return [arrays[name] for name in sorted(arrays)]


@contextlib.contextmanager
def exchange_folder() -> Iterator[Path]:
    """Yield a temporary folder that is gone afterwards, whatever happens."""
    with writing(Path(tempfile.gettempdir())):
        holder = tempfile.TemporaryDirectory(
            prefix="tfcourse-compression-", ignore_cleanup_errors=True
        )
    with holder as name:
        yield Path(name)


def run_child(
    module: str, folder: Path, request: Any, on_event: OnEvent | None = None
) -> None:
    """Run `python -m module folder` to its end, handing on its events.

    Ctrl-C ends the child too. Errors of `on_event` end it and are raised.

    Raises:
        UserError: If the child says so, or dies.
    """
    write_json(folder / REQUEST, request)
    events = folder / EVENTS
    with writing(events):
        events.touch()
    output = Output()
    # Without -P a file of the user's, such as keras.py, would be found first.
    command = [sys.executable, "-P", "-m", module, str(folder)]
    finished = False
    with (
        started(command, output) as process,
        open(events, encoding="utf-8") as stream,
    ):
        reader = EventReader(stream)
        while True:
            ended = process.poll() is not None
            for event in reader.read():
                if event["event"] == "error":
                    raise UserError(str(event["message"]))
                finished = finished or event["event"] == "end"
                if on_event:
                    on_event(event)
            if ended:
                break
            time.sleep(POLL_SECONDS)
    if not finished:
        raise UserError(_how_it_died(module, process.returncode, output))


def _how_it_died(module: str, code: int, output: Output) -> str:
    name = module.rsplit(".", 1)[-1]
    if code == -getattr(signal, "SIGKILL", 9):
        reason = "was killed by the system (out of memory?)"
    elif code < 0:
        reason = f"crashed (signal {-code})"
    else:
        reason = f"ended with exit code {code}"
    return f"the {name} process {reason}; nothing was written: {output.last_line()}"


class Reporter:
    """The child's end: appends events; ends the child when its parent is gone."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS
        self._parent = os.getppid()

    def emit(self, event: str, **values: Any) -> None:
        """Append an event."""
        if os.getppid() != self._parent:
            os._exit(1)  # Killed, it could not end its child: nobody reads this.
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"event": event, **values}) + "\n")


def serve(folder: Path, work: Callable[[Path, Any, Reporter], None]) -> int:
    """Do the child's work; return its exit code. An error becomes an event, one line.

    Args:
        folder: The exchange folder.
        work: Called with (folder, request, reporter).
    """
    reporter = Reporter(folder)
    try:
        work(
            folder, json.loads((folder / REQUEST).read_text(encoding="utf-8")), reporter
        )
        reporter.emit("end")
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        reporter.emit("error", message=one_line(error))
        return 1
    return 0


def one_line(error: BaseException) -> str:
    """Return an error as one line of at most 400 characters."""
    text = " ".join(str(error).split())[:400]
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
