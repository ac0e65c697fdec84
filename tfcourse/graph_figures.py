"""Figures of the speed of one training in several variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfcourse.figure_style import (
    COLOURS,
    GREY,
    INK,
    label_line_ends,
    new_figure,
    set_log_scale,
    set_title,
)


def speed_by_size(
    parameters: Sequence[int], milliseconds: Mapping[str, Sequence[float]]
) -> Figure:
    """Return two panels over the size of a model: milliseconds per step, and the gain.

    Args:
        parameters: Of each model.
        milliseconds: By variant, of one step of each model; the first variant is the one
            that the others are compared with.
    """
    figure, (left, right) = new_figure(1, 2, width=10.0, height=3.8)
    baseline = np.asarray(next(iter(milliseconds.values())))
    names = {}
    for colour, (name, values) in zip(COLOURS, milliseconds.items(), strict=False):
        style = {"marker": "o", "ms": 4, "lw": 1.8, "color": colour}
        left.plot(parameters, values, **style)
        (line,) = right.plot(parameters, baseline / np.asarray(values), **style)
        names[line] = name
    for ax in (left, right):
        set_log_scale(ax, "x")
        set_log_scale(ax, "y")
        ax.set_xlabel("parameters")
    set_title(left, "Milliseconds per step")
    set_title(right, f"Times as fast as {next(iter(milliseconds))}")
    label_line_ends(right, names)
    return figure


def gain_bars(gains: Mapping[str, Mapping[str, float]]) -> Figure:
    """Return a panel of bars for each model: how many times as fast as the first variant.

    Args:
        gains: By model, by variant.
    """
    figure, axes = new_figure(1, len(gains), width=9.0, height=2.6)
    for ax, (model, values) in zip(axes, gains.items(), strict=True):
        colours = [COLOURS[index] for index in range(len(values))]
        _bars(ax, values, colours)
        ax.axvline(1, color=GREY, lw=1, ls="--")
        set_title(ax, model)
        ax.set_xlabel(f"times as fast as {next(iter(values))}")
    return figure


def retracing(milliseconds: Mapping[str, Sequence[float]]) -> Figure:
    """Return the milliseconds of each call, by what is given to it."""
    figure, (ax,) = new_figure(width=7.0, height=3.0)
    names = {}
    for colour, (name, values) in zip(COLOURS, milliseconds.items(), strict=False):
        calls = np.arange(1, len(values) + 1)
        (line,) = ax.plot(calls, values, marker="o", ms=4, lw=1.8, color=colour)
        names[line] = name
    set_log_scale(ax, "y")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("call")
    set_title(ax, "Milliseconds per call")
    label_line_ends(ax, names)
    return figure


def step_anatomy(
    dispatches: Mapping[str, float],
    operations: Mapping[str, float],
    milliseconds: Mapping[str, tuple[float, float]],
) -> Figure:
    """Return what one step is made of, by variant, in three panels of bars.

    Args:
        dispatches: How often Python hands something over.
        operations: How many operations or kernels run.
        milliseconds: All of a step, and the part of it inside operations.
    """
    figure, axes = new_figure(1, 3, width=10.0, height=2.4)
    colours = list(COLOURS[: len(dispatches)])
    _bars(axes[0], dispatches, colours)
    _bars(axes[1], operations, colours)
    labels = [
        f"{step:.3g}, {inside:.2g} inside" for step, inside in milliseconds.values()
    ]
    steps = {name: step for name, (step, _) in milliseconds.items()}
    _bars(axes[2], steps, colours, labels)
    titles = (
        "Handed over by Python",
        "Operations that run",
        "ms, and inside operations",
    )
    for ax, title in zip(axes, titles, strict=True):
        set_title(ax, title)
        ax.set_xlabel("per step")
    return figure


def _bars(
    ax: Axes,
    values: Mapping[str, float],
    colours: Sequence[str],
    labels: Sequence[str] | None = None,
) -> None:
    names = list(values)
    texts = labels or [
        f"{value:,.3g}" if value < 100 else f"{value:,.0f}" for value in values.values()
    ]
    ax.barh(range(len(names)), list(values.values()), height=0.65, color=colours)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set_xscale("log")
    low, high = min(values.values()), max(values.values())
    ax.set_xlim(min(0.5, low / 2), high * (100 if labels else 8))
    for place, (value, text) in enumerate(zip(values.values(), texts, strict=True)):
        ax.annotate(
            text,
            (value, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
        )
    set_log_scale(ax, "x")
