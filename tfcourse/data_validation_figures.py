"""Figures of faults in data: examples, evidence, diagnoses, label errors, effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tfcourse import plots
from tfcourse.data_faults import FAULTS, make_triplet
from tfcourse.figure_style import (
    COLOURS,
    GREY,
    INK,
    new_figure,
    set_log_scale,
    set_title,
)

CLEAN, NOTHING = "clean", "nothing"
LEAST_P_VALUE = 1e-40  # Smaller ones are drawn here.
# Faults that change what an image looks like.
VISIBLE = (
    "darkened",
    "mirrored",
    "transposed",
    "channels_swapped",
    "blurred",
    "near_duplicates",
    "corrupt_images",
    "other_distribution",
)
TESTS = {
    "balance": "class balance",
    "order": "runs of labels",
    "twins": "near-duplicates",
    "corrupt": "broken images",
    "brightness": "brightness",
    "contrast": "contrast",
    "sharpness": "sharpness",
    "direction": "across - down",
    "red_minus_blue": "red - blue",
    "top_minus_bottom": "top - bottom",
    "left_minus_right": "left - right",
    "classifier": "domain classifier",
    "agreement": "label agreement",
}


def words(name: str) -> str:
    """Return a fault's name as words."""
    return name.replace("_", " ")


def examples(pool: Any, settings: Any, num_columns: int = 9) -> Figure:
    """Return test images of one clean triplet above the same places with each fault."""
    rows = {}
    for fault in (None, *VISIBLE):
        where = FAULTS[fault].where[-1] if fault else None
        triplet = make_triplet(
            pool.images,
            pool.labels,
            fault=fault,
            where=where,
            sizes=settings.sizes,
            seed=100_000 * settings.seed + 99,
        )
        images = triplet.sets["test"][0]
        if fault in ("near_duplicates", "corrupt_images"):
            clean = rows[CLEAN]
            changed = np.flatnonzero((images != clean).any(axis=(1, 2, 3)))
            images = images[changed]
        rows[fault or CLEAN] = images
    height, width, channels = pool.images.shape[1:]
    sheet = np.full(
        (len(rows) * (height + 2), num_columns * (width + 2), channels), 255, np.uint8
    )
    for index, images in enumerate(rows.values()):
        for column, image in enumerate(images[:num_columns]):
            top, left = index * (height + 2), column * (width + 2)
            sheet[top : top + height, left : left + width] = image
    figure, (ax,) = new_figure(
        width=0.62 * num_columns + 2.2, height=0.62 * len(rows) + 0.1
    )
    ax.imshow(sheet, interpolation="nearest")
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.set_xticks([])
    ax.set_yticks((np.arange(len(rows)) + 0.5) * (height + 2), map(words, rows))
    ax.tick_params(length=0)
    return figure


def diagnoses(trials: Sequence[Mapping[str, Any]]) -> Figure:
    """Return how many triplets with each fault, or none, were given each name."""
    names = [*FAULTS, CLEAN]
    columns = [*FAULTS, NOTHING]
    counts = np.zeros((len(names), len(columns)), int)
    for trial in trials:
        for named in trial["named"] or [NOTHING]:
            counts[names.index(trial["fault"]), columns.index(named)] += 1
    figure, (ax,) = new_figure(width=8.2, height=7.0)
    ax.grid(False)
    ax.imshow(counts > 0, cmap="Blues", vmin=0, vmax=2)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = INK if row == column else COLOURS[1]
            ax.text(column, row, f"{count}", ha="center", va="center", color=colour)
    ax.set_xticks(range(len(columns)), map(words, columns), rotation=50, ha="right")
    ax.set_yticks(range(len(names)), map(words, names))
    ax.set(xlabel="named", ylabel="planted")
    set_title(ax, f"{len(trials)} triplets, how often each fault was named")
    return figure


def evidence(trials: Sequence[Mapping[str, Any]], level: float) -> Figure:
    """Return the smallest p-value of each kind of test by planted fault, as a heat map.

    Each is the median over triplets, times the number of tests of a triplet.
    """
    rows = [name for name in (*FAULTS, CLEAN) if _smallest(trials, name)]
    table = np.array(
        [[_smallest(trials, name).get(test, 1.0) for test in TESTS] for name in rows]
    )
    depth = -np.log10(np.clip(table, LEAST_P_VALUE, 1.0))
    figure, (ax,) = new_figure(width=8.4, height=0.36 * len(rows) + 2.2)
    ax.grid(False)
    image = ax.imshow(depth, cmap="Blues", vmin=0, vmax=20, aspect="auto")
    for (row, column), value in np.ndenumerate(depth):
        if value >= -np.log10(level):
            colour = "white" if value > 11 else INK
            text = f"{value:.0f}" if value < 40 else "≥40"
            ax.text(
                column, row, text, ha="center", va="center", fontsize=8, color=colour
            )
    ax.set_xticks(range(len(TESTS)), TESTS.values(), rotation=45, ha="right")
    ax.set_yticks(range(len(rows)), map(words, rows))
    bar = figure.colorbar(image, ax=ax, shrink=0.8, pad=0.02)
    bar.set_label("-log10 of the p-value, times the number of tests", fontsize=9)
    set_title(ax, f"What each test says; numbers where it is below {level:g}")
    return figure


