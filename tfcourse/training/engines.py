"""Which engine trains: XLA, a graph without XLA, or `model.fit`; and why.

Measured on two CPU cores: against `fit`, the graph is 1.04 to 2 times as fast on every
model tried. XLA makes small dense models another 2 to 4 times as fast, recurrent ones
and small transformers 1.4 to 1.7 times. It slows a transformer of 10 million parameters
to 0.76, and convolutions, whose gradients it computes with plain loops, 8 to 45 times.
So the graph is the start, and XLA is tried when it may earn back its compilation.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfcourse.resume import ResumePoints
from tfcourse.run_folder import read_json, write_json
from tfcourse.training.programs import Program, Snapshot

NAMES = ("xla", "graph", "fit")
logger = logging.getLogger("tfcourse.training")

# What XLA saves per operation of a step where calling kernels is most of the work.
SECONDS_SAVED_PER_OPERATION = 2e-6
# The share of a step that it may save: 0.3 to 0.75 was measured, except for the large
# products of matrices that are known by the time an operation takes.
SHARE_SAVED = 0.2
LARGE_SECONDS_PER_OPERATION = 1e-4
SHARE_SAVED_OF_LARGE = 0.05
# Compiling took 2 to 3.5 times as long as tracing, from an MLP to a transformer.
COMPILE_PER_TRACE = 3.0
# A trial times windows of about this length and keeps the best.
WINDOW_SECONDS = 0.02
NUM_WINDOWS = 3
# After one step this much slower than the graph's, a trial ends.
HOPELESS = 4.0


@dataclass(frozen=True)
class Engine:
    """The engine of one training, and how it was found."""

    name: str  # xla, graph or fit.
    reason: str
    graph_seconds: float | None = None  # Per step, if it was measured.
    xla_seconds: float | None = None
    trace_seconds: float | None = None
    trial_seconds: float = 0.0  # Compiling by XLA and trying it out.

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.name}: {self.reason}"


def pick(program: Program, data: Any, order: Any, num_steps: int) -> tuple[Engine, int]:
    """Return the faster engine, and how many steps of the epoch are done.

    The steps are real ones. Both engines start from the same state and the winner's stays,
    as if it had been alone from the first step.

    Args:
        program: The training steps.
        data: The examples.
        order: int64 [n], the order of this epoch.
        num_steps: Steps of the whole training.
    """
    reason = _reason_for_graph(program, data)
    if reason is not None:
        return Engine("graph", reason, trace_seconds=program.trace_seconds), 0
    is_known = "xla" in program.measured
    if is_known or (program.measured and not _worth_trying(program, num_steps)):
        return _decide(program, num_steps), 0
    before = Snapshot(program.variables)
    windows = _windows(program, data, order)
    program.measured["graph"] = _seconds_per_step(program, data, order, windows)
    done = windows[-1][1]
    if not _worth_trying(program, num_steps):
        return _decide(program, num_steps), done
    after = Snapshot(program.variables)
    before.restore()
    started = time.perf_counter()
    program.measured["xla"] = _try_xla(program, data, order, windows)
    engine = _decide(program, num_steps, time.perf_counter() - started)
    if engine.name == "graph":
        after.restore()
    return engine, done


def _reason_for_graph(program: Program, data: Any) -> str | None:
    """Return why XLA is not even tried, if so."""
    on_cpu = not tf.config.list_logical_devices("GPU")
    if on_cpu and any(
        "Conv" in op and "BackpropFilter" in op for op in program.operations
    ):
        return "XLA slows the gradients of convolutions on a CPU"
    if any(spec.dtype == tf.string for spec in tf.nest.flatten(program.specs)):
        return "XLA takes no text"
    operation = program.trace_left()
    if operation is not None:
        return f"a step runs {operation}, which can't be tried out and taken back"
    if not program.measured and program.num_full_steps(data) < NUM_WINDOWS + 2:
        return "an epoch has too few steps to measure"
    return None


def _windows(program: Program, data: Any, order: Any) -> list[tuple[int, int]]:
    """Run two steps as a graph; return them and the windows to time, as step ranges."""
    program.run(data, order, 0, 1, xla=False)  # Optimises the graph, once.
    started = time.perf_counter()
    program.run(data, order, 1, 2, xla=False)
    fitting = int(WINDOW_SECONDS / max(time.perf_counter() - started, 1e-9))
    room = (program.num_full_steps(data) - 2) // NUM_WINDOWS
    length = max(1, min(fitting, room))
    starts = range(2, 2 + NUM_WINDOWS * length, length)
    return [(0, 1), (1, 2), *((start, start + length) for start in starts)]


def _seconds_per_step(
    program: Program, data: Any, order: Any, windows: Any, *, xla: bool = False
) -> float:
    """Run the windows that are left after the first two; return the best time."""
    best = float("inf")
    for start, stop in windows[2:]:
        started = time.perf_counter()
        program.run(data, order, start, stop, xla=xla)
        best = min(best, (time.perf_counter() - started) / (stop - start))
    return best


def _worth_trying(program: Program, num_steps: int) -> bool:
    """Tell whether the time that XLA may save exceeds the time that it compiles."""
    graph_seconds = program.measured["graph"] or 0.0
    num_operations = len(program.operations)
    is_large = graph_seconds > LARGE_SECONDS_PER_OPERATION * num_operations
    share = SHARE_SAVED_OF_LARGE if is_large else SHARE_SAVED
    overhead = SECONDS_SAVED_PER_OPERATION * num_operations
    saved = max(overhead, share * graph_seconds)
    return num_steps * saved > COMPILE_PER_TRACE * program.trace_seconds


def _try_xla(program: Program, data: Any, order: Any, windows: Any) -> float | None:
    """Return XLA's seconds per step, None if it can't compile the program."""
    graph_seconds = program.measured["graph"] or 0.0
    try:
        program.run(data, order, *windows[0], xla=True)
    except tf.errors.OpError as error:
        logger.info("XLA: %s", error.message.splitlines()[0])
        return None
    started = time.perf_counter()
    program.run(data, order, *windows[1], xla=True)
    first = time.perf_counter() - started
    if first > HOPELESS * graph_seconds + WINDOW_SECONDS:
        return first
    return _seconds_per_step(program, data, order, windows, xla=True)


def validates_with_xla(program: Program, engine: Engine, num_steps: int) -> bool:
    """Tell whether XLA runs the validation too: where it trains, if there is enough.

    Args:
        program: The test steps.
        engine: The engine that trains.
        num_steps: Test steps of the whole training.
    """
    if program.measured.get("xla", 0.0) is None:
        return False  # It did not compile.
    saved = num_steps * SECONDS_SAVED_PER_OPERATION * len(program.operations)
    return engine.name == "xla" and saved > COMPILE_PER_TRACE * program.trace_seconds


def _decide(program: Program, num_steps: int, trial_seconds: float = 0.0) -> Engine:
    """Return the engine that the measured times speak for."""
    graph, xla = program.measured["graph"], program.measured.get("xla")
    times = {
        "graph_seconds": graph,
        "xla_seconds": xla,
        "trace_seconds": program.trace_seconds,
        "trial_seconds": trial_seconds,
    }
    if "xla" not in program.measured:
        reason = f"{num_steps} steps are too few to earn back XLA's compilation"
        return Engine("graph", reason, **times)
    if xla is None:
        return Engine("graph", "XLA can't compile the model", **times)
    name, other = ("xla", "without XLA") if xla < graph else ("graph", "with XLA")
    reason = (
        f"{min(xla, graph) * 1e3:.3g} ms a step, {max(xla, graph) * 1e3:.3g} {other}"
    )
    return Engine(name, reason, **times)


def recorded(callbacks: Iterable[keras.callbacks.Callback]) -> str | None:
    """Return the name of the engine that an interrupted training used, if known."""
    for path in _records(callbacks, resumed=True):
        engine = read_json(path)
        if isinstance(engine, dict) and engine.get("name") in NAMES:
            return str(engine["name"])
    return None


def record(callbacks: Iterable[keras.callbacks.Callback], engine: Engine) -> None:
    """Keep the engine with the resume points.

    Engines round differently: a resumed training ends with the same bits as an
    uninterrupted one only on the same engine, and a measurement may change its mind.
    """
    for path in _records(callbacks, resumed=False):
        write_json(path, asdict(engine))


def _records(
    callbacks: Iterable[keras.callbacks.Callback], *, resumed: bool
) -> Iterable[Path]:
    for callback in callbacks:
        if isinstance(callback, ResumePoints):
            if callback.resume or not resumed:
                yield callback.folder / "engine.json"
        elif isinstance(callback, keras.callbacks.BackupAndRestore):
            yield Path(callback.backup_dir) / "engine.json"
