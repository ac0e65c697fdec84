"""The puzzles of exercise 08: what is asked is what is measured."""

import inspect
import re
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from tfcourse import graph_puzzles
from tfcourse.catalog import exercises_folder, load_module

SOLUTION = load_module(
    exercises_folder() / "08_graph_execution" / "solution.py", "graph_puzzles_solution"
)
SECOND_COLUMN = 36  # Of the code in the docstring.


def shown_programs():
    """Return the programs in the docstring of predict_traces: name, code, definition."""
    text = inspect.getdoc(SOLUTION.predict_traces)
    pattern = r"^    (\w+): (.+?)(?: with\n +g = (.+))?$"
    return re.findall(pattern, text, flags=re.MULTILINE)


def shown_code(folder):
    """Return the module of the functions in the docstring of predict_code."""
    columns = ["", ""]
    for line in inspect.getdoc(SOLUTION.predict_code).splitlines():
        if line.startswith("    "):
            columns[0] += line[4:SECOND_COLUMN].rstrip() + "\n"
            columns[1] += line[SECOND_COLUMN:].rstrip() + "\n"
        else:
            columns = [column + "\n" for column in columns]
    path = folder / "shown_code.py"
    header = "import numpy as np\nimport tensorflow as tf\n\n"
    path.write_text(header + "\n".join(columns), encoding="utf-8")
    return load_module(path, "shown_code")


def test_the_programs_shown_are_those_that_are_measured():
    assert [name for name, _, _ in shown_programs()] == list(graph_puzzles.TRACING)
    for name, code, definition in shown_programs():
        traces = []

        def body(value, flag=False, traces=traces):
            traces.append(flag)
            return tf.constant(0)

        def plain(value, flag=False, body=body):
            return body(value, flag)

        names = {
            "tf": tf,
            "np": np,
            "Setting": graph_puzzles.Setting,
            "x": tf.constant(graph_puzzles.X),
            "body": plain,
            "f": tf.function(plain),
        }
        with graph_puzzles.without_advice():
            if definition:
                names["g"] = eval(definition, names)
            eval(code, names)
        assert len(traces) == graph_puzzles.measure_traces()[name], name


def test_the_code_shown_is_that_which_is_measured(tmp_path):
    module = shown_code(tmp_path)
    names = [name for name, value in vars(module).items() if inspect.isfunction(value)]
    assert sorted(names) == sorted(graph_puzzles.CODE)
    for name in names:
        function = getattr(module, name)

        def call(x, notes, total, function=function):
            module.notes, module.total = notes, total
            return function(x)

        with graph_puzzles.without_advice():
            shown = graph_puzzles.compare(call)
        measured = graph_puzzles.measure_code()[name]
        assert shown.outcome == measured.outcome, name
        if shown.outcome != "raises":
            assert shown.seen == measured.seen, name


def test_the_reference_predicts_what_is_measured():
    assert SOLUTION.predict_traces() == graph_puzzles.measure_traces()
    outcomes = {k: found.outcome for k, found in graph_puzzles.measure_code().items()}
    assert SOLUTION.predict_code() == outcomes


def test_every_outcome_occurs():
    outcomes = [found.outcome for found in graph_puzzles.measure_code().values()]
    assert all(outcomes.count(outcome) >= 3 for outcome in graph_puzzles.OUTCOMES)


def double_notes(x, notes, total):
    notes.append("called")
    return x


def divide_by_notes(x, notes, total):
    raise ZeroDivisionError(textwrap.shorten(str(notes), 20))


def test_what_was_seen_is_told_in_words():
    found = graph_puzzles.compare(double_notes)
    assert found.outcome == "differs"
    assert found.seen == (
        "eagerly returns each time 1 2 3, notes 3 calls, "
        "as a graph returns each time 1 2 3, notes 1 calls"
    )


def test_code_that_fails_eagerly_is_no_puzzle():
    with pytest.raises(ZeroDivisionError):
        graph_puzzles.compare(divide_by_notes)


def test_the_level_of_the_logger_comes_back():
    logger = tf.get_logger()
    before = logger.level
    with pytest.raises(KeyError), graph_puzzles.without_advice():
        raise KeyError
    assert logger.level == before