def _smallest(trials: Sequence[Mapping[str, Any]], fault: str) -> dict[str, float]:
    """Return the median over a fault's triplets of the smallest p-value by test."""
    found: dict[str, list[float]] = {}
    for trial in trials:
        mine: dict[str, float] = {}
        if trial["fault"] == fault:
            for key, value in trial["p_values"].items():
                first, *_, last = key.split("/")
                test = last if first == "images" else first
                mine[test] = min(mine.get(test, 1.0), value * len(trial["p_values"]))
        for test, value in mine.items():
            found.setdefault(test, []).append(value)
    return {test: float(np.median(values)) for test, values in found.items()}


def smallest(values: np.ndarray, level: float) -> Figure:
    """Return the smallest adjusted p-value of clean triplets, sorted, and its bound."""
    figure, (ax,) = new_figure(width=7.0, height=3.4)
    shares = np.arange(1, len(values) + 1) / max(len(values), 1)
    ax.plot(np.sort(values), shares, ".", color=COLOURS[0])
    low = min(*values, level / 10)
    line = np.geomspace(low, 1, 50)
    ax.plot(line, line, color=GREY, lw=1, label="the most that Holm allows")
    ax.axvline(level, color=COLOURS[1], lw=1.2, label="alarm, to the left of it")
    set_log_scale(ax, "x")
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    ax.set(xlabel="smallest adjusted p-value of a triplet", ylabel="share of triplets")
    set_title(ax, f"{len(values)} clean triplets")
    return figure


def hashes(distances: Mapping[str, np.ndarray], max_distance: int) -> Figure:
    """Return histograms of how near each test image's nearest training image is."""
    figure, (ax,) = new_figure(width=7.0, height=3.2)
    top = max(int(values.max()) for values in distances.values())
    edges = np.arange(-1, top + 3, 2)
    for colour, (name, values) in zip(COLOURS, distances.items(), strict=False):
        ax.hist(values, edges, histtype="step", color=colour, lw=1.8, label=words(name))
    ax.axvline(max_distance + 1, color=GREY, lw=1.2, ls="--")
    ax.set_yscale("symlog", linthresh=10)
    ax.set_yticks([0, 10, 100], ["0", "10", "100"])
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    ax.set(xlabel="bits to the nearest other image, of 64", ylabel="test images")
    set_title(ax, "Perceptual hashes of test images")
    return figure


def mirrored(found: Mapping[str, Sequence[Sequence[float]]], level: float) -> Figure:
    """Return the domain classifier's AUC by the number of images, for two mirrors."""
    curves = {
        words(name): ([row[0] for row in rows], [row[1] for row in rows])
        for name, rows in found.items()
    }
    return plots.lines(
        curves,
        title="One set mirrored: can a linear model tell?",
        x_label="images in each set",
        y_label="AUC",
        log_x=True,
    )


def precision_recall(
    precision: np.ndarray, recall: np.ndarray, average: float
) -> Figure:
    """Return the precision-recall curve of flipped labels found."""
    figure, (ax,) = new_figure(width=5.0, height=3.6)
    ax.plot(recall, precision, color=COLOURS[0], lw=1.8)
    ax.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.05))
    set_title(ax, f"Flipped labels, average precision {average:.3f}")
    return figure


def worst_labels(
    images: np.ndarray,
    given: np.ndarray,
    labels: np.ndarray,
    is_flipped: np.ndarray,
    quality: np.ndarray,
) -> Figure:
    """Return the worst labels that were flipped, and the worst that were not."""
    order = np.argsort(quality)
    flipped, others = order[is_flipped[order]][:8], order[~is_flipped[order]][:16]
    rows = np.concatenate([flipped, others])
    captions = [f"{given[row]}" for row in rows]
    return plots.image_grid(
        images[rows],
        captions,
        columns=8,
        title="The worst labels: 8 flipped ones, then the data's own",
        highlight=[bool(is_flipped[row]) for row in rows],
    )


def effects(found: Mapping[str, Sequence[Sequence[float]]], clean: str) -> Figure:
    """Return how far reported and true accuracy move with each fault, in points."""
    base = np.array(found[clean])  # [repeats, 2]
    names = [name for name in found if name != clean]
    moves = {name: 100 * (np.array(found[name]) - base) for name in names}
    figure, (ax,) = new_figure(width=8.2, height=0.36 * len(names) + 1.3)
    places = np.arange(len(names))
    for column, (label, colour) in enumerate(
        (("reported", COLOURS[1]), ("true", COLOURS[0]))
    ):
        means = [moves[name][:, column].mean() for name in names]
        heights = places + (column - 0.5) * 0.36
        ax.barh(heights, means, 0.34, color=colour, label=label)
        for height, name in zip(heights, names, strict=True):
            values = moves[name][:, column]
            if len(values) > 1:
                ax.plot(values, [height] * len(values), ".", color=INK, ms=3)
    ax.set_yticks(places, map(words, names))
    ax.invert_yaxis()
    ax.axvline(0, color=INK, lw=0.8)
    ax.legend(frameon=False, fontsize=9)
    ax.set_xlabel("points of accuracy, against the clean triplet")
    set_title(ax, "What each fault does to the accuracy")
    return figure
