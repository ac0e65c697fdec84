"""Figures and tables of recorded runs: what TensorBoard shows, on one page."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfcourse.doctor.event_files import EventFile
from tfcourse.doctor.reading import read_run
from tfcourse.doctor.record import Record
from tfcourse.figure_style import (
    COLOURS,
    GREY,
    INK,
    label_line_ends,
    new_figure,
    set_log_scale,
    set_title,
)

Recordings = Mapping[str, Record]
Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]

FIRST_STEPS = 4
USUAL_UPDATE = 1e-3  # Of the weights, in one step: a rule of thumb.


def _draw(ax: Axes, curves: Curves, marker: str = "") -> None:
    """Plot named curves on a logarithmic y axis, names at their ends."""
    names = {}
    for colour, (name, (x_values, y_values)) in zip(
        COLOURS, curves.items(), strict=False
    ):
        (line,) = ax.plot(x_values, y_values, marker=marker, ms=4, lw=1.6, color=colour)
        names[line] = name
    set_log_scale(ax, "y")
    label_line_ends(ax, names)


def _level(ax: Axes, value: float, x_value: float, text: str) -> None:
    """Draw a dotted line across, with a text below it."""
    ax.axhline(value, color=GREY, lw=1, ls=":")
    ax.annotate(
        text,
        (x_value, value),
        xytext=(0, -4),
        textcoords="offset points",
        va="top",
        fontsize=9,
        color=GREY,
    )


def first_losses(recordings: Recordings, chance: float) -> Figure:
    """Return the losses of the first steps, beside what knowing nothing gives."""
    figure, (ax,) = new_figure(width=7.0)
    curves = {}
    for name, found in recordings.items():
        series = found.train["step/loss"]
        early = series.steps <= FIRST_STEPS
        curves[name] = series.steps[early], series.values[early]
    ax.set(xlabel="step", ylabel="step/loss")
    set_title(ax, "The loss at step 0, against chance")
    ax.set_xticks(range(FIRST_STEPS + 1))
    ax.plot(0, chance / 5, alpha=0)  # Room below for the text.
    _level(ax, chance, 0, f"chance: {chance:.2f}")
    _draw(ax, curves, "o")
    return figure


def layer_gradients(recordings: Recordings) -> Figure:
    """Return each kernel's gradient at the first step, from the input to the output."""
    figure, (ax,) = new_figure(width=7.0)
    curves, labels = {}, []
    for name, found in recordings.items():
        tags = [tag for tag in found.train if tag.startswith("gradient_norm/")]
        tags = sorted(tag for tag in tags if tag.endswith("/kernel"))
        curves[name] = range(len(tags)), [found.train[tag].values[0] for tag in tags]
        labels = [tag.split("/")[-2].replace("hidden_", "hidden\n") for tag in tags]
    ax.set_xticks(range(len(labels)), labels, fontsize=9)
    ax.set(ylabel="gradient_norm/…/kernel, step 0")
    set_title(ax, "Gradients, layer by layer")
    _draw(ax, curves, "o")
    return figure


def updates(recordings: Recordings) -> Figure:
    """Return by how much of themselves the first kernel's weights change in a step."""
    figure, (ax,) = new_figure(width=7.0)
    curves = {}
    for name, found in recordings.items():
        tags = [tag for tag in found.train if tag.startswith("update_ratio/")]
        (tag,) = (tag for tag in tags if tag.endswith("hidden_1/kernel"))
        series = found.train[tag]
        shown = series.values > 0  # Where all units are dead nothing moves.
        curves[name] = series.steps[shown] + 1, series.values[shown]
    ax.set(xlabel="step, counted from 1", ylabel="update_ratio/…/hidden_1/kernel")
    set_title(ax, "How far a step moves the weights")
    _level(ax, USUAL_UPDATE, 1, "a thousandth")
    ax.set_xscale("log")
    _draw(ax, curves)
    return figure


def layer_activations(recordings: Recordings, tag: str) -> Figure:
    """Return the last histogram of one layer's activations, one panel per recording."""
    figure, axes = new_figure(1, len(recordings), width=4.0 * len(recordings))
    for ax, colour, (name, found) in zip(
        axes, COLOURS, recordings.items(), strict=False
    ):
        histogram = found.histograms[tag][-1]
        share = histogram.counts / max(histogram.counts.sum(), 1.0)
        ax.stairs(share, histogram.edges, fill=True, color=colour, alpha=0.6)
        ax.axvline(0, color=INK, lw=0.8)
        ax.set(xlabel=tag, ylabel="share")
        set_title(ax, name)
    return figure


