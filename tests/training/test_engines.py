"""Picking an engine leaves no trace; what is compiled once is not compiled again."""

import keras
import numpy as np
import pytest

from tests.training.small import classes, classifier, state
from tfcourse.training import engines, fit, reinitialize
from tfcourse.training.engines import Engine
from tfcourse.training.programs import Program, programs_of


def train(engine="auto", *, build=None, epochs=2, x=None, y=None, **options):
    model = (build or (lambda: classifier("adam", dropout=0.3)))()
    data = classes(200) if x is None else (x, y)
    options |= {"batch_size": 16, "epochs": epochs}
    return model, fit(model, *data, engine=engine, **options)


@pytest.fixture
def eager_to_try(monkeypatch):
    monkeypatch.setattr(engines, "_worth_trying", lambda *_: True)


def test_a_short_training_does_not_wait_for_xla(monkeypatch):
    monkeypatch.setattr(engines, "_try_xla", None)
    _, history = train()
    assert history.engine.name == "graph"
    assert "too few" in str(history.engine)
    assert history.engine.graph_seconds > 0


def test_a_long_training_tries_xla(monkeypatch):
    monkeypatch.setattr(engines, "COMPILE_PER_TRACE", 1e-6)
    _, history = train()
    assert history.engine.xla_seconds > 0
    assert history.engine.trial_seconds > 0


@pytest.mark.parametrize(("winner", "seconds"), [("xla", 1e-9), ("graph", 1e9)])
def test_the_winner_ends_as_if_it_had_been_alone(
    eager_to_try, monkeypatch, winner, seconds
):
    real = engines._try_xla

    def rigged(*arguments):
        assert real(*arguments) > 0
        return seconds

    monkeypatch.setattr(engines, "_try_xla", rigged)
    # A trial that a busy machine cuts short could not win.
    monkeypatch.setattr(engines, "HOPELESS", float("inf"))
    model, history = train()
    assert history.engine.name == winner
    alone, expected = train(winner)
    np.testing.assert_array_equal(state(model), state(alone))
    assert history.history == expected.history


def test_a_hopeless_trial_ends_early(eager_to_try, monkeypatch):
    calls = []

    def run(self, data, order, start, stop, *, xla, real=Program.run):
        calls.append((xla, start, stop))
        return real(self, data, order, start, stop, xla=xla)

    monkeypatch.setattr(Program, "run", run)
    monkeypatch.setattr(engines, "HOPELESS", 0.0)
    monkeypatch.setattr(engines, "WINDOW_SECONDS", 0.0)
    train()
    assert [call[1:] for call in calls if call[0]][:2] == [(0, 1), (1, 2)]


def stacked_lstm():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3, 2))
    hidden = keras.layers.LSTM(4, return_sequences=True)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.LSTM(4)(hidden)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    return model


def test_what_xla_cannot_compile_runs_without_it(eager_to_try):
    x, y = classes(100)
    data = {"x": x.reshape(-1, 3, 2), "y": y}
    model, history = train(build=stacked_lstm, **data)
    assert (history.engine.name, history.engine.xla_seconds) == ("graph", None)
    assert "can't compile" in history.engine.reason
    alone, _ = train("graph", build=stacked_lstm, **data)
    np.testing.assert_array_equal(state(model), state(alone))


def convolutional():
    inputs = keras.Input((6, 6, 1))
    hidden = keras.layers.Flatten()(keras.layers.Conv2D(2, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    model.compile("sgd", "mse")
    return model


def test_convolutions_are_not_even_tried_on_a_cpu(monkeypatch):
    monkeypatch.setattr(engines, "_try_xla", None)
    images = np.ones((100, 6, 6, 1), "float32")
    _, history = train(build=convolutional, x=images, y=np.ones(100, "float32"))
    assert "convolutions" in history.engine.reason


class StatefulNoise(keras.layers.Layer):
    def call(self, inputs):
        import tensorflow as tf

        return inputs + tf.random.normal(tf.shape(inputs), stddev=0.01)


def test_random_numbers_that_cannot_be_taken_back_are_not_tried(eager_to_try):
    def build():
        inputs = keras.Input((6,))
        model = keras.Model(inputs, keras.layers.Dense(3)(StatefulNoise()(inputs)))
        model.compile("sgd", "mse")
        return model

    x, _ = classes(100)
    _, history = train(build=build, x=x, y=x[:, :3])
    assert "RandomStandardNormal" in history.engine.reason


def test_a_second_fit_compiles_nothing(eager_to_try):
    model = classifier("adam")
    fit(model, *classes(200), batch_size=16)
    (program,) = programs_of(model).by_key.values()
    measured, compiled = dict(program.measured), program._xla_loop
    for data, seed in ((classes(200, seed=7), 1), (classes(200), 2)):
        model.optimizer.learning_rate = 0.1
        fit(model, *data, batch_size=16, seed=seed)
        reinitialize(model, seed=seed)
    assert list(programs_of(model).by_key.values()) == [program]
    assert program.measured == measured
    assert program._xla_loop is compiled


def test_compiling_the_model_anew_drops_its_programs():
    model = classifier("adam")
    fit(model, *classes(), batch_size=16, engine="graph")
    programs = programs_of(model)
    model.compile(model.optimizer, model.loss, metrics=["sparse_categorical_accuracy"])
    history = fit(model, *classes(), batch_size=16, engine="graph")
    assert programs_of(model) is not programs
    assert set(history.history) == {"sparse_categorical_accuracy", "loss"}


def test_the_learning_rate_is_not_compiled_in():
    model = classifier("sgd")
    fit(model, *classes(), engine="xla")
    model.optimizer.learning_rate = 0.0
    before = model.get_weights()
    fit(model, *classes(), engine="xla")
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


@pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")
def test_the_model_is_saved_without_its_programs(tmp_path):
    model = classifier("adam")
    fit(model, *classes())
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(state(again), state(model))


def test_an_engine_reads_as_one_line():
    assert str(Engine("xla", "1 ms a step")) == "xla: 1 ms a step"
    with pytest.raises(ValueError, match="engine must be"):
        train("jax")
