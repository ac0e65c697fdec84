"""Submissions that are wrong, odd or hostile, each through a real child process."""

import subprocess
import sys
import textwrap

import pytest

from tfcourse import check_process
from tfcourse.check_process import check_file

RIGHT = """
def add(a, b):
    return a + b


class Mean:
    def of(self, values):
        return sum(values) / len(values)
"""


def checked(sums, tmp_path, text, name="mine.py", **options):
    path = tmp_path / name
    path.write_text(textwrap.dedent(text))
    return check_file(sums, path, **options)


def statuses(report):
    return {task.task: task.status for task in report.tasks}


def messages(report):
    return [check.message for task in report.tasks for check in task.checks]


def test_a_right_file_passes(sums, tmp_path):
    seen = []
    run = checked(sums, tmp_path, RIGHT, on_result=lambda *entry: seen.append(entry))
    assert (run.report.status, run.report.points) == ("pass", 5)
    assert [task for task, _ in seen] == ["add", "add", "Mean.of"]


def test_the_skeleton_is_to_do(sums, tmp_path):
    run = checked(sums, tmp_path, sums.path("skeleton.py").read_text())
    assert statuses(run.report) == {"add": "todo", "Mean.of": "todo"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "your file does not define add()"),
        ("def add(a, b:\n    pass", "SyntaxError"),
        ("import sys\nsys.exit(0)\n" + RIGHT, "sys.exit(0)"),
        ("import os\nos._exit(0)\n" + RIGHT, "ends the whole process (exit code 0)"),
        ("raise ValueError('mine')", "ValueError: mine"),
        ("import not_there_at_all", "not_there_at_all"),
        ("input('name?')", "EOFError"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
        ("def f(): return f()\nf()", "RecursionError"),
        ("x = '\\0'\n\0", "SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_imported_is_an_error_everywhere(
    sums, tmp_path, text, message
):
    run = checked(sums, tmp_path, text)
    assert set(statuses(run.report).values()) == {"error"}
    assert run.report.points == 0
    assert any(message in text for text in messages(run.report)), messages(run.report)
    assert all("\n" not in text for text in messages(run.report))


def test_an_endless_loop_is_named_and_the_other_tasks_go_on(sums, tmp_path):
    text = RIGHT.replace("return a + b", "while True: pass")
    run = checked(sums, tmp_path, text, timeout_seconds=0.5)
    assert statuses(run.report) == {"add": "error", "Mean.of": "pass"}
    first, second = run.report.tasks[0].checks
    assert "timeout: add() did not end within 0.5 s" in first.message
    assert "not run" in second.message
    assert run.report.points == 3


def test_an_endless_import_is_named(sums, tmp_path, monkeypatch):
    monkeypatch.setattr(check_process, "IMPORT_SECONDS", 0.5)
    run = checked(sums, tmp_path, "while True: pass")
    assert "did not end within" in messages(run.report)[0]
    assert run.report.status == "error"


def test_an_exit_inside_a_task_is_an_error(sums, tmp_path):
    text = RIGHT.replace("return a + b", "import os; os._exit(0)")
    run = checked(sums, tmp_path, text)
    assert statuses(run.report) == {"add": "error", "Mean.of": "pass"}
    assert "ends the whole process" in messages(run.report)[0]


def test_megabytes_of_output_are_counted_and_cut(sums, tmp_path):
    text = RIGHT + "\nfor i in range(200_000): print('x' * 50)\nprint('the end')\n"
    run = checked(sums, tmp_path, text)
    assert run.report.status == "pass"
    assert run.num_output_bytes > 10_000_000
    assert run.output.endswith("the end")
    assert len(run.output) < 5_000


def test_no_child_is_left_behind(sums, tmp_path):
    mark = f"left-behind-{tmp_path.name}"
    text = f"""
    import subprocess, sys
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)  # {mark}"])
    """
    checked(sums, tmp_path, textwrap.dedent(text) + RIGHT)
    if sys.platform.startswith("linux"):
        listing = subprocess.run(["ps", "ax", "-o", "args"], capture_output=True)
        assert mark not in listing.stdout.decode()


def test_a_save_within_the_same_second_is_seen(sums, tmp_path):
    wrong = RIGHT.replace("a + b", "a - b")
    assert checked(sums, tmp_path, RIGHT).report.status == "pass"
    assert checked(sums, tmp_path, wrong).report.status == "fail"
    assert not (tmp_path / "__pycache__").exists()


def test_one_task_alone(sums, tmp_path):
    run = checked(sums, tmp_path, RIGHT, task="Mean.of")
    assert statuses(run.report) == {"Mean.of": "pass"}


def test_a_notebook_is_checked_without_its_own_calls(sums, tmp_path):
    import nbformat

    cells = [
        "%matplotlib inline\n!ls",
        "print(1 / 0)\nundefined_function()",
        RIGHT,
        "tfcourse.check('90', globals())",
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
    )
    path = tmp_path / "mine.ipynb"
    nbformat.write(notebook, path)
    assert check_file(sums, path).report.status == "pass"


def test_a_damaged_notebook_is_an_error_in_one_line(sums, tmp_path):
    run = checked(sums, tmp_path, '{"cells": 3', name="mine.ipynb")
    assert run.report.status == "error"
    assert "is no notebook" in messages(run.report)[0]
