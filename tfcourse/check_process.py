"""Runs checks in a child process: it may loop for ever, exit, crash or print without end.

The child (`tfcourse.child`) reports each step; this side keeps the clock. A check that
does not end is an error, its task's other checks are not run, and the rest goes on in a
new child. No TensorFlow here.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfcourse.catalog import Exercise
from tfcourse.checking import Check, CheckResult, Report, build_report
from tfcourse.errors import UserError
from tfcourse.processes import EventReader, Output, started

LOAD_SECONDS = 180.0  # Importing TensorFlow takes 5 s here, minutes on a cold disk.
IMPORT_SECONDS = 30.0
POLL_SECONDS = 0.02

OnResult = Callable[[str, CheckResult], None]


class CheckRun:
    """The report on a file, and what its code printed meanwhile."""

    def __init__(self, report: Report, output: str, num_output_bytes: int) -> None:
        self.report = report
        self.output = output  # The last lines at most.
        self.num_output_bytes = num_output_bytes


def check_file(
    exercise: Exercise,
    file: Path,
    *,
    task: str | None = None,
    timeout_seconds: float | None = None,
    on_result: OnResult | None = None,
) -> CheckRun:
    """Return the report of an exercise's checks on a file, run in child processes.

    Args:
        exercise: The exercise.
        file: A `.py` file or a notebook.
        task: Only this task's checks.
        timeout_seconds: Wall time of one check; default: what each check declares.
        on_result: Called with (task, result) as each result comes.

    Raises:
        UserError: If the exercise's own checks can't be loaded.
    """
    session = _Session(exercise, file, task, timeout_seconds, on_result)
    session.run()
    results = [session.results[entry.name] for entry in session.checks]
    report = build_report(exercise, session.checks, results)
    return CheckRun(report, session.output.tail(), session.output.num_bytes)


class _Session:
    """The children that it takes to get a result for every check of one file."""

    def __init__(
        self,
        exercise: Exercise,
        file: Path,
        task: str | None,
        timeout_seconds: float | None,
        on_result: OnResult | None,
    ) -> None:
        self.exercise = exercise
        self.file = file
        self.task = task
        self.timeout_seconds = timeout_seconds
        self.on_result = on_result
        self.checks: list[Check] = []
        self.results: dict[str, CheckResult] = {}
        self.output = Output()

    def run(self) -> None:
        while not self.checks or len(self.results) < len(self.checks):
            known = len(self.results)
            self._run_child()
            if not self.checks:
                raise UserError(
                    f"the checks of exercise {self.exercise.id} can't be loaded: "
                    f"install tfcourse again ({self.output.last_line()})"
                )
            if len(self.results) == known:
                self._give_up("the process ended before the checks did")

    def _run_child(self) -> None:
        with tempfile.TemporaryDirectory(prefix="tfcourse-") as folder:
            events = Path(folder) / "events.jsonl"
            events.touch()
            command = [sys.executable, "-P", "-m", "tfcourse.child", "check"]
            command += [self.exercise.name, str(self.file), str(events)]
            command += ["--skip", json.dumps(list(self.results))]
            if self.task:
                command += ["--task", self.task]
            with started(command, self.output) as process:
                self._follow(process, events)

    def _follow(self, process: subprocess.Popen[bytes], events: Path) -> None:
        """Read events until the child ends or its time is over."""
        current: Check | None = None
        phase = "load"
        deadline = time.monotonic() + LOAD_SECONDS
        with open(events, encoding="utf-8") as stream:
            reader = EventReader(stream)
            while True:
                has_ended = process.poll() is not None
                for event in reader.read():
                    kind = event["event"]
                    if kind == "checks":
                        self._learn_checks(event["checks"])
                    elif kind == "import":
                        phase, deadline = "import", time.monotonic() + IMPORT_SECONDS
                    elif kind == "broken":
                        return self._give_up(f"your file fails {event['message']}")
                    elif kind == "begin":
                        phase = "check"
                        current = self._check(event["name"])
                        seconds = self.timeout_seconds or current.timeout_seconds
                        deadline = time.monotonic() + seconds
                    elif kind == "result":
                        self._record(CheckResult(**event["result"]))
                        current, deadline = None, time.monotonic() + IMPORT_SECONDS
                    elif kind == "end":
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            process.wait(timeout=1.0)
                        return None
                if has_ended:
                    return self._died(process.returncode, phase, current)
                if time.monotonic() > deadline:
                    return self._timed_out(phase, current)
                time.sleep(POLL_SECONDS)

    def _learn_checks(self, checks: list[list[Any]]) -> None:
        self.checks = [
            Check(name, task, lambda submission: None, seconds)
            for name, task, seconds in checks
        ]

    def _check(self, name: str) -> Check:
        return next(entry for entry in self.checks if entry.name == name)

    def _record(self, result: CheckResult) -> None:
        self.results[result.name] = result
        if self.on_result:
            self.on_result(self._check(result.name).task, result)

    def _timed_out(self, phase: str, current: Check | None) -> None:
        if phase == "load":
            raise UserError(
                f"TensorFlow was not loaded within {LOAD_SECONDS:.0f} s: try again"
            )
        if current is None:
            self._give_up(
                f"your file did not end within {IMPORT_SECONDS:.0f} s when it is "
                "imported: an endless loop, or training outside of a function?"
            )
            return
        seconds = self.timeout_seconds or current.timeout_seconds
        message = (
            f"timeout: {current.task}() did not end within {seconds:g} s "
            "(an endless loop?)"
        )
        self._stop_at(current, message, seconds)

    def _died(self, returncode: int, phase: str, current: Check | None) -> None:
        if phase == "load":
            return  # run() says so.
        if current is None:
            self._give_up(f"your file {_ending(returncode)} when it is imported")
        else:
            self._stop_at(current, f"{current.task}() {_ending(returncode)}", 0.0)

    def _stop_at(self, current: Check, message: str, seconds: float) -> None:
        self._record(CheckResult(current.name, "error", message, seconds))
        for entry in self.checks:
            if entry.task == current.task and entry.name not in self.results:
                reason = f"not run, since {current.name} did not end"
                self._record(CheckResult(entry.name, "error", reason, 0.0))

    def _give_up(self, message: str) -> None:
        for entry in self.checks:
            if entry.name not in self.results:
                self._record(CheckResult(entry.name, "error", message, 0.0))


def _ending(returncode: int) -> str:
    if returncode == -getattr(signal, "SIGKILL", 9):
        return "was killed by the system (out of memory?)"
    if returncode < 0:
        return f"crashed the process (signal {-returncode})"
    return f"ends the whole process (exit code {returncode})"
