"""`load` and `load_arrays`: their arguments, and what they return."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfcourse import data
from tfcourse.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_the_dataset_yields_the_arrays_in_order(name):
    import tensorflow as tf

    dataset, info = data.load(name, "test")
    (images, labels), same_info = data.load_arrays(name, "test")
    assert info == same_info
    assert dataset.element_spec == (
        tf.TensorSpec(info.image_shape, tf.uint8),
        tf.TensorSpec([], tf.int64),
    )
    assert dataset.cardinality() == info.num_examples
    batch = next(dataset.batch(info.num_examples).as_numpy_iterator())
    np.testing.assert_array_equal(batch[0], images)
    np.testing.assert_array_equal(batch[1], labels)


@pytest.mark.parametrize("loader", [data.load, data.load_arrays])
@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("mnits", "train"), {}, "there is no dataset 'mnits'; there are mnist"),
        (("mnist", "validation"), {}, "split must be one of train, test"),
        (
            ("mnist", "train"),
            {"source": "tfds"},
            "source must be one of embedded, real",
        ),
        (("mnist", "train"), {"data_dir": "somewhere"}, "take source='real'"),
        (
            ("mnist", "train"),
            {"source": "real", "data_dir": "nowhere"},
            "the data folder nowhere does not exist",
        ),
    ],
)
def test_wrong_arguments_are_named(loader, arguments, options, message):
    with pytest.raises(UserError, match=message):
        loader(*arguments, **options)


def test_the_folder_variable_does_not_touch_the_embedded_source(monkeypatch):
    monkeypatch.setenv("TFCOURSE_DATA_DIR", "nowhere")
    assert data.load_arrays("mnist", "test")[1].source == "embedded"


def test_catalogue_status_and_cached_arrays_need_no_tensorflow(originals):
    data.prepare("tiny_set", originals, notice=lambda line: None)
    program = """
import sys
from tfcourse import data
for spec in data.catalogue():
    data.status(spec.name)
light = {"numpy", "sklearn", "requests"}
heavy = {"tensorflow", "tensorflow_datasets", "keras"}
assert not (light | heavy) & set(sys.modules), "catalogue and status"
data.load_arrays("mnist", "test")
from tfcourse.data import cache, loading, specs
import dataclasses
specs._SPECS["tiny_set"] = dataclasses.replace(specs.find_spec("mnist"), **TINY)
(images, labels), info = data.load_arrays("tiny_set", "test", source="real")
assert len(images) == 20 and info.source == "folder"
assert not heavy & set(sys.modules), "loading arrays"
"""
    from tfcourse.data.specs import find_spec

    spec = find_spec("tiny_set")
    tiny = (
        "from tfcourse.data.records import OriginalFile\n"
        f"TINY = dict(name='tiny_set', tfds_version='1.0.0', "
        f"originals={spec.originals!r}, num_examples={spec.num_examples!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", tiny + program], capture_output=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == done.stderr == b""
