"""The npz source: what is accepted, and that nothing in such a file can do harm."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcourse import data
from tfcourse.data.npz import load_npz, npz_counts
from tfcourse.data.specs import find_spec
from tfcourse.errors import UserError

MNIST = find_spec("mnist")


def arrays(num_train=12, num_test=5):
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (num_train, 28, 28), np.uint8),
        "y_train": np.arange(num_train) % 10,
        "x_test": rng.integers(0, 256, (num_test, 28, 28), np.uint8),
        "y_test": np.arange(num_test, dtype=np.uint8) % 10,
    }


def write(path, contents, *, compressed=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    (np.savez_compressed if compressed else np.savez)(path, **contents)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_a_keras_style_file_is_read_as_it_is(tmp_path, compressed):
    contents = arrays()
    write(tmp_path / "mnist" / "mnist.npz", contents, compressed=compressed)
    (images, labels), info = data.load_arrays(
        "mnist", "test", source="real", data_dir=tmp_path
    )
    np.testing.assert_array_equal(images, contents["x_test"])
    np.testing.assert_array_equal(labels, contents["y_test"])
    assert images.dtype == np.uint8 and labels.dtype == np.int64
    assert (info.source, info.verified, info.num_examples) == ("npz", False, 5)
    assert "unverified" in info.note and "5 test examples" in info.note
    assert "the real set has 10,000" in info.note
    assert str(tmp_path) not in info.origin


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(x_test=c["x_test"][..., np.newaxis]),  # A channel axis.
        lambda c: c.update(y_test=c["y_test"][:, np.newaxis]),  # Keras's CIFAR-10.
        lambda c: c.update(x_test=np.asfortranarray(c["x_test"])),
        lambda c: c.update(y_test=c["y_test"].astype(">i4")),
        lambda c: c.update(more=np.zeros(3)),
    ],
)
def test_other_layouts_of_the_same_are_accepted(tmp_path, change):
    contents = arrays()
    expected = contents["x_test"], contents["y_test"]
    change(contents)
    found = load_npz(MNIST, write(tmp_path / "a.npz", contents), "test")
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert found[0].flags.c_contiguous and found[1].dtype == np.dtype("int64")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("x_test"), "it lacks x_test"),
        (lambda c: c.update(x_test=c["x_test"].astype(np.float32)), "must hold int"),
        (lambda c: c.update(x_test=c["x_test"].astype(np.int64)), "must be uint8"),
        (lambda c: c.update(x_test=c["x_test"][:, :27]), r"it is uint8 \[5, 27, 28\]"),
        (lambda c: c.update(x_test=c["x_test"][0, 0, 0]), "must be uint8"),
        (lambda c: c.update(x_test=c["x_test"][:4]), "one label for each of 4"),
        (lambda c: c.update(y_test=np.full(5, 10)), "must be 0 to 9; y_test holds 10"),
        (lambda c: c.update(y_test=np.full(5, -1)), "must be 0 to 9; y_test holds -1"),
        (lambda c: c.update(y_test=np.full(5, 1.5)), "must hold integers"),
        (lambda c: c.update(y_test=np.array([b"1"] * 5)), "must hold integers"),
        (lambda c: c.update(y_test=np.array([None] * 5)), "Python objects"),
        (lambda c: c.update(arrays(num_test=0)), "at least one"),
    ],
)
def test_wrong_contents_are_named(tmp_path, change, message):
    contents = arrays()
    change(contents)
    path = write(tmp_path / "mnist.npz", contents)
    with pytest.raises(UserError, match=message) as caught:
        load_npz(MNIST, path, "test")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self):
        return exec, ("import tests.data.test_npz as t; t.EXPLODED.append(1)",)


EXPLODED = []


def test_a_pickle_is_never_loaded(tmp_path):
    contents = arrays() | {"y_test": np.array([Bomb()] * 5, dtype=object)}
    with pytest.raises(UserError, match="Python objects, which are never loaded"):
        load_npz(MNIST, write(tmp_path / "mnist.npz", contents), "test")
    assert not EXPLODED


def with_member(path, name, member):
    """Write a good npz with one member replaced by raw bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in arrays().items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array)
            archive.writestr(f"{key}.npy", member if key == name else buffer.getvalue())
    return path


