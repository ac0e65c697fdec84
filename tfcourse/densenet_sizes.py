"""Sizes of DenseNets, by hand and in Keras: parameters, receptive fields, memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse import densenet_figures as figures
from tfcourse.block_memory import (
    CAN_MEASURE,
    BareBlock,
    kept_by_model,
    kept_channels_of,
    megabytes,
    peak_of,
)
from tfcourse.runs import Run

Block = Callable[..., Any]  # Of inputs, num_layers= and growth_rate=.
PEAK_BATCH = 8  # Images in the measurements of memory.
KEPT = {False: "kept", True: "recomputed"}  # Names, by whether blocks recompute.


def count_parameters(
    run: Run, networks: Mapping[str, tuple[Callable[[], keras.Model], int]]
) -> dict[str, float]:
    """Return how many numbers each network trains, in Keras and by arithmetic.

    Args:
        run: Gets a table.
        networks: By name, what builds the network, and the arithmetic's answer.

    Returns:
        `<name>_parameters` and `<name>_by_arithmetic`.
    """
    metrics, rows = {}, ["| network | trained | by arithmetic |", "|:--|--:|--:|"]
    for name, (build, by_arithmetic) in networks.items():
        count = run.once(f"parameters/{name}", lambda build=build: num_trained(build()))
        metrics[f"{name}_parameters"] = float(count)
        metrics[f"{name}_by_arithmetic"] = float(by_arithmetic)
        rows.append(f"| {name} | {count:,} | {by_arithmetic:,} |")
    run.text("parameters", "\n".join(rows))
    print("\n".join(rows))
    return metrics


def measure_memory(
    run: Run, settings: Any, block: Block, kept_channels: Callable[..., int]
) -> dict[str, float]:
    """Compare what a block keeps, by hand, in the graph and in a process; draw it.

    Args:
        run: Gets figures and what was measured.
        settings: The exercise's config.
        block: The exercise's dense block of bottleneck layers.
        kept_channels: The exercise's arithmetic.

    Returns:
        `kept_difference`, the largest between arithmetic and graph;
        `kept_over_recomputed`, of the deepest block; and of the deepest one that was
        measured `peak_megabytes`, `peak_megabytes_recomputed`,
        `recompute_time_ratio`.
    """
    by_hand, counted, peaks = {}, {}, {}
    for recompute in KEPT:
        by_hand[recompute] = [
            kept_channels(n, settings.stem_filters, settings.growth_rate, recompute)
            for n in settings.memory_layers
        ]
        counted[recompute] = run.once(
            f"memory/{KEPT[recompute]}",
            functools.partial(_kept_in_graphs, run, settings, block, recompute),
        )
        peaks[recompute] = _peaks(run, settings, recompute)
    _draw_memory(run, settings, by_hand, counted, peaks)
    difference = np.abs(np.subtract(list(by_hand.values()), list(counted.values())))
    metrics = {
        "kept_difference": float(difference.max()),
        "kept_over_recomputed": counted[False][-1] / counted[True][-1],
    }
    if peaks[False]:
        kept, again = (peaks[r][settings.peak_layers[-1]] for r in (False, True))
        metrics["peak_megabytes"] = kept["megabytes"]
        metrics["peak_megabytes_recomputed"] = again["megabytes"]
        metrics["recompute_time_ratio"] = again["seconds"] / kept["seconds"]
    return metrics


def _kept_in_graphs(
    run: Run, settings: Any, block: Block, recompute: bool
) -> list[float]:
    """Return how many channels blocks keep, for each of their sizes."""
    shape = (settings.memory_size, settings.memory_size, settings.stem_filters)
    counts = []
    for num_layers in run.progress(
        settings.memory_layers, f"{KEPT[recompute]}, graphs"
    ):
        if recompute:
            bare = BareBlock(
                num_layers, shape[-1], settings.growth_rate, recompute=True
            )
            counts.append(kept_channels_of(bare, shape, bare.variables))
        else:
            inputs = keras.Input(shape)
            maps = block(
                inputs, num_layers=num_layers, growth_rate=settings.growth_rate
            )
            counts.append(kept_by_model(keras.Model(inputs, maps)))
    return counts


def _peaks(run: Run, settings: Any, recompute: bool) -> dict[int, dict[str, float]]:
    """Return what `peak_of` measures, by number of layers: nothing on Windows."""
    if not CAN_MEASURE:
        return {}
    name = KEPT[recompute]
    options = {"channels": settings.stem_filters, "growth_rate": settings.growth_rate}
    options |= {"batch_size": PEAK_BATCH, "size": settings.memory_size}
    options |= {"recompute": recompute}
    return {
        n: run.once(
            f"memory/{name}_peak_{n}",
            functools.partial(peak_of, num_layers=n, **options),
        )
        for n in run.progress(settings.peak_layers, f"{name}, memory of a process")
    }


def _draw_memory(run: Run, settings: Any, by_hand, counted, peaks) -> None:
    as_megabytes = functools.partial(
        megabytes, batch_size=PEAK_BATCH, size=settings.memory_size
    )
    measured = {
        recompute: {n: peak["megabytes"] for n, peak in of_layers.items()}
        for recompute, of_layers in peaks.items()
    }
    figure = figures.memory(
        settings.memory_layers, by_hand, counted, measured, as_megabytes
    )
    run.figure("memory", figure)
    staircase = figures.staircase(
        settings.stem_filters, settings.growth_rate, num_layers=6
    )
    run.figure("staircase", staircase)


def measure_fields(
    run: Run,
    settings: Any,
    densenet: Callable[..., keras.Model],
    layer: Callable[..., Any],
    receptive_fields: Callable[..., tuple[int, int]],
) -> dict[str, float]:
    """Compare the receptive fields by hand with those of gradients.

    Args:
        run: Gets what was measured.
        settings: The exercise's config.
        densenet: The exercise's.
        layer: Of its blocks.
        receptive_fields: The exercise's arithmetic.

    Returns:
        `receptive_field_difference`, in pixels; `smallest_receptive_field` and
        `largest_receptive_field` of the network that is trained.
    """
    small = (2, 1, 1)

    def measure() -> float:
        by_hand = receptive_fields(small, settings.stem_stride)
        size = 64 * settings.stem_stride  # More than the largest field.
        network = densenet(
            (size, size, 1), 2, small, 2, layer, 0.5, 4, settings.stem_stride
        )
        return max(
            abs(field - measured_field(network, through=through))
            for field, through in zip(by_hand, (False, True), strict=True)
        )

    smallest, largest = receptive_fields(settings.num_layers, settings.stem_stride)
    return {
        "receptive_field_difference": float(run.once("fields", measure)),
        "smallest_receptive_field": float(smallest),
        "largest_receptive_field": float(largest),
    }


def num_trained(network: keras.Model) -> int:
    """Return how many numbers of a network are trained."""
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def measured_field(network: keras.Model, *, through: bool) -> int:
    """Return how many pixels in a row reach one place of the last maps, by a gradient.

    All kernels become positive numbers, so that nothing cancels and no ReLU closes. To
    measure the way past the blocks' layers, kernels of 3x3 behind the first become 0.

    Args:
        network: From images of one channel, larger than its fields. It loses its weights.
        through: Whether the way leads through the layers.
    """
    first = True
    for weight in network.weights:
        if len(weight.shape) == 4:
            closed = weight.shape[0] > 1 and not first and not through
            weight.assign(np.full(weight.shape, 0.0 if closed else 0.1, np.float32))
            first = False
    maps = keras.Model(network.input, _last_maps(network))
    images = tf.ones((1, *network.input_shape[1:]))
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = maps(images)
        middle = tf.reduce_sum(outputs[0, outputs.shape[1] // 2, outputs.shape[2] // 2])
    seen = tape.gradient(middle, images)[0, :, :, 0].numpy() != 0  # [height, width]
    return int(seen.any(axis=0).sum())


def _last_maps(network: keras.Model) -> Any:
    """Return the last tensor of the network that has height and width."""
    tensors = [t for op in network.operations for t in keras.tree.flatten(op.output)]
    return next(t for t in reversed(tensors) if len(t.shape) == 4)
