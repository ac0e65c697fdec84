"""A run that is killed and resumed ends as one that was never interrupted."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from tfcourse import resume
from tfcourse.errors import UserError
from tfcourse.resume import ResumePoints
from tfcourse.resume_points import (
    DamagedPointError,
    Point,
    decode,
    encode,
    restore_state,
    saved_state,
)
from tfcourse.runs import Run
from tfcourse.shuffle_order import CountedIterators

ROOT = Path(__file__).parents[1]
CHILD = ROOT / "tests" / "fixtures" / "killed_run.py"


def start(folder, *place):
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(folder), *place],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def end(process):
    output, errors = process.communicate(timeout=120)
    return process.returncode, output + errors


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_kill_9_in_mid_training_changes_no_bit(tmp_path):
    with start(tmp_path / "whole") as uninterrupted:
        for place in ("second:3:5", "third:2:7"):
            code, output = end(start(tmp_path / "killed", place))
            assert code == -signal.SIGKILL, output
        code, output = end(start(tmp_path / "killed"))
        assert code == 0, output
        assert "first: complete" in output and "second: complete" in output
        assert "third: resumed after epoch" in output
        code, output = end(uninterrupted)
        assert code == 0, output
    with (
        np.load(tmp_path / "whole.npz") as whole,
        np.load(tmp_path / "killed.npz") as killed,
    ):
        assert len(whole.files) > 20
        for name in whole.files:
            np.testing.assert_array_equal(whole[name], killed[name], err_msg=name)
    result = json.loads((tmp_path / "killed" / "result.json").read_text())
    assert result["status"] == "complete"
    assert not (tmp_path / "killed" / "resume").exists()


class StopError(Exception):
    """Interrupts training in this process, where starting another one costs seconds."""


class Interrupt(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise StopError


class Recorder(keras.Model):
    """Writes down the examples in the order in which it is trained on them."""

    def __init__(self, num_examples):
        super().__init__()
        self.seen = self.add_weight(shape=(num_examples,), initializer="zeros")
        self.count = self.add_weight(shape=(), dtype="int32", initializer="zeros")

    def train_step(self, data):
        x, _ = data
        places = self.count + tf.range(tf.shape(x)[0])
        seen = tf.tensor_scatter_nd_update(self.seen.value, places[:, None], x)
        self.seen.assign(seen)
        self.count.assign_add(tf.shape(x)[0])
        return {"loss": tf.reduce_mean(x)}


NUMBERS = tf.data.Dataset.from_tensor_slices(
    (np.arange(20, dtype=np.float32), np.zeros(20, np.float32))
)
PIPELINES = {
    "shuffle": lambda: NUMBERS.shuffle(20, seed=1).batch(5),
    "global seed": lambda: NUMBERS.shuffle(20).batch(5),
    "ragged end": lambda: NUMBERS.shuffle(6, seed=1).batch(7),
    "recommended": lambda: (
        NUMBERS.cache()
        .shuffle(20, seed=1)
        .batch(5)
        .map(lambda x, y: (x, y), num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    ),
    "cache too late": lambda: NUMBERS.shuffle(20, seed=1).batch(5).cache(),
    "shuffled twice": lambda: NUMBERS.shuffle(7, seed=1).batch(5).shuffle(4, seed=9),
    "repeated": lambda: NUMBERS.shuffle(20, seed=1).repeat(2).batch(5),
}


def train(folder, pipeline, *, interrupt=None, resume=False, epochs=4):
    keras.utils.set_random_seed(0)
    train_ds = PIPELINES[pipeline]()
    model = Recorder(200)
    model.compile(run_eagerly=True)
    run = Run(folder, resume=resume, show_progress=False)
    callbacks = run.callbacks("only", epochs=epochs, train_ds=train_ds)
    try:
        model.fit(
            train_ds,
            epochs=epochs,
            callbacks=[*callbacks, Interrupt(interrupt)],
            shuffle=False,
            verbose=0,
        )
    except StopError:
        return None
    return model.seen.numpy()[: int(model.count.numpy())]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_resumed_run_sees_the_examples_in_the_same_order(pipeline, tmp_path):
    whole = train(tmp_path / "whole", pipeline)
    for epoch in (1, 3):
        train(tmp_path / f"{epoch}", pipeline, interrupt=epoch)
        resumed = train(tmp_path / f"{epoch}", pipeline, resume=True)
        np.testing.assert_array_equal(resumed, whole)


def test_the_orders_of_the_epochs_differ(tmp_path):
    """Else the tests above would show nothing."""
    orders = train(tmp_path, "recommended").reshape(4, 20)
    assert len({tuple(order) for order in orders}) == 4


def test_only_simple_pipelines_skip_reading():
    reading = {
        name: CountedIterators(build()).reading_draws()
        for name, build in PIPELINES.items()
    }
    assert {name for name, value in reading.items() if value} == {
        "shuffled twice",
        "repeated",
    }


@pytest.fixture(autouse=True)
def a_point_after_every_epoch(monkeypatch):
    """Epochs of milliseconds would skip points on a slow disk."""
    monkeypatch.setattr(resume, "MAX_SHARE_OF_TIME", float("inf"))


def small_model():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((4,))
    hidden = keras.layers.Dropout(0.5)(keras.layers.Dense(8)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    # Eagerly: without tracing these short trainings take a tenth of the time.
    model.compile("adam", "mse", run_eagerly=True)
    return model


X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
TARGETS = X[:, :1] * 2


def fit(
    folder, *, model=None, epochs=6, interrupt=None, resume=False, others=(), **more
):
    model = model or small_model()
    run = Run(folder, resume=resume)
    callbacks = run.callbacks("only", epochs=epochs, histograms=False, others=others)
    try:
        model.fit(
            X,
            TARGETS,
            batch_size=32,
            epochs=epochs,
            validation_data=(X, TARGETS),
            callbacks=[*callbacks, Interrupt(interrupt)],
            verbose=0,
        )
    except StopError:
        pass
    return model


def weights_of(model):
    return np.concatenate([w.numpy().ravel() for w in model.weights])


def test_the_history_of_a_resumed_run_has_all_epochs(tmp_path):
    whole = fit(tmp_path / "whole")
    fit(tmp_path / "run", interrupt=4)
    resumed = fit(tmp_path / "run", resume=True)
    np.testing.assert_array_equal(weights_of(resumed), weights_of(whole))
    assert resumed.history.history == whole.history.history
    assert resumed.history.epoch == list(range(6))


def test_a_complete_stage_is_not_trained_again(tmp_path, capsys):
    whole = fit(tmp_path)
    again = fit(tmp_path, resume=True, interrupt=0)
    np.testing.assert_array_equal(weights_of(again), weights_of(whole))
    assert again.history.history == whole.history.history
    assert "only: complete" in capsys.readouterr().out


def test_a_later_fit_of_the_same_model_starts_at_its_first_epoch(tmp_path):
    model = fit(tmp_path)
    fit(tmp_path, resume=True, model=model)
    assert len(model.fit(X, TARGETS, epochs=2, verbose=0).history["loss"]) == 2


@pytest.mark.parametrize("interrupt", [2, 5])
def test_early_stopping_counts_on_across_a_restart(interrupt, tmp_path):
    def stopping():
        return keras.callbacks.EarlyStopping(
            "val_loss", min_delta=1e9, patience=4, restore_best_weights=True
        )

    whole = fit(tmp_path / "whole", epochs=20, others=[stopping()])
    assert len(whole.history.history["loss"]) == 5
    fit(tmp_path / "run", epochs=20, interrupt=interrupt, others=[stopping()])
    resumed = fit(tmp_path / "run", epochs=20, resume=True, others=[stopping()])
    assert len(resumed.history.history["loss"]) == 5
    np.testing.assert_array_equal(weights_of(resumed), weights_of(whole))


def test_a_stop_is_remembered_if_the_end_of_fit_was_not_reached(tmp_path):
    class KilledAtTheEnd(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            raise StopError

    stopping = keras.callbacks.EarlyStopping("loss", min_delta=1e9, patience=2)
    fit(tmp_path, epochs=20, others=[stopping, KilledAtTheEnd()])
    stopping = keras.callbacks.EarlyStopping("loss", min_delta=1e9, patience=2)
    model = fit(tmp_path, epochs=20, resume=True, others=[stopping])
    assert len(model.history.history["loss"]) == 3


def damage(path, how):
    data = path.read_bytes()
    if how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes(100) + data[middle + 100 :])


@pytest.mark.parametrize("how", ["truncated", "empty", "overwritten"])
def test_a_damaged_point_gives_way_to_the_one_before(how, tmp_path, capsys):
    whole = fit(tmp_path / "whole")
    fit(tmp_path / "run", interrupt=4)
    damage(tmp_path / "run" / "resume" / "only" / "newest.npz", how)
    capsys.readouterr()
    resumed = fit(tmp_path / "run", resume=True)
    np.testing.assert_array_equal(weights_of(resumed), weights_of(whole))
    output = capsys.readouterr().out
    assert "the newest resume point is damaged; took the one before" in output
    assert "only: resumed after epoch 3" in output


def test_two_damaged_points_mean_a_new_start(tmp_path, capsys):
    whole = fit(tmp_path / "whole")
    fit(tmp_path / "run", interrupt=4)
    for name in ("newest", "previous"):
        damage(tmp_path / "run" / "resume" / "only" / f"{name}.npz", "truncated")
    resumed = fit(tmp_path / "run", resume=True)
    np.testing.assert_array_equal(weights_of(resumed), weights_of(whole))
    assert "starts from epoch 1" in capsys.readouterr().out


def test_another_model_is_refused_in_one_line(tmp_path):
    fit(tmp_path, interrupt=2)
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    other.compile("sgd", "mse")
    with pytest.raises(UserError, match="trained another model in 'only'"):
        fit(tmp_path, model=other, resume=True)


def test_steps_per_epoch_is_told_of(tmp_path, capsys):
    model = small_model()
    endless = tf.data.Dataset.from_tensor_slices((X, TARGETS)).shuffle(32).repeat()
    endless = endless.batch(8)
    run = Run(tmp_path)
    model.fit(
        endless,
        epochs=3,
        steps_per_epoch=2,
        callbacks=run.callbacks("only", epochs=3, train_ds=endless),
        shuffle=False,
        verbose=0,
    )
    assert capsys.readouterr().out.count("the order of examples will differ") == 1


def test_an_expensive_point_is_not_written_each_epoch(tmp_path, monkeypatch):
    written = []
    original = ResumePoints._write

    def slow(self, *, ended):
        original(self, ended=ended)
        self._seconds_to_write = 3600.0
        written.append(ended)

    monkeypatch.setattr(resume, "MAX_SHARE_OF_TIME", 0.1)
    monkeypatch.setattr(ResumePoints, "_write", slow)
    fit(tmp_path)
    assert written == [False, True]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "uint32", "bool"])
def test_points_keep_every_dtype_and_shape(dtype):
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    arrays = [np.ones((2, 3)).astype(kind), np.array(1).astype(kind)]
    arrays.append(np.zeros((0, 4)).astype(kind))
    point = Point(
        num_epochs=3,
        ended=False,
        variables=arrays,
        history={"loss": [0.1, float("nan"), 1 / 3]},
        data_order={"num_made": 4, "read": [0, 2]},
        callbacks=[{"wait": 2, "best_weights": [arrays[0]], "best": np.float32(0.5)}],
    )
    copy = decode(encode(point))
    for ours, theirs in zip(point.variables, copy.variables, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(copy.history["loss"], point.history["loss"])
    assert copy.data_order == point.data_order
    np.testing.assert_array_equal(copy.callbacks[0]["best_weights"][0], arrays[0])
    assert copy.callbacks[0]["best"] == 0.5


def test_every_truncation_is_noticed():
    data = encode(Point(1, False, [np.ones(3, np.float32)], {"loss": [0.5]}))
    for length in range(0, len(data), 7):
        with pytest.raises(DamagedPointError):
            decode(data[:length])


def test_a_callback_gets_its_numbers_back_and_nothing_else():
    stopping = keras.callbacks.EarlyStopping("loss", patience=3)
    stopping.set_model(small_model())
    stopping.on_train_begin()
    for epoch, loss in enumerate([1.0, 2.0, 3.0]):
        stopping.on_epoch_end(epoch, {"loss": loss})
    state = saved_state(stopping)
    assert "_model" not in state
    fresh = keras.callbacks.EarlyStopping("loss", patience=3)
    fresh.on_train_begin()
    restore_state(fresh, state)
    assert (fresh.wait, fresh.best) == (2, 1.0)
