"""The experiments on what a graph does: predictions, retracing, the same weights, logs.

What is measured comes from outside: the variants of a training, and the functions of an
exercise. Each stage is stored in the run, so that a resumed run does not repeat it, and
returns the metrics that it found.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse import graph_figures, graph_puzzles
from tfcourse.graph_speed import BASELINE, Make, Metrics, seeded, shuffled, table
from tfcourse.run_folder import writing
from tfcourse.runs import Run
from tfcourse.throughput import median_ratio
from tfcourse.training_variants import spread_after

NUM_LOGGED_CALLS = 100
LOG_EVERY = 20
NUM_REPEATS = 6  # Of a call with another number each time.


def study_puzzles(
    run: Run, traces: Mapping[str, int], outcomes: Mapping[str, str]
) -> Metrics:
    """Return the share of predictions that were right.

    Args:
        run: Gets two tables that set each prediction beside what was measured.
        traces: For each program of `graph_puzzles.TRACING` a number of traces.
        outcomes: For each piece of `graph_puzzles.CODE` one of its `OUTCOMES`.
    """

    def compute() -> dict[str, dict[str, Any]]:
        return {
            "traces": graph_puzzles.measure_traces(),
            "outcomes": {
                name: [found.outcome, found.seen]
                for name, found in graph_puzzles.measure_code().items()
            },
        }

    found = run.once("puzzles", compute)
    rows = [
        (name, str(traces.get(name)), str(measured))
        for name, measured in found["traces"].items()
    ]
    run.text("traces", table(("program", "predicted", "traces"), rows))
    code_rows = [
        (name, str(outcomes.get(name)), outcome, seen.replace("|", "/"))
        for name, (outcome, seen) in found["outcomes"].items()
    ]
    heads = ("code", "predicted", "as a graph", "what was seen")
    run.text("code_as_a_graph", table(heads, code_rows))
    right = [row[1] == row[2] for row in (*rows, *code_rows)]
    return {"predictions_right": float(np.mean(right))}


def study_retracing(
    run: Run, make: Make, images: Any, labels: Any, *, count_traces: Any
) -> Metrics:
    """Return what it costs to trace a step anew at each call.

    Args:
        run: Gets the figure `retracing`.
        make: Returns the variants of a new model.
        images: A batch, float32.
        labels: Its labels, int64.
        count_traces: Counts how often a function is traced by a list of calls.
    """

    def seconds_per_call(step: Any, numbers: list[Any]) -> list[float]:
        @tf.function
        def graph(images: Any, labels: Any, number: Any) -> Any:
            return step(images, labels) + 0.0 * tf.cast(number, tf.float32)

        graph(images, labels, numbers[0])
        found = []
        for number in numbers:
            started = time.perf_counter()
            graph(images, labels, number).numpy()
            found.append(time.perf_counter() - started)
        return found[1:]

    def compute() -> dict[str, Any]:
        step = seeded(run, make).steps[BASELINE]
        full, short = (images, labels), (images[:-1], labels[:-1])
        signature = [
            tf.TensorSpec([None, *images.shape[1:]], images.dtype),
            tf.TensorSpec([None], labels.dtype),
        ]
        numbers = list(range(NUM_REPEATS))
        with graph_puzzles.without_advice():
            return {
                "python": seconds_per_call(step, numbers),
                "tensor": seconds_per_call(step, [tf.constant(n) for n in numbers]),
                "plain": count_traces(step, [full, full, short, full, short]),
                "signed": count_traces(
                    step, [full, short, full], input_signature=signature
                ),
            }

    found = run.once("retracing", compute)
    milliseconds = {
        "a new Python number": 1e3 * np.array(found["python"]),
        "a new tensor": 1e3 * np.array(found["tensor"]),
    }
    run.figure("retracing", graph_figures.retracing(milliseconds))
    return {
        "retrace_over_call": median_ratio(found["python"], found["tensor"]),
        "traces_of_two_batch_sizes": float(found["plain"]),
        "traces_with_signature": float(found["signed"]),
    }


def study_same_weights(
    run: Run,
    make: Make,
    images: Any,
    labels: Any,
    num_steps: int,
    dtype: str,
) -> Metrics:
    """Return how far the variants' weights are apart after the same batches.

    XLA rounds differently, and training amplifies that: Adam makes a step of full length
    out of a gradient that is rounding alone. In float32 the weights of two right variants
    can be far apart after a hundred steps. In float64 the start is so much smaller that
    what is left apart is another computation.

    Args:
        run: Gets a table of the distances.
        make: Returns the variants of a new model.
        images: A tensor, float32 [n, ...].
        labels: A tensor, int64 [n].
        num_steps: Steps that each variant takes from the same start.
        dtype: Of weights and layers, a Keras dtype policy.
    """

    def compute() -> dict[str, float]:
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype)
        try:
            variants = seeded(run, make)
        finally:
            keras.config.set_dtype_policy(policy)
        order = shuffled(run.seed, len(labels))[: num_steps * variants.batch_size]
        return spread_after(variants, images, labels, order)

    apart = run.once("same_weights", compute)
    rows = [(name, f"{distance:.1e}") for name, distance in apart.items()]
    heads = ("variant", f"apart after {num_steps} steps in {dtype}")
    run.text("same_weights", table(heads, rows))
    return {"weights_apart": max(apart.values())}


def study_effects(
    run: Run,
    make: Make,
    images: Any,
    labels: Any,
    *,
    logged: Any,
    train_until: Any,
    count_traces: Any,
) -> Metrics:
    """Return what happened at each call of a graph, and what only while it was traced.

    Args:
        run: Gets the file `steps.log`.
        make: Returns the variants of a new model.
        images: A batch, float32; all steps are on it.
        labels: Its labels, int64.
        logged: Makes a graph of a function that counts its calls and logs.
        train_until: Trains until a loss is reached.
        count_traces: Counts how often a function is traced by a list of calls.
    """
    path = run.directory / "steps.log"

    def compute() -> dict[str, int]:
        step = seeded(run, make).steps[BASELINE]
        with writing(path):
            path.write_text("", encoding="utf-8")
        graph, num_calls = logged(step, every=LOG_EVERY, output_stream=f"file://{path}")
        for _ in range(NUM_LOGGED_CALLS):
            loss = graph(images, labels)
        lines = path.read_text(encoding="utf-8").splitlines()
        lengths = []

        def until(target: Any, max_steps: Any) -> Any:
            losses = train_until(lambda: step(images, labels), target, max_steps)
            tf.py_function(lambda n: lengths.append(int(n)), [tf.size(losses)], [])
            return losses

        calls = [
            (loss * share, tf.constant(NUM_LOGGED_CALLS)) for share in (0.9, 0.8, 0.7)
        ]
        traces = count_traces(until, calls)
        return {
            "logged_calls": int(num_calls),
            "logged_lines": len(lines),
            "steps_to_targets": sum(lengths),
            "traces_of_three_targets": int(traces),
        }

    return {name: float(value) for name, value in run.once("effects", compute).items()}
