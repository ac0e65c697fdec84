"""Figures of augmentation and transfer: what operations do, sizes, gains, starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from tfcourse.plots import COLOURS, GREY, INK, label_line_ends, new_figure, set_title


def rows_of_images(rows: Mapping[str, np.ndarray]) -> Figure:
    """Return rows of images with their names: float [n, height, width, channels] each."""
    columns = len(next(iter(rows.values())))
    figure, axes = new_figure(
        len(rows), columns, width=0.78 * columns + 1.6, height=0.8 * len(rows)
    )
    grid = np.array(axes).reshape(len(rows), columns)
    for line, (name, images) in zip(grid, rows.items(), strict=True):
        for ax, image in zip(line, images, strict=True):
            ax.imshow(np.clip(image, 0, 1), interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            ax.spines[:].set_visible(False)
        words = name.replace(", ", ",\n")
        style = {"fontsize": 9, "color": INK}
        line[0].set_ylabel(words, rotation=0, ha="right", va="center", **style)
    return figure


def accuracy_by_size(curves: Mapping[str, Mapping[int, Sequence[float]]]) -> Figure:
    """Return the accuracy by the number of images: dots are draws, lines means."""
    figure, (ax,) = new_figure(width=7.2, height=3.8)
    names, sizes = {}, sorted(next(iter(curves.values())))
    for colour, (way, by_size) in zip(COLOURS, curves.items(), strict=False):
        means = [float(np.mean(by_size[size])) for size in sizes]
        (line,) = ax.plot(sizes, means, color=colour, lw=1.8)
        names[line] = way
        for size in sizes:
            values = by_size[size]
            ax.plot([size] * len(values), values, "o", ms=4, color=colour, alpha=0.6)
    ax.set_xscale("log")
    ax.set_xticks(sizes)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", which="minor", length=0)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set_xlabel("training images with a label")
    set_title(ax, "accuracy, one dot for each draw of the images")
    label_line_ends(ax, names)
    return figure


def gains(rows: Mapping[str, Sequence[float]], traps: Sequence[str]) -> Figure:
    """Return the points that each operation gains; traps have another colour."""
    figure, (ax,) = new_figure(width=7.2, height=0.4 * len(rows) + 1.0)
    ax.axvline(0, color=GREY, lw=1, ls=":")
    for index, (name, values) in enumerate(rows.items()):
        colour = COLOURS[1] if name in traps else COLOURS[0]
        points = 100 * np.asarray(values)
        _strip(ax, len(rows) - 1 - index, points, colour, f"{points.mean():+.1f}")
    _name_rows(ax, list(rows))
    ax.set_xlabel("points of accuracy over none, one dot for each draw")
    return figure


def strips(rows: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Return the accuracies of several ways: dots are draws, lines means."""
    figure, (ax,) = new_figure(width=7.2, height=0.42 * len(rows) + 1.2)
    for index, values in enumerate(rows.values()):
        array = np.asarray(values)
        _strip(ax, len(rows) - 1 - index, array, COLOURS[0], f"{array.mean():.1%}")
    _name_rows(ax, list(rows))
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.set_xlabel("accuracy, one dot for each draw of the labels")
    set_title(ax, title)
    return figure


def _name_rows(ax: Axes, names: Sequence[str]) -> None:
    ax.set_yticks(range(len(names)), list(names)[::-1])
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.grid(axis="y", visible=False)


def _strip(ax: Axes, height: float, values: np.ndarray, colour: str, text: str) -> None:
    offsets = 0.16 * np.linspace(-1, 1, len(values)) if len(values) > 1 else [0]
    ax.plot(values, height + np.asarray(offsets), "o", ms=4, color=colour, alpha=0.6)
    mean = float(np.mean(values))
    ax.plot([mean, mean], [height - 0.32, height + 0.32], color=INK, lw=2)
    ax.annotate(
        text,
        (1.0, height),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        color=GREY,
    )
