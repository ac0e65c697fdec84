"""Diagnoses runs that Recorder didn't record, for the TensorBoard tab.

It takes seconds to read a long run, so one child process does it, run after run; the tab
shows what is there. The child can be stopped when a run takes too long, and TensorBoard
itself stays quick.
"""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfcourse.doctor.run_folders import run_files
from tfcourse.errors import UserError

LIMIT_SECONDS = 60.0  # For one run, after which it is given up.
PAUSE_SECONDS = 10.0  # A run that grows is read again no sooner.
NOT_RECORDED = "Not recorded by the doctor: diagnosed from its scalars alone."

# Size and time of each event file: what they were when a run was read.
Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass
class _Entry:
    fingerprint: Fingerprint
    answer: dict[str, Any]
    read_seconds: float  # On the monotonic clock.


class BackgroundDiagnosis:
    """Answers at once with what it knows, and finds out the rest in the background.

    Args:
        logdir: TensorBoard's; only local folders are read, and nothing outside it.
        limit_seconds: For reading and diagnosing one run.
    """

    def __init__(self, logdir: str, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._root = Path(logdir).resolve() if logdir and "://" not in logdir else None
        self._limit_seconds = limit_seconds
        self._entries: dict[str, _Entry] = {}
        self._waiting: dict[str, tuple[Path, Fingerprint]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def answer(self, name: str) -> dict[str, Any]:
        """Return what is known of a run by now, as `tab_runs.Run.take` takes it.

        Args:
            name: Its folder, relative to the logdir.
        """
        if self._root is None:
            return _problem("Only runs in one local --logdir can be diagnosed here.")
        folder = self._root / name
        try:
            fingerprint = _fingerprint(folder, self._root)
        except OSError as error:
            return _problem(f"Not diagnosed: {error.strerror or error}")
        except UserError as error:
            return _problem(f"Not diagnosed: {error}")
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or entry.fingerprint != fingerprint:
                age = time.monotonic() - entry.read_seconds if entry else PAUSE_SECONDS
                if age >= PAUSE_SECONDS:
                    self._waiting[name] = folder, fingerprint
                    self._start()
            return entry.answer if entry else {"missing": [NOT_RECORDED]}

    def hurry(self, name: str) -> None:
        """Diagnose a run before the others that wait: somebody looks at it."""
        with self._lock:
            if name in self._waiting:
                self._waiting = {name: self._waiting.pop(name), **self._waiting}

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def _work(self) -> None:
        """Diagnose until nothing waits; the child lives as long."""
        child = None
        try:
            while True:
                with self._lock:
                    if not self._waiting:
                        self._thread = None
                        return
                    name, (folder, fingerprint) = next(iter(self._waiting.items()))
                if child is None or child.poll() is not None:
                    child = _new_child()
                answer = _ask(child, folder, self._limit_seconds)
                with self._lock:
                    self._entries[name] = _Entry(fingerprint, answer, time.monotonic())
                    if self._waiting.get(name) == (folder, fingerprint):
                        del self._waiting[name]
        finally:
            if child is not None:
                child.kill()
                child.communicate()


def _problem(text: str) -> dict[str, Any]:
    return {"findings": None, "problems": [text], "missing": [NOT_RECORDED]}


def _fingerprint(folder: Path, root: Path) -> Fingerprint:
    """Return the size and time of each event file of a run.

    Raises:
        UserError: A file of the run lies outside the logdir, or it has none.
    """
    if not folder.resolve().is_relative_to(root):
        raise UserError("its folder lies outside the logdir")
    files = run_files(folder)
    prints = []
    for path in (*files.train, *files.validation):
        if not path.resolve().is_relative_to(root):
            raise UserError("its files lie outside the logdir")
        status = path.stat()
        prints.append((str(path), status.st_size, status.st_mtime_ns))
    return tuple(prints)


def _new_child() -> subprocess.Popen[str]:
    """Return a process that runs `answer_lines`."""
    # -P: the working folder is no place to import from.
    command = [sys.executable, "-P", "-m", "tfcourse.doctor.tab_diagnosis"]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def _ask(child: subprocess.Popen[str], folder: Path, seconds: float) -> dict[str, Any]:
    """Return the child's answer about a folder; past `seconds`, stop the child."""
    timer = threading.Timer(seconds, child.kill)
    timer.start()
    try:
        if child.stdin is None or child.stdout is None:
            raise ValueError("the child has no pipes")
        child.stdin.write(json.dumps(str(folder)) + "\n")
        child.stdin.flush()
        answer: dict[str, Any] = json.loads(child.stdout.readline())
        return answer
    except (OSError, ValueError):
        # The console has no limit of time.
        return _problem(
            f"Not diagnosed within {seconds:.0f} seconds. Try: tfcourse doctor FOLDER"
        )
    finally:
        timer.cancel()


def diagnosed(folder: Path) -> dict[str, Any]:
    """Return what `tab_runs.Run.take` takes, about the run in a folder."""
    # Here, so that TensorBoard doesn't wait for it: only the child diagnoses.
    from tfcourse.doctor.diagnosis import diagnose
    from tfcourse.doctor.findings import to_json
    from tfcourse.doctor.reading import find_runs, read_run
    from tfcourse.doctor.report import diagnosis_of

    if folder not in find_runs(folder):
        return {"is_training": False}
    record = read_run(folder)
    diagnosis = diagnosis_of(record, diagnose(record), record.name)
    findings = [to_json(finding) for finding in diagnosis.findings]
    problems = list(diagnosis.problems)
    if not diagnosis.judged:
        problems.insert(0, "Not diagnosed: it holds nothing that can be judged.")
    return {
        "findings": findings if diagnosis.judged else None,
        "problems": problems,
        "missing": [NOT_RECORDED, *diagnosis.missing],
        "aliases": record.aliases,
        "finished": diagnosis.finished,
    }


def answer_lines() -> None:
    """For each folder on the standard input, a line of JSON, write its diagnosis."""
    answers, sys.stdout = sys.stdout, sys.stderr  # No stray print among the answers.
    if hasattr(os, "nice"):
        os.nice(10)
    for line in sys.stdin:
        try:
            answer = diagnosed(Path(json.loads(line)))
        except Exception as error:  # Whatever a log holds, the next one is answered.
            answer = _problem(f"Not diagnosed: {error}")
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    answer_lines()
