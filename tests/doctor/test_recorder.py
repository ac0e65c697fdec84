"""Recorder works with every way of training, and changes none of them."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfcourse import training
from tfcourse.doctor import Recorder, read_run
from tfcourse.errors import UserError

NUM_EXAMPLES = 96
BATCH_SIZE = 16


def examples():
    """Return inputs [96, 8] and classes [96] of a problem that can be learned."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(NUM_EXAMPLES, 8)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0).astype(np.int64)


def as_dataset(shuffled=True):
    """Return a tf.data set of batches, the last one smaller."""
    dataset = tf.data.Dataset.from_tensor_slices(examples())
    if shuffled:
        dataset = dataset.shuffle(NUM_EXAMPLES, seed=1)
    return dataset.batch(20)


def functional():
    """A model with dropout and batch normalisation: both have states."""
    inputs = keras.Input((8,))
    x = layers.Dense(16, "relu", kernel_regularizer="l2")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.3)(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def half_precision():
    """Losses are scaled: the recorded gradients must not be."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return compiled(functional())
    finally:
        keras.config.set_dtype_policy("float32")


class Subclassed(keras.Model):
    """Layers in attributes, an activation that isn't a layer."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(16)
        self.drop = layers.Dropout(0.3)
        self.head = layers.Dense(2)

    def call(self, inputs, training=None):
        hidden = tf.nn.relu(self.hidden(inputs))
        return self.head(self.drop(hidden, training=training))


class OwnStep(keras.Model):
    """A train_step of one's own, with the gradient clipped by hand."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        clipped, _ = tf.clip_by_global_norm(gradients, 1.0)
        self.optimizer.apply_gradients(
            zip(clipped, self.trainable_variables, strict=True)
        )
        return {"loss": loss}


def own_step():
    """A Functional model with a step of its own."""
    inputs = keras.Input((8,))
    hidden = layers.Dropout(0.2)(layers.Dense(16, "tanh")(inputs))
    model = OwnStep(inputs, layers.Dense(2)(hidden))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def compiled(model, **settings):
    """Return the model compiled for classes."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], **settings)
    return model


def trained(build, fit, callbacks):
    """Return the model trained from one seed with the callbacks, and its history."""
    keras.utils.set_random_seed(3)
    model = build()
    history = fit(model, callbacks)
    return model, history


def on_arrays(model, callbacks):
    """Arrays, with a validation set, shuffled by Keras."""
    x, y = examples()
    return model.fit(
        x,
        y,
        batch_size=BATCH_SIZE,
        epochs=3,
        validation_data=(x[:32], y[:32]),
        callbacks=callbacks,
        verbose=0,
    )


def on_dataset(model, callbacks):
    """A shuffled tf.data set."""
    return model.fit(
        as_dataset(), epochs=3, callbacks=callbacks, verbose=0, shuffle=False
    )


def on_generator(model, callbacks):
    """A PyDataset."""

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            x, y = examples()
            rows = slice(index * 16, (index + 1) * 16)
            return x[rows], y[rows], np.ones(16, np.float32)

    return model.fit(Batches(), epochs=2, callbacks=callbacks, verbose=0, shuffle=False)


WAYS = {
    "arrays": (lambda: compiled(functional()), on_arrays),
    "tf.data": (lambda: compiled(functional()), on_dataset),
    "generator with weights": (lambda: compiled(functional()), on_generator),
    "subclassed": (lambda: compiled(Subclassed()), on_dataset),
    "own train_step": (own_step, on_arrays),
    "steps_per_execution": (
        lambda: compiled(functional(), steps_per_execution=4),
        on_dataset,
    ),
    "jit_compile": (lambda: compiled(functional(), jit_compile=True), on_arrays),
    "mixed precision": (lambda: half_precision(), on_arrays),
    "run_eagerly": (lambda: compiled(functional(), run_eagerly=True), on_arrays),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_seed_gives_the_same_weights_with_and_without(way, tmp_path):
    build, fit = WAYS[way]
    plain, plain_history = trained(build, fit, [])
    model, history = trained(build, fit, [Recorder(tmp_path / "run")])

    for expected, received in zip(plain.variables, model.variables, strict=True):
        np.testing.assert_array_equal(received.numpy(), expected.numpy())
    assert history.history == plain_history.history
    record = read_run(tmp_path / "run")
    assert record.facts["not_observed"] == ""
    assert len(record.train["step/loss"]) >= 3
    assert np.isfinite(record.train["step/loss"].values).all()
    assert any(tag.startswith("gradients/") for tag in record.histograms)
    assert any(tag.startswith("activations/") for tag in record.histograms)
    assert [probe["when"] for probe in record.probes] == ["start", "end"]
    failed = [key for p in record.probes for key in p if key.startswith("failed")]
    assert failed == []


def test_the_recorded_loss_is_that_of_the_batch(tmp_path):
    """Keras's own log is the mean since the epoch began; with one step they agree."""
    x, y = examples()

    def fit(model, callbacks):
        return model.fit(
            x, y, batch_size=NUM_EXAMPLES, epochs=6, callbacks=callbacks, verbose=0
        )

    _, history = trained(
        lambda: compiled(functional()), fit, [Recorder(tmp_path / "run")]
    )

    record = read_run(tmp_path / "run")
    np.testing.assert_allclose(
        record.train["step/loss"].values, history.history["loss"], rtol=1e-5
    )
    np.testing.assert_allclose(
        record.train["step/accuracy"].values, history.history["accuracy"], rtol=1e-5
    )


def test_gradients_are_those_of_the_step(tmp_path):
    """With plain gradient descent the update is minus the rate times the gradient."""

    def build():
        model = functional()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss)
        return model

    trained(build, on_dataset, [Recorder(tmp_path / "run")])
    record = read_run(tmp_path / "run")

    cosines = [
        series.values
        for tag, series in record.train.items()
        if tag.startswith("update_cosine/")
    ]
    assert len(cosines) >= 4
    # A variable hardly moves in proportion to its size: rounding leaves its mark.
    np.testing.assert_allclose(np.concatenate(cosines), 1.0, atol=1e-3)


def test_several_inputs_and_outputs(tmp_path):
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    both = layers.Concatenate()([layers.Dense(8, "relu")(left), right])
    outputs = {
        "kind": layers.Dense(2, name="kind")(both),
        "size": layers.Dense(1)(both),
    }
    model = keras.Model([left, right], outputs)
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", {"kind": logits, "size": "mse"})
    x, y = examples()
    inputs = {"left": x[:, :4], "right": x[:, 4:]}
    targets = {"kind": y, "size": x[:, :1]}

    model.fit(
        inputs,
        targets,
        epochs=3,
        verbose=0,
        validation_data=(inputs, targets),
        callbacks=[Recorder(tmp_path / "run")],
    )

    record = read_run(tmp_path / "run")
    assert {"inputs/left", "inputs/right"} <= set(record.histograms)
    assert {"predictions/kind", "predictions/size"} <= set(record.histograms)
    end = record.probes[-1]
    assert [key for key in end if key.startswith("failed")] == []


MIRRORED = """
import sys
import keras, numpy as np, tensorflow as tf
device = tf.config.list_physical_devices("CPU")[0]
halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(device, halves)
from tfcourse.doctor import Recorder, read_run
x = np.random.default_rng(0).normal(size=(96, 8)).astype(np.float32)
y = (x[:, 0] > 0).astype(np.int64)
def weights(callbacks):
    keras.utils.set_random_seed(0)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu"),
                                  keras.layers.Dropout(0.2), keras.layers.Dense(2)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    model.fit(x, y, epochs=2, verbose=0, callbacks=callbacks, validation_data=(x, y))
    return [v.numpy() for v in model.weights]
plain, recorded = weights([]), weights([Recorder(sys.argv[1])])
assert all((a == b).all() for a, b in zip(plain, recorded))
record = read_run(sys.argv[1])
assert len(record.train["step/loss"]) >= 4 and not record.facts["not_observed"]
"""


def test_two_replicas(tmp_path):
    """In a process of its own: devices can't be divided once they are in use."""
    command = [sys.executable, "-c", MIRRORED, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_loop_of_ones_own(tmp_path):
    keras.utils.set_random_seed(0)
    model = functional()
    optimizer = keras.optimizers.SGD(0.05)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def train_step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    optimizer.build(model.trainable_variables)
    recorder = Recorder(tmp_path / "run")
    recorder.watch(model, optimizer, loss_of)
    for _ in range(3):
        losses = []
        for x, y in as_dataset():
            with recorder.step((x, y)):
                losses.append(float(train_step(x, y)))
        recorder.end_epoch({"loss": np.mean(losses)}, validation={"loss": 1.0})
    recorder.close()

    record = read_run(tmp_path / "run")
    assert len(record.train["epoch_loss"]) == 3
    assert len(record.validation["epoch_loss"]) == 3
    assert len(record.train["step/loss"]) >= 8
    cosines = [
        v.values for k, v in record.train.items() if k.startswith("update_cosine/")
    ]
    # The regulariser is a part of the recorded loss, but not of this loop's.
    assert np.median(np.concatenate(cosines)) > 0.5


def test_the_trainer_of_the_library_leaves_it_to_fit(tmp_path):
    x, y = examples()
    history = training.fit(
        compiled(functional()), x, y, epochs=2, callbacks=[Recorder(tmp_path / "run")]
    )
    assert "Recorder asks for every batch" in str(history.engine)
    assert len(read_run(tmp_path / "run").train["step/loss"]) >= 5


class Interrupted(keras.callbacks.Callback):
    """Somebody presses Ctrl-C, in the second epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations > 8:
            raise KeyboardInterrupt


def test_an_interrupted_run_lets_go(tmp_path):
    model = compiled(functional())
    with pytest.raises(KeyboardInterrupt):
        on_arrays(model, [Recorder(tmp_path / "first"), Interrupted()])
    on_arrays(model, [Recorder(tmp_path / "second")])
    on_arrays(model, [])

    first, second = (read_run(tmp_path / name) for name in ("first", "second"))
    assert len(first.train["step/loss"]) <= 9
    assert not first.finished
    assert list(second.train["epoch_loss"].steps) == [0, 1, 2]
    assert not hasattr(model.train_function, "function_before_interception")


def test_a_second_fit_goes_on(tmp_path):
    recorder = Recorder(tmp_path / "run")
    keras.utils.set_random_seed(0)
    model = compiled(functional())
    on_arrays(model, [recorder])
    on_arrays(model, [recorder])

    record = read_run(tmp_path / "run")
    assert list(record.train["epoch_loss"].steps) == [0, 1, 2, 3, 4, 5]
    assert record.train["step/loss"].steps[-1] > 18


def test_a_step_that_cant_be_traced_is_left_alone(tmp_path):
    calls = []

    class Counting(OwnStep):
        def train_step(self, data):
            tf.py_function(lambda: calls.append(1) or 0.0, [], tf.float32)
            return super().train_step(data)

    def build():
        inputs = keras.Input((8,))
        return compiled(Counting(inputs, layers.Dense(2)(inputs)))

    trained(build, on_arrays, [Recorder(tmp_path / "run")])

    assert len(calls) == 18  # Once for each step: Recorder ran none of them.
    assert "PyFunc" in read_run(tmp_path / "run").facts["not_observed"]


def test_no_folder_can_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        Recorder(tmp_path / "file")


def test_a_disk_that_fills_up_ends_the_recording_alone(tmp_path, monkeypatch):
    model, (x, y) = compiled(functional()), examples()
    recorder = Recorder(tmp_path / "run")

    def write(self, record):
        raise tf.errors.ResourceExhaustedError(None, None, "no space left")

    monkeypatch.setattr(tf.io.TFRecordWriter, "write", write)
    with pytest.warns(UserWarning, match="no space left.*the training goes on"):
        history = model.fit(x, y, epochs=2, verbose=0, callbacks=[recorder])
    assert len(history.history["loss"]) == 2


def test_weights_put_back_by_a_callback_show(tmp_path):
    model, (x, y) = compiled(functional()), examples()
    start = model.get_weights()
    put_back = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: model.set_weights(start)
    )
    callbacks = [Recorder(tmp_path / "back"), put_back]
    model.fit(x, y, epochs=4, verbose=0, callbacks=callbacks)
    model.fit(x, y, epochs=4, verbose=0, callbacks=[Recorder(tmp_path / "kept")])

    changes = {
        name: read_run(tmp_path / name).train["epoch_weight_change"].values
        for name in ("back", "kept")
    }
    assert changes["back"].tolist() == [0.0, 0.0, 0.0]
    assert (changes["kept"] > 0).all()
