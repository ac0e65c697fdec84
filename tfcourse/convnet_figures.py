"""Figures of exercise 07: convolutions, receptive fields, filters, maps, the ablation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tfcourse.plots import COLOURS, GREY, INK, label_line_ends, new_figure, set_title
from tfcourse.runs import Run

NUM_MAPS = 8  # Maps of each layer in the figure,
NUM_SHEET_MAPS = 32  # and in TensorBoard.
PIXEL = 8  # Pixels of a sheet for each weight of a filter.

# Kernels that need no training.
KERNELS = {
    "left to right": np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4,
    "top to bottom": np.array([[-1.0, -2, -1], [0, 0, 0], [1, 2, 1]]) / 4,
    "mean of 9 pixels": np.full((3, 3), 1 / 9),
}


def convolutions(
    first: np.ndarray, second: np.ndarray, conv2d: Callable[..., Any]
) -> Figure:
    """Return two images and what three kernels make of them.

    Args:
        first: uint8 [height, width, 1].
        second: Likewise.
        conv2d: The exercise's function.
    """
    images = np.stack([first, second]) / 255.0
    kernels = np.stack(list(KERNELS.values()), axis=-1)[:, :, None]  # [3, 3, 1, 3]
    maps = np.asarray(conv2d(images, kernels, 1, "same"))  # [2, height, width, 3]
    figure, axes = new_figure(3, 4, width=7.0, height=5.4)
    axes[0].text(0.5, 0.5, "kernel", ha="center", va="center", color=GREY)
    for index, (name, kernel) in enumerate(KERNELS.items(), 1):
        _show(axes[index], kernel, limit=0.5)
        set_title(axes[index], name)
        for (row, column), value in np.ndenumerate(kernel):
            text = f"{value:.2g}" if index < 3 else "1/9"
            axes[index].text(
                column,
                row,
                text,
                ha="center",
                va="center",
                fontsize=8,
                color="white" if abs(value) > 0.4 else INK,
            )
    for row, image in enumerate(images, 1):
        axes[4 * row].imshow(image[..., 0], cmap="gray_r", vmin=0, vmax=1)
        for index in range(3):
            _show(axes[4 * row + 1 + index], maps[row - 1, :, :, index], limit=1.0)
    for ax in axes:
        ax.set_axis_off()
    return figure


def _show(ax: Axes, values: np.ndarray, *, limit: float) -> None:
    ax.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")


def receptive_fields(growth: Mapping[str, Sequence[tuple[Any, int]]]) -> Figure:
    """Return by layer how many pixels across one output looks at.

    Args:
        growth: By network, its convolutions and pools with their receptive fields.
    """
    figure, (ax,) = new_figure(width=7.0, height=3.6)
    names = {}
    for index, (name, layers) in enumerate(growth.items()):
        depths = np.arange(len(layers) + 1)
        fields = [1, *(field for _, field in layers)]
        colour = COLOURS[index]
        # The lines may lie on one another: the first one is broad.
        width = 6 if index == 0 else 1.8
        (line,) = ax.plot(depths, fields, color=colour, lw=width, alpha=0.6)
        for depth, field, (layer, _) in zip(
            depths[1:], fields[1:], layers, strict=True
        ):
            marker = "s" if layer.kind == "pool" else "o"
            ax.plot(depth, field, marker, color=colour, ms=6 if marker == "o" else 5)
        names[line] = name
    ax.axhline(32, color=GREY, lw=1, ls=":")
    ax.text(0.02, 32.7, "the whole image", color=GREY, fontsize=9)
    for marker, label in (("o", "convolution"), ("s", "pooling")):
        ax.plot([], [], marker, color=GREY, label=label)
    ax.legend(frameon=False, loc="center left")
    ax.set(xlabel="layer", ylabel="pixels across")
    set_title(ax, "receptive field")
    label_line_ends(ax, names)
    return figure


def ablation(accuracies: Mapping[str, Sequence[float]]) -> Figure:
    """Return the test error of each variant: dots are seeds, diamonds are means.

    Args:
        accuracies: By variant, one for each seed; the first one has everything.
    """
    ordered = sorted(accuracies, key=lambda name: -float(np.mean(accuracies[name])))
    figure, (ax,) = new_figure(width=7.0, height=0.38 * len(ordered) + 1.1)
    whole = next(iter(accuracies))
    ax.axvline(1 - np.mean(accuracies[whole]), color=GREY, lw=1, ls=":")
    for row, name in enumerate(ordered):
        errors = 1 - np.asarray(accuracies[name])
        colour = COLOURS[0] if name == whole else COLOURS[1]
        ax.plot(errors, np.full(len(errors), row), "o", color=GREY, alpha=0.6, ms=4)
        ax.plot(errors.mean(), row, "D", color=colour, ms=7)
    ax.set_yticks(range(len(ordered)), ordered)
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    ax.set(xlabel="test error")
    ax.grid(axis="y", visible=False)
    set_title(ax, "what is left out")
    return figure


def ablation_table(
    accuracies: Mapping[str, Sequence[float]], rates: Mapping[str, float]
) -> str:
    """Return the ablation as a table in Markdown, in per cent.

    >>> print(ablation_table({"everything": [0.9, 0.92]}, {"everything": 0.1}))
    | variant | rate | accuracy | deviation | difference |
    |:--|--:|--:|--:|--:|
    | everything | 0.1 | 91.00 | 1.41 | +0.00 |
    """
    whole = float(np.mean(next(iter(accuracies.values()))))
    lines = [
        "| variant | rate | accuracy | deviation | difference |",
        "|:--|--:|--:|--:|--:|",
    ]
    for name, values in accuracies.items():
        mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
        lines.append(
            f"| {name} | {rates[name]:g} | {100 * mean:.2f} | {100 * deviation:.2f} | "
            f"{100 * (mean - whole):+.2f} |"
        )
    return "\n".join(lines)


def first_kernels(network: keras.Model) -> np.ndarray:
    """Return the first convolution's filters, float [filters, height, width, channels]."""
    kernel = next(weight for weight in network.weights if len(weight.shape) == 4)
    return np.moveaxis(np.asarray(kernel), -1, 0)


