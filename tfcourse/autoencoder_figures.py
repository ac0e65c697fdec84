"""Figures of autoencoders: what they reconstruct, errors by size, denoising, few labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tfcourse.plots import (
    COLOURS,
    GREY,
    INK,
    label_line_ends,
    new_figure,
    set_log_scale,
    set_title,
)
from tfcourse.representation_figures import scatter

MAX_SIZES_SHOWN = 3  # Of the bottleneck, in the figure of reconstructions.
MAX_PLANE_POINTS = 3000

Errors = Mapping[str, Mapping[int, float]]  # By method, by size of the bottleneck.


def error_by_size(errors: Errors) -> Figure:
    """Return the mean squared error per pixel over the size of the bottleneck."""
    figure, (ax,) = new_figure(width=7.0, height=3.8)
    names = {}
    for colour, (method, by_size) in zip(COLOURS, errors.items(), strict=False):
        sizes, values = list(by_size), list(by_size.values())
        (line,) = ax.plot(sizes, values, marker="o", ms=4, lw=1.8, color=colour)
        names[line] = method
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    set_log_scale(ax, "y")
    ax.set_xlabel("numbers in the code")
    set_title(ax, "mean squared error per pixel, test images")
    label_line_ends(ax, names)
    return figure


def reconstructions(
    images: np.ndarray, shown: Mapping[tuple[str, int], np.ndarray], errors: Errors
) -> Figure:
    """Return images above their reconstructions, a row for each size and method.

    Args:
        images: float [n, height, width].
        shown: By method and size, float [n, height, width].
        errors: Written beside each row.
    """
    sizes = list(dict.fromkeys(size for _, size in shown))
    if len(sizes) > MAX_SIZES_SHOWN:
        places = np.linspace(0, len(sizes) - 1, MAX_SIZES_SHOWN).astype(int)
        sizes = [sizes[place] for place in places]
    rows = [("", images)]
    for size in sizes:
        for method in errors:
            rows.append(
                (f"{method}, {size}\n{errors[method][size]:.4f}", shown[method, size])
            )
    return _rows_of_images(rows)


def denoising(
    images: np.ndarray, cleaned: Mapping[str, np.ndarray], decibels: Mapping[str, float]
) -> Figure:
    """Return clean images, noisy ones and what was made of these, with their mean PSNR."""
    rows = [("clean", images)]
    for name, array in cleaned.items():
        rows.append((f"{name}\n{decibels[name]:.1f} dB", array))
    return _rows_of_images(rows)


def _rows_of_images(rows: Sequence[tuple[str, np.ndarray]]) -> Figure:
    columns = len(rows[0][1])
    figure, axes = new_figure(
        len(rows), columns, width=0.66 * columns + 1.6, height=0.68 * len(rows)
    )
    grid = np.array(axes).reshape(len(rows), columns)
    for line, (name, images) in zip(grid, rows, strict=True):
        for ax, image in zip(line, images, strict=True):
            ax.imshow(image, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            ax.spines[:].set_visible(False)
        line[0].set_ylabel(
            name, rotation=0, ha="right", va="center", fontsize=9, color=INK
        )
    return figure


def code_planes(planes: Mapping[str, np.ndarray], labels: np.ndarray) -> Figure:
    """Return the codes of two numbers in their plane, coloured by class.

    Of many points only the first MAX_PLANE_POINTS are drawn.
    """
    figure, axes = new_figure(1, len(planes), width=4.2 * len(planes), height=4.2)
    for ax, (method, plane) in zip(axes, planes.items(), strict=True):
        scatter(ax, plane[:MAX_PLANE_POINTS], labels[:MAX_PLANE_POINTS])
        set_title(ax, f"{method}, 2 numbers")
    return figure


def accuracies(rows: Mapping[str, Sequence[float]]) -> Figure:
    """Return a strip for each way to use the labels: dots are draws, lines means."""
    figure, (ax,) = new_figure(width=7.4, height=0.42 * len(rows) + 1.0)
    for index, (name, values) in enumerate(rows.items()):
        _strip(ax, len(rows) - 1 - index, np.asarray(values), COLOURS[0], name)
    ax.set_yticks(range(len(rows)), list(rows)[::-1])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("accuracy, one dot for each draw of the labels")
    return figure


def _strip(ax: Axes, height: float, values: np.ndarray, colour: str, name: str) -> None:
    offsets = 0.16 * np.linspace(-1, 1, len(values)) if len(values) > 1 else [0]
    ax.plot(values, height + np.asarray(offsets), "o", ms=4, color=colour, alpha=0.6)
    mean = float(np.mean(values))
    ax.plot([mean, mean], [height - 0.32, height + 0.32], color=INK, lw=2)
    ax.annotate(
        f"{mean:.1%}",
        (1.0, height),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        color=GREY,
    )
