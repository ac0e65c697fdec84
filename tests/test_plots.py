"""Figures: drawn without pyplot, legible, and refusing what they can't draw."""

import gc
import io
import subprocess
import sys
import weakref

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from tfcourse import figure_style, plots

RNG = np.random.default_rng(0)
HISTORY = {
    "loss": [1.0, 0.5, 0.2],
    "val_loss": [1.1, 0.6, 0.4],
    "accuracy": [0.5, 0.8, 0.9],
    "val_accuracy": [0.5, 0.7, 0.8],
}


def drawn(figure):
    """Draw the figure, as saving does; return all its texts."""
    figure.savefig(io.BytesIO(), format="png")
    return {text.get_text() for text in figure.findobj(Text)}


FIGURES = {
    "loss_curves": lambda: plots.loss_curves({"linear": HISTORY, "deep": HISTORY}),
    "lines": lambda: plots.lines({"a": ([1, 2], [3, 4]), "b": ([1, 2], [4, 3])}),
    "histogram": lambda: plots.histogram({"a": [1.0, 2.0], "b": [2.0, 5.0]}),
    "confusion_matrix": lambda: plots.confusion_matrix(np.eye(3, dtype=int), "abc"),
    "image_grid": lambda: plots.image_grid(np.zeros((5, 8, 8)), range(5), columns=3),
    "factor_effects": lambda: plots.factor_effects(
        {"width": {8: [0.5], 16: [0.6, 0.7]}}
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_leave_nothing_behind(name):
    before = dict(rcParams)
    figure = FIGURES[name]()
    drawn(figure)
    assert dict(rcParams) == before
    reference = weakref.ref(figure)
    del figure
    gc.collect()
    assert reference() is None


def test_pyplot_is_not_loaded():
    code = (
        "import io, sys; from tfcourse import plots; "
        "plots.lines({'a': ([1, 2], [3, 4])}).savefig(io.BytesIO()); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_leaves_its_figure(name):
    figure = FIGURES[name]()
    drawn(figure)
    box = figure.get_tightbbox(figure.canvas.get_renderer())  # In inches.
    width, height = figure.get_size_inches()
    assert box.x0 > -0.02 and box.x1 < width + 0.02
    assert box.y0 > -0.02 and box.y1 < height + 0.02


def test_loss_curves_show_both_sets_of_every_model():
    figure = plots.loss_curves({"linear": HISTORY, "deep": HISTORY})
    loss, accuracy = figure.axes
    assert {"training", "validation", "linear", "deep", "loss", "accuracy"} <= drawn(
        figure
    )
    assert len(loss.lines) == len(accuracy.lines) == 4
    dashed = [line for line in loss.lines if line.get_linestyle() == "--"]
    np.testing.assert_array_equal(dashed[0].get_ydata(), HISTORY["loss"])
    assert loss.get_yscale() == "log"


def test_loss_curves_without_a_metric_are_one_panel():
    figure = plots.loss_curves({"only": {"loss": [1.0]}}, log_loss=False)
    assert len(figure.axes) == 1
    assert "only" in drawn(figure)


def test_names_of_lines_do_not_collide():
    ends = {f"line {i}": ([0, 1], [0, 1 + i / 1000]) for i in range(6)}
    figure = plots.lines({**ends, "far": ([0, 1], [0, 0.2])})
    drawn(figure)
    renderer = figure.canvas.get_renderer()
    (ax,) = figure.axes
    boxes = sorted(
        (t.get_window_extent(renderer) for t in ax.texts), key=lambda b: b.y0
    )
    assert len(boxes) == 7
    for low, high in zip(boxes, boxes[1:], strict=False):
        assert high.y0 >= low.y1 - 3
    far = next(text for text in ax.texts if text.get_text() == "far")
    assert far.get_position()[1] < 0.3


def test_a_line_that_ends_in_nan_is_named_at_its_last_number():
    figure = plots.lines(
        {"a": ([0, 1, 2], [0, 1, np.nan]), "b": ([0, 1, 2], [0, 0, 0])}
    )
    assert {"a", "b"} <= drawn(figure)


def test_log_axes_have_plain_numbers():
    figure = plots.lines({"a": ([1, 1000], [10, 20])}, log_x=True, log_y=True)
    texts = drawn(figure)
    assert {"1", "10", "100", "1,000", "20"} <= texts
    assert not any("mathdefault" in text for text in texts)


def test_the_confusion_matrix_shows_each_count_and_the_accuracy():
    matrix = np.array([[5, 1, 0], [0, 6, 2], [0, 0, 7]])
    texts = drawn(plots.confusion_matrix(matrix, ["cat", "dog", "frog"]))
    assert {"5", "1", "6", "2", "7", "cat", "frog", "accuracy 85.71%"} <= texts
    assert "0" not in texts


def test_a_class_without_examples_is_drawn():
    drawn(plots.confusion_matrix(np.zeros((2, 2), int), ["a", "b"]))


def test_a_confusion_matrix_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"got shape \(2, 2\) for 3 class names"):
        plots.confusion_matrix(np.eye(2), ["a", "b", "c"])


@pytest.mark.parametrize("shape", [(7, 8, 8), (7, 8, 8, 1), (7, 8, 8, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_image_grids(shape, dtype):
    figure = plots.image_grid(
        np.ones(shape, dtype), list("abcdefg"), columns=4, title="Digits"
    )
    assert set("abcdefg") <= drawn(figure)
    assert sum(len(ax.images) for ax in figure.axes) == 7
    top = 255 if dtype == np.uint8 else 1
    assert (
        len(shape) == 4 and shape[-1] == 3 or figure.axes[0].images[0].norm.vmax == top
    )


def test_mistakes_are_coloured():
    figure = plots.image_grid(np.zeros((2, 4, 4)), "ab", highlight=[False, True])
    colours = [to_rgb(ax.title.get_color()) for ax in figure.axes]
    assert colours[0] != colours[1] == to_rgb(plots.COLOURS[1])


def test_the_factor_that_matters_most_comes_first():
    effects = {
        "depth": {1: [0.95, 0.96], 2: [0.96, 0.97]},
        "learning_rate": {0.1: [0.5, 0.6], 0.001: [0.97, 0.98], 0.01: [0.9, 0.9]},
    }
    figure = plots.factor_effects(effects, metric="accuracy")
    assert {"learning rate", "moves the mean by 0.425", "accuracy"} <= drawn(figure)
    first = figure.axes[0]
    assert [t.get_text() for t in first.get_xticklabels()] == ["0.001", "0.01", "0.1"]
    means = [line.get_ydata()[0] for line in first.lines if line.get_marker() == "D"]
    assert means == pytest.approx([0.975, 0.9, 0.55])


def contrast_with_white(colour):
    linear = [
        c / 12.92 if c <= 0.04 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 1.05 / (luminance + 0.05)


def test_colours_stand_out_from_the_page_and_from_each_other():
    for colour in (figure_style.GREY, figure_style.INK):
        assert contrast_with_white(colour) > 4.5
    assert all(contrast_with_white(colour) > 2 for colour in plots.COLOURS)
    assert len(set(plots.COLOURS)) == len(plots.COLOURS)
