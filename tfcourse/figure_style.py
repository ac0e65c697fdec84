"""The look of the course's figures: colours, sizes, titles, axes, names of lines.

The colours can be told apart by colour-blind readers (Okabe and Ito, 2008).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

# Blue, vermillion, green, purple, orange, sky blue, black: Okabe and Ito's palette
# without its yellow, which is too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#6B6B6B"
INK = "#222222"
DOTS_PER_INCH = 110
MAX_NAMED_LINES = 7  # More lines than colours: a legend would not help either.

# What matplotlib reads when axes are made; the rest is given at each call.
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
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
    "figure.dpi": DOTS_PER_INCH,
}


def new_figure(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = 8.0,
    height: float = 3.4,
    share_y: bool = False,
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure in the course's look, and its axes in reading order.

    Args:
        rows: Rows of axes.
        columns: Columns of axes.
        width: Width of the whole figure in inches; 8 fills a notebook's column.
        height: Height of the whole figure in inches.
        share_y: Whether all axes have one common y axis.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
    return figure, list(axes.ravel())


def set_title(ax: Axes, title: str, *, padding: float = 6) -> None:
    """Give the axes a title in the course's look: bold, on the left.

    Args:
        ax: The axes.
        title: The text.
        padding: Points between title and axes.
    """
    ax.set_title(
        title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=padding
    )


def set_log_scale(ax: Axes, axis: str) -> None:
    """Make an axis (`x` or `y`) logarithmic, with plain numbers at 1, 2, 5, 10.

    Call it after plotting: where the numbers would crowd, only the powers of ten stay.
    """
    ax.set(**{f"{axis}scale": "log"})
    low, high = ax.get_ylim() if axis == "y" else ax.get_xlim()
    wide = np.log10(high / low) > 2.5
    which = ax.yaxis if axis == "y" else ax.xaxis
    which.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    which.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    which.set_minor_formatter(NullFormatter())


def label_line_ends(ax: Axes, names: Mapping[Line2D, str]) -> None:
    """Write each line's name beside its last point, moved apart where they collide.

    Call it when limits and scales are final.
    """
    (
        ax.get_xlim(),
        ax.get_ylim(),
    )  # Brings the limits, and with them transData, up to date.
    to_fraction = (ax.transData + ax.transAxes.inverted()).transform
    ends = []
    for line, name in names.items():
        points = np.column_stack(line.get_data())
        points = points[np.isfinite(points).all(axis=1)]
        if len(points):
            ends.append((float(to_fraction(points[-1])[1]), name, line.get_color()))
    ends.sort(key=lambda end: end[0])
    heights = [end[0] for end in ends]
    height_points = ax.get_position().height * ax.figure.get_figheight() * 72
    gap = 13 / height_points  # A line of text at size 9.
    for _ in range(100):
        for i, (low, high) in enumerate(itertools.pairwise(heights)):
            push = max(gap - (high - low), 0) / 2
            heights[i : i + 2] = low - push, high + push
    for height, (_, name, colour) in zip(heights, ends, strict=True):
        ax.text(
            1.02,
            height,
            name,
            transform=ax.transAxes,
            color=colour,
            fontsize=9,
            va="center",
        )
