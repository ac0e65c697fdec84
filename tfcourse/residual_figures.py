"""Figures of residual networks: training errors by depth, gradients by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tfcourse.plots import (
    COLOURS,
    GREY,
    label_line_ends,
    new_figure,
    set_log_scale,
    set_title,
)


def _style(name: str, names: Sequence[str]) -> dict[str, object]:
    """Return the line of a network: colour by depth, dashed without shortcuts."""
    depths = list(dict.fromkeys(other.rpartition("_")[2] for other in names))
    colour = COLOURS[depths.index(name.rpartition("_")[2])]
    is_plain = name.startswith("plain")
    return {"color": colour, "linestyle": "--" if is_plain else "-", "lw": 1.8}


def _explain_styles(ax: Axes, place: str) -> None:
    """Say by a legend which lines have shortcuts."""
    handles = [
        Line2D([], [], color=GREY, linestyle=style, label=label)
        for style, label in (("--", "plain"), ("-", "with shortcuts"))
    ]
    ax.legend(handles=handles, frameon=False, fontsize=9, loc=place)


def _title(name: str) -> str:
    return name.replace("_", " ")


def training_error(errors: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Return the training error by epoch, a line for each `<kind>_<depth>`."""
    figure, (ax,) = new_figure(width=7.2, height=3.8)
    names = {}
    for name, values in errors.items():
        epochs = np.arange(1, len(values) + 1)
        style = _style(name, list(errors))
        marker = "o" if len(values) <= 20 else ""
        (line,) = ax.plot(epochs, values, marker=marker, ms=4, **style)
        names[line] = _title(name)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_xlabel("epoch")
    set_title(ax, title)
    label_line_ends(ax, names)
    _explain_styles(ax, "lower left")
    return figure


def gradient_norms(norms: Mapping[str, Sequence[float]]) -> Figure:
    """Return the norm of each kernel's gradient, from the first convolution to the last."""
    figure, (ax,) = new_figure(width=7.2, height=3.8)
    names = {}
    for name, values in norms.items():
        if name.startswith(("plain", "residual")):
            style = _style(name, list(norms))
        else:
            style = {"color": GREY, "lw": 1.4}
        (line,) = ax.plot(np.arange(1, len(values) + 1), values, **style)
        names[line] = _title(name)
    set_log_scale(ax, "y")
    ax.set_xlabel("convolution, from the image to the classes")
    set_title(ax, "norm of the gradient before the first step")
    label_line_ends(ax, names)
    _explain_styles(ax, "upper right")
    return figure
