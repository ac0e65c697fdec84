"""A training that was stopped goes on to the same bits."""

import keras
import numpy as np
import pytest

from tests.training.small import classes, classifier, state
from tfcourse.resume import ResumePoints
from tfcourse.training import engines, fit


class Killed(Exception):
    pass


class KillAfter(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.last = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.last:
            raise Killed


# Keras's `save_weights` with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")


def build():
    return classifier("adam", normalized=True, dropout=0.3)


def train(model, callbacks=(), *, epochs=4, engine="graph", **options):
    options |= {"batch_size": 8, "engine": engine, "epochs": epochs}
    return fit(model, *classes(), callbacks=list(callbacks), seed=5, **options)


@pytest.mark.parametrize("engine", ["graph", "xla", "fit"])
def test_two_and_two_epochs_make_four(engine):
    whole, parts = build(), build()
    train(whole, engine=engine)
    train(parts, engine=engine, epochs=2)
    train(parts, engine=engine, initial_epoch=2)
    np.testing.assert_array_equal(state(parts), state(whole))


def backup(folder, resume):
    return keras.callbacks.BackupAndRestore(folder, delete_checkpoint=False)


def points(folder, resume):
    return ResumePoints(folder, seed=1, name="stage", resume=resume)


@pytest.mark.parametrize("keeper", [backup, points])
@pytest.mark.parametrize("engine", ["graph", "fit"])
def test_an_interrupted_training_ends_with_the_same_bits(tmp_path, keeper, engine):
    whole = build()
    train(whole, [keeper(tmp_path / "whole", False)], engine=engine)
    folder = tmp_path / "killed"
    with pytest.raises(Killed):
        train(build(), [keeper(folder, False), KillAfter(1)], engine=engine)
    resumed = build()
    history = train(resumed, [keeper(folder, True)], engine=engine)
    np.testing.assert_array_equal(state(resumed), state(whole))
    assert history.epoch[-2:] == [2, 3]


@pytest.mark.parametrize("keeper", [backup, points])
def test_a_resumed_training_keeps_its_engine(tmp_path, keeper, monkeypatch):
    monkeypatch.setattr(engines, "_worth_trying", lambda *_: True)
    monkeypatch.setattr(engines, "_try_xla", lambda *_: 0.0)
    with pytest.raises(Killed):
        train(build(), [keeper(tmp_path, False), KillAfter(1)], engine="auto")
    monkeypatch.setattr(engines, "_worth_trying", lambda *_: False)
    history = train(build(), [keeper(tmp_path, True)], engine="auto")
    assert history.engine.name == "xla"
    fresh = train(build(), [points(tmp_path, False)], engine="auto")
    assert fresh.engine.name == "graph"