def filter_sheet(kernels: np.ndarray, columns: int = 8) -> np.ndarray:
    """Return all filters, or maps, in a grid; 0 is grey, the largest weight white or black.

    Args:
        kernels: float [filters, height, width, 1 or 3].
        columns: Filters in a row.

    Returns:
        float [height', width', channels], in [0, 1]; white between the filters.
    """
    count, height, width, channels = kernels.shape
    limits = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    scaled = 0.5 + kernels / np.maximum(2 * limits, 1e-12)
    rows = math.ceil(count / columns)
    high, wide = height * PIXEL + 2, width * PIXEL + 2
    sheet = np.ones((rows * high, columns * wide, channels))
    for index, image in enumerate(scaled):
        row, column = divmod(index, columns)
        large = image.repeat(PIXEL, axis=0).repeat(PIXEL, axis=1)
        top, left = row * high + 1, column * wide + 1
        sheet[top : top + height * PIXEL, left : left + width * PIXEL] = large
    return sheet


class FilterImages(keras.callbacks.Callback):
    """Writes the first convolution's filters after each epoch, as one image."""

    def __init__(self, run: Run, network: keras.Model, name: str):
        super().__init__()
        self.run = run
        self.network = network
        self.name = name

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the image."""
        sheet = filter_sheet(first_kernels(self.network))
        self.run.image(self.name, sheet[None], step=epoch + 1)


def first_filters(network: keras.Model) -> Figure:
    """Return the first convolution's filters in their colours."""
    kernels = first_kernels(network)
    sheet = filter_sheet(kernels)
    figure, (ax,) = new_figure(
        width=6.0, height=6.0 * sheet.shape[0] / sheet.shape[1] + 0.4
    )
    ax.imshow(sheet.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    set_title(ax, f"the {len(kernels)} filters of the first layer")
    return figure


def feature_maps(
    image: np.ndarray, outputs: Sequence[np.ndarray], titles: Sequence[str]
) -> Figure:
    """Return an image and below it the strongest maps of some layers, a row for each.

    Args:
        image: uint8 [1, height, width, channels].
        outputs: By layer, float [1, height, width, maps].
        titles: By layer.
    """
    rows, columns = len(outputs) + 1, NUM_MAPS + 1
    figure, axes = new_figure(rows, columns, width=8.4, height=1.0 * rows + 0.2)
    for ax in axes:
        ax.set_axis_off()
    axes[1].imshow(image[0].squeeze(), cmap="gray_r", interpolation="nearest")
    for row, (maps, title) in enumerate(zip(outputs, titles, strict=True), 1):
        of_row = axes[row * columns : (row + 1) * columns]
        of_row[0].text(0.5, 0.5, title, ha="center", va="center", fontsize=9)
        strongest = np.argsort(-np.abs(maps[0]).mean(axis=(0, 1)))[:NUM_MAPS]
        for ax, index in zip(of_row[1:], strongest, strict=False):
            ax.imshow(maps[0, :, :, index], cmap="viridis", interpolation="nearest")
    return figure
