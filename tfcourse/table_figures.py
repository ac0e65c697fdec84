"""Figures of a table, and of what classifiers make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfcourse.figure_style import (
    COLOURS,
    GREY,
    INK,
    label_line_ends,
    new_figure,
    set_log_scale,
    set_title,
)

CLASS_COLOURS = (COLOURS[0], COLOURS[1])
MAX_PANELS = 12
NUM_BINS = 30
MAX_BINS = 40
MAX_GRID_STEPS = 100  # More different values than this are no grid.


def distributions(
    columns: Mapping[str, np.ndarray],
    targets: np.ndarray,
    far_out: Mapping[str, int],
    class_names: Sequence[str],
) -> Figure:
    """Return a histogram of each column of numbers, one outline per class, as densities.

    The axis ends at the middle 99 % of the values; what lies beyond stands in the title.

    Args:
        columns: float [n] by name, the first twelve are drawn.
        targets: int [n], 0 or 1.
        far_out: By name, how many values lie far from the others.
        class_names: Of 0 and of 1.
    """
    names = list(columns)[:MAX_PANELS]
    rows = -(-len(names) // 4)
    figure, axes = new_figure(rows, 4, width=10.5, height=2.1 * rows + 0.3)
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    for ax, name in zip(axes, names, strict=False):
        values = columns[name]
        edges = bin_edges(values)
        for label, colour in enumerate(CLASS_COLOURS):
            mine = values[targets == label]
            weights = np.full(len(mine), 100 / len(mine))
            ax.hist(mine, edges, weights=weights, histtype="step", color=colour, lw=1.5)
        set_title(ax, name)
        if far_out[name] and len(np.unique(values)) > 2:
            ax.text(
                0.98,
                0.97,
                f"{far_out[name]:,} far out",
                transform=ax.transAxes,
                ha="right",
                va="top",
                fontsize=8,
                color=GREY,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        ax.tick_params(labelsize=8)
        ax.grid(axis="x", visible=False)
        ax.locator_params(axis="x", nbins=4)
    for ax in axes[::4]:
        ax.set_ylabel("% of the class", fontsize=9)
    handles = [
        axes[0].plot([], [], color=colour, label=name)[0]
        for colour, name in zip(CLASS_COLOURS, class_names, strict=True)
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9
    )
    return figure


def bin_edges(values: np.ndarray) -> np.ndarray:
    """Return the edges of some 30 bins over the middle 99 % of the values.

    Values on a grid (counts, a score in steps of 5) get bins of whole steps: otherwise
    some bins would hold two values and some one, and the histogram would show spikes.

    >>> bin_edges(np.array([10.0, 15.0, 15.0, 25.0]))
    array([ 7.5, 12.5, 17.5, 22.5, 27.5])
    """
    low, high = np.quantile(values, [0.005, 0.995], method="nearest")
    distinct = np.unique(values)
    steps = np.diff(distinct)
    if 0 < len(steps) <= MAX_GRID_STEPS:
        step = steps.min()
        ratios = steps / step
        if np.allclose(ratios, np.round(ratios), atol=1e-6):
            width = step * np.ceil(((high - low) / step + 1) / MAX_BINS)
            return np.arange(low - step / 2, high + width, width)
    return np.linspace(low, max(high, low + 1e-9), NUM_BINS + 1)


def correlations(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Return rank correlations as a coloured matrix; the last row is the target's."""
    few = len(names) <= 16
    size = (0.42 if few else 0.25) * len(names) + 2.2
    figure, (ax,) = new_figure(width=size + 0.6, height=size - 0.2)
    ax.grid(False)
    image = ax.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    for (row, column), value in np.ndenumerate(matrix):
        if few and row != column:
            ax.text(
                column,
                row,
                f"{round(100 * value) + 0:d}",
                ha="center",
                va="center",
                fontsize=7.5,
                color="white" if abs(value) > 0.6 else INK,
            )
    ticks = range(len(names))
    ax.set_xticks(ticks, names, rotation=45, ha="right", fontsize=8)
    ax.set_yticks(ticks, names, fontsize=8)
    ax.axhline(len(names) - 1.5, color=INK, lw=1)
    colour_bar = figure.colorbar(image, ax=ax, shrink=0.7)
    colour_bar.ax.tick_params(labelsize=8)
    set_title(ax, "rank correlations" + (", in hundredths" if few else ""))
    return figure