def class_shares(recordings: Recordings, num_batches: int = 24) -> Figure:
    """Return which classes some recorded batches hold, one panel per recording."""
    figure, axes = new_figure(1, len(recordings), width=4.0 * len(recordings))
    for ax, (name, found) in zip(axes, recordings.items(), strict=True):
        tags = sorted(tag for tag in found.train if tag.startswith("label_share/"))
        steps = found.train["step/loss"].steps
        chosen = np.linspace(0, len(steps) - 1, min(num_batches, len(steps)))
        steps = steps[chosen.astype(int)]
        shares = np.zeros(
            (len(tags), len(steps))
        )  # A class that isn't there: no value.
        for row, tag in zip(shares, tags, strict=True):
            by_step = dict(
                zip(found.train[tag].steps, found.train[tag].values, strict=True)
            )
            row[:] = [by_step.get(step, 0.0) for step in steps]
        ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        ax.grid(False)
        ax.set_yticks(range(len(tags)), [tag.split("/")[1] for tag in tags])
        ax.set(xlabel="recorded batch, from first to last", ylabel="label_share/…")
        set_title(ax, name)
    return figure


def recorded_inputs(folder: Path, title: str) -> Figure | None:
    """Return the picture that a recording has under images/inputs, if there is one."""
    from PIL import Image

    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in EventFile(path).events():
            for value in event.summary.value:
                if value.tag == "images/inputs":
                    content = value.image.encoded_image_string
                    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
                    height = 6.0 * picture.shape[0] / picture.shape[1]
                    figure, (ax,) = new_figure(width=6.0, height=height + 0.4)
                    ax.imshow(picture)
                    ax.set_axis_off()
                    set_title(ax, title)
                    return figure
    return None


def batch_losses(losses: Mapping[str, Sequence[float]]) -> Figure:
    """Return the losses of scripts that see one batch again and again."""
    figure, (ax,) = new_figure(width=7.0)
    ax.set(xlabel="step, always on the same batch", ylabel="loss")
    set_title(ax, "One batch, to be learned by heart")
    _draw(ax, {k: (range(1, len(v) + 1), v) for k, v in losses.items()})
    return figure


# What each figure shows: a label and the recording that stands for it. No label names
# a script: the handout shows these figures before the student has looked.
FIGURES = {
    "step_0": {
        "healthy": "juniper/as_it_is",
        "head and loss don't fit": "amber/as_it_is",
        "inputs of hundreds": "birch/as_it_is",
    },
    "gradients": {"as it is": "cedar/as_it_is", "mended": "cedar/mended"},
    "activations": {"as it is": "ember/as_it_is", "mended": "ember/mended"},
    "updates": {
        "too short": "islet/as_it_is",
        "healthy": "juniper/as_it_is",
        "too long": "delta/as_it_is",
    },
    "class_shares": {"as it is": "grove/as_it_is", "healthy": "juniper/as_it_is"},
}
BATCH_LABELS = {
    "cedar": "gradients vanish",
    "fjord": "wrong labels",
    "juniper": "healthy",
}


def all_figures(
    directory: Path, losses: Mapping[str, Sequence[float]]
) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of exercise 04 that the recordings below `directory` allow.

    Args:
        directory: Holds `<script>/as_it_is` and, for some scripts, `<script>/mended`.
        losses: For `batch_losses`, by script.
    """
    builders = {
        "step_0": functools.partial(first_losses, chance=float(np.log(10))),
        "gradients": layer_gradients,
        "activations": functools.partial(layer_activations, tag="activations/hidden_1"),
        "updates": updates,
        "class_shares": class_shares,
    }
    for name, builder in builders.items():
        folders = {label: directory / run for label, run in FIGURES[name].items()}
        if all(folder.is_dir() for folder in folders.values()):
            yield name, builder({k: read_run(folder) for k, folder in folders.items()})
    picture = recorded_inputs(directory / "fjord" / "as_it_is", "images/inputs")
    if picture is not None:
        yield "inputs", picture
    if losses:
        named = {BATCH_LABELS.get(name, name): v for name, v in losses.items()}
        yield "one_batch", batch_losses(named)


def comparison(results: Mapping[str, Mapping]) -> str:
    """Return a table in Markdown: each script, the answer to it, the doctor's findings."""
    lines = [
        "| script | as it is | mended | answer | doctor |",
        "|---|---:|---:|---|---|",
    ]
    for name, result in results.items():
        answer, doctor = (", ".join(result[key]) for key in ("faults", "doctor"))
        accuracies = f"{result['as_it_is']:.3f} | {result['mended']:.3f}"
        lines.append(f"| {name} | {accuracies} | {answer} | {doctor} |")
    return "\n".join(lines)
