"""The real MNIST, prepared once for all tests of this file."""

import gzip
import hashlib
import os

import numpy as np
import pytest

from tfcourse import data
from tfcourse.data import tfds_preparation

pytestmark = pytest.mark.real_data

# SHA-256 of the images and of the labels, in the order in which TFDS stores them.
CHECKSUMS = {
    "train": (
        "59edd5ea35c0062957306cacba8ae47e71e2c56261f4ca10230aacc14943dd3b",
        "0e44ecaf2547dac741c83ddf0bcf9e3ced796f00dcc8784057618b7001d89aff",
    ),
    "test": (
        "a85d8dffc6063fb89dcbc2122651701e7bbc18837f940fc9d76df48c224558ca",
        "d515834c278b04a6887dcb28e527fe6a2e43826cb9fbebc4c9eefb19c499bbe1",
    ),
}


@pytest.fixture(scope="session")
def prepared_cache(tmp_path_factory):
    """Return a cache folder in which MNIST is prepared; takes some 20 seconds."""
    folder = os.environ.get("TFCOURSE_DATA_DIR")
    if not folder:
        pytest.skip("not run: set TFCOURSE_DATA_DIR to a folder of original files")
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFCOURSE_CACHE_DIR", str(cache))
        data.prepare("mnist", folder, notice=lambda line: None)
    return cache


@pytest.fixture
def mnist(prepared_cache, real_data_dir, monkeypatch):
    """Return a loader of MNIST's splits that may not prepare anything."""
    monkeypatch.setenv("TFCOURSE_CACHE_DIR", str(prepared_cache))
    monkeypatch.setattr(tfds_preparation, "arrays_from_originals", None)
    return lambda split: data.load_arrays(
        "mnist", split, source="real", data_dir=real_data_dir
    )


@pytest.mark.parametrize(("split", "count"), [("train", 60_000), ("test", 10_000)])
def test_counts_form_and_checksums(mnist, split, count):
    (images, labels), info = mnist(split)
    assert images.shape == (count, 28, 28) and images.dtype == np.uint8
    assert labels.shape == (count,) and labels.dtype == np.int64
    assert (info.source, info.verified, info.num_examples) == ("folder", True, count)
    found = (
        hashlib.sha256(images.tobytes()).hexdigest(),
        hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest(),
    )
    assert found == CHECKSUMS[split]


def original_arrays(folder, prefix):
    """Return images and labels from the original files, read without TFDS."""
    arrays = []
    for name, offset in (("images-idx3", 16), ("labels-idx1", 8)):
        with gzip.open(folder / "mnist" / f"{prefix}-{name}-ubyte.gz") as file:
            arrays.append(np.frombuffer(file.read(), np.uint8, offset=offset))
    return arrays[0].reshape(-1, 28, 28), arrays[1]


@pytest.mark.parametrize(
    ("split", "prefix", "first_original", "first_loaded"),
    [
        ("train", "train", [5, 0, 4, 1, 9], [4, 1, 0, 7, 8]),
        ("test", "t10k", [7, 2, 1, 0, 4], [2, 0, 4, 8, 7]),
    ],
)
def test_every_image_has_its_own_label(
    mnist, real_data_dir, split, prefix, first_original, first_loaded
):
    images, labels = original_arrays(real_data_dir, prefix)
    (found_images, found_labels), _ = mnist(split)
    assert labels[:5].tolist() == first_original
    assert found_labels[:5].tolist() == first_loaded  # TFDS has an order of its own.
    original = sorted(zip(map(bytes, images), labels.tolist(), strict=True))
    found = sorted(zip(map(bytes, found_images), found_labels.tolist(), strict=True))
    assert original == found


def test_the_dataset_holds_the_same(mnist, real_data_dir):
    (images, labels), _ = mnist("test")
    dataset, info = data.load("mnist", "test", source="real", data_dir=real_data_dir)
    assert info.num_examples == dataset.cardinality() == 10_000
    image, label = next(dataset.as_numpy_iterator())
    np.testing.assert_array_equal(image, images[0])
    assert label == labels[0]


def test_the_whole_cache_verifies(mnist, real_data_dir):
    assert len(data.verify("mnist", real_data_dir)) == 8
    assert data.status("mnist").state == "prepared"