def shares(
    panels: Mapping[str, Mapping[str, tuple[int, float, float, float]]], overall: float
) -> Figure:
    """Return the share of positives by group, with intervals, one panel per grouping.

    Args:
        panels: By title, by name of the group: count, share, low, high.
        overall: The share in the whole table, a dashed line.
    """
    most = max(len(groups) for groups in panels.values())
    figure, axes = new_figure(1, len(panels), width=10, height=0.3 * most + 1.2)
    for ax, (title, groups) in zip(axes, panels.items(), strict=True):
        names = list(groups)
        for place, name in enumerate(names):
            _, share, low, high = groups[name]
            ax.plot([100 * low, 100 * high], [place, place], color=GREY, lw=1.6)
            ax.plot(100 * share, place, "o", color=COLOURS[1], ms=6)
        ax.axvline(100 * overall, color=INK, lw=1, ls="--")
        labels = [f"{name} ({groups[name][0]:,})" for name in names]
        ax.set_yticks(range(len(names)), labels, fontsize=8.5)
        ax.grid(axis="y", visible=False)
        ax.set_xlim(0, 104 * max(high for _, _, _, high in groups.values()))
        ax.set_xlabel("% positive, with 95 % interval")
        set_title(ax, title)
    return figure


def scores(
    aucs: Mapping[str, Sequence[float]], precisions: Mapping[str, Sequence[float]]
) -> Figure:
    """Return AUC and average precision by model: dots are folds, diamonds means.

    The first model is the bar: its mean is the dashed line.
    """
    figure, axes = new_figure(1, 2, width=10, height=0.42 * len(aucs) + 1.3)
    for ax, values, title in zip(
        axes, (aucs, precisions), ("ROC AUC", "average precision"), strict=True
    ):
        names = list(values)
        for place, name in enumerate(names):
            ax.plot(
                values[name], [place] * len(values[name]), "o", color=GREY, alpha=0.5
            )
            mean = float(np.mean(values[name]))
            ax.plot(mean, place, "D", color=COLOURS[1], ms=7)
            ax.annotate(
                f"{mean:.3f}",
                (mean, place),
                (0, 9),
                textcoords="offset points",
                ha="center",
                fontsize=8.5,
                color=COLOURS[1],
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )
        ax.axvline(float(np.mean(values[names[0]])), color=INK, lw=1, ls="--")
        ax.set_yticks(range(len(names)), names if ax is axes[0] else [""] * len(names))
        ax.invert_yaxis()
        ax.set_ylim(len(names) - 0.5, -0.7)
        ax.grid(axis="y", visible=False)
        set_title(ax, title)
    return figure


