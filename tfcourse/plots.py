"""Figures: small builders that return a matplotlib `Figure` in one consistent look.

No pyplot and no global state: a figure is freed with its last reference, and nothing
depends on a display. Lines carry their names at their ends where there is room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tfcourse.figure_style import (
    COLOURS,
    GREY,
    INK,
    MAX_NAMED_LINES,
    label_line_ends,
    new_figure,
    set_log_scale,
    set_title,
)

__all__ = [
    "COLOURS",
    "GREY",
    "INK",
    "confusion_matrix",
    "factor_effects",
    "histogram",
    "image_grid",
    "label_line_ends",
    "lines",
    "loss_curves",
    "new_figure",
    "set_log_scale",
    "set_title",
]


def loss_curves(
    histories: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    metric: str = "accuracy",
    log_loss: bool = True,
) -> Figure:
    """Return loss and metric by epoch: training dashed, validation solid.

    Args:
        histories: By name of the model, `history.history` of `fit`.
        metric: Key of the metric on the right; left out where no history has it.
        log_loss: Whether the loss axis is logarithmic.
    """
    panels = ["loss"]
    if any(metric in h or f"val_{metric}" in h for h in histories.values()):
        panels.append(metric)
    figure, axes = new_figure(1, len(panels), width=4.2 * len(panels) + 0.6)
    for ax, key in zip(axes, panels, strict=True):
        names = {}
        for index, (name, history) in enumerate(histories.items()):
            colour = COLOURS[index % len(COLOURS)]
            for curve, style in ((key, "--"), (f"val_{key}", "-")):
                values = history.get(curve, ())
                if len(values):
                    epochs = np.arange(1, len(values) + 1)
                    marker = "o" if len(values) < 3 else ""
                    (line,) = ax.plot(
                        epochs, values, style, color=colour, marker=marker, lw=1.8
                    )
                    last = line
            names[last] = name
        set_title(ax, key.replace("_", " "))
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if key == "loss" and log_loss:
            set_log_scale(ax, "y")
        if ax is axes[-1]:
            label_line_ends(ax, names)
    handles = [
        Line2D([], [], color=GREY, linestyle=style, label=label)
        for style, label in (("--", "training"), ("-", "validation"))
    ]
    axes[0].legend(handles=handles, frameon=False, fontsize=9)
    return figure


def lines(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    log_x: bool = False,
    log_y: bool = False,
) -> Figure:
    """Return one panel of named lines; each curve is a pair of x and y values."""
    figure, (ax,) = new_figure(width=7.0, height=3.6)
    names = {}
    for index, (name, (x_values, y_values)) in enumerate(curves.items()):
        colour = COLOURS[index % len(COLOURS)]
        marker = "o" if len(x_values) <= 20 else ""
        (line,) = ax.plot(x_values, y_values, marker=marker, ms=4, lw=1.8, color=colour)
        names[line] = name
    if log_x:
        set_log_scale(ax, "x")
    if log_y:
        set_log_scale(ax, "y")
    set_title(ax, title)
    ax.set(xlabel=x_label, ylabel=y_label)
    if 1 < len(names) <= MAX_NAMED_LINES:
        label_line_ends(ax, names)
    return figure


def histogram(
    samples: Mapping[str, Sequence[float]],
    *,
    title: str = "",
    x_label: str = "",
    num_bins: int = 30,
) -> Figure:
    """Return overlaid histograms of named samples, on common bins."""
    figure, (ax,) = new_figure(width=7.0)
    everything = np.concatenate([np.ravel(values) for values in samples.values()])
    edges = np.histogram_bin_edges(everything, bins=num_bins)
    for index, (name, values) in enumerate(samples.items()):
        colour = COLOURS[index % len(COLOURS)]
        flat = np.ravel(values)
        ax.hist(flat, edges, histtype="stepfilled", color=colour, alpha=0.3)
        ax.hist(flat, edges, histtype="step", color=colour, label=name, lw=1.6)
    set_title(ax, title)
    ax.set(xlabel=x_label, ylabel="count")
    if len(samples) > 1:
        ax.legend(frameon=False)
    return figure


def confusion_matrix(
    matrix: np.ndarray, class_names: Sequence[str], *, title: str = ""
) -> Figure:
    """Return the confusion matrix as counts; colour shows each true class's share.

    Args:
        matrix: int [num_classes, num_classes]; row: true class, column: prediction.
        class_names: One name per class.
        title: Above the matrix; default: the accuracy.
    """
    matrix = np.asarray(matrix)
    if matrix.shape != (len(class_names), len(class_names)):
        raise ValueError(
            "matrix must have one row and one column per class; got shape "
            f"{matrix.shape} for {len(class_names)} class names"
        )
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    size = max(4.2, 0.52 * len(class_names) + 1.4)
    figure, (ax,) = new_figure(width=size, height=size)
    ax.grid(False)
    # The square root lifts the rare mistakes out of the white.
    ax.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            dark = np.sqrt(share[row, column]) > 0.55
            ax.text(
                column,
                row,
                f"{count}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else INK,
            )
    rotation = 45 if max(map(len, class_names)) > 3 else 0
    ticks = range(len(class_names))
    ax.set_xticks(
        ticks, class_names, rotation=rotation, ha="right" if rotation else "center"
    )
    ax.set_yticks(ticks, class_names)
    accuracy = np.trace(matrix) / max(matrix.sum(), 1)
    ax.set(xlabel="predicted", ylabel="true")
    set_title(ax, title or f"accuracy {accuracy:.2%}")
    return figure


def image_grid(
    images: np.ndarray,
    labels: Sequence[object] = (),
    *,
    columns: int = 8,
    title: str = "",
    highlight: Iterable[bool] = (),
) -> Figure:
    """Return small images in a grid, each under its label.

    Args:
        images: uint8, or float in [0, 1]: [n, height, width] or [n, height, width, c].
        labels: One caption per image, or none.
        columns: Images per row.
        title: Above the grid.
        highlight: One flag per image: whether its caption is coloured as a mistake.
    """
    images = np.asarray(images)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    flags = list(highlight) or [False] * len(images)
    columns = max(1, min(columns, len(images)))
    rows = -(-len(images) // columns)
    captioned = len(labels) > 0
    figure, axes = new_figure(
        rows,
        columns,
        width=1.0 * columns,
        height=(1.25 if captioned else 1.0) * rows + (0.35 if title else 0),
    )
    for ax in axes:
        ax.set_axis_off()
    top = 255 if images.dtype == np.uint8 else 1.0
    for index, (ax, image) in enumerate(zip(axes, images, strict=False)):
        # Grey images ink on white: dark strokes are easier to see at this size.
        ax.imshow(image, cmap="gray_r", vmin=0, vmax=top, interpolation="nearest")
        if captioned:
            colour = COLOURS[1] if flags[index] else INK
            ax.set_title(
                str(labels[index]),
                fontsize=8,
                fontweight="normal",
                loc="center",
                color=colour,
                pad=2,
            )
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def factor_effects(
    effects: Mapping[str, Mapping[object, Sequence[float]]],
    *,
    metric: str = "accuracy",
    columns: int = 3,
    log_y: bool = False,
) -> Figure:
    """Return one panel per factor: the metric at each level, with spread over seeds.

    The factor that moved the mean most comes first. Diamonds are means, dots are seeds.

    Args:
        effects: By factor, by level, the metric of each seed. Levels that are numbers
            are sorted; others keep their order.
        metric: Name of the metric, for the axis.
        columns: Panels per row.
        log_y: Whether the axis is logarithmic: for errors, where one level that fails
            would press all others flat.
    """
    ordered = sorted(effects, key=lambda factor: -_effect(effects[factor]))
    columns = max(1, min(columns, len(effects)))
    rows = -(-len(effects) // columns)
    figure, axes = new_figure(
        rows, columns, width=8.6, height=2.7 * rows + 0.2, share_y=True
    )
    for ax in axes[len(effects) :]:
        ax.set_axis_off()
    for index, (ax, factor) in enumerate(zip(axes, ordered, strict=False)):
        levels = effects[factor]
        names = list(levels)
        if all(isinstance(name, int | float) for name in names):
            names.sort()
        for position, name in enumerate(names):
            values = np.asarray(levels[name], dtype=float)
            # Side by side, so that equal results don't hide each other.
            spread = 0.12 * np.linspace(-1, 1, len(values)) if len(values) > 1 else [0]
            ax.plot(
                position + np.asarray(spread), values, "o", color=GREY, alpha=0.5, ms=3
            )
            ax.plot(position, values.mean(), "D", color=COLOURS[0], ms=6)
        means = [float(np.mean(levels[name])) for name in names]
        ax.plot(range(len(names)), means, color=COLOURS[0], lw=1.0, alpha=0.6)
        texts = [str(name) for name in names]
        crowded = sum(map(len, texts)) > 20
        ax.set_xticks(range(len(names)), texts, fontsize=9)
        if crowded:
            ax.tick_params(axis="x", labelrotation=25)
        ax.margins(x=0.15)
        ax.grid(axis="x", visible=False)
        # The line below the title stands where its padding makes room.
        set_title(ax, factor.replace("_", " "), padding=17)
        ax.text(
            0,
            1.03,
            f"moves the mean by {_effect(levels):.3f}",
            transform=ax.transAxes,
            fontsize=8.5,
            color=GREY,
        )
        if index % columns == 0:
            ax.set_ylabel(metric)
    if log_y:
        set_log_scale(axes[0], "y")
    return figure


def _effect(levels: Mapping[object, Sequence[float]]) -> float:
    """Return how far the best level's mean lies above the worst one's."""
    means = [float(np.mean(values)) for values in levels.values()]
    return max(means) - min(means)
