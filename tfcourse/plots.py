"""Figures: small builders that return a matplotlib `Figure` in one consistent look.

No pyplot and no global state: a figure is freed with its last reference, and nothing
depends on a display. The colours can be told apart by colour-blind readers (Okabe and
Ito, 2008), and lines carry their names where there is room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Blue, vermillion, green, purple, orange, sky blue, black: Okabe and Ito's palette
# without its yellow, which is too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#6B6B6B"
DOTS_PER_INCH = 110

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": "#333333",
    "axes.edgecolor": "#999999",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "savefig.dpi": DOTS_PER_INCH,
    "figure.dpi": DOTS_PER_INCH,
}


def new_figure(
    rows: int = 1, columns: int = 1, *, width: float = 8.0, height: float = 3.4
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure in the course's look, and its axes in reading order.

    Args:
        rows: Rows of axes.
        columns: Columns of axes.
        width: Width of the whole figure in inches; 8 fills a notebook's column.
        height: Height of the whole figure in inches.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


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
        for index, (name, history) in enumerate(histories.items()):
            colour = COLOURS[index % len(COLOURS)]
            label = name
            for curve, style in ((f"val_{key}", "-"), (key, "--")):
                values = history.get(curve, ())
                if len(values):
                    epochs = np.arange(1, len(values) + 1)
                    marker = "o" if len(values) < 3 else ""
                    ax.plot(
                        epochs, values, style, color=colour, label=label, marker=marker
                    )
                    label = "_"
        ax.set_title(key.replace("_", " "))
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if log_loss:
        axes[0].set_yscale("log")
    axes[-1].legend(title="validation —   training - -", fontsize=9)
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
    for index, (name, (x_values, y_values)) in enumerate(curves.items()):
        ax.plot(x_values, y_values, color=COLOURS[index % len(COLOURS)], label=name)
    if log_x:
        ax.set_xscale("log")
    if log_y:
        ax.set_yscale("log")
    ax.set(title=title, xlabel=x_label, ylabel=y_label)
    if len(curves) > 1:
        ax.legend()
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
        ax.hist(np.ravel(values), edges, histtype="stepfilled", color=colour, alpha=0.3)
        ax.hist(
            np.ravel(values), edges, histtype="step", color=colour, label=name, lw=1.6
        )
    ax.set(title=title, xlabel=x_label, ylabel="count")
    if len(samples) > 1:
        ax.legend()
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
                color="white" if dark else "#222222",
            )
    rotation = 45 if max(map(len, class_names)) > 3 else 0
    ticks = range(len(class_names))
    ax.set_xticks(
        ticks, class_names, rotation=rotation, ha="right" if rotation else "center"
    )
    ax.set_yticks(ticks, class_names)
    accuracy = np.trace(matrix) / max(matrix.sum(), 1)
    ax.set(xlabel="predicted", ylabel="true", title=title or f"accuracy {accuracy:.2%}")
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
            colour = COLOURS[1] if flags[index] else "#222222"
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
) -> Figure:
    """Return one panel per factor: the metric at each level, with spread over seeds.

    Args:
        effects: By factor, by level, the metric of each seed.
        metric: Name of the metric, for the axis.
        columns: Panels per row.
    """
    columns = max(1, min(columns, len(effects)))
    rows = -(-len(effects) // columns)
    figure, axes = new_figure(rows, columns, width=8.6, height=2.7 * rows)
    for ax in axes[len(effects) :]:
        ax.set_axis_off()
    for index, (factor, levels) in enumerate(effects.items()):
        ax = axes[index]
        means = [float(np.mean(values)) for values in levels.values()]
        for position, values in enumerate(levels.values()):
            ax.plot(
                [position] * len(values), values, "o", color=GREY, alpha=0.5, ms=3.5
            )
            ax.plot(
                [position] * 2, [min(values), max(values)], color=COLOURS[0], lw=1.4
            )
        ax.plot(range(len(levels)), means, "D", color=COLOURS[0], ms=6)
        ax.set_xticks(range(len(levels)), [str(level) for level in levels])
        ax.margins(x=0.15)
        ax.grid(axis="x", visible=False)
        ax.set_title(f"{factor.replace('_', ' ')}: {max(means) - min(means):.3f}")
        if index % columns == 0:
            ax.set_ylabel(metric)
    return figure
