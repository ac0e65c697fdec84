"""Figures of what layers represent: planes, curves over depth, alignments, neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from tfcourse.plots import (
    COLOURS,
    GREY,
    INK,
    label_line_ends,
    new_figure,
    set_log_scale,
    set_title,
)

Row = Mapping[str, Any]
Rows = Mapping[str, Mapping[str, Row]]  # By network, by layer.

CLASS_COLOURS = mpl.colormaps["tab10"].colors
NUM_QUERIES = 5
STYLES = {"trained": "-", "untrained": "--"}


def depth_curves(rows: Rows) -> Figure:
    """Return three panels over depth: linear probe, nearest neighbours, trust.

    Args:
        rows: For "trained" and "untrained", by layer, `probe`, `knn_pca`, `knn_tsne`,
            `same_class`, `trust_pca`, `trust_tsne`.
    """
    figure, axes = new_figure(1, 3, width=11.0, height=4.0)
    panels = (
        ("linear probe, error", {"probe": "all units"}),
        (
            "neighbours of the same class",
            {
                "knn_tsne": "t-SNE plane",
                "knn_pca": "PCA plane",
                "same_class": "all units",
            },
        ),
        ("trustworthiness", {"trust_tsne": "t-SNE plane", "trust_pca": "PCA plane"}),
    )
    for ax, (title, curves) in zip(axes, panels, strict=True):
        names = {}
        for colour, (key, label) in zip(COLOURS, curves.items(), strict=False):
            for network, style in STYLES.items():
                values = np.array([row[key] for row in rows[network].values()])
                values = 1 - values if key == "probe" else values
                line = _curve(ax, values, style, colour)
                if network == "trained":
                    names[line] = label
        set_title(ax, title)
        layers = list(rows["trained"])
        ax.set_xticks(range(len(layers)), [short_name(name) for name in layers])
        ax.tick_params(axis="x", labelrotation=60)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        if len(names) > 1:
            label_line_ends(ax, names)
    set_log_scale(axes[0], "y")
    axes[0].yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g}%")
    handles = [
        Line2D([], [], color=GREY, linestyle=style, label=name)
        for name, style in STYLES.items()
    ]
    axes[0].legend(handles=handles, frameon=False, fontsize=9)
    return figure


def _curve(ax: Axes, values: np.ndarray, style: str, colour: str) -> Line2D:
    (line,) = ax.plot(
        range(len(values)), values, style, marker="o", ms=4, lw=1.8, color=colour
    )
    return line


def short_name(layer: str) -> str:
    """Return a layer's name as it stands below an axis.

    >>> short_name("hidden_3")
    'hidden 3'
    """
    return layer.replace("_", " ")


def explained_variance(rows: Rows) -> Figure:
    """Return the variance that the first components explain together, for each layer.

    Args:
        rows: For "untrained" and "trained", by layer, `shares` in falling order.
    """
    figure, axes = new_figure(1, 2, width=9.4, height=3.6, share_y=True)
    colours = mpl.colormaps["viridis"]
    for ax, network in zip(axes, ("untrained", "trained"), strict=True):
        layers = rows[network]
        for depth, (name, row) in enumerate(layers.items()):
            total = np.cumsum(row["shares"])
            colour = colours(0.92 * depth / max(len(layers) - 1, 1))
            ax.plot(
                range(1, len(total) + 1),
                total,
                color=colour,
                lw=1.8,
                label=short_name(name),
            )
        ax.set(xscale="log", xlim=(1, 100), ylim=(0, 1.02), xlabel="components")
        ax.set_xticks(
            [1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"]
        )
        ax.minorticks_off()
        ax.axvline(2, color=GREY, lw=0.8, linestyle=":")
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        set_title(ax, network)
    axes[0].set_ylabel("variance explained")
    axes[1].legend(
        frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5)
    )
    return figure


def planes(rows: Rows, labels: np.ndarray, kind: str) -> Figure:
    """Return the points of each layer in the plane, untrained above trained.

    Args:
        rows: For "untrained" and "trained", by layer, `plane_<kind>` [n, 2] and
            `knn_<kind>`.
        labels: int [n], below 10.
        kind: pca or tsne.
    """
    layers = list(rows["trained"])
    figure, axes = new_figure(2, len(layers), width=1.75 * len(layers), height=4.3)
    for index, ax in enumerate(axes):
        network = "untrained" if index < len(layers) else "trained"
        layer = layers[index % len(layers)]
        row = rows[network][layer]
        scatter(ax, np.asarray(row[f"plane_{kind}"]), labels)
        ax.set_title(f"{short_name(layer)}  {row[f'knn_{kind}']:.1%}", fontsize=9)
        if index % len(layers) == 0:
            ax.set_ylabel(network, fontsize=11, fontweight="bold", color=INK)
    return figure


def scatter(ax: Axes, plane: np.ndarray, labels: np.ndarray | None) -> None:
    """Draw points, coloured by class, with each class's number at its median."""
    ax.grid(False)
    ax.set(xticks=[], yticks=[])
    size = min(4.0, 3000 / len(plane))
    if labels is None:
        ax.scatter(*plane.T, s=size, color=GREY, linewidths=0, rasterized=True)
        return
    colours = np.array(CLASS_COLOURS)[labels % len(CLASS_COLOURS)]
    # In random order by now: no class lies on top of all others.
    ax.scatter(*plane.T, s=size, c=colours, linewidths=0, rasterized=True)
    for label in np.unique(labels):
        x, y = np.median(plane[labels == label], axis=0)
        ax.text(
            x,
            y,
            str(label),
            fontsize=8,
            fontweight="bold",
            ha="center",
            va="center",
            color=INK,
            bbox={
                "boxstyle": "circle,pad=0.15",
                "fc": "white",
                "ec": "none",
                "alpha": 0.7,
            },
        )


