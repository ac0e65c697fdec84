"""Small programs whose behaviour as graphs is to be predicted, and what they really do.

`TRACING` asks how often TensorFlow traces a function; `CODE` asks whether Python code does
the same as a graph as it does eagerly. Nobody wrote the answers down: they are measured
here, by running the programs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

NUM_CALLS = 3  # Of each piece of code, with the same tensor.
OUTCOMES = ("same", "differs", "raises")
X = (1.0, 2.0, 3.0)

Program = Callable[..., Any]


class Setting:
    """An object that is no tensor, number, text or collection."""


# Each gets f = tf.function(body), `body` itself, and x, float32 [3].
TRACING: Mapping[str, Program] = {
    "tensors": lambda f, body, x: (f(x), f(x + 1), f(x + 2)),
    "python_numbers": lambda f, body, x: [f(n) for n in range(5)],
    "numbers_seen_before": lambda f, body, x: (f(1), f(2), f(1), f(2)),
    "numbers_as_tensors": lambda f, body, x: [f(tf.constant(n)) for n in range(5)],
    "numpy_arrays": lambda f, body, x: (f(np.zeros(2)), f(np.ones(2))),
    "shapes": lambda f, body, x: (f(x), f(x[:2]), f(x[:1]), f(x[:2])),
    "dtypes": lambda f, body, x: (f(x), f(tf.cast(x, tf.int32))),
    "default_spelt_out": lambda f, body, x: (f(x), f(x, False), f(x, flag=False)),
    "a_flag": lambda f, body, x: (f(x, flag=True), f(x, flag=False), f(x, flag=True)),
    "lists": lambda f, body, x: (f([x, x]), f([x, x, x]), f([x, x])),
    "one_object": lambda f, body, x: [f(o) for o in [Setting()] * 3],
    "new_objects": lambda f, body, x: [f(Setting()) for _ in range(3)],
    "new_functions": lambda f, body, x: [tf.function(body)(x) for _ in range(3)],
    "input_signature": lambda f, body, x: [
        g(x[:n])
        for g in [tf.function(body, input_signature=[tf.TensorSpec([None])])]
        for n in (3, 2, 1)
    ],
    "reduce_retracing": lambda f, body, x: [
        g(x[:n]) for g in [tf.function(body, reduce_retracing=True)] for n in (3, 2, 1)
    ],
}


@functools.cache
def measure_traces() -> dict[str, int]:
    """Return how often TensorFlow traces `body` in each program of `TRACING`."""
    with without_advice():
        return {name: _num_traces(program) for name, program in TRACING.items()}


@contextlib.contextmanager
def without_advice() -> Iterator[None]:
    """Keep TensorFlow from warning that something is traced again and again."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def _num_traces(program: Program) -> int:
    num_traces = 0

    def body(value: Any, flag: bool = False) -> Any:
        nonlocal num_traces
        num_traces += 1
        return tf.constant(0)

    program(tf.function(body), body, tf.constant(X))
    return num_traces


# Each gets x, float32 [3], and two things that are new for each program: `notes`, an empty
# list, and `total`, a tf.Variable with the value 0.0.


def python_print(x, notes, total):
    """Print at each call."""
    print("called")
    return x


def append_to_list(x, notes, total):
    """Keep a note of each call."""
    notes.append("called")
    return x


def python_counter(x, notes, total):
    """Use how often it was called."""
    notes.append("called")
    return x * len(notes)


def variable_counter(x, notes, total):
    """Use how often it was called, kept in a variable."""
    total.assign_add(1.0)
    return x * total


def numpy_noise(x, notes, total):
    """Add noise by numpy."""
    return x + np.random.normal()


def numpy_function(x, notes, total):
    """Compute with numpy."""
    return np.sin(x)


def if_on_tensor(x, notes, total):
    """Choose by a tensor."""
    if x[0] > 5:
        y = x
    else:
        y = -x
    return y


def early_return(x, notes, total):
    """Leave early."""
    if x[0] > 0:
        return x
    return -x


def return_a_zero(x, notes, total):
    """Leave early, with a number of another type."""
    if x[0] > 0:
        return x[0]
    return 0


def none_in_one_branch(x, notes, total):
    """Set a value in one branch alone."""
    y = None
    if x[0] > 0:
        y = x
    return y


