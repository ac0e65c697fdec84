"""Profiles of a few steps, and graphs: written for TensorBoard, and read without it.

TensorFlow writes what the host did as an "XSpace": lines of events with a name, a start
and a length. TensorBoard shows it with a plugin of its own (`pip install xprof`);
`read_profile` counts the same events, so that a table of them needs no plugin.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

STEP = "train"  # Name of the events that are one step each.
DISPATCH = "EagerLocalExecute: "  # Python hands one operation, or one graph, over.
OF_A_GRAPH = re.compile(r"[^:\s]+:(_?[A-Z]\w*)")  # `adam/Sub_2:Sub`, run by a graph.


@dataclasses.dataclass(frozen=True)
class Profile:
    """What the host did in one step, on average."""

    microseconds: float
    dispatches: dict[str, float]  # By operation, how often Python handed it over.
    # By operation or XLA kernel, (how often it ran, microseconds in all).
    operations: dict[str, tuple[float, float]]

    @property
    def num_dispatches(self) -> float:
        """How often Python handed something over."""
        return sum(self.dispatches.values())

    @property
    def num_operations(self) -> float:
        """How many operations or kernels ran."""
        return sum(count for count, _ in self.operations.values())

    @property
    def operation_microseconds(self) -> float:
        """Time inside operations; those that ran side by side count both."""
        return sum(microseconds for _, microseconds in self.operations.values())


def write_profile(folder: Path, step: Callable[[], Any], num_steps: int) -> None:
    """Write a profile of some steps below `folder`, in place of an earlier one.

    Args:
        folder: TensorBoard takes it for a run; the file is in plugins/profile/<time>/.
        step: One training step that returns a tensor. It has been called before: tracing
            does not belong into a profile.
        num_steps: How often it is called.
    """
    shutil.rmtree(folder / "plugins", ignore_errors=True)
    options = tf.profiler.experimental.ProfilerOptions(python_tracer_level=0)
    tf.profiler.experimental.start(str(folder), options=options)
    try:
        for number in range(num_steps):
            with tf.profiler.experimental.Trace(STEP, step_num=number, _r=1):
                step().numpy()
    finally:
        tf.profiler.experimental.stop()


def write_graph(folder: Path, graph: Any, *arguments: Any) -> None:
    """Write the op graph of a `tf.function` for TensorBoard's Graphs tab.

    Args:
        folder: TensorBoard takes it for a run.
        graph: Is traced for these arguments, if it was not before, and not run.
        arguments: Of a call, tensors or `tf.TensorSpec`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        tf.summary.graph(graph.get_concrete_function(*arguments).graph.as_graph_def())
    writer.close()


def read_profile(folder: Path) -> Profile:
    """Return the mean step of the profile below `folder`.

    Raises:
        FileNotFoundError: If there is none.
    """
    paths = sorted(folder.glob("plugins/profile/*/*.xplane.pb"))
    if not paths:
        raise FileNotFoundError(f"no profile below {folder}")
    space = xplane_pb2.XSpace()
    space.ParseFromString(paths[-1].read_bytes())
    num_steps, total = 0, 0.0
    dispatches: dict[str, float] = defaultdict(float)
    operations: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for name, microseconds, is_kernel in _events(space):
        graph_operation = OF_A_GRAPH.fullmatch(name)
        if name == STEP:
            num_steps += 1
            total += microseconds
        elif name.startswith(DISPATCH):
            operation = name.removeprefix(DISPATCH)
            dispatches[operation] += 1
            if not operation.startswith("__"):  # A graph counts by what it runs.
                _add(operations[operation], microseconds)
        elif is_kernel:
            kernel = re.sub(r"[.]\d+$", "", name)  # Without the number of its copy.
            _add(operations[f"XLA: {kernel}"], microseconds)
        elif graph_operation and not graph_operation[1].startswith("__"):
            _add(operations[graph_operation[1]], microseconds)
    num_steps = max(num_steps, 1)
    return Profile(
        total / num_steps,
        {name: count / num_steps for name, count in dispatches.items()},
        {
            name: (count / num_steps, microseconds / num_steps)
            for name, (count, microseconds) in operations.items()
        },
    )


def _add(entry: list[float], microseconds: float) -> None:
    entry[0] += 1
    entry[1] += microseconds


def _events(space: Any) -> Iterator[tuple[str, float, bool]]:
    """Yield each event's name, its microseconds, and whether XLA compiled it."""
    for plane in space.planes:
        compiled = {
            key for key, stat in plane.stat_metadata.items() if stat.name == "hlo_op"
        }
        for line in plane.lines:
            for event in line.events:
                is_kernel = any(stat.metadata_id in compiled for stat in event.stats)
                name = plane.event_metadata[event.metadata_id].name
                yield name, event.duration_ps / 1e6, is_kernel
