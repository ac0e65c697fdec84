"""What the programs can't serve goes to `model.fit`, with one line that says why."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.small import classes, classifier, state
from tfcourse.training import arrays, fit, keras_fit


def expect_fit(caplog, reason, model, *data, engine="auto", **options):
    """Train and assert that Keras did, for that reason, said in one line."""
    caplog.clear()
    history = fit(model, *data, engine=engine, **options)
    assert history.engine.name == "fit"
    assert reason in history.engine.reason
    (line,) = [r.getMessage() for r in caplog.records if r.name == "tfcourse.training"]
    assert reason in line
    assert "\n" not in line
    assert np.isfinite(history.history["loss"]).all()
    return history


class OwnStep(keras.Model):
    def train_step(self, data):
        return {"anything": 1.0, **super().train_step(data)}


class OwnCall(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


def compiled(model, **options):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, **options)
    return model


def test_models_that_may_do_anything(caplog):
    inputs = keras.Input((6,))
    own_step = compiled(OwnStep(inputs, keras.layers.Dense(3)(inputs)))
    history = expect_fit(caplog, "train_step of its own", own_step, *classes())
    assert "anything" in history.history
    expect_fit(caplog, "call of its own", compiled(OwnCall()), *classes())
    eager = compiled(classifier(), run_eagerly=True)
    expect_fit(caplog, "runs eagerly", eager, *classes(20))


class CountsInPython(keras.layers.Layer):
    num_batches = 0

    def call(self, inputs):
        def count(value):
            CountsInPython.num_batches += 1
            return value

        counted = tf.py_function(count, [inputs], tf.float32)
        return tf.ensure_shape(counted, inputs.shape)


def test_a_layer_that_runs_python(caplog):
    inputs = keras.Input((6,))
    model = compiled(
        keras.Model(inputs, keras.layers.Dense(3)(CountsInPython()(inputs)))
    )
    CountsInPython.num_batches = 0
    begun = []
    watch = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: begun.append(1))
    options = {"batch_size": 16, "callbacks": [watch]}
    expect_fit(caplog, "EagerPyFunc", model, *classes(), **options)
    assert CountsInPython.num_batches == 5
    assert begun == [1]


# What Keras says about every generator.
@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_data_that_are_no_arrays(caplog):
    x, y = classes()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    expect_fit(caplog, "not arrays", classifier(), dataset, validation_data=dataset)

    def batches():
        yield from zip(np.split(x, 7), np.split(y, 7), strict=True)

    expect_fit(caplog, "not arrays", classifier(), batches())
    sparse = tf.sparse.from_dense(x)
    expect_fit(caplog, "SparseTensor", classifier(), sparse, y)


class EveryBatch(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.num_batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.num_batches += 1


def test_callbacks_that_ask_for_every_batch(caplog, tmp_path):
    watch = EveryBatch()
    options = {"batch_size": 16, "callbacks": [watch]}
    expect_fit(caplog, "EveryBatch", classifier(), *classes(), **options)
    assert watch.num_batches == 5
    saver = keras.callbacks.ModelCheckpoint(tmp_path / "{batch}.keras", save_freq=100)
    expect_fit(caplog, "every batch", classifier(), *classes(), callbacks=[saver])


def test_other_arguments_of_keras(caplog):
    options = {"batch_size": 16, "steps_per_epoch": 2}
    expect_fit(caplog, "steps_per_epoch", classifier(), *classes(), **options)


def test_a_strategy(caplog):
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        model = classifier()
    expect_fit(caplog, "strategy", model, *classes(), batch_size=16)


def test_arrays_too_large_to_copy(caplog, monkeypatch, tmp_path):
    x, y = classes()
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    monkeypatch.setattr(arrays, "free_bytes", lambda: 100)
    options = {"batch_size": 16, "epochs": 2, "seed": 2}
    model, expected = classifier("adam"), classifier("adam")
    expect_fit(caplog, "GiB", model, mapped, y, **options)
    monkeypatch.undo()
    fit(expected, x, y, engine="fit", **options)
    np.testing.assert_allclose(state(model), state(expected), atol=1e-6)


def test_keras_runs_several_steps_per_execution_and_the_model_gets_its_own_back():
    model = classifier()
    model.fit(*classes(), verbose=0)
    own = model.train_function
    calls = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: numbers.append(model.steps_per_execution)
    )
    numbers = []
    for _ in range(2):
        history = fit(model, *classes(), engine="fit", callbacks=[calls])
        assert history.engine.reason == "named"
    assert numbers == [keras_fit.STEPS_PER_EXECUTION] * 2
    assert model.steps_per_execution == 1
    assert model.train_function is own


def test_a_named_engine_refuses_what_it_cannot_serve():
    for engine in ("graph", "xla"):
        with pytest.raises(ValueError, match="EveryBatch.*use engine='auto'"):
            fit(classifier(), *classes(), engine=engine, callbacks=[EveryBatch()])


def test_mistakes_are_named():
    x, y = classes()
    with pytest.raises(ValueError, match=r"same number of examples.*\[60, 70\]"):
        fit(classifier(), x, y[:60])
    with pytest.raises(ValueError, match="batch_size must be"):
        fit(classifier(), x, y, batch_size=0)
    with pytest.raises(ValueError, match="not both"):
        fit(classifier(), x, y, validation_split=0.1, validation_data=(x, y))
    with pytest.raises(ValueError, match="both sides"):
        fit(classifier(), x, y, validation_split=0.999)
    with pytest.raises(ValueError, match="compile"):
        fit(keras.Sequential([keras.layers.Dense(3)]), x, y)
