"""Keras's callbacks see the epochs that `model.fit` would have shown them."""

import keras
import numpy as np
import pytest

from tests.training.small import classes, classifier, weights
from tfcourse.training import epochs as epochs_module
from tfcourse.training import fit

pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")


def both(make_callbacks, *, epochs=6, **options):
    """Train with Keras and with the trainer; assert equal histories and weights."""
    options |= {"batch_size": 16, "epochs": epochs, "shuffle": False}
    options |= {"validation_data": classes(30, seed=1)}
    theirs, ours = (classifier(keras.optimizers.SGD(1.0)) for _ in range(2))
    expected = theirs.fit(*classes(), verbose=0, callbacks=make_callbacks(), **options)
    callbacks = make_callbacks()
    history = fit(ours, *classes(), engine="graph", callbacks=callbacks, **options)
    assert history.epoch == expected.epoch
    for key, values in expected.history.items():
        np.testing.assert_allclose(history.history[key], values, atol=1e-4)
    np.testing.assert_allclose(weights(ours), weights(theirs), atol=1e-5)
    return callbacks, history


def test_learning_rates():
    _, history = both(
        lambda: [
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5),
            keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=0.05),
        ]
    )
    rates = history.history["learning_rate"]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) > 1


def test_early_stopping_restores_the_best_weights():
    (stopping,), history = both(
        lambda: [
            keras.callbacks.EarlyStopping(
                "val_loss", min_delta=0.02, patience=2, restore_best_weights=True
            )
        ],
        epochs=30,
    )
    assert 0 < stopping.stopped_epoch < 29
    assert len(history.epoch) == stopping.stopped_epoch + 1


def test_checkpoints_logs_and_boards(tmp_path):
    numbers = iter(range(2))

    def make():
        folder = tmp_path / str(next(numbers))
        return [
            keras.callbacks.ModelCheckpoint(folder / "best.keras", save_best_only=True),
            keras.callbacks.CSVLogger(tmp_path / f"{folder.name}.csv"),
            keras.callbacks.TensorBoard(folder / "board"),
            keras.callbacks.TerminateOnNaN(),
        ]

    (tmp_path / "0").mkdir()
    (tmp_path / "1").mkdir()
    both(make, epochs=2)
    theirs, ours = (
        sorted(p.relative_to(tmp_path / n).parts[:2] for p in (tmp_path / n).rglob("*"))
        for n in "01"
    )
    assert ours == theirs
    header = (tmp_path / "1.csv").read_text().splitlines()[0]
    assert header == "epoch,accuracy,loss,val_accuracy,val_loss"


class Calls(keras.callbacks.Callback):
    few_batch_calls_are_enough = True

    def __init__(self):
        super().__init__()
        self.seen = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            note = super().__getattribute__("seen").append
            return lambda *args, **kwargs: note((name, *args[:1]))
        return super().__getattribute__(name)


def test_the_order_of_calls():
    calls = Calls()
    options = {"batch_size": 16, "validation_data": classes(20), "engine": "graph"}
    fit(classifier(), *classes(), callbacks=[calls], **options)
    names = [name for name, *_ in calls.seen]
    assert names == [
        "on_train_begin",
        "on_epoch_begin",
        "on_train_batch_begin",
        "on_train_batch_end",
        "on_test_begin",
        "on_test_batch_begin",
        "on_test_batch_end",
        "on_test_end",
        "on_epoch_end",
        "on_train_end",
    ]
    assert (
        dict(call for call in calls.seen if len(call) == 2)["on_train_batch_end"] == 4
    )


def test_a_long_epoch_comes_in_parts(monkeypatch):
    monkeypatch.setattr(epochs_module, "SECONDS_PER_CALL", 0.0)
    monkeypatch.setattr(epochs_module, "FIRST_CALL_STEPS", 2)
    calls = Calls()
    whole, parts = classifier("adam"), classifier("adam")
    options = {"batch_size": 16, "engine": "graph"}
    history = fit(parts, *classes(), callbacks=[calls], **options)
    ends = [batch for name, *batch in calls.seen if name == "on_train_batch_end"]
    assert ends == [[1], [2], [3], [4]]
    monkeypatch.undo()
    expected = fit(whole, *classes(), **options)
    np.testing.assert_array_equal(weights(parts), weights(whole))
    assert history.history == expected.history


class StopAt(keras.callbacks.Callback):
    few_batch_calls_are_enough = True

    def on_train_batch_end(self, batch, logs=None):
        if logs["loss"] > 0:
            self.model.stop_training = True


def test_a_callback_stops_in_mid_epoch(monkeypatch):
    monkeypatch.setattr(epochs_module, "FIRST_CALL_STEPS", 2)
    model = classifier()
    options = {"batch_size": 16, "epochs": 3, "engine": "graph"}
    history = fit(model, *classes(), callbacks=[StopAt()], **options)
    assert int(model.optimizer.iterations) == 2
    assert history.epoch == [0]


def test_the_progress_bar_of_keras(capsys):
    fit(classifier(), *classes(), epochs=2, verbose=2, engine="graph")
    lines = capsys.readouterr().out
    assert "Epoch 2/2" in lines
    assert "accuracy: 0." in lines
    fit(classifier(), *classes(), engine="graph")
    assert capsys.readouterr().out == ""
