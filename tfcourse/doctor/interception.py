"""Getting hold of the batches that `fit` trains on, without touching its step.

Keras calls `model.train_function(iterator)` for each step. The replacement here takes
the batches of a sampled step from the iterator itself, shows them, and hands them on to
the original function in an iterator of the same kind: the compiled step and its data
are the ones that they would have been.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

Function = Callable[[Any], Any]
ORIGINAL = "function_before_interception"


class Replay:
    """Hands batches that were taken from an iterator on to a function of Keras."""

    def __init__(self) -> None:
        self._held: collections.deque[Any] = collections.deque()
        self._iterators: dict[Any, Any] = {}
        self._datasets: dict[Any, tf.data.Dataset] = {}

    def take(self, iterator: Any, count: int) -> list[Any]:
        """Return the next batches, at most `count`.

        Raises:
            StopIteration: If there is none.
        """
        batches: list[Any] = []
        for _ in range(count):
            try:
                batches.append(next(iterator))
            except (StopIteration, tf.errors.OutOfRangeError):
                break
        if not batches:
            raise StopIteration
        return batches

    def iterator(self, batches: list[Any], original: Any, steps: int) -> Any:
        """Return an iterator over the batches that Keras takes for the original one.

        `steps` is how many the function takes at most. With the same specification of
        its elements the compiled function serves both iterators. Where there is no such
        iterator (batches spread over devices), Keras takes a list and runs the step on
        each.
        """
        if not isinstance(original, tf.data.Iterator):
            return batches
        spec = original.element_spec
        key = str(spec)
        if key not in self._datasets:
            try:
                self._datasets[key] = tf.data.Dataset.from_generator(
                    self._yield_held, output_signature=spec
                ).with_options(nothing_ahead())
            except (TypeError, ValueError, NotImplementedError):
                return batches  # Optional elements, such as absent weights.
        if len(batches) == 1 and steps == 1:
            # One iterator serves all samples: making one costs milliseconds.
            if key not in self._iterators:
                self._iterators[key] = iter(self._datasets[key])
            self._held.append(batches[0])
            return self._iterators[key]
        self._held.extend(batches)
        return iter(self._datasets[key])

    def close(self) -> None:
        """Let the iterators end: one that is cut off complains when Python exits."""
        self._held.clear()
        for iterator in self._iterators.values():
            next(iterator, None)
        self._iterators.clear()

    def _yield_held(self) -> Iterator[Any]:
        while self._held:
            yield self._held.popleft()


def nothing_ahead() -> tf.data.Options:
    """Return options with which a pipeline asks for no element before its time."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.inject_prefetch = False
    options.experimental_optimization.apply_default_optimizations = False
    return options


class Interceptor:
    """Replaces a model's train or test function by one that shows sampled batches.

    Args:
        attribute: "train_function" or "test_function".
        wanted: Says before each step whether its batches are to be shown.
        around: Called with (batches, run): looks, calls `run()` once, and returns what
            it returned.
        after: Called with the logs of each step and the number of its batches.
        replay: Hands the batches on; may be shared. Whoever shares it closes it.
    """

    def __init__(
        self,
        attribute: str,
        wanted: Callable[[], bool],
        around: Callable[[list[Any], Callable[[], Any]], Any],
        after: Callable[[Any, int], None],
        replay: Replay | None = None,
    ):
        self._attribute = attribute
        self._wanted = wanted
        self._around = around
        self._after = after
        self._replay = replay or Replay()
        self._original: Function | None = None
        self._replacement: Function | None = None

    def install(self, model: keras.Model) -> None:
        """Put the replacement in place, unless it is there."""
        current = getattr(model, self._attribute, None)
        if current is None or current is self._replacement:
            return
        # What an interrupted run has left behind looks no more.
        original = getattr(current, ORIGINAL, current)
        steps = int(getattr(model, "steps_per_execution", 1) or 1)

        def function(iterator: Any) -> Any:
            try:
                return self._step(original, iterator, steps)
            except (StopIteration, tf.errors.OutOfRangeError):
                raise  # The end of an epoch.
            except BaseException:
                self.remove(model)  # An error, or Ctrl-C: a later `fit` is not ours.
                self._replay.close()
                raise

        setattr(function, ORIGINAL, original)
        self._original, self._replacement = original, function
        setattr(model, self._attribute, function)

    def _step(self, original: Function, iterator: Any, steps: int) -> Any:
        if not self._wanted():
            logs = original(iterator)
            self._after(logs, steps)
            return logs
        batches = self._replay.take(iterator, steps)
        replayed = self._replay.iterator(batches, iterator, steps)
        logs = self._around(batches, lambda: original(replayed))
        self._after(logs, len(batches))
        return logs

    def remove(self, model: keras.Model) -> None:
        """Put the original back."""
        if getattr(model, self._attribute, None) is self._replacement:
            setattr(model, self._attribute, self._original)
        self._original = self._replacement = None


def first_replica(batch: Any) -> Any:
    """Return the part of a batch that the first replica gets; the batch, without any."""

    def first(value: Any) -> Any:
        values = getattr(value, "values", None)
        if isinstance(value, tf.distribute.DistributedValues) and values:
            return values[0]
        return value

    return tf.nest.map_structure(first, batch)


def batch_size(batch: Any) -> int:
    """Return how many examples a batch holds: the length of its first tensor."""
    for value in tf.nest.flatten(batch):
        shape = getattr(value, "shape", None)
        if shape is not None and len(shape):
            return int(shape[0])
    return 1
