import json
import os
import subprocess
import sys
import time

import pytest

from tfcourse.cli import main

RIGHT = (
    "def add(a, b): return a + b\n"
    "class Mean:\n"
    "    def of(self, values): return sum(values) / len(values)\n"
)


@pytest.fixture
def tfcourse(sums, home, capsys):
    """Return a function that runs a command and returns (exit code, stdout, stderr)."""

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return caught.value.code, captured.out, captured.err

    return run


def test_the_way_of_a_learner(tfcourse, home):
    assert json.loads(tfcourse("list", "--json")[1])[0]["state"] == "not started"
    code, out, _ = tfcourse("start", 90)
    assert code == 0
    assert "tfcourse check 90 --watch" in out
    code, out, _ = tfcourse("check", 90)
    assert code == 1
    assert "todo" in out
    assert "Two numbers go in." in tfcourse("hint", 90)[1]
    assert "The operator is +." in tfcourse("hint", 90)[1]
    assert "Sum first." in tfcourse("hint", 90, "Mean.of")[1]
    assert tfcourse("solution", 90)[0] == 2
    (home / "work" / "90_sums.py").write_text(RIGHT)
    code, out, _ = tfcourse("check", 90)
    assert code == 0
    assert "5 of 5 points" in out
    assert "total_of_both" in tfcourse("solution", 90)[1]
    assert "passed" in tfcourse("list")[1]


def test_json_is_what_the_readme_says(tfcourse, home):
    (home / "mine.py").write_text(RIGHT.replace("a + b", "a - b"))
    code, out, _ = tfcourse("check", "90", "--file", "mine.py", "--json")
    report = json.loads(out)
    assert code == 1
    assert set(report) == {"exercise", "status", "points", "tasks"}
    assert (report["exercise"], report["status"], report["points"]) == (
        "90_sums",
        "fail",
        3,
    )
    task = report["tasks"][0]
    assert set(task) == {"task", "status", "points", "checks"}
    assert set(task["checks"][0]) == {"name", "status", "message", "seconds"}
    assert "expected 3, got -1 (" in task["checks"][0]["message"]
    assert json.loads(tfcourse("list", "--json")[1])[0]["state"] == "not started"


def test_a_failed_check_shows_one_message_and_no_traceback(tfcourse, home):
    (home / "mine.py").write_text(RIGHT.replace("a + b", "a / 0"))
    code, out, err = tfcourse("check", "90", "--file", "mine.py")
    assert code == 1
    assert "ZeroDivisionError: division by zero" in out
    assert "mine.py:1: `def add(a, b): return a / 0`" in out
    assert "Traceback" not in out + err


def test_a_revealed_solution_is_recorded(tfcourse, home):
    tfcourse("start", 90)
    assert "total_of_both" in tfcourse("solution", 90, "--reveal")[1]
    state = json.loads((home / "work" / ".tfcourse.json").read_text())
    assert state["exercises"]["90_sums"]["revealed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "99"), "there is no exercise '99'"),
        (("start", "x" * 500), "there is no exercise"),
        (("check", "90"), "tfcourse start 90"),
        (("check", "90", "--file", "no.py"), "no.py is missing"),
        (("check", "90", "--file", "."), "is not a file"),
        (("check", "90", "--file", "notes.txt"), "must end in .py or .ipynb"),
        (("check", "90", "--file", "huge.py"), "at most 5,000,000"),
        (("check", "90", "--file", "empty.py", "--task", "x"), "no task 'x'"),
        (("check", "90", "--timeout", "0"), "--timeout"),
        (("hint", "90", "x"), "no task 'x'"),
        (("run", "90", "--tier", "huge"), "smoke, lab, full"),
        (("run", "90", "--set", "x"), "name=value"),
        (("run", "90", "--seed", "-1"), "--seed"),
        (("run", "90", "--data-dir", "nowhere"), "not a folder"),
        (("run", "90", "--file", "no.py"), "no.py is missing"),
        (("board", "90"), "tfcourse run 90"),
        (("results", "--record", "nowhere"), "nowhere"),
        (("results", "--write"), "no README.md"),
        (("new", "90", "x"), "taken"),
        (("frobnicate",), "frobnicate"),
        (("check",), "EXERCISE"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tfcourse, home, arguments, message):
    (home / "notes.txt").write_text("x")
    (home / "empty.py").write_text("")
    (home / "huge.py").write_text("#" * 5_000_001)
    code, out, err = tfcourse(*arguments)
    assert code == 2
    assert message in err
    assert err.startswith("tfcourse: ")
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize(
    "command",
    "list start check hint solution run board results new sync verify".split()
    + ["data list", "data prepare", "data verify"],
)
def test_each_command_has_help_with_an_example(tfcourse, command):
    code, out, _ = tfcourse(*command.split(), "--help")
    assert code == 0
    assert f"Example: tfcourse {command}" in out


def test_progress_that_cannot_be_stored_does_not_hide_the_report(
    tfcourse, home, monkeypatch
):
    tfcourse("start", 90)

    def full(*arguments):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.replace", full)
    code, out, err = tfcourse("check", 90)
    assert code == 1
    assert "todo" in out
    assert "Read-only file system" in err


def test_watching_checks_again_at_each_save(sums, home):
    path = home / "mine.py"
    path.write_text(RIGHT.replace("a + b", "a - b"))
    command = [sys.executable, "-m", "tfcourse.cli", "check", "90", "--watch"]
    process = subprocess.Popen(
        [*command, "--file", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        seen = ""
        while "Ctrl-C ends" not in seen:
            seen += process.stdout.readline()
        assert "3 of 5 points" in seen
        time.sleep(0.5)  # The watcher starts after the line is printed.
        path.write_text(RIGHT)
        while "5 of 5 points" not in seen:
            line = process.stdout.readline()
            assert line, seen
            seen += line
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_light_commands_load_no_tensorflow(sums, home):
    """What loads TensorFlow takes seconds; `list`, `start` and `hint` answer at once."""
    program = (
        "import sys\n"
        "from tfcourse.cli import main\n"
        "for arguments in (['list'], ['start', '90'], ['hint', '90'], ['data', 'list'],\n"
        "                  ['results'], ['solution', '90', '--reveal']):\n"
        "    try:\n"
        "        main(arguments)\n"
        "    except SystemExit as end:\n"
        "        assert not end.code, arguments\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
