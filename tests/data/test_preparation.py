"""Preparing a set: once, by one process, whole or not at all."""

import collections
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.data import tiny_set
from tfcourse import data
from tfcourse.data import cache, tfds_preparation
from tfcourse.errors import UserError

ROOT = Path(__file__).parents[2]


def prepare(originals, **callbacks):
    """Prepare quietly; return the lines that were told."""
    lines = []
    data.prepare("tiny_set", originals, notice=lines.append, **callbacks)
    return lines


def expected_examples(split):
    records = np.frombuffer(tiny_set.content(split), np.uint8)
    records = records.reshape(-1, tiny_set.RECORD_BYTES)
    return {(record[1:].tobytes(), int(record[0])) for record in records}


def test_tfds_prepares_the_originals_and_nothing_else_stays(
    originals, cache_dir, capfd
):
    steps = []
    lines = prepare(originals, progress=lambda *step: steps.append(step))
    assert len(lines) == 3 and "TFDS prepares 60 examples" in lines[1]
    assert steps[-1] == ("preparing tiny_set", 60, 60)
    assert capfd.readouterr() == ("", "")  # No bars, no greeting of TFDS's.
    assert sorted(os.listdir(cache_dir)) == ["tiny_set", "tiny_set.lock"]
    for split, count in tiny_set.NUM_EXAMPLES.items():
        (images, labels), info = data.load_arrays(
            "tiny_set", split, source="real", data_dir=originals
        )
        assert images.shape == (count, 28, 28) and images.dtype == np.uint8
        found = {
            (image.tobytes(), int(label))
            for image, label in zip(images, labels, strict=True)
        }
        assert found == expected_examples(split)
        assert (info.source, info.verified) == ("folder", True)
        assert info.num_examples == count and str(originals) not in info.origin


def test_a_second_preparation_has_nothing_to_do(originals, monkeypatch):
    prepare(originals)
    monkeypatch.setattr(tfds_preparation, "arrays_from_originals", None)
    assert prepare(originals)[-1].startswith("tiny_set: prepared in ")
    # And without the folder the cache serves.
    (_, labels), info = data.load_arrays("tiny_set", "test", source="real")
    assert len(labels) == 20 and info.source == "folder"


def test_the_first_load_prepares_and_tells_so(originals, capsys):
    data.load_arrays("tiny_set", "test", source="real", data_dir=originals)
    assert "TFDS prepares 60 examples" in capsys.readouterr().err
    data.load_arrays("tiny_set", "test", source="real", data_dir=originals)
    assert capsys.readouterr() == ("", "")


def test_status_follows_the_set(tiny, originals, cache_dir):
    assert data.status("tiny_set").state == "absent"
    assert data.status("tiny_set", originals / "x").state == "absent"
    found = data.status("tiny_set", originals)
    assert (found.state, found.num_bytes) == ("originals", tiny.download_bytes)
    prepare(originals)
    found = data.status("tiny_set")
    assert (found.state, found.location) == ("prepared", cache_dir / "tiny_set")
    (cache_dir / "tiny_set" / "manifest.json").unlink()
    found = data.status("tiny_set")
    assert found.state == "damaged" and "tfcourse data prepare" in found.detail


def test_verify_reads_folder_and_cache(originals):
    with pytest.raises(UserError, match="run: tfcourse data prepare tiny_set"):
        data.verify("tiny_set")
    assert len(data.verify("tiny_set", originals)) == 2
    prepare(originals)
    assert len(data.verify("tiny_set")) == 4
    assert len(data.verify("tiny_set", originals)) == 6


def test_a_damaged_cache_is_refused_by_load_and_mended_by_prepare(originals, cache_dir):
    prepare(originals)
    path = cache_dir / "tiny_set" / "test_images.npy"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    for act in (
        lambda: data.load_arrays("tiny_set", "test", source="real"),
        lambda: data.verify("tiny_set"),
    ):
        with pytest.raises(UserError, match="damaged .test_images.npy differs"):
            act()
    assert "damaged and is made anew" in prepare(originals)[1]
    assert path.read_bytes() == good


def test_a_damaged_original_is_refused_even_if_the_cache_is_whole(originals):
    prepare(originals)
    path = originals / "tiny_set" / "tiny-test.bin"
    path.write_bytes(path.read_bytes()[:-3])
    for act in (
        lambda: prepare(originals),
        lambda: data.verify("tiny_set", originals),
        lambda: data.load_arrays("tiny_set", "test", source="real", data_dir=originals),
    ):
        with pytest.raises(UserError, match="tiny-test.bin is damaged"):
            act()


def test_a_named_folder_is_what_is_used(originals, tmp_path, monkeypatch):
    prepare(originals)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="does not hold tiny_set"):
        data.load_arrays("tiny_set", "test", source="real", data_dir=tmp_path / "empty")
    monkeypatch.setenv("TFCOURSE_DATA_DIR", str(tmp_path / "empty"))
    with pytest.raises(UserError, match="does not hold tiny_set"):
        data.load_arrays("tiny_set", "test", source="real")
    (images, labels) = (np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.int64))
    np.savez(
        tmp_path / "empty" / "tiny_set.npz",
        x_train=images,
        y_train=labels,
        x_test=images,
        y_test=labels,
    )
    _, info = data.load_arrays("tiny_set", "test", source="real")
    assert (info.source, info.num_examples) == ("npz", 3)