def while_with_break(x, notes, total):
    """Loop by a tensor, and leave the loop."""
    while x[0] < 100:
        x = 2 * x
        if x[2] > 20:
            break
    return x


def loop_from_int(x, notes, total):
    """Add floats to an integer."""
    s = 0
    for v in x:
        s += v
    return s


def loop_from_float(x, notes, total):
    """Add floats to a float."""
    s = 0.0
    for v in x:
        s += v
    return s


def list_in_tensor_loop(x, notes, total):
    """Collect in a list, in a loop over a tensor."""
    squares = []
    for v in x:
        squares.append(v * v)
    return tf.stack(squares)


def list_in_python_loop(x, notes, total):
    """Collect in a list, in a loop over Python numbers."""
    squares = []
    for i in range(3):
        squares.append(x[i] * x[i])
    return tf.stack(squares)


def comprehension(x, notes, total):
    """Collect in a comprehension over a tensor."""
    return tf.stack([v * v for v in x])


def growing_tensor(x, notes, total):
    """Append to a tensor in a loop."""
    y = x[:1]
    for v in x:
        y = tf.concat([y, [v]], axis=0)
    return y


def try_except(x, notes, total):
    """Catch what an operation raises."""
    try:
        tf.debugging.assert_negative(x)
    except tf.errors.InvalidArgumentError:
        x = -x
    return x


CODE: Mapping[str, Program] = {
    function.__name__: function
    for function in (
        python_print,
        append_to_list,
        python_counter,
        variable_counter,
        numpy_noise,
        numpy_function,
        if_on_tensor,
        early_return,
        return_a_zero,
        none_in_one_branch,
        while_with_break,
        loop_from_int,
        loop_from_float,
        list_in_tensor_loop,
        list_in_python_loop,
        comprehension,
        growing_tensor,
        try_except,
    )
}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a piece of code did as a graph, set against what it does eagerly."""

    outcome: str  # Of OUTCOMES.
    seen: str  # In words, for the reader.


def compare(function: Program) -> Comparison:
    """Return how `NUM_CALLS` calls of a function of `CODE` differ as a graph.

    Compared is what the calls return, what they print, and what is in `notes` and in
    `total` after them.
    """
    eager = _observe(function, as_graph=False)
    graph = _observe(function, as_graph=True)
    if isinstance(graph, Exception):
        text = str(graph).strip() or type(graph).__name__
        return Comparison("raises", f"{type(graph).__name__}: {_telling(text)}")
    if eager == graph:
        return Comparison("same", f"both: {eager}")
    return Comparison("differs", f"eagerly {eager}, as a graph {graph}")


@functools.cache
def measure_code() -> dict[str, Comparison]:
    """Return the comparison of each piece of `CODE`."""
    with without_advice():
        return {name: compare(function) for name, function in CODE.items()}


def _observe(function: Program, *, as_graph: bool) -> str | Exception:
    """Return in words what the calls of a function did, or what the graph raised."""
    notes: list[str] = []
    total = tf.Variable(0.0)
    x = tf.constant(X)

    def of_x(x: Any) -> Any:
        return function(x, notes, total)

    called = tf.function(of_x) if as_graph else of_x
    np.random.seed(0)
    printed = io.StringIO()
    results = []
    try:
        with contextlib.redirect_stdout(printed):
            for _ in range(NUM_CALLS):
                results.append(_in_words(called(x)))
    except Exception as error:
        if not as_graph:
            raise
        return error
    if len(set(results)) == 1:
        results = ["each time " + results[0]]
    parts = [f"returns {', '.join(results)}"]
    if printed.getvalue():
        parts.append(f"prints {printed.getvalue().count('called')} times")
    if notes:
        parts.append(f"notes {len(notes)} calls")
    if float(total):
        parts.append(f"total is {float(total):g}")
    return ", ".join(parts)


def _in_words(value: Any) -> str:
    return " ".join(f"{number:.3g}" for number in np.ravel(value))


def _telling(text: str) -> str:
    """Return the line of an error's text that says most, without the stack before it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1] if lines[0].startswith("in user code") else lines[0]
    failed = [entry for entry in lines if entry.startswith("assertion failed")]
    return (failed[0] if failed else line.split("Error: ", 1)[-1])[:120]
