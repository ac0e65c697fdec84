"""Figures of DenseNets: what layers get, memory, sources, accuracy by training time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from tfcourse.plots import COLOURS, GREY, INK, label_line_ends, new_figure, set_title

KINDS = {False: "concatenations kept", True: "computed again"}


def staircase(channels: int, growth_rate: int, num_layers: int) -> Figure:
    """Return which maps each layer of a block gets, as stacked bars.

    Args:
        channels: Of the block's inputs.
        growth_rate: Maps that each layer adds.
        num_layers: Number of layers.
    """
    figure, (ax,) = new_figure(width=7.2, height=3.6)
    heights = [channels, *[growth_rate] * num_layers]
    colours = [GREY, *(COLOURS[i % len(COLOURS)] for i in range(num_layers))]
    names = ["inputs", *(f"maps of layer {i + 1}" for i in range(num_layers))]
    for column in range(num_layers + 1):
        bottom = 0
        for source in range(column + 1):
            ax.bar(
                column,
                heights[source],
                0.72,
                bottom,
                color=colours[source],
                edgecolor="white",
                alpha=0.9 if source == column and column else 0.5,
            )
            bottom += heights[source]
    bottom = 0
    for name, height, colour in zip(names, heights, colours, strict=True):
        ax.text(
            num_layers + 0.5,
            bottom + height / 2,
            name,
            color=colour,
            fontsize=9,
            va="center",
        )
        bottom += height
    labels = [f"layer {i + 1}" for i in range(num_layers)]
    ax.set_xticks(range(num_layers + 1), [*labels, "what\nfollows"])
    ax.set_xlim(-0.6, num_layers + 2.3)
    ax.grid(False)
    ax.set_ylabel("channels")
    set_title(ax, "what each layer of a dense block gets")
    return figure


def memory(
    num_layers: Sequence[int],
    by_hand: Mapping[bool, Sequence[float]],
    counted: Mapping[bool, Sequence[float]],
    measured: Mapping[bool, Mapping[int, float]],
    as_megabytes: Callable[[float], float],
) -> Figure:
    """Return what blocks keep for the backward pass, by their number of layers.

    Args:
        num_layers: Of the blocks.
        by_hand: Channels by arithmetic, with and without recomputation.
        counted: Channels in TensorFlow's graph.
        measured: Megabytes by number of layers; where there are none, that panel is left
            out.
        as_megabytes: From channels to megabytes.
    """
    has_peaks = any(measured.values())
    figure, axes = new_figure(1, 1 + has_peaks, width=8.4 if has_peaks else 6.4)
    for ax, is_peak in zip(axes, (False, True), strict=False):
        names = {}
        for recompute, name in KINDS.items():
            colour = COLOURS[recompute]
            channels = np.asarray(by_hand[recompute], float)
            values = as_megabytes(channels) if is_peak else channels
            (line,) = ax.plot(num_layers, values, color=colour, lw=1.8)
            names[line] = name
            if is_peak:
                points = measured[recompute]
                ax.plot(list(points), list(points.values()), "o", color=colour, ms=5)
            else:
                ax.plot(num_layers, counted[recompute], "o", color=colour, ms=5)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("layers of the block")
        ax.set_xticks(list(num_layers))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        title = "megabytes of a process" if is_peak else "channels kept"
        set_title(ax, title)
        dots = "measured" if is_peak else "in TensorFlow's graph"
        handles = [
            Line2D([], [], color=GREY, label="by hand"),
            Line2D([], [], color=GREY, marker="o", ls="", ms=5, label=dots),
        ]
        ax.legend(handles=handles, frameon=False, fontsize=9, loc="upper left")
        if ax is axes[-1]:
            label_line_ends(ax, names)
    return figure


def sources(blocks: Sequence[Sequence[np.ndarray]]) -> Figure:
    """Return for each block how strongly its layers listen to which source.

    Args:
        blocks: For each block its layers' strengths, by source; the last row of a block
            with a transition is the transition's.
    """
    figure, axes = new_figure(1, len(blocks), width=2.9 * len(blocks) + 0.6, height=3.3)
    for index, (ax, rows) in enumerate(zip(axes, blocks, strict=True)):
        _draw_sources(ax, rows, has_transition=index < len(blocks) - 1)
        set_title(ax, f"block {index + 1}")
        if index == 0:
            ax.set_ylabel("source")
    return figure


def _draw_sources(
    ax: Axes, rows: Sequence[np.ndarray], *, has_transition: bool
) -> None:
    num_sources = max(len(row) for row in rows)
    table = np.full((num_sources, len(rows)), np.nan)  # [source, target]
    for target, row in enumerate(rows):
        # Relative to the source that a layer listens to most: layers differ in scale.
        table[: len(row), target] = row / row.max()
    ax.grid(False)
    ax.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    small = num_sources <= 9
    for (source, target), value in np.ndenumerate(table):
        if small and np.isfinite(value):
            ax.text(
                target,
                source,
                f"{100 * value:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if value > 0.6 else INK,
            )
    step = max(1, num_sources // 8)
    names = ["inputs", *(f"{i + 1}" for i in range(num_sources - 1))]
    ax.set_yticks(range(0, num_sources, step), names[::step])
    targets = [f"{i + 1}" for i in range(len(rows))]
    if has_transition:
        targets[-1] = "T"
    places = range(0, len(rows), step)
    ax.set_xticks(places, [targets[place] for place in places])
    ax.set_xlabel("layer that listens")


def equal_time(histories: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Return the accuracy on validation images by seconds of training.

    Args:
        histories: By network, with `seconds` and `val_accuracy` of each epoch.
    """
    figure, (ax,) = new_figure(width=7.2, height=3.6)
    names = {}
    for index, (name, history) in enumerate(histories.items()):
        minutes = np.cumsum(history["seconds"]) / 60
        values = history["val_accuracy"]
        marker = "o" if len(values) <= 30 else ""
        (line,) = ax.plot(
            minutes, values, marker=marker, ms=4, lw=1.8, color=COLOURS[index]
        )
        names[line] = name.replace("_", " ")
    ax.set_xlim(left=0)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_xlabel("minutes of training")
    set_title(ax, "accuracy on validation images")
    label_line_ends(ax, names)
    return figure
