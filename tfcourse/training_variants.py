"""One training loop in several variants over the same weights, run and timed in turns."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse.throughput import rates_in_turns
from tfcourse.training.programs import Snapshot

Step = Callable[[Any, Any], Any]


@dataclasses.dataclass(frozen=True)
class Variants:
    """The variants of one training, by name, all of which change the same variables."""

    model: keras.Model
    optimizer: keras.optimizers.Optimizer  # Built.
    batch_size: int
    steps: Mapping[
        str, Step
    ]  # (images, labels) -> loss: one batch, called from Python.
    epochs: Mapping[str, Callable[..., Any]]  # (images, labels, order) -> losses.

    @property
    def variables(self) -> list[Any]:
        """What a step may change, of the model and of its optimizer."""
        return [*self.model.variables, *self.optimizer.variables]

    @property
    def names(self) -> list[str]:
        """All variants, in their order."""
        return [*self.steps, *self.epochs]

    def train(self, name: str, images: Any, labels: Any, order: np.ndarray) -> Any:
        """Return the losses of one pass through `order`, float32 [steps], as numpy.

        Args:
            name: The variant.
            images: A tensor, float32 [n, ...].
            labels: A tensor, int64 [n].
            order: int64: which examples, in which order; less than a batch at the end is
                left out.
        """
        if name in self.epochs:
            return np.asarray(self.epochs[name](images, labels, tf.constant(order)))
        step = self.steps[name]
        num_steps = len(order) // self.batch_size
        batches = np.split(order[: num_steps * self.batch_size], num_steps)
        losses = [
            step(tf.gather(images, batch), tf.gather(labels, batch))
            for batch in batches
        ]
        return np.asarray(tf.stack(losses))  # Waits until all is computed.

    def snapshot(self) -> Snapshot:
        """Return the values of all variables at this moment, to go back to."""
        return Snapshot([getattr(v, "value", v) for v in self.variables])

    def weights(self) -> np.ndarray:
        """Return all values of the model's variables as one vector, float64."""
        values = [np.ravel(np.asarray(v)) for v in self.model.variables]
        return np.concatenate(values).astype(np.float64)


def spread_after(
    variants: Variants, images: Any, labels: Any, order: np.ndarray
) -> dict[str, float]:
    """Return how far each variant's weights are from the first one's after `order`.

    All start from the same weights. The distance is between the vectors of all weights,
    as a share of the distance that training moved them.
    """
    before, start = variants.snapshot(), variants.weights()
    ends = {}
    for name in variants.names:
        before.restore()
        variants.train(name, images, labels, order)
        ends[name] = variants.weights()
    first = ends[variants.names[0]]
    moved = np.linalg.norm(first - start)
    return {
        name: float(np.linalg.norm(end - first) / moved) for name, end in ends.items()
    }


@dataclasses.dataclass(frozen=True)
class Timings:
    """How fast the variants of one training are."""

    first_seconds: dict[str, float]  # The first call: tracing, compiling and one pass.
    rates: dict[str, list[float]]  # Steps per second, one for each round.


def time_in_turns(
    variants: Variants,
    images: Any,
    labels: Any,
    *,
    window_seconds: float,
    num_rounds: int,
    max_steps: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Timings:
    """Return the steps per second of each variant, the variants taking turns.

    What happens once (tracing, compiling, making threads) is timed apart. A pass ends when
    its losses have arrived as numbers. Variants that are called for each step run passes
    of one batch or more until the window is over, the others whole loops.

    Args:
        variants: What is timed; the first one is the slowest.
        images: A tensor, float32 [n, ...].
        labels: A tensor, int64 [n].
        window_seconds: Length of each window; it ends with a whole pass.
        num_rounds: Turns that each variant gets.
        max_steps: Most steps of one pass; fewer where these take longer than a window.
        clock: Seconds from any moment on, never running backwards.
    """
    size = variants.batch_size
    seconds = functools.partial(_seconds, variants, images, labels, clock=clock)
    one_batch = np.arange(size)
    first_seconds, lengths = {}, {}
    for name in variants.steps:
        first_seconds[name] = seconds(name, one_batch)
        fitting = int(window_seconds / 2 / max(seconds(name, one_batch), 1e-9))
        lengths[name] = max(1, min(fitting, max_steps))
    # A loop has one length, long enough to be no bother to start; the slowest of the
    # graphs that are called for each step says how long is too long.
    compiled = [lengths[name] for name in list(variants.steps)[1:]]
    lengths |= dict.fromkeys(variants.epochs, min(4 * min(compiled), max_steps))
    orders = {
        name: np.resize(np.arange(len(labels)), length * size)
        for name, length in lengths.items()
    }
    for name in variants.epochs:
        first_seconds[name] = seconds(name, orders[name])

    def rate(name: str) -> float:
        num_steps, started = 0, clock()
        while (passed := clock() - started) < window_seconds or not num_steps:
            variants.train(name, images, labels, orders[name])
            num_steps += len(orders[name]) // size
        return num_steps / passed

    rates = rates_in_turns(
        {name: name for name in variants.names}, rate, num_rounds=num_rounds
    )
    return Timings(first_seconds, rates)


def _seconds(
    variants: Variants,
    images: Any,
    labels: Any,
    name: str,
    order: np.ndarray,
    *,
    clock: Callable[[], float],
) -> float:
    started = clock()
    variants.train(name, images, labels, order)
    return clock() - started
