"""The catalogue agrees with TFDS, and with itself."""

import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import get_all_url_infos

from tfcourse import data
from tfcourse.data.specs import find_spec
from tfcourse.errors import UserError

SPECS = pytest.mark.parametrize("spec", data.catalogue(), ids=lambda spec: spec.name)


def test_the_catalogue_has_the_three_sets():
    assert [spec.name for spec in data.catalogue()] == [
        "mnist",
        "fashion_mnist",
        "cifar10",
    ]


@SPECS
def test_files_are_those_that_tfds_registers(spec):
    registered = get_all_url_infos()
    for original in spec.originals:
        info = registered[original.url]
        assert (info.size, info.checksum, info.filename) == (
            original.num_bytes,
            original.sha256,
            original.filename,
        )


@SPECS
def test_version_and_form_are_those_of_the_tfds_builder(spec, tmp_path):
    builder = tfds.builder(spec.name, data_dir=tmp_path)
    assert str(builder.version) == spec.tfds_version
    shape = builder.info.features["image"].shape
    assert spec.image_shape in (shape, shape[:-1])
    assert builder.info.features["label"].num_classes == spec.num_classes


@SPECS
def test_the_twin_has_the_form_of_the_real_set(spec):
    assert len(spec.twin.class_names) == spec.num_classes
    assert spec.twin.note.startswith("not ")
    assert spec.licence and spec.twin.licence


def test_sizes_are_sums():
    mnist = find_spec("mnist")
    assert mnist.download_bytes == 9_912_422 + 28_881 + 1_648_877 + 4_542
    assert mnist.prepared_bytes == 70_000 * (28 * 28 + 8)


@pytest.mark.parametrize("name", ["mnits", "", None, "../mnist", ["mnist"]])
def test_an_unknown_set_names_the_known_ones(name):
    with pytest.raises(UserError, match="there are mnist, fashion_mnist, cifar10"):
        find_spec(name)