def alignments(pairs: Mapping[str, np.ndarray], layers: Sequence[str]) -> Figure:
    """Return a map for each pair of networks: the alignment of each layer with each.

    Args:
        pairs: By the other network's name, float [layers, layers] in [0, 1]; row: layer
            of the trained network.
        layers: Their names.
    """
    figure, axes = new_figure(1, len(pairs), width=4.9 * len(pairs), height=4.5)
    names = [short_name(name) for name in layers]
    for ax, (other, matrix) in zip(axes, pairs.items(), strict=True):
        ax.grid(False)
        ax.imshow(matrix, cmap="viridis", vmin=0, vmax=1, origin="lower")
        for (row, column), value in np.ndenumerate(matrix):
            colour = "white" if value < 0.6 else "black"
            ax.text(
                column,
                row,
                f"{value:.2f}",
                ha="center",
                va="center",
                size=8,
                color=colour,
            )
        ax.set_xticks(range(len(names)), names, rotation=60)
        ax.set_yticks(range(len(names)), names)
        ax.set_xlabel(other)
        set_title(ax, f"trained against {other}")
    axes[0].set_ylabel("trained")
    return figure


def perplexities(rows: Sequence[Row], labels: np.ndarray) -> Figure:
    """Return planes of the same points at several perplexities, a row for each set.

    Args:
        rows: Each with `set`, `perplexity`, `plane` [n, 2] and, where there are classes,
            `knn`; sorted by set.
        labels: int [n].
    """
    columns = len({row["perplexity"] for row in rows})
    lines = len(rows) // columns
    figure, axes = new_figure(
        lines, columns, width=2.3 * columns, height=2.4 * lines + 0.3
    )
    for index, (ax, row) in enumerate(zip(axes, rows, strict=True)):
        scatter(ax, np.asarray(row["plane"]), labels if "knn" in row else None)
        title = f"perplexity {row['perplexity']:g}"
        ax.set_title(
            f"{title}  {row['knn']:.1%}" if "knn" in row else title, fontsize=9
        )
        if index % columns == 0:
            ax.set_ylabel(row["set"], fontsize=11, fontweight="bold", color=INK)
    return figure


def neighbours(
    layers: Mapping[str, Row], images: np.ndarray, labels: np.ndarray
) -> Figure:
    """Return whom some points pick as neighbours, in the pixels and in the last layer.

    The points are those that gained most from the pixels to the last hidden layer.

    Args:
        layers: By name; of the first and the last hidden one `same_class_by_point` [n],
            `nearest` [n, k] and `nearest_probability` [n, k].
        images: uint8 [n, height, width].
        labels: int [n].
    """
    names = list(layers)
    ends = names[0], names[-2]
    same = [np.asarray(layers[name]["same_class_by_point"]) for name in ends]
    queries = np.argsort(same[0] - same[1])[:NUM_QUERIES]
    num_nearest = np.shape(layers[ends[0]]["nearest"])[1]
    columns = 1 + 2 * (num_nearest + 1)  # A gap before each of the two layers.
    figure, axes = new_figure(
        len(queries), columns, width=0.62 * columns, height=0.95 * len(queries) + 0.5
    )
    grid = np.array(axes).reshape(len(queries), columns)
    figure.get_layout_engine().set(rect=(0, 0, 1, 0.95))  # Room for the two titles.
    for ax in axes:
        ax.set_axis_off()
    for line, query in zip(grid, queries, strict=True):
        _digit(line[0], images[query], f"a {labels[query]}", INK)
        for start, name in zip((2, 3 + num_nearest), ends, strict=True):
            nearest = np.array(layers[name]["nearest"][query])
            shares = layers[name]["nearest_probability"][query]
            for ax, j, share in zip(line[start:], nearest, shares, strict=False):
                right = labels[j] == labels[query]
                text = f"{labels[j]}  {share:.0%}"
                _digit(ax, images[j], text, COLOURS[0] if right else COLOURS[1])
    for start, name in zip((2, 3 + num_nearest), ends, strict=True):
        title = grid[0, start].annotate(
            f"picks by {short_name(name)}",
            (0, 1.45),
            xycoords="axes fraction",
            fontsize=10,
            fontweight="bold",
            color=INK,
        )
        title.set_in_layout(False)  # Else its column would be as wide as the title.
    return figure


def _digit(ax: Axes, image: np.ndarray, caption: str, colour: str) -> None:
    ax.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    ax.set_title(caption, fontsize=7.5, pad=2, color=colour)
