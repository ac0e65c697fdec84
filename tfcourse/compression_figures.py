"""Exercise 23's figures, drawn from its points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from tfcourse.compression_study import Point, pareto_front
from tfcourse.figure_style import (
    COLOURS,
    GREY,
    INK,
    label_line_ends,
    new_figure,
    set_log_scale,
    set_title,
)

# Which colour and marker a family of methods has, by the start of the method's name.
FAMILIES = {
    "float32": ("uncompressed", "#000000", "*"),
    "low rank, tuned": ("low rank, tuned", COLOURS[0], "o"),
    "bits": ("uniform quantisation", COLOURS[4], "s"),
    "pruned": ("pruned", COLOURS[2], "^"),
    "tfmot": ("LiteRT and tfmot", COLOURS[5], "D"),
    "all in sequence": ("all in sequence", COLOURS[1], "o"),
    "small": ("small network, distilled", COLOURS[3], "v"),
}
WORST_SHOWN = 20.0  # Times the best error: what is worse would squeeze all else.


def _family(point: Point) -> str | None:
    return next((key for key in FAMILIES if point.method.startswith(key)), None)


def front(points: Sequence[Point], networks: Mapping[str, Sequence[str]]) -> Figure:
    """Return error against bytes for every file, and the front that none beats.

    Args:
        points: All points of the study.
        networks: By title of a panel, which networks' points it shows.
    """
    figure, axes = new_figure(1, len(networks), width=10.5, height=4.6)
    used = {}
    for ax, (title, names) in zip(axes, networks.items(), strict=True):
        shown = [p for p in points if p.network in names and _family(p)]
        errors = [_error(p) for p in shown]
        limit = WORST_SHOWN * max(min(errors), 0.1)
        line = pareto_front(shown)
        ax.plot(
            [p.num_bytes for p in line], [_error(p) for p in line], color=GREY, lw=1
        )
        for point, error in zip(shown, errors, strict=True):
            name, colour, marker = FAMILIES[_family(point) or ""]
            if error <= limit:
                style = {"s": 90 if marker == "*" else 36, "color": colour}
                used[name] = ax.scatter(
                    point.num_bytes, error, marker=marker, zorder=3, **style
                )
        set_log_scale(ax, "x")
        set_log_scale(ax, "y")
        ax.set(xlabel="bytes of the file", ylabel="test error in %")
        set_title(ax, title)
    order = [name for name, _, _ in FAMILIES.values() if name in used]
    figure.legend(
        [used[name] for name in order],
        order,
        loc="outside lower center",
        ncols=4,
        frameon=False,
    )
    return figure


def _error(point: Point) -> float:
    return 100 * (1 - point.test_accuracy)


def low_rank(points: Sequence[Point], networks: Mapping[str, str]) -> Figure:
    """Return test error by weights that a low rank leaves, before and after fine-tuning.

    Args:
        points: All points of the study.
        networks: By title of a panel, its network.
    """
    figure, axes = new_figure(1, len(networks), width=9.5, height=3.5)
    for ax, (title, network) in zip(axes, networks.items(), strict=True):
        mine = [p for p in points if p.network == network]
        (base,) = (p for p in mine if p.method == "float32")
        names = {}
        for method, colour in (
            ("low rank", COLOURS[4]),
            ("low rank, tuned", COLOURS[0]),
        ):
            chosen = [p for p in mine if p.method == method]
            x = [100 * p.num_weights / base.num_weights for p in chosen]
            (line,) = ax.plot(x, [_error(p) for p in chosen], "o-", color=colour)
            names[line] = "fine-tuned" if "tuned" in method else "cut off"
        names[ax.axhline(_error(base), color=GREY, ls="--")] = "whole"
        set_log_scale(ax, "y")
        ax.set_xticks(x, [f"{share:.1f}" for share in x])
        ax.set(xlabel="weights that are left, in %", ylabel="test error in %")
        set_title(ax, title)
        label_line_ends(ax, names)
    return figure


def schedules_and_bits(points: Sequence[Point], network: str) -> Figure:
    """Return four ways to prune to one sparsity, and accuracy by bits per weight."""
    figure, (left, right) = new_figure(1, 2, width=9.5, height=3.5)
    mine = [p for p in points if p.network == network]
    (base,) = (p for p in mine if p.method == "float32")
    pruned = [p for p in mine if p.method.startswith("pruned")]
    for row, point in enumerate(pruned):
        colour = COLOURS[2] if "gradual" in point.method else COLOURS[4]
        left.plot(_error(point), row, "o", color=colour, ms=8)
        left.text(
            _error(point), row + 0.16, f"{_error(point):.2f}", ha="center", color=INK
        )
    left.axvline(_error(base), color=GREY, ls="--")
    left.set_yticks(
        range(len(pruned)), [p.method.removeprefix("pruned ") for p in pruned]
    )
    left.set(xlabel="test error in %", ylim=(-0.5, len(pruned) - 0.3))
    left.margins(x=0.15)
    share = f"{100 * float(pruned[0].setting):g}" if pruned else ""
    set_title(left, f"{share} % of the weights pruned")
    names = {}
    for method, colour in (("per tensor", COLOURS[4]), ("per channel", COLOURS[0])):
        chosen = [p for p in mine if p.method == f"bits {method}"]
        x = [int(p.setting) for p in chosen]
        (line,) = right.plot(x, [_error(p) for p in chosen], "o-", color=colour)
        names[line] = method
    right.axhline(_error(base), color=GREY, ls="--")
    right.set_xlim(max(x) + 0.3, min(x) - 0.3)  # Fewer bits to the right.
    set_log_scale(right, "y")
    right.set(xlabel="bits per weight", ylabel="test error in %")
    right.set_xticks(x)
    set_title(right, "uniform quantisation, not trained after")
    label_line_ends(right, names)
    return figure


def weights(before: np.ndarray, after: np.ndarray, title: str) -> Figure:
    """Return the distribution of a kernel's weights, before and after.

    Args:
        before: float32 [...], as trained.
        after: float32 [...], with few values, most of them 0.
        title: Which kernel it is.
    """
    figure, (left, right) = new_figure(1, 2, width=9.5, height=3.2)
    left.hist(before.ravel(), bins=200, color=COLOURS[0])
    left.set(xlabel="weight", ylabel="weights")
    set_title(left, f"{title}, trained")
    values, counts = np.unique(after[after != 0], return_counts=True)
    right.vlines(values, 0, counts, color=COLOURS[1], lw=3)
    num_zeros = int((after == 0).sum())
    right.text(
        0.02,
        0.97,
        f"and {num_zeros:,} zeros\n({100 * num_zeros / after.size:.1f} %)",
        transform=right.transAxes,
        va="top",
        color=INK,
    )
    limit = 1.05 * max(np.abs(before).max(), np.abs(after).max())
    for ax in (left, right):
        ax.set_xlim(-limit, limit)
    right.set(xlabel="weight", ylabel="weights")
    right.set_ylim(0, 1.3 * counts.max())  # Room for the text.
    set_title(right, f"{title}, compressed: {len(values)} values")
    return figure
