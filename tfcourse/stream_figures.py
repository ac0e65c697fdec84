"""Figures of streams of examples: their order, their mixing, their labels, their speed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from tfcourse.plots import COLOURS, GREY, new_figure

PASS_NAMES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")


def appearances(shown: Sequence[int]) -> list[int]:
    """Return for each place in a stream how often its example was shown before.

    >>> appearances([7, 3, 7, 7])
    [0, 0, 1, 2]
    """
    counts: Counter[int] = Counter()
    before = []
    for example in shown:
        before.append(counts[example])
        counts[example] += 1
    return before


def stream_panels(
    streams: Mapping[str, Sequence[np.ndarray]], num_examples: int
) -> Figure:
    """Return one panel per stream: which example is shown where, and in which batch.

    Args:
        streams: By name, batches of example numbers; a few dozen examples at most.
        num_examples: Length of an epoch.
    """
    columns = min(3, len(streams))
    rows = -(-len(streams) // columns)
    figure, axes = new_figure(rows, columns, width=9.0, height=2.5 * rows)
    for ax, (name, batches) in zip(axes, streams.items(), strict=False):
        _stream_panel(ax, batches, num_examples)
        ax.set_title(name, fontsize=10)
    for ax in axes[::columns]:
        ax.set_ylabel("example")
    for ax in axes[(rows - 1) * columns :]:
        ax.set_xlabel("place in the stream")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(labels),
        title="boxes: batches, short ones in orange     dashed: ends of epochs     "
        "marks: shown for the …  time",
        fontsize=9,
        title_fontsize=9,
    )
    return figure


def _stream_panel(ax: Axes, batches: Sequence[np.ndarray], num_examples: int) -> None:
    shown = np.concatenate(batches)
    before = np.array(appearances(shown.tolist()))
    edges = np.concatenate([[0], np.cumsum([len(batch) for batch in batches])])
    full = max(len(batch) for batch in batches)
    for start, end in zip(edges, edges[1:], strict=False):
        short = end - start < full
        ax.axvspan(
            start - 0.35,
            end - 0.65,
            color=COLOURS[4] if short else "#CCCCCC",
            alpha=0.45,
            linewidth=0,
        )
    for number in range(before.max() + 1):
        places = np.flatnonzero(before == number)
        ax.plot(
            places,
            shown[places],
            "os^Dv*X"[number % 7],
            color=COLOURS[number % len(COLOURS)],
            markersize=4,
            label=PASS_NAMES[number] if number < len(PASS_NAMES) else str(number + 1),
        )
    for place in range(num_examples, len(shown), num_examples):
        ax.axvline(place - 0.5, color=GREY, linestyle="--", linewidth=1)
    ax.grid(False)
    ax.set_xlim(-1, len(shown))
    ax.xaxis.set_major_locator(MultipleLocator(num_examples))
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def mixing_curves(
    distances: Mapping[int, float], order: np.ndarray, buffer_size: int
) -> Figure:
    """Return the way that a shuffle buffer mixes: one order, and the mean distances.

    Args:
        distances: By size of the buffer, the measured mean distance in places.
        order: int64 [n]; `order[p]` is the place before shuffling of what is at p.
        buffer_size: With which `order` was made.
    """
    n = len(order)
    figure, (left, right) = new_figure(1, 2, width=9.0, height=3.6)
    shown = np.unique(np.linspace(0, n - 1, 3_000).astype(int))
    left.plot(order[shown], shown, ".", color=COLOURS[0], markersize=2, alpha=0.5)
    ends = np.array([0, n])
    left.plot(ends, ends - buffer_size + 1, color=COLOURS[1], label="place − b + 1")
    left.set_ylim(-0.03 * n, 1.03 * n)
    left.set(xlabel="place before", ylabel="place after")
    left.set_title(f"a buffer of b = {buffer_size:,} of {n:,}")
    left.legend(loc="upper left", title="never earlier than", title_fontsize=9)
    sizes = np.array(sorted(distances))
    smooth = np.geomspace(2, n, 200)
    waiting = 2 * smooth * (1 - 1 / smooth) ** smooth
    right.plot(smooth, waiting, color=GREY, linewidth=1.4)
    right.axhline(n / 3, color=GREY, linewidth=1.4, linestyle="--")
    right.text(2, n / 3 * 1.15, "n / 3", color=GREY, fontsize=9)
    right.text(30, 9, "2b (1 − 1/b)$^b$", color=GREY, fontsize=9)
    moved = [size for size in sizes if distances[size] > 0]
    right.plot(moved, [distances[size] for size in moved], "o", color=COLOURS[0])
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_ylim(0.7, n)
    right.set(xlabel="size b of the buffer", ylabel="mean distance, in places")
    right.set_title("how far an example moves")
    return figure


def buffer_costs(
    entropies: Mapping[str, float],
    accuracies: Mapping[str, Sequence[float]],
    *,
    best_entropy: float,
) -> Figure:
    """Return what unmixed batches cost: label entropy and accuracy, one row per pipeline.

    Args:
        entropies: By pipeline, the mean entropy of a batch in bits.
        accuracies: By pipeline, the test accuracy of each training.
        best_entropy: Of batches that are drawn from all examples, in bits.
    """
    names = list(entropies)
    rows = np.arange(len(names))
    figure, (left, right) = new_figure(1, 2, width=9.0, height=1.2 + 0.36 * len(names))
    left.barh(rows, [entropies[name] for name in names], color=COLOURS[0], height=0.62)
    left.axvline(best_entropy, color=COLOURS[1])
    left.set_title("label entropy of a batch, in bits")
    for row, name in enumerate(names):
        values = accuracies[name]
        right.plot([min(values), max(values)], [row, row], color=COLOURS[0], lw=1.6)
        right.plot(values, [row] * len(values), "o", color=GREY, ms=4, alpha=0.6)
        right.plot(np.mean(values), row, "D", color=COLOURS[0], ms=6)
    right.set_title("test accuracy after one epoch")
    right.set_xlim(0, 1)
    for ax in (left, right):
        ax.set_yticks(rows, names if ax is left else [""] * len(names))
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.grid(axis="y", visible=False)
    return figure


def rate_bars(groups: Mapping[str, Mapping[str, float]]) -> Figure:
    """Return images per second as bars on a logarithmic axis, one block per group."""
    count = sum(len(rates) for rates in groups.values()) + len(groups)
    figure, (ax,) = new_figure(width=9.0, height=0.6 + 0.25 * count)
    row, ticks, names = 0, [], []
    slowest = min(min(rates.values()) for rates in groups.values())
    fastest = max(max(rates.values()) for rates in groups.values())
    for index, (title, rates) in enumerate(groups.items()):
        colour = COLOURS[index % len(COLOURS)]
        ax.text(slowest / 1.9, row, title, va="center", fontsize=9, fontweight="bold")
        row += 1
        for name, rate in rates.items():
            ax.barh(row, rate, left=0, color=colour, height=0.74)
            ax.text(rate * 1.06, row, short_number(rate), va="center", fontsize=8.5)
            ticks.append(row)
            names.append(name)
            row += 1
    ax.set_xscale("log")
    ax.set_xlim(slowest / 2, fastest * 2.2)
    ax.set_ylim(row - 0.4, -0.7)
    ax.set_yticks(ticks, names, fontsize=8.5)
    ax.grid(axis="y", visible=False)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: short_number(rate)))
    ax.set_xlabel("images per second;  * in parallel")
    return figure


def sweep_panels(
    sweeps: Mapping[str, Mapping[str, Mapping[int, float]]],
    autotuned: Mapping[str, float],
) -> Figure:
    """Return one panel per pipeline: its speed by parallel calls, beside AUTOTUNE's.

    Args:
        sweeps: By pipeline, by name of a line, by number of parallel calls: images per
            second.
        autotuned: By pipeline, images per second with AUTOTUNE.
    """
    figure, axes = new_figure(1, len(sweeps), width=9.0, height=3.5)
    highest = max(
        max(line.values()) for lines in sweeps.values() for line in lines.values()
    )
    highest = max(highest, *autotuned.values())
    for ax, (name, lines) in zip(axes, sweeps.items(), strict=True):
        for colour, (label, line) in zip(COLOURS[::2], lines.items(), strict=False):
            places = range(len(line))
            ax.plot(places, list(line.values()), "o-", color=colour, label=label)
            ax.set_xticks(places, [str(calls) for calls in line])
        ax.axhline(autotuned[name], color=COLOURS[1], linestyle="--", label="AUTOTUNE")
        ax.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: short_number(rate)))
        ax.set_ylim(0, 1.1 * highest)
        ax.set_xlabel("parallel calls, set by hand")
        ax.set_title(name, fontsize=10)
    axes[0].set_ylabel("images per second")
    axes[0].legend(loc="lower right", fontsize=9)
    return figure


def short_number(value: float) -> str:
    """Return a rate with a thousand as k and a million as M.

    >>> [short_number(value) for value in (7, 950, 51_300, 415_000, 3_120_000)]
    ['7', '950', '51 k', '415 k', '3.1 M']
    """
    if value >= 999_500:
        return f"{value / 1e6:.1f} M"
    return f"{value / 1e3:.0f} k" if value >= 1_000 else f"{value:.0f}"
