"""Figures of speaker verification: scores, ROC curves, methods side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tfcourse.plots import COLOURS, GREY, new_figure, set_title

Results = Mapping[str, Sequence[Mapping[str, Any]]]  # By method, a row for each split.

TITLES = {
    "classical_voiced": "LDA, speech",
    "classical_all": "LDA, whole clip",
    "classical_background": "LDA, background",
    "whitened": "no network, whitened",
    "contrastive": "contrastive",
    "contrastive_whitened": "contrastive, whitened",
    "triplet": "triplet",
    "triplet_whitened": "triplet, whitened",
    "aam": "AAM",
    "aam_whitened": "AAM, whitened",
}
# A method keeps its colour when its embeddings are whitened.
HUES = dict(
    zip([name for name in TITLES if "_whitened" not in name], COLOURS, strict=True)
)
DRAWN = ("classical_all", "whitened", "contrastive", "triplet", "aam")  # As ROC curves.


def all_figures(results: Results, chosen: str) -> dict[str, Figure]:
    """Return all figures, by name; the scores are those of the chosen method."""
    return {
        "scores": scores(results, chosen),
        "roc": roc({name: results[name] for name in dict.fromkeys([*DRAWN, chosen])}),
        "methods": methods(results),
    }


def scores(results: Results, name: str) -> Figure:
    """Return how the cosines of pairs of one and of two speakers lie, first split."""
    row = results[name][0]
    figure, (ax,) = new_figure(width=7.0, height=3.4)
    different, same = (np.asarray(values) for values in row["scores"])
    edges = np.linspace(min(different.min(), same.min()), 1.0, 41)
    for values, label, colour in (
        (different, "two speakers", COLOURS[1]),
        (same, "one speaker", COLOURS[0]),
    ):
        ax.hist(values, edges, histtype="stepfilled", color=colour, alpha=0.35)
        ax.hist(values, edges, histtype="step", color=colour, lw=1.6, label=label)
    label = "threshold, chosen on\nvalidation speakers"
    ax.axvline(row["threshold"], color=GREY, lw=1.4, ls="--", label=label)
    set_title(ax, "pairs of clips of unseen speakers, first split")
    ax.set(xlabel="cosine of the two embeddings", ylabel="pairs")
    ax.legend(frameon=False, fontsize=9, loc="best")
    return figure


def roc(results: Results) -> Figure:
    """Return false rejections over false acceptances, all splits together."""
    figure, (ax,) = new_figure(width=5.6, height=4.6)
    for name, rows in results.items():
        accepts, rejects = error_curve(rows)
        mean = np.mean([row["equal_error"] for row in rows])
        style = {"color": _hue(name), "ls": "--" if "_whitened" in name else "-"}
        ax.plot(accepts, rejects, lw=1.8, **style)
        ax.plot([], [], lw=1.8, label=f"{TITLES[name]}: {mean:.1%}", **style)
    ax.plot([0, 0.5], [0, 0.5], color=GREY, lw=1.0, ls=":")
    ax.set(xlim=(0, 0.5), ylim=(0, 0.5))
    ax.set_xlabel("two speakers, taken for one")
    ax.set_ylabel("one speaker, taken for two")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    set_title(ax, "errors by threshold; equal error rates")
    ax.legend(frameon=False, fontsize=9, loc="upper right")
    return figure


def _hue(name: str) -> str:
    """Return the colour of a method."""
    return HUES[name.removesuffix("_whitened")]


def error_curve(rows: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Return false acceptances and false rejections by threshold, mean over the splits.

    Splits have thresholds of their own, so at each share of false acceptances the shares
    of false rejections are averaged: float [points], twice.
    """
    grid = np.linspace(0, 1, 401)
    curves = []
    for row in rows:
        different, same = (np.sort(values) for values in row["scores"])
        thresholds = np.append(np.unique(np.concatenate([different, same])), np.inf)
        accepts = 1 - np.searchsorted(different, thresholds) / len(different)
        rejects = np.searchsorted(same, thresholds) / len(same)
        curves.append(np.interp(grid, accepts[::-1], rejects[::-1]))
    return grid, np.mean(curves, axis=0)


def methods(results: Results) -> Figure:
    """Return pair accuracy and one-shot accuracy of each method, a dot for each split."""
    panels = {
        "accuracy": "pairs judged rightly",
        "one_shot_5": "1 of 5, from one clip",
        "one_shot_20": "1 of 20, from one clip",
    }
    figure, axes = new_figure(1, 3, width=9.0, height=3.8, share_y=True)
    names = list(results)
    for ax, (key, title) in zip(axes, panels.items(), strict=True):
        for height, name in enumerate(names):
            values, colour = [row[key] for row in results[name]], _hue(name)
            ax.barh(height, np.mean(values), color=colour, alpha=0.35, height=0.62)
            ax.plot(values, [height] * len(values), "o", ms=4, color=colour)
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        chance = {"accuracy": 1 / 2, "one_shot_5": 1 / 5, "one_shot_20": 1 / 20}[key]
        ax.axvline(chance, color=GREY, ls=":", lw=1.2)
        ax.set_xlim(0, 1)
        set_title(ax, title)
    axes[0].set_yticks(range(len(names)), [TITLES[name] for name in names])
    axes[0].invert_yaxis()
    return figure


def table(results: Results) -> str:
    """Return a Markdown table: mean and deviation over the splits, in percent."""
    heads = ["method", "pairs", "equal error", "1 of 5", "1 of 20", "seconds"]
    lines = ["| " + " | ".join(heads) + " |", "|:--" + "|--:" * 5 + "|"]
    for name, rows in results.items():
        cells = [TITLES[name]]
        for key in ("accuracy", "equal_error", "one_shot_5", "one_shot_20"):
            values = [100 * row[key] for row in rows]
            cells.append(f"{np.mean(values):.1f} ± {np.std(values):.1f}")
        cells.append(f"{np.mean([row['seconds'] for row in rows]):.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
