"""Checks: what a right answer promises, and the report on one submission.

The same checks serve the student's command line, the notebook, CI and the grader. A check
is a function of the submission (the module under test) in an exercise's `checks.py`:

    @check(task="residual_block")
    def stride_two_halves_the_image(submission):
        block = submission.residual_block((32, 32, 16), filters=32, stride=2)
        assert block.output_shape == (None, 16, 16, 32), explain(
            "stride 2 must halve height and width",
            expected=(None, 16, 16, 32),
            received=block.output_shape,
        )

The name is the promise; the message says which mistake it was, what was expected and what
was received. No TensorFlow at import.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Literal

from tfcourse.catalog import Exercise
from tfcourse.messages import error_summary, explain, returned_line, student_line

Status = Literal["pass", "todo", "fail", "error"]
# The worst status of its checks is a task's status; the first here is the worst.
STATUSES: tuple[Status, ...] = ("error", "fail", "todo", "pass")
TODO_PATTERN = re.compile(r"exercise \d\d: write ([\w.]+)\(\)")
MAX_MESSAGE_CHARACTERS = 600

__all__ = ["Check", "CheckResult", "Report", "TaskReport", "check", "explain", "run"]

CheckFunction = Callable[[Any], None]


@dataclasses.dataclass(frozen=True)
class Check:
    """One promise about one task."""

    name: str
    task: str
    function: CheckFunction
    timeout_seconds: float


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """What one check said; `message` is empty when it passed."""

    name: str
    status: Status
    message: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class TaskReport:
    """The results of one task's checks."""

    task: str
    status: Status
    points: int  # Earned: all of the task's points, or 0.
    checks: tuple[CheckResult, ...]


@dataclasses.dataclass(frozen=True)
class Report:
    """The results of one submission to one exercise."""

    exercise: str  # Folder name, `01_deep_mlp`.
    status: Status
    points: int
    tasks: tuple[TaskReport, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, as `tfcourse check --json` prints it."""
        return dataclasses.asdict(self)


def check(
    *, task: str, timeout_seconds: float = 20.0
) -> Callable[[CheckFunction], CheckFunction]:
    """Return a decorator that declares a check of `task`.

    Args:
        task: Function that the student writes, as in exercise.toml.
        timeout_seconds: Wall time after which the check counts as endless.
    """

    def declare(function: CheckFunction) -> CheckFunction:
        declared = Check(function.__name__, task, function, timeout_seconds)
        function.declared_check = declared  # type: ignore[attr-defined]
        return function

    return declare


def collect(checks_module: types.ModuleType) -> tuple[Check, ...]:
    """Return the checks that a module declares, in the order of their definition."""
    return tuple(
        value.declared_check
        for value in vars(checks_module).values()
        if isinstance(getattr(value, "declared_check", None), Check)
    )


def select(
    checks: Iterable[Check], exercise: Exercise, task: str | None = None
) -> tuple[Check, ...]:
    """Return the checks by the order of the exercise's tasks, or those of one task.

    Raises:
        UserError: If the exercise has no such task.
    """
    wanted = [exercise.task(task)] if task else exercise.tasks
    checks = tuple(checks)
    return tuple(
        entry for item in wanted for entry in checks if entry.task == item.function
    )


def run_check(entry: Check, submission: Any, *, seed: int = 0) -> CheckResult:
    """Return the result of one check on a submission, random generators seeded before.

    Only KeyboardInterrupt passes through; whatever else a submission raises is a result.
    """
    started = time.perf_counter()
    set_seed(seed)
    status, message = _outcome(entry, submission)
    seconds = round(time.perf_counter() - started, 3)
    if len(message) > MAX_MESSAGE_CHARACTERS:
        message = message[: MAX_MESSAGE_CHARACTERS - 1] + "…"
    return CheckResult(entry.name, status, message, seconds)


def _outcome(entry: Check, submission: Any) -> tuple[Status, str]:
    owner = submission
    for part in entry.task.split("."):
        owner = getattr(owner, part, None)
    if owner is None:
        return "error", f"your file does not define {entry.task}()"
    try:
        # A warning, of a library or of numpy, is no mistake, whatever the process says.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            entry.function(submission)
    except KeyboardInterrupt:
        raise
    except AssertionError as error:
        in_student_code = student_line(error, submission)
        where = in_student_code or returned_line(owner, submission)
        message = str(error) or f"{entry.name.replace('_', ' ')}: this does not hold"
        if in_student_code:
            message = f"AssertionError in your code: {error}"
        return "fail", message + where
    except BaseException as error:
        todo = TODO_PATTERN.search(str(error))
        if todo and isinstance(error, NotImplementedError):
            written = todo[1] == entry.task
            return "todo", "" if written else f"write {todo[1]}() first"
        where = student_line(error, submission)
        if where:
            return "error", error_summary(error) + where
        return "fail", (
            f"the check can't use what {entry.task}() returned: {error_summary(error)}"
            + returned_line(owner, submission)
        )
    return "pass", ""


def set_seed(seed: int) -> None:
    """Seed Python, numpy and, where it is loaded, Keras and TensorFlow."""
    keras = sys.modules.get("keras")
    if keras is not None:
        keras.utils.set_random_seed(seed)
        return
    import random

    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)


def build_report(
    exercise: Exercise, checks: Iterable[Check], results: Iterable[CheckResult]
) -> Report:
    """Return the report from results in the order of `checks`."""
    by_task: dict[str, list[CheckResult]] = {}
    for entry, result in zip(checks, results, strict=True):
        by_task.setdefault(entry.task, []).append(result)
    tasks = []
    for name, task_results in by_task.items():
        status = worst_status(result.status for result in task_results)
        points = exercise.task(name).points if status == "pass" else 0
        tasks.append(TaskReport(name, status, points, tuple(task_results)))
    return Report(
        exercise=exercise.name,
        status=worst_status(task.status for task in tasks),
        points=sum(task.points for task in tasks),
        tasks=tuple(tasks),
    )


def worst_status(statuses: Iterable[Status]) -> Status:
    """Return the worst of the statuses; of none, `error`: nothing checked is no pass."""
    found = set(statuses)
    if not found:
        return "error"
    return next(status for status in STATUSES if status in found)


def run(
    exercise: Exercise,
    checks: Iterable[Check],
    submission: Any,
    *,
    seed: int = 0,
    on_result: Callable[[Check, CheckResult], None] | None = None,
    until: Callable[[CheckResult], bool] | None = None,
) -> Report:
    """Return the report of `checks` on a submission, run in this process.

    Args:
        exercise: What is checked.
        checks: In the order in which they run.
        submission: The module under test.
        seed: Of all random generators, before each check.
        on_result: Called with each check and its result.
        until: No check runs after a result for which this is true; the report has none
            of them. Without it all run.
    """
    checks = tuple(checks)
    results = []
    for entry in checks:
        result = run_check(entry, submission, seed=seed)
        results.append(result)
        if on_result:
            on_result(entry, result)
        if until and until(result):
            break
    return build_report(exercise, checks[: len(results)], results)
