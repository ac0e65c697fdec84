"""Figures about attacks on networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tfcourse import plots

Curve = Mapping[float, float]  # From epsilon to accuracy.
DASHED = "o--"  # The masked network is the standard one, and lies on its line.


def words(name: str) -> str:
    """Return a name of code as words.

    >>> words("pgd_cross_entropy"), words("fgsm_trained")
    ('PGD cross entropy', 'FGSM trained')
    """
    text = name.replace("_", " ").replace("pgd", "PGD").replace("fgsm", "FGSM")
    return text.replace("square", "Square")


def _show(ax: Axes, image: np.ndarray, caption: object, *, is_wrong: bool) -> None:
    """Draw one digit as ink on white, with its prediction above."""
    ax.imshow(image, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    colour = plots.COLOURS[1] if is_wrong else plots.INK
    ax.set_title(str(caption), fontsize=9, color=colour, pad=2)


def examples(
    images: np.ndarray,
    labels: np.ndarray,
    rows: Mapping[str, tuple[np.ndarray, np.ndarray]],
    clean_predictions: np.ndarray,
) -> Figure:
    """Return digits, and for each network what was added and what it then saw.

    Args:
        images: float32 [n, height, width], in [0, 1].
        labels: int64 [n].
        rows: By network: adversarial images, as `images`, and predictions [n].
        clean_predictions: [n], of the first network.
    """
    figure, axes = plots.new_figure(
        1 + 2 * len(rows), len(images), width=1.0 * len(images) + 1.2, height=6.2
    )
    grid = np.array(axes).reshape(1 + 2 * len(rows), len(images))
    for ax in axes:
        ax.grid(False)
        ax.set(xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set_visible(False)
    for column, image in enumerate(images):
        predicted = clean_predictions[column]
        _show(grid[0, column], image, predicted, is_wrong=predicted != labels[column])
    _name_row(grid[0, 0], "clean")
    for index, (name, (attacked, predictions)) in enumerate(rows.items()):
        change_row, image_row = grid[1 + 2 * index], grid[2 + 2 * index]
        largest = np.abs(attacked - images).max()
        for column in range(len(images)):
            change = attacked[column] - images[column]
            change_row[column].imshow(change, cmap="PuOr", vmin=-largest, vmax=largest)
            wrong = predictions[column] != labels[column]
            _show(
                image_row[column], attacked[column], predictions[column], is_wrong=wrong
            )
        _name_row(change_row[0], "change")
        _name_row(image_row[0], f"seen by\n{words(name)}")
    return figure


def _name_row(ax: Axes, name: str) -> None:
    ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9.5)


def targeted(images: np.ndarray, predictions: np.ndarray) -> Figure:
    """Return a square of digits: the row is the true class, the column the target.

    Args:
        images: float32 [classes, classes, height, width], in [0, 1]; clean on the
            diagonal.
        predictions: int [classes, classes].
    """
    num_classes = len(images)
    figure, axes = plots.new_figure(num_classes, num_classes, width=7.0, height=7.2)
    for ax, (row, column) in zip(
        axes, np.ndindex(num_classes, num_classes), strict=True
    ):
        ax.grid(False)
        ax.set(xticks=[], yticks=[])
        predicted = predictions[row, column]
        _show(ax, images[row, column], "", is_wrong=False)
        if predicted != column:
            place = {"transform": ax.transAxes, "ha": "left", "va": "top"}
            ax.text(0.04, 0.97, predicted, fontsize=8, color=plots.COLOURS[1], **place)
        for spine in ax.spines.values():
            spine.set_visible(True)
            reached = row != column and predicted == column
            spine.set(color=plots.COLOURS[0] if reached else "#DDDDDD", linewidth=1.4)
        if row == num_classes - 1:
            ax.set_xlabel(str(column), fontsize=10)
        if column == 0:
            ax.set_ylabel(str(row), rotation=0, ha="right", va="center", fontsize=10)
    figure.supxlabel("target", fontsize=10)
    figure.supylabel("true class", fontsize=10)
    return figure


def shares(
    table: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str,
    row_label: str,
    column_label: str,
    separate_last: bool = False,
) -> Figure:
    """Return a table of accuracies in [0, 1], in percent, coloured.

    Args:
        table: float [rows, columns].
        rows: Names.
        columns: Names.
        title: Above it.
        row_label: What the rows are.
        column_label: What the columns are.
        separate_last: Whether a line stands before the last column.
    """
    size = 1.05 * len(columns) + 2.0, 0.5 * len(rows) + 1.6
    figure, (ax,) = plots.new_figure(width=size[0], height=size[1])
    ax.grid(False)
    ax.imshow(table, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        dark = value > 0.6
        ax.text(
            column,
            row,
            f"{100 * value:.1f}",
            ha="center",
            va="center",
            fontsize=10,
            fontweight="bold" if separate_last and column == len(columns) - 1 else None,
            color="white" if dark else plots.INK,
        )
    if separate_last:
        ax.axvline(len(columns) - 1.5, color="white", lw=4)
    names = [words(name).replace(" ", "\n", 1) for name in columns]
    ax.set_xticks(range(len(columns)), names, fontsize=9)
    ax.set_yticks(range(len(rows)), [words(name) for name in rows], fontsize=9)
    ax.set(xlabel=column_label, ylabel=row_label)
    plots.set_title(ax, title)
    return figure


def epsilon_curves(
    panels: Mapping[str, Mapping[str, Curve]], *, marked: Mapping[str, float]
) -> Figure:
    """Return accuracy against the size of the ball, a panel for each way to measure.

    Args:
        panels: By title, by name of the network: accuracy by epsilon.
        marked: By title: the epsilon at which a thin line stands.
    """
    figure, axes = plots.new_figure(
        1, len(panels), width=3.4 * len(panels) + 0.8, height=3.5, share_y=True
    )
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    for ax, (title, curves) in zip(axes, panels.items(), strict=True):
        for name, curve in curves.items():
            ax.plot(
                list(curve),
                [100 * value for value in curve.values()],
                DASHED if name == "masked" else "o-",
                ms=3.5,
                lw=1.8,
                color=plots.COLOURS[names.index(name)],
                label=words(name),
            )
        if title in marked:
            ax.axvline(marked[title], color=plots.GREY, lw=1, ls=":")
        ax.set(xlabel="radius of the ball", ylim=(-3, 103))
        plots.set_title(ax, title)
    axes[0].set_ylabel("accuracy in percent")
    axes[0].legend(frameon=False, fontsize=9)
    return figure


def training(histories: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Return validation accuracies by epoch, clean and attacked, a panel per training.

    Args:
        histories: By name of the training, its history with `val_accuracy` and
            `val_accuracy_<attack>`.
    """
    figure, axes = plots.new_figure(
        1, len(histories), width=4.1 * len(histories), height=3.4, share_y=True
    )
    keys = ("val_accuracy", "val_accuracy_fgsm", "val_accuracy_pgd")
    captions = ("clean", "FGSM", "PGD on the margin")
    for ax, (name, history) in zip(axes, histories.items(), strict=True):
        for key, caption, colour in zip(keys, captions, plots.COLOURS, strict=False):
            values = [100 * value for value in history[key]]
            epochs = np.arange(1, len(values) + 1)
            ax.plot(epochs, values, marker="o", ms=3, color=colour, label=caption)
        ax.set(xlabel="epoch", ylim=(-3, 103))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        plots.set_title(ax, f"trained on {words(name)}")
    axes[0].set_ylabel("validation accuracy in percent")
    axes[-1].legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def filters(kernels: Mapping[str, np.ndarray], columns: int = 8) -> Figure:
    """Return the first layer's filters of several networks, each on its own scale.

    Args:
        kernels: By network: float [height, width, 1, filters].
        columns: Filters in a row.
    """
    counts = {name: -(-kernel.shape[-1] // columns) for name, kernel in kernels.items()}
    figure, axes = plots.new_figure(
        sum(counts.values()),
        columns,
        width=7.4,
        height=0.95 * sum(counts.values()) + 0.4,
    )
    for ax in axes:
        ax.set_axis_off()
    grid = np.array(axes).reshape(-1, columns)
    start = 0
    for name, kernel in kernels.items():
        largest = np.abs(kernel).max()
        for index in range(kernel.shape[-1]):
            ax = grid[start + index // columns, index % columns]
            weights = kernel[:, :, 0, index]
            ax.imshow(weights, cmap="PuOr", vmin=-largest, vmax=largest)
        plots.set_title(grid[start, 0], words(name))
        start += counts[name]
    return figure


def queries(survivors: Mapping[str, Sequence[int]], num_images: int) -> Figure:
    """Return which share of the images is still right after so many queries.

    Args:
        survivors: By network, how many images each query was asked about.
        num_images: That were attacked.
    """
    figure, (ax,) = plots.new_figure(width=7.0, height=3.6)
    names: dict[Line2D, str] = {}
    for index, (name, counts) in enumerate(survivors.items()):
        shares_right = [100 * count / num_images for count in counts]
        steps = np.arange(1, len(counts) + 1)
        style = {"ls": "--", "lw": 2.4} if name == "masked" else {"lw": 1.8}
        (line,) = ax.plot(steps, shares_right, color=plots.COLOURS[index], **style)
        names[line] = words(name)
    plots.set_log_scale(ax, "x")
    ax.set(xlabel="queries per image", ylabel="still right, in percent", ylim=(-3, 103))
    plots.set_title(ax, "The attack that sees logits alone")
    plots.label_line_ends(ax, names)
    return figure
