"""Statistics of gradients, weights and activations, in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfcourse.doctor.layers import Tap

NUM_ENTRIES = 2048  # Of a tensor that go to the host, for histograms and updates.
GOLDEN_RATIO = 0.6180339887498949
# An activation is saturated where its slope is under 1 % of its largest.
SIGMOID_SLOPE = 0.25
SATURATED_SHARE_OF_SLOPE = 0.01


def weight_entries(values: tf.Tensor) -> tf.Tensor:
    """Return at most 2,048 entries, float32, always the same ones of a shape."""
    size = int(np.prod(values.shape))
    flat = tf.reshape(tf.cast(values, tf.float32), [-1])
    if size <= NUM_ENTRIES:
        return flat
    positions = np.random.default_rng(size).choice(size, NUM_ENTRIES, replace=False)
    return tf.gather(flat, np.sort(positions))


def sampled_entries(values: tf.Tensor) -> tf.Tensor:
    """Return entries of a tensor whose size is known only when it runs, float32.

    They are spread by multiples of the golden ratio: even steps would meet the same
    units again and again.
    """
    flat = tf.reshape(tf.cast(values, tf.float32), [-1])
    size = tf.size(flat)
    fractions = (np.arange(1, NUM_ENTRIES + 1) * GOLDEN_RATIO) % 1.0
    spread = tf.cast(fractions * tf.cast(size, tf.float64), tf.int32)
    few = tf.range(tf.minimum(size, NUM_ENTRIES))
    return tf.gather(flat, tf.cond(size <= NUM_ENTRIES, lambda: few, lambda: spread))


def gradient_statistics(variable: Any, gradient: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return norm and share of zeros of a gradient, float32, and what goes with it."""
    value = tf.cast(variable.value, tf.float32)
    statistics = {
        "gradient_norm": tf.norm(gradient),
        "gradient_zero_share": _share(tf.equal(gradient, 0.0)),
        "weight_rms": tf.sqrt(tf.reduce_mean(tf.square(value))),
    }
    if len(value.shape) >= 2:
        statistics["gradient_unit_spread"] = unit_spread(gradient)
        statistics["weight_unit_spread"] = unit_spread(value)
    return statistics


def unit_spread(matrix: tf.Tensor) -> tf.Tensor:
    """Return how much the units (last axis) differ: their spread over the rms, from 0.

    All units equal gives 0, independent random units about 1. NaN if all is zero.
    """
    spread = tf.sqrt(tf.reduce_mean(tf.math.reduce_variance(matrix, axis=-1)))
    return spread / tf.sqrt(tf.reduce_mean(tf.square(matrix)))


def activation_statistics(tap: Tap) -> dict[str, tf.Tensor]:
    """Return mean, spread and shares of a layer's output, float32 scalars.

    dead_units: units (last axis) that are zero for the whole batch; saturated_units:
    units whose sigmoid or tanh is saturated for at least 95 % of the batch;
    batch_variation: how much a unit varies over the batch, over the rms of all.
    """
    values = tf.cast(tap.tensor, tf.float32)
    finite = tf.math.is_finite(values)
    rms = tf.sqrt(tf.reduce_mean(tf.square(values)))
    over_batch = tf.sqrt(tf.reduce_mean(tf.math.reduce_variance(values, axis=0)))
    statistics = {
        "activation_mean": tf.reduce_mean(values),
        "activation_std": tf.math.reduce_std(values),
        "activation_min": tf.reduce_min(values),
        "activation_max": tf.reduce_max(values),
        "finite_share": _share(finite),
        "batch_variation": tf.math.divide_no_nan(over_batch, rms),
    }
    if tap.is_output:
        return {f"prediction_{k}/{tap.name}": v for k, v in statistics.items()}
    by_unit = tf.reshape(values, [-1, tf.shape(values)[-1]])
    zero = tf.equal(by_unit, 0.0)
    statistics["zero_share"] = _share(zero)
    statistics["dead_units"] = _share(tf.reduce_all(zero, axis=0))
    saturated = _saturated(by_unit, tap.activation)
    if saturated is not None:
        statistics["saturated_share"] = _share(saturated)
        per_unit = tf.reduce_mean(tf.cast(saturated, tf.float32), axis=0)
        statistics["saturated_units"] = _share(per_unit >= 0.95)
    return {f"{kind}/{tap.name}": value for kind, value in statistics.items()}


def _saturated(values: tf.Tensor, activation: str) -> tf.Tensor | None:
    if activation == "sigmoid":
        slope = values * (1.0 - values) / SIGMOID_SLOPE
    elif activation == "tanh":
        slope = 1.0 - tf.square(values)
    else:
        return None
    return slope < SATURATED_SHARE_OF_SLOPE


def _share(mask: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(mask, tf.float32))