def nothing_is_left(cache_dir):
    return not cache_dir.is_dir() or os.listdir(cache_dir) in ([], ["tiny_set.lock"])


def test_a_small_disk_is_seen_before_the_work(originals, cache_dir, monkeypatch):
    free = collections.namedtuple("Usage", "free")(1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(UserError, match="is full: tiny_set needs about 0 MB"):
        prepare(originals)
    assert nothing_is_left(cache_dir)


@pytest.mark.parametrize("place", ["tfds", "arrays", "manifest"])
def test_a_disk_that_fills_up_leaves_nothing(originals, cache_dir, monkeypatch, place):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    if place == "tfds":
        monkeypatch.setattr(tiny_set.TinySet, "_generate_examples", full)
    elif place == "arrays":
        monkeypatch.setattr(cache, "_write_array", full)
    else:
        monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match="is full: .* set TFCOURSE_CACHE_DIR to a"):
        prepare(originals)
    assert nothing_is_left(cache_dir)
    monkeypatch.undo()


def test_words_of_tfds_and_tensorflow_are_understood():
    import tensorflow as tf

    number = tfds_preparation._storage_error_number
    full = tf.errors.ResourceExhaustedError(None, None, "a; No space left on device")
    wrapped = RuntimeError("Error while extracting")
    wrapped.__cause__ = full
    assert number(wrapped) == number(full) == errno.ENOSPC
    assert number(tf.errors.DataLossError(None, None, "corrupt")) == errno.EIO
    assert number(PermissionError(errno.EACCES, "no")) == errno.EACCES
    assert number(ValueError("a bug")) is None


def test_an_unwritable_cache_gets_a_line(originals, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TFCOURSE_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(UserError, match="can't write to the cache .*file") as caught:
        prepare(originals)
    assert "TFCOURSE_CACHE_DIR" in str(caught.value)
    monkeypatch.setenv("TFCOURSE_CACHE_DIR", str(tmp_path / "cache"))

    def denied(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(UserError, match="Permission denied"):
        prepare(originals)


def test_what_is_in_the_way_is_replaced(originals, cache_dir):
    cache_dir.mkdir(parents=True)
    (cache_dir / "tiny_set").write_text("a file where the folder belongs")
    (cache_dir / "tiny_set.incomplete").mkdir()
    (cache_dir / "tiny_set.incomplete" / "left").write_text("by a killed process")
    prepare(originals)
    assert sorted(os.listdir(cache_dir)) == ["tiny_set", "tiny_set.lock"]
    assert data.status("tiny_set").state == "prepared"


def test_a_bug_is_not_taken_for_a_full_disk(originals, cache_dir, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(tiny_set.TinySet, "_generate_examples", broken)
    with pytest.raises(ZeroDivisionError):
        prepare(originals)
    assert nothing_is_left(cache_dir)


PREPARE_IN_A_CHILD = """
import sys
from tests.data import tiny_set
from tfcourse import data
tiny_set.install()
data.prepare("tiny_set", sys.argv[1])
(images, labels), info = data.load_arrays("tiny_set", "train", source="real")
print("loaded", len(labels))
"""


def start_child(originals, **variables):
    environment = os.environ | {"PYTHONPATH": str(ROOT), **variables}
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE_IN_A_CHILD, str(originals)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, timeout_seconds=60):
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_two_processes_at_once_prepare_once(originals, cache_dir, tmp_path):
    record = tmp_path / "record"
    slow = {
        tiny_set.SECONDS_VARIABLE: "0.05",
        tiny_set.RECORD_VARIABLE: str(record),
    }
    first = start_child(originals, **slow)
    wait_for(record.exists)  # The first is at work and holds the lock.
    second = start_child(originals, **slow)
    outputs = [child.communicate(timeout=90) for child in (first, second)]
    assert [child.returncode for child in (first, second)] == [0, 0], outputs
    assert [stdout for stdout, _ in outputs] == ["loaded 40\n"] * 2
    # One line per split, all of one process.
    lines = record.read_text().splitlines()
    assert len(lines) == 2 and {line.split()[0] for line in lines} == {str(first.pid)}
    assert "another process is preparing it; waiting" in outputs[1][1]
    assert sorted(os.listdir(cache_dir)) == ["tiny_set", "tiny_set.lock"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_preparation_leaves_nothing_that_counts(
    originals, cache_dir, tmp_path
):
    record = tmp_path / "record"
    child = start_child(
        originals,
        **{
            tiny_set.SECONDS_VARIABLE: "30",
            tiny_set.RECORD_VARIABLE: str(record),
        },
    )
    wait_for(record.exists)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert (cache_dir / "tiny_set.incomplete").is_dir()
    assert data.status("tiny_set").state == "absent"
    with pytest.raises(UserError, match="there is no real tiny_set"):
        data.verify("tiny_set")
    prepare(originals)  # Neither the lock nor the remains are in its way.
    assert sorted(os.listdir(cache_dir)) == ["tiny_set", "tiny_set.lock"]
    assert len(data.verify("tiny_set")) == 4
