import types
import warnings

import numpy as np
import pytest

from tfcourse import checking, messages
from tfcourse.checking import Check, CheckResult, run_check, worst_status
from tfcourse.messages import NotebookSubmission, describe


def outcome(function, submission=None):
    submission = submission or types.SimpleNamespace(task=lambda: None)
    return run_check(Check("the_promise", "task", function, 1.0), submission)


def raising(error):
    def function(submission):
        raise error

    return function


@pytest.mark.parametrize(
    ("function", "status", "message"),
    [
        (lambda submission: None, "pass", ""),
        (raising(AssertionError("wrong: expected 1, got 2")), "fail", "expected 1"),
        (raising(AssertionError()), "fail", "the promise"),
        (raising(NotImplementedError("exercise 07: write task()")), "todo", ""),
        (raising(NotImplementedError("exercise 07: write f()")), "todo", "write f()"),
        (raising(NotImplementedError("abstract")), "fail", "NotImplementedError"),
        (raising(TypeError("no len")), "fail", "can't use what task() returned"),
        (raising(SystemExit(0)), "fail", "sys.exit(0)"),
    ],
)
def test_what_a_check_raises_is_its_result(function, status, message):
    result = outcome(function)
    assert result.status == status
    assert message in result.message


def test_a_missing_function_is_an_error():
    result = outcome(lambda submission: None, types.SimpleNamespace(other=1))
    assert (result.status, result.message) == (
        "error",
        "your file does not define task()",
    )


def test_an_error_in_the_students_code_names_their_line(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def task():\n    x = 1\n    return x / 0\n")
    from tfcourse.submission import load_submission

    module = load_submission(path)
    result = outcome(lambda submission: submission.task(), module)
    assert result.status == "error"
    assert "ZeroDivisionError" in result.message
    assert "mine.py:3: `return x / 0`)" in result.message


def test_a_failed_assertion_names_the_return_of_the_task(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def task():\n    if False:\n        return 0\n    return 41\n")
    from tfcourse.submission import load_submission

    def is_42(submission):
        # Raised, since pytest would rewrite an assertion.
        raise AssertionError(
            messages.explain("not the answer", expected=42, received=submission.task())
        )

    result = outcome(is_42, load_submission(path))
    assert result.message.startswith("not the answer: expected 42, got 41 (")
    assert "mine.py:4: `return 41`)" in result.message


def test_an_interrupt_passes_through():
    with pytest.raises(KeyboardInterrupt):
        outcome(raising(KeyboardInterrupt()))


def test_a_notebooks_variables_are_a_submission():
    result = run_check(
        Check("c", "task", lambda submission: submission.task(), 1.0),
        NotebookSubmission({"task": lambda: None}),
    )
    assert result.status == "pass"


class Hostile:
    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1234567, "0.123457"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (np.zeros((2, 3), np.float32), "float32 [2, 3] [[0.0, 0.0, 0.0]"),
        (np.zeros((20, 3)), "float64 [20, 3] array"),
        (Hostile(), "a Hostile whose repr raises RuntimeError"),
        ("two\nlines", "two lines"),
        (None, "None"),
        ((None, 10), "(None, 10)"),
    ],
)
def test_any_value_is_described_in_one_line(value, text):
    assert describe(value).startswith(text)
    assert len(describe(list(range(10_000)))) == messages.MAX_VALUE_CHARACTERS


def test_traced_errors_show_their_last_line():
    error = ValueError(
        'in user code:\n\n    File "x.py", line 3, in f\n\n    ValueError: no'
    )
    assert messages.error_summary(error) == "ValueError: no"


def test_the_worst_status_wins_and_nothing_is_no_pass():
    assert worst_status(["pass", "todo", "fail"]) == "fail"
    assert worst_status(["pass", "pass"]) == "pass"
    assert worst_status([]) == "error"


def test_points_are_for_passed_tasks_alone(sums):
    from tfcourse.submission import load_checks

    checks = checking.collect(load_checks(sums))
    results = [
        CheckResult(entry.name, "fail" if entry.task == "add" else "pass", "", 0.0)
        for entry in checks
    ]
    report = checking.build_report(sums, checks, results)
    assert (report.status, report.points) == ("fail", 3)
    assert [task.points for task in report.tasks] == [0, 3]


def test_no_check_runs_after_the_last_one_that_is_wanted(sums):
    from tfcourse.submission import load_checks

    checks = checking.collect(load_checks(sums))
    wrong = types.SimpleNamespace(add=lambda a, b: a - b)
    all_of_add = checking.run(sums, checks[:2], wrong)
    assert [r.status for r in all_of_add.tasks[0].checks] == ["fail", "pass"]
    first = checking.run(sums, checks, wrong, until=lambda r: r.status == "fail")
    ((only,),) = (task.checks for task in first.tasks)
    assert only.name == "one_and_two_make_three"
    never = checking.run(sums, checks, wrong, until=lambda r: "twelve" in r.message)
    assert sum(len(task.checks) for task in never.tasks) == len(checks)


def test_a_warning_is_no_mistake():
    def warns(submission):
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        np.array([0.0]) / 0

    assert outcome(warns).status == "pass"
