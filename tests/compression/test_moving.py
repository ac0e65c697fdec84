"""A model that goes to tf_keras and back is the same; and what goes wrong there."""

import contextlib

import numpy as np
import pytest

from tests.compression import models
from tfcourse import processes
from tfcourse.compression import compress, exchange, method, move_and_back
from tfcourse.compression.moving import check_equal, outputs_of
from tfcourse.errors import UserError


@pytest.mark.parametrize(
    "build", [models.cnn, models.mlp, models.normalized, models.two_inputs]
)
def test_outputs_are_equal_to_1e_5_there_and_back(build):
    model = models.shuffled_weights(build())
    inputs = models.examples(model)
    expected = outputs_of(model, inputs)
    returned, there = move_and_back(model, inputs)
    np.testing.assert_allclose(there[0], expected[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(outputs_of(returned, inputs)[0], expected[0], atol=1e-5)
    for before, after in zip(model.get_weights(), returned.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_outputs_that_differ_are_refused():
    one = [np.ones((2, 3), "float32")]
    check_equal(one, [one[0] + 5e-6])
    for other in (one[0] + 1e-3, one[0] * np.nan):
        with pytest.raises(UserError, match="differ"):
            check_equal(one, [other])


@pytest.fixture
def children(monkeypatch, tmp_path):
    """Return the child processes that are started; their folders are in tmp_path."""
    found = []

    @contextlib.contextmanager
    def started(*arguments):
        with processes.started(*arguments) as process:
            found.append(process)
            yield process

    monkeypatch.setattr(exchange, "started", started)
    monkeypatch.setattr(exchange.tempfile, "tempdir", str(tmp_path))
    return found


def prune_for_long(progress):
    """Begin a fine-tuning that would take minutes."""
    model = models.mlp()
    labels = np.zeros(64, "int64")
    long = method("prune", epochs=1000, batch_size=1)
    compress(model, long, models.examples(model, 64), labels, progress=progress)


def test_a_child_killed_in_the_middle_is_one_line_and_leaves_nothing(
    children, tmp_path
):
    with pytest.raises(UserError, match="killed by the system") as caught:
        prune_for_long(lambda progress: children[0].kill())
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_ends_the_child_and_leaves_nothing(children, tmp_path):
    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune_for_long(interrupt)
    assert children[0].returncode is not None
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_of_a_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tfcourse.run_folder.os.replace", full)
    with pytest.raises(UserError, match="make room"):
        exchange.write_arrays(tmp_path / "weights.npz", {"a": np.ones(3)})
    assert list(tmp_path.iterdir()) == []


def test_arrays_cross_without_pickle(tmp_path):
    path = tmp_path / "arrays.npz"
    with pytest.raises(ValueError, match="objects"):
        exchange.write_arrays(path, {"a": np.array([{}], dtype=object)})
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="damaged"):
        exchange.read_arrays(path)
    path.write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(UserError, match="damaged"):
        exchange.read_arrays(path)
    exchange.write_arrays(path, exchange.numbered([np.arange(3), np.ones((2, 2))]))
    found = exchange.in_order(exchange.read_arrays(path))
    assert [array.shape for array in found] == [(3,), (2, 2)]
