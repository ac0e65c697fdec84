"""Statistics of gradients, weights and activations.

The graph takes entries of each tensor; the arithmetic is numpy's, on the host: a trace of
hundreds of small operations would cost more time than a short training run can spare.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

NUM_ENTRIES = 4096  # Of a variable that go to the host, for histograms and updates.
MAX_COLUMNS = 512  # Units among them.
NUM_ACTIVATIONS = 16_384  # Entries of a layer's output that are looked at.
MAX_EXAMPLES = 256  # Of a batch.
NUM_DRAWN = 2048  # Entries that a histogram is drawn of.
POSITION_STEP = 7919  # A prime: even steps would meet the same pixels again and again.
GOLDEN_RATIO = 0.6180339887498949
# An activation is saturated where its slope is under 1 % of its largest.
SIGMOID_SLOPE = 0.25
SATURATED_SHARE_OF_SLOPE = 0.01
KNOWN_SHAPES = ("sigmoid", "tanh", "relu", "softmax", "softplus", "elu", "selu", "gelu")
MIN_AT_AN_END = 0.05  # Of the values of a bounded function whose name isn't known.
MIN_BETWEEN = 0.003

# In the graph.


def weight_entries(values: tf.Tensor) -> tf.Tensor:
    """Return at most 4,096 entries, float32, always the same ones of a shape.

    Of matrices and filters whole rows: [rows, units]; of all others [n].
    """
    values = tf.cast(values, tf.float32)
    if len(values.shape) < 2:
        return _choice(tf.reshape(values, [-1]), NUM_ENTRIES, 0)
    units = int(values.shape[-1])
    matrix = _choice(tf.reshape(values, [-1, units]), MAX_COLUMNS, 1)
    return _choice(matrix, NUM_ENTRIES // max(1, min(units, MAX_COLUMNS)), 0)


def _choice(values: tf.Tensor, limit: int, axis: int) -> tf.Tensor:
    """Return at most `limit` slices along an axis of static size, always the same."""
    size = int(values.shape[axis])
    if size <= limit:
        return values
    positions = np.random.default_rng(size).choice(size, limit, replace=False)
    return tf.gather(values, np.sort(positions), axis=axis)


def square_sum(values: tf.Tensor) -> tf.Tensor:
    """Return the sum of squares, a float32 scalar."""
    return 2.0 * tf.nn.l2_loss(tf.cast(values, tf.float32))


def activation_entries(values: tf.Tensor) -> tf.Tensor:
    """Return entries of a layer's output as [examples, positions, units], float32.

    All units, the first 256 examples, and as many positions (pixels, time steps) as make
    at most 16,384 entries, at least one.
    """
    values = tf.cast(values, tf.float32)
    rank = values.shape.rank
    if rank is None or rank < 2:
        values = tf.reshape(values, [-1, 1])
    values = values[:MAX_EXAMPLES]
    if len(values.shape) == 2:
        return values[:, tf.newaxis]
    units = values.shape[-1] or tf.shape(values)[-1]
    values = tf.reshape(values, [tf.shape(values)[0], -1, units])
    examples, positions = tf.shape(values)[0], tf.shape(values)[1]
    room = NUM_ACTIVATIONS // tf.maximum(examples * units, 1)
    count = tf.minimum(tf.maximum(room, 1), positions)
    chosen = tf.math.floormod(tf.range(count) * POSITION_STEP, tf.maximum(positions, 1))
    return tf.gather(values, chosen, axis=1)


# On the host.


def gradient_statistics(
    gradient: np.ndarray, weights: np.ndarray, norm: float
) -> dict[str, float]:
    """Return statistics of a gradient's and its variable's entries, and its norm."""
    statistics = {
        "gradient_norm": norm,
        "gradient_zero_share": float((gradient == 0).mean()) if gradient.size else 0.0,
    }
    if gradient.ndim == 2:
        statistics["gradient_unit_spread"] = unit_spread(gradient)
        statistics["weight_unit_spread"] = unit_spread(weights)
    return statistics


def unit_spread(matrix: np.ndarray) -> float:
    """Return how much the units (last axis) differ: their spread over the rms, from 0.

    All units equal gives 0, independent random units about 1. NaN if all is zero.
    """
    spread = np.sqrt(matrix.var(axis=-1).mean())
    return float(spread / np.sqrt(np.square(matrix).mean()))


def activation_statistics(
    values: np.ndarray, activation: str, is_output: bool
) -> dict[str, float]:
    """Return mean, spread and shares of a layer's output [examples, positions, units].

    dead_units: units that are zero for the whole batch; saturated_units: units whose
    sigmoid or tanh is saturated for at least 95 % of the batch; batch_variation: how much
    a unit varies over the batch, over the rms of all.
    """
    if not values.size:
        return {}
    rms = np.sqrt(np.square(values).mean())
    over_batch = np.sqrt(values.var(axis=0).mean())
    statistics = {
        "activation_mean": float(values.mean()),
        "activation_std": float(values.std()),
        "activation_min": float(values.min()),
        "activation_max": float(values.max()),
        "finite_share": float(np.isfinite(values).mean()),
        "batch_variation": float(over_batch / rms) if rms else 0.0,
    }
    if is_output:
        return {f"prediction_{kind}": value for kind, value in statistics.items()}
    by_unit = values.reshape(-1, values.shape[-1])
    zero = by_unit == 0
    statistics["zero_share"] = float(zero.mean())
    statistics["dead_units"] = float(zero.all(axis=0).mean())
    saturated = _saturated(by_unit, activation)
    if saturated is not None:
        statistics["saturated_share"] = float(saturated.mean())
        at_most = saturated.mean(axis=0) >= 0.95
        statistics["saturated_units"] = float(at_most.mean())
    return statistics


def _saturated(values: np.ndarray, activation: str) -> np.ndarray | None:
    kind = activation if activation in KNOWN_SHAPES else _bounded_kind(values)
    if kind == "sigmoid":
        slope = values * (1.0 - values) / SIGMOID_SLOPE
    elif kind == "tanh":
        slope = 1.0 - np.square(values)
    else:
        return None
    return np.asarray(slope < SATURATED_SHARE_OF_SLOPE)


def _bounded_kind(values: np.ndarray) -> str:
    """Return which function values between bounds may come from; "" if from none.

    They crowd at both bounds with some between. Bits, one-hot codes and pixels of an
    empty margin are exactly 0, which a sigmoid hardly ever is.
    """
    low, high = float(values.min()), float(values.max())
    if not (-1 <= low and high <= 1) or (values == 0).mean() > MIN_AT_AN_END:
        return ""
    least = 0.0 if low >= 0 else -1.0
    margin = 0.0025 * (1 - least)
    ends = [(values <= least + margin).mean(), (values >= 1 - margin).mean()]
    if min(ends) < MIN_AT_AN_END or sum(ends) > 1 - MIN_BETWEEN:
        return ""
    return "sigmoid" if low >= 0 else "tanh"


def drawn_entries(values: np.ndarray) -> np.ndarray:
    """Return at most 2,048 entries [n], spread by multiples of the golden ratio."""
    flat = values.ravel()
    if flat.size <= NUM_DRAWN:
        return flat
    fractions = (np.arange(1, NUM_DRAWN + 1) * GOLDEN_RATIO) % 1.0
    return np.asarray(flat[(fractions * flat.size).astype(int)])