def calibration(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> Figure:
    """Return the share of positives against the predicted one, by model."""
    figure, (ax,) = new_figure(width=6.4, height=4.6)
    top = 100 * max(float(np.max(curve[:2])) for curve in curves.values())
    ax.plot([0, top], [0, top], color=GREY, lw=1, ls="--")
    for index, (name, (predicted, observed, _)) in enumerate(curves.items()):
        ax.plot(
            100 * np.asarray(predicted),
            100 * np.asarray(observed),
            "o-",
            ms=4,
            lw=1.6,
            color=COLOURS[index % len(COLOURS)],
            label=name,
        )
    ax.legend(frameon=False, fontsize=9)
    ax.set(xlabel="predicted, % positive", ylabel="observed, % positive")
    set_title(ax, "calibration, in bins of equal size")
    return figure


def thresholds(targets: np.ndarray, probabilities: np.ndarray) -> Figure:
    """Return what accuracy and finding positives become as the threshold moves."""
    figure, (ax,) = new_figure(width=7.4, height=3.8)
    limits = np.linspace(0, 1, 201)
    taken = probabilities[None, :] >= limits[:, None]  # [limits, n]
    for name, curve, colour in (
        ("accuracy", np.mean(taken == targets, axis=1), COLOURS[0]),
        (
            "positives found, of all positives",
            np.mean(taken[:, targets == 1], 1),
            COLOURS[1],
        ),
        ("called positive, of all rows", np.mean(taken, axis=1), COLOURS[2]),
    ):
        ax.plot(limits, 100 * curve, color=colour, lw=1.8, label=name)
    majority = 100 * max(np.mean(targets), 1 - np.mean(targets))
    ax.axhline(
        majority, color=GREY, lw=1.2, ls="--", label="accuracy of one answer for all"
    )
    ax.axvline(0.5, color=GREY, lw=1, ls=":")
    ax.set(xlabel="threshold: from it on a row is called positive", ylabel="%")
    ax.set(xlim=(0, 1), ylim=(-2, 104))
    ax.legend(frameon=False, fontsize=9, loc=(0.52, 0.35))
    set_title(ax, "what a threshold buys")
    return figure


def decay(
    alphas: Sequence[float],
    train: np.ndarray,
    val: np.ndarray,
    histories: Mapping[str, Mapping[str, Sequence[float]]],
) -> Figure:
    """Return AUC by alpha, a line per fold and part, and losses by epoch.

    Args:
        alphas: The penalties.
        train: float [folds, alphas], AUC of the training rows.
        val: float [folds, alphas], AUC of the validation rows.
        histories: By alpha, of one fold: `loss` with the penalty and `val_auc`.
    """
    figure, axes = new_figure(1, 2, width=10, height=3.8)
    for part, colour, name in (
        (train, COLOURS[0], "training rows"),
        (val, COLOURS[1], "validation rows"),
    ):
        axes[0].plot(alphas, part.T, color=colour, lw=0.7, alpha=0.5)
        axes[0].plot(
            alphas, part.mean(axis=0), "o-", color=colour, lw=2, ms=5, label=name
        )
    set_log_scale(axes[0], "x")
    axes[0].minorticks_off()
    axes[0].set(xlabel="alpha", ylabel="AUC")
    axes[0].legend(frameon=False, fontsize=9)
    set_title(axes[0], "MLPClassifier: AUC by penalty")
    _validation_curves(axes[1], histories)
    return figure


def _validation_curves(
    ax: Axes, histories: Mapping[str, Mapping[str, Sequence[float]]]
) -> None:
    names = {}
    for index, (alpha, history) in enumerate(histories.items()):
        values = history["val_auc"]
        epochs = np.arange(1, len(values) + 1)
        (line,) = ax.plot(epochs, values, color=COLOURS[index % len(COLOURS)], lw=1.6)
        names[line] = f"alpha {alpha}"
    ax.set(xlabel="epoch", ylabel="AUC of validation rows")
    set_title(ax, "Keras: one fold, by epoch")
    label_line_ends(ax, names)


def leaks(found: Mapping[str, Sequence[float]], honest: Sequence[str]) -> Figure:
    """Return the AUC by way of scoring: dots are folds; what is honest is blue."""
    figure, (ax,) = new_figure(width=8.0, height=0.5 * len(found) + 1.1)
    for place, (name, aucs) in enumerate(found.items()):
        colour = COLOURS[0] if name in honest else COLOURS[1]
        ax.plot(aucs, [place] * len(aucs), "o", color=GREY, alpha=0.5)
        mean = float(np.mean(aucs))
        ax.plot(mean, place, "D", color=colour, ms=7)
        ax.annotate(
            f"{mean:.3f}",
            (mean, place),
            (0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
            color=colour,
        )
    ax.set_yticks(range(len(found)), list(found))
    ax.set_ylim(len(found) - 0.5, -0.7)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("AUC on the rows that are called test rows")
    set_title(ax, "what leaks pretend")
    return figure
