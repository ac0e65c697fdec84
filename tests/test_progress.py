"""Progress: a live bar on a terminal, plain lines elsewhere, nothing if not wanted."""

import io

import keras
import numpy as np
import pytest
from rich.console import Console

from tfcourse import progress
from tfcourse.progress import FitProgress, LiveProgress, shown_metrics

X = np.ones((32, 3), "float32")
Y = np.ones((32, 1), "float32")


def console(terminal):
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=90, legacy_windows=False
    )


def fit(live, epochs=3, **options):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"], run_eagerly=True)
    callbacks = [FitProgress(live, "deep", epochs)]
    model.fit(X, Y, batch_size=8, epochs=epochs, callbacks=callbacks, **options)
    return live.console.file.getvalue()


def test_a_pipe_gets_one_line_per_short_training():
    output = fit(LiveProgress(console=console(False)), validation_data=(X, Y))
    (line,) = output.splitlines()
    assert line.startswith("deep: epoch 3/3  loss ")
    assert "val_mae" in line
    assert line.endswith(" s")


def test_long_epochs_get_lines_with_the_time_left(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    lines = fit(LiveProgress(console=console(False))).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("deep: epoch 1/3  loss ")
    assert lines[0].endswith("s left")


def test_a_terminal_gets_a_bar_that_goes_away():
    live = LiveProgress(console=console(True))
    output = fit(live)
    assert "━" in output
    assert "epoch 3/3" in output.splitlines()[-1]
    assert output.rstrip().splitlines()[-1].startswith("deep: ")
    assert output.count("\x1b[?25l") == output.count("\x1b[?25h")  # The cursor is back.
    assert live._bars is None


def test_keras_leaves_its_own_bar_out(capsys):
    fit(LiveProgress(console=console(False)), verbose=1)
    assert capsys.readouterr().out == ""


def test_quiet_is_quiet():
    for terminal in (True, False):
        live = LiveProgress(show=False, console=console(terminal))
        assert fit(live) == ""
        assert list(live.track([1, 2], "study")) == [1, 2]
        assert live.console.file.getvalue() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_loop_passes_its_items_on(terminal):
    live = LiveProgress(console=console(terminal))
    assert list(live.track(range(5), "study")) == list(range(5))
    assert list(live.track((i for i in range(2)), "more")) == [0, 1]
    assert "study: 5 done in" in live.console.file.getvalue()


def test_bars_can_be_nested():
    live = LiveProgress(console=console(True))
    for _ in live.track(range(2), "study"):
        fit(live)
    assert live._bars is None


def test_a_loop_that_breaks_gives_the_terminal_back():
    live = LiveProgress(console=console(True))
    with pytest.raises(RuntimeError):
        for _ in live.track(range(5), "study"):
            raise RuntimeError
    assert live._bars is None


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        (["loss"], ["loss"]),
        (["loss", "accuracy"], ["loss", "accuracy"]),
        (["loss", "val_loss"], ["loss", "val_loss"]),
        (["accuracy", "loss", "val_accuracy", "val_loss"], ["loss", "val_accuracy"]),
        (["loss", "learning_rate"], ["loss"]),
        ([], []),
    ],
)
def test_shown_metrics(keys, shown):
    assert shown_metrics(dict.fromkeys(keys, 1.0)) == shown
