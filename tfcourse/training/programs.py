"""Many steps of a model over arrays in memory, as one compiled program.

A program is traced once. As a TensorFlow graph the trace is a `tf.while_loop`; called
from a function with `jit_compile=True` the same trace is compiled by XLA.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import keras
import tensorflow as tf

NAME = "_tfcourse_programs"

# Run Python in the middle of a step.
PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc", "NumpyFunction"})
# Leave traces outside the model's variables, so that a step can't be tried out.
TRACE_PREFIXES = ("Print", "Write", "RandomUniform", "RandomStandardNormal")
OTHER_TRACES = frozenset(
    {"Multinomial", "RandomGammaGrad", "RandomShuffle", "TruncatedNormal", "Save"}
)


class Program:
    """A model's training or test steps over arrays of any length.

    Args:
        step: `model.train_step` or `model.test_step`.
        data: The examples as tensors: `(x,)`, `(x, y)` or `(x, y, sample_weight)`.
        batch_size: Examples per step; the last step of an epoch may have fewer.
    """

    def __init__(self, step: Callable[[Any], Any], data: Any, batch_size: int):
        self.step = step
        self.batch_size = batch_size
        self.specs = tf.nest.map_structure(
            lambda tensor: tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype), data
        )
        self._tails: dict[int, Any] = {}
        # Seconds per step by engine, once measured; None: it does not compile.
        self.measured: dict[str, float | None] = {}
        started = time.perf_counter()
        self._loop = self._traced(self._steps)
        self.trace_seconds = time.perf_counter() - started

    def num_full_steps(self, data: Any) -> int:
        """Return how many batches of an epoch are whole."""
        return len(tf.nest.flatten(data)[0]) // self.batch_size

    def num_steps(self, data: Any) -> int:
        """Return the number of steps of an epoch."""
        return -(-len(tf.nest.flatten(data)[0]) // self.batch_size)

    def run(
        self, data: Any, order: tf.Tensor, start: int, stop: int, *, xla: bool
    ) -> None:
        """Do the steps from `start` to `stop`, and come back when they are done.

        Args:
            data: The examples, shaped like those that the program was made for.
            order: int64 [n], the examples' order in this epoch.
            start: First step.
            stop: Step to stop before.
            xla: Whether XLA runs the whole batches.
        """
        num_full = self.num_full_steps(data)
        last_full = min(stop, num_full)
        if start < last_full:
            loop = self._xla_loop if xla else self._loop
            bounds = (tf.constant(n, tf.int64) for n in (start, last_full))
            loop(data, order, *bounds).numpy()  # Waits for a GPU.
        if start < stop and stop > num_full:
            # A smaller batch has another shape: XLA would compile everything again.
            rest = order[num_full * self.batch_size :]
            self._tail(len(rest))(data, rest)

    @cached_property
    def variables(self) -> list[tf.Variable]:
        """All that a step may change: weights, optimizer, metrics, random states."""
        return list(self._loop.graph.variables)

    @cached_property
    def operations(self) -> list[str]:
        """The kinds of all operations of a step, nested functions included."""
        graph = self._loop.graph.as_graph_def()
        nodes = [*graph.node]
        for function in graph.library.function:
            nodes += function.node_def
        return [node.op for node in nodes]

    def python_operation(self) -> str | None:
        """Return the name of an operation that runs Python code, if there is one."""
        return next((op for op in self.operations if op in PYTHON_OPS), None)

    def trace_left(self) -> str | None:
        """Return the name of an operation with an effect that can't be taken back."""
        for op in self.operations:
            if op.startswith(TRACE_PREFIXES) or op in OTHER_TRACES:
                return op
        return None

    @cached_property
    def _xla_loop(self) -> Any:
        """The same trace for XLA, which compiles it once per number of examples."""
        return self._traced(lambda *arguments: self._loop(*arguments), jit_compile=True)

    def _traced(self, function: Callable[..., Any], **options: Any) -> Any:
        number = tf.TensorSpec([], tf.int64)
        order = tf.TensorSpec([None], tf.int64)
        traced = tf.function(function, autograph=False, **options)
        return traced.get_concrete_function(self.specs, order, number, number)

    def _batch(self, data: Any, indices: tf.Tensor) -> Any:
        return tf.nest.map_structure(lambda tensor: tf.gather(tensor, indices), data)

    def _steps(
        self, data: Any, order: tf.Tensor, start: tf.Tensor, stop: tf.Tensor
    ) -> tf.Tensor:
        def body(step: tf.Tensor) -> tuple[tf.Tensor]:
            # The shape is constant, as XLA needs it.
            indices = tf.slice(order, [step * self.batch_size], [self.batch_size])
            self.step(self._batch(data, indices))
            return (step + 1,)

        # Steps depend on one another: nothing could run in parallel.
        (done,) = tf.while_loop(
            lambda step: step < stop, body, [start], parallel_iterations=1
        )
        return done

    def _tail(self, num_examples: int) -> Any:
        """Return the step over the last, smaller batch, traced for its size."""
        if num_examples not in self._tails:

            def last_step(data: Any, indices: tf.Tensor) -> None:
                self.step(self._batch(data, indices))

            indices = tf.TensorSpec([num_examples], tf.int64)
            traced = tf.function(last_step, autograph=False)
            self._tails[num_examples] = traced.get_concrete_function(
                self.specs, indices
            )
        return self._tails[num_examples]


class Programs:
    """A model's programs, kept on the model until it is compiled again."""

    def __init__(self, guard: list[Any]):
        self.guard = guard
        self.by_key: dict[Any, Program] = {}
        # The functions of `model.fit` with several steps per execution.
        self.fit_functions: tuple[Any, Any] | None = None


def programs_of(model: keras.Model) -> Programs:
    """Return the programs of a compiled model."""
    # `compile` makes a new loss tracker; what is trained may change without it.
    guard = [model.optimizer, model.metrics[0], *model.trainable_variables]
    programs = vars(model).get(NAME)
    if programs is None or not _same(programs.guard, guard):
        programs = Programs(guard)
        # Past Keras's `__setattr__`: this is nothing to track or to save.
        vars(model)[NAME] = programs
    return programs


def program_for(model: keras.Model, kind: str, data: Any, batch_size: int) -> Program:
    """Return the model's program for such data, from an earlier call if there is one.

    Args:
        model: A compiled model.
        kind: `train` or `test`.
        data: Tensors, see `Program`.
        batch_size: At most the number of examples.
    """
    by_key = programs_of(model).by_key
    shapes = [(t.dtype, tuple(t.shape[1:])) for t in tf.nest.flatten(data)]
    structure = str(tf.nest.map_structure(lambda _: 0, data))
    key = (kind, batch_size, structure, tuple(shapes))
    if key not in by_key:
        step = model.train_step if kind == "train" else model.test_step
        by_key[key] = Program(step, data, batch_size)
    return by_key[key]


def _same(first: Sequence[Any], second: Sequence[Any]) -> bool:
    return len(first) == len(second) and all(
        one is other for one, other in zip(first, second, strict=True)
    )


class Snapshot:
    """The values of variables at one moment."""

    def __init__(self, variables: Sequence[tf.Variable]):
        self._values = [(variable, tf.identity(variable)) for variable in variables]

    def restore(self) -> None:
        """Give the variables back the values that they had."""
        for variable, value in self._values:
            variable.assign(value)