def header(text):
    text = text.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "member",
    [
        b"",
        b"\x93NUMPY",
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (10**12, 28, 28), }"),
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (4000000000, 28), }"),
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (-5, 28, 28), }"),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (5,), }"),
        header("{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (5,), }"),
        header("{'descr': '|u1', 'fortran_order': False, 'shape': 5, }"),
        header("__import__('os').abort()"),
        header("(" * 110),
        b"\x93NUMPY\x09\x00" + bytes(100),
    ],
)
def test_a_header_is_not_believed(tmp_path, member):
    path = with_member(tmp_path / "mnist.npz", "x_test", member)
    with pytest.raises(UserError, match="mnist.npz"):
        load_npz(MNIST, path, "test")


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path):
    path = tmp_path / "mnist.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key in ("x_train", "y_train", "y_test"):
            archive.writestr(f"{key}.npy", b"")
        with archive.open("x_test.npy", "w", force_zip64=True) as file:
            for _ in range(90):
                file.write(bytes(1_000_000))
    with pytest.raises(UserError, match="unpacks to 90,000,000 bytes, over"):
        load_npz(MNIST, path, "test")


def buffer_of(contents):
    buffer = io.BytesIO()
    np.savez(buffer, **contents)
    return buffer.getvalue()


GOOD = buffer_of(arrays(num_train=2, num_test=2))


@settings(max_examples=150, deadline=None)
@given(end=st.integers(0, len(GOOD) - 1))
def test_a_truncated_file_is_refused(tmp_path_factory, end):
    path = tmp_path_factory.getbasetemp() / "truncated.npz"
    path.write_bytes(GOOD[:end])
    with pytest.raises(UserError, match="damaged or no npz file"):
        npz_counts(MNIST, path)


@settings(max_examples=400, deadline=None)
@given(index=st.integers(0, len(GOOD) - 1), mask=st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_nothing(tmp_path_factory, index, mask):
    path = tmp_path_factory.getbasetemp() / "changed.npz"
    path.write_bytes(GOOD[:index] + bytes([GOOD[index] ^ mask]) + GOOD[index + 1 :])
    contents = arrays(num_train=2, num_test=2)
    try:
        images, labels = load_npz(MNIST, path, "train")
    except UserError as error:
        assert "\n" not in str(error)
    else:
        np.testing.assert_array_equal(images, contents["x_train"])
        np.testing.assert_array_equal(labels, contents["y_train"])


@settings(max_examples=50, deadline=None)
@given(junk=st.binary(max_size=300))
def test_any_other_file_is_refused(tmp_path_factory, junk):
    path = tmp_path_factory.getbasetemp() / "junk.npz"
    path.write_bytes(junk)
    with pytest.raises(UserError, match="damaged or no npz file"):
        load_npz(MNIST, path, "test")


def test_the_command_line_tells_counts_and_caches_nothing(tmp_path, cache_dir):
    path = write(tmp_path / "in" / "mnist.npz", arrays())
    lines = []
    status = data.prepare("mnist", tmp_path / "in", notice=lines.append)
    assert "12 training and 5 test examples" in lines[0] and "unverified" in lines[0]
    assert (status.state, status.location) == ("npz", path)
    assert not cache_dir.exists()
    (file,) = data.verify("mnist", tmp_path / "in")
    assert not file.registered and file.path == path


@pytest.mark.real_data
def test_the_cifar10_subset_is_recorded_as_unverified(real_data_dir):
    for split, count, per_class in (("train", 18_000, 1_800), ("test", 4_000, 400)):
        (images, labels), info = data.load_arrays(
            "cifar10", split, source="real", data_dir=real_data_dir
        )
        assert images.shape == (count, 32, 32, 3)
        np.testing.assert_array_equal(np.bincount(labels), per_class)
        assert (info.source, info.verified) == ("npz", False)
        assert info.num_examples == count and f"{count:,}" in info.note
        assert "32d5082eb7cb66f758f8670d7cae4686174859634de34026d2f295965709874f" in (
            info.origin
        )
