"""Child processes: their output, their end, their environment."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KEPT_BYTES = 16_384  # The end of what a submission prints.
# TensorFlow's C++ messages: "2026-11-20 15:00:00.1: I tensorflow/..." and "I0000 ...".
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d [\d:.]+: [IWEF] |[IWEF]\d{4} |WARNING: All log")


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Send the process's output, that of C++ included, nowhere for a while."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stdout.flush()  # What Python still holds belongs to nowhere, too.
        sys.stderr.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for descriptor in (*kept, nowhere):
            os.close(descriptor)


class Output:
    """The end of what children print, and how much it was."""

    def __init__(self) -> None:
        self.num_bytes = 0
        self._kept = b""

    def drain(self, stream: Any) -> None:
        """Read a pipe to its end, keeping the last bytes only."""
        while chunk := stream.read1(65_536):
            self.num_bytes += len(chunk)
            self._kept = (self._kept + chunk)[-KEPT_BYTES:]

    def tail(self, num_lines: int = 10) -> str:
        """Return the last lines that are no log messages of TensorFlow's."""
        text = self._kept.decode("utf-8", "replace")
        lines = [line.rstrip()[:200] for line in text.splitlines()]
        lines = [line for line in lines if line and not LOG_LINE.match(line)]
        return "\n".join(lines[-num_lines:])

    def last_line(self) -> str:
        """Return the last line, or a dash."""
        return self.tail(1) or "-"


@contextlib.contextmanager
def started(command: list[str], output: Output) -> Iterator[subprocess.Popen[bytes]]:
    """Start a child without input, drain its output, and end it with all its children."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=child_environment(),
        start_new_session=True,
    )
    drain = threading.Thread(target=output.drain, args=(process.stdout,), daemon=True)
    drain.start()
    try:
        yield process
    finally:
        _kill_group(process)
        process.wait()
        drain.join(timeout=2.0)
        if process.stdout and not drain.is_alive():
            process.stdout.close()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def child_environment() -> dict[str, str]:
    """Return the environment of a child that runs exercise code."""
    environment = dict(os.environ)
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    environment["PYTHONUNBUFFERED"] = "1"
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    # A checkout that is not installed is found by its own path.
    root = Path(__file__).parents[1]
    if (root / "setup.cfg").is_file():
        paths = [str(root), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment["MPLBACKEND"] = "Agg"
    return environment


def run_in_terminal(
    command: list[str], environment: dict[str, str] | None = None
) -> int:
    """Return the exit code of a child that shares the terminal; Ctrl-C is the child's."""
    process = subprocess.Popen(command, env=environment)
    while True:
        try:
            code = process.wait()
            return code if code >= 0 else 128 - code
        except KeyboardInterrupt:
            continue


class EventReader:
    """Reads the events of a child: the complete lines that have come so far."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._rest = ""

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the JSON objects that have an `event` and were not read before."""
        self._rest += self._stream.read()
        while "\n" in self._rest:
            line, self._rest = self._rest.split("\n", 1)
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and "event" in event:
                    yield event
