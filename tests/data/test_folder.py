"""The folder of original files: what is found, and what is refused in which words."""

import os
import stat

import pytest

from tests.data import tiny_set
from tfcourse.data.folder import (
    find_in_folder,
    named_folder,
    verify_original,
    verify_originals,
)
from tfcourse.data.specs import find_spec
from tfcourse.errors import UserError


def test_the_argument_comes_before_the_variable(monkeypatch, tmp_path):
    assert named_folder(None) is None
    monkeypatch.setenv("TFCOURSE_DATA_DIR", "")
    assert named_folder(None) is None
    monkeypatch.setenv("TFCOURSE_DATA_DIR", str(tmp_path))
    assert named_folder(None) == tmp_path
    assert named_folder("elsewhere").name == "elsewhere"


def test_a_complete_folder_is_found_and_verified(tiny, originals):
    found = find_in_folder(tiny, originals)
    assert (found.path, found.registered) == (originals / tiny.name, True)
    files = verify_originals(tiny, found.path)
    assert [file.path.name for file in files] == ["tiny-train.bin", "tiny-test.bin"]
    assert all(file.registered for file in files)


@pytest.mark.parametrize("place", ["tiny_set/tiny_set.npz", "tiny_set.npz"])
def test_an_npz_is_found_in_the_subfolder_or_beside_it(tiny, tmp_path, place):
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.touch()
    found = find_in_folder(tiny, tmp_path)
    assert (found.path, found.registered) == (path, False)


def test_originals_come_before_an_npz(tiny, originals):
    (originals / "tiny_set" / "tiny_set.npz").touch()
    assert find_in_folder(tiny, originals).registered


def test_a_part_of_the_originals_is_refused_even_beside_an_npz(tiny, originals):
    (originals / "tiny_set" / "tiny_set.npz").touch()
    (originals / "tiny_set" / "tiny-test.bin").unlink()
    with pytest.raises(UserError, match="a part of tiny_set only: put tiny-test.bin"):
        find_in_folder(tiny, originals)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("missing", r"missing does not exist: check --data-dir or TFCOURSE_DATA_DIR"),
        ("file", r"file is a file, not a folder"),
        (
            "empty",
            r"put tiny-train.bin, tiny-test.bin \(or tiny_set.npz\) in .*tiny_set",
        ),
        ("right/tiny_set", r"name the folder above it, .*right"),
        ("flat", r"its files belong in the subfolder .*flat.tiny_set"),
    ],
)
def test_a_wrong_folder_gets_a_line_that_helps(tiny, tmp_path, folder, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    tiny_set.write_originals(tmp_path / "right")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "tiny-train.bin").touch()
    with pytest.raises(UserError, match=message) as caught:
        find_in_folder(tiny, tmp_path / folder)
    assert "\n" not in str(caught.value)


def flip(data, index):
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "0 bytes instead of 31,400"),
        (lambda data: data[:-1], "31,399 bytes instead of 31,400"),
        (lambda data: data + b"\0", "31,401 bytes instead of 31,400"),
        (lambda data: flip(data, 0), "its SHA-256 is"),
        (lambda data: flip(data, -1 + len(data)), "its SHA-256 is"),
    ],
)
def test_a_damaged_file_is_refused(tiny, originals, damage, message):
    path = originals / "tiny_set" / "tiny-train.bin"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=message) as caught:
        verify_originals(tiny, path.parent)
    assert str(path) in str(caught.value)
    assert "download http://tiny.invalid/tiny-train.bin" in str(caught.value)


def test_a_file_that_changes_is_read_again(tiny, originals):
    path = originals / "tiny_set" / "tiny-train.bin"
    original, data = tiny.originals[0], path.read_bytes()
    assert verify_original(original, path).sha256 == original.sha256
    path.write_bytes(flip(data, 5))
    os.utime(path, ns=(1, 1))
    with pytest.raises(UserError, match="is damaged"):
        verify_original(original, path)


def test_a_missing_or_unreadable_file_is_refused(tiny, originals):
    path = originals / "tiny_set" / "tiny-train.bin"
    path.unlink()
    with pytest.raises(UserError, match="can't be read"):
        verify_original(tiny.originals[0], path)
    path.mkdir()
    assert stat.S_ISDIR(path.stat().st_mode)
    with pytest.raises(UserError, match="is damaged|can't be read"):
        verify_original(tiny.originals[0], path)


def test_progress_ends_at_the_file_size(tiny, originals):
    seen = []
    verify_originals(tiny, originals / "tiny_set", lambda *step: seen.append(step))
    assert seen == [
        ("verifying tiny-train.bin", 31_400, 31_400),
        ("verifying tiny-test.bin", 15_700, 15_700),
    ]


@pytest.mark.real_data
def test_the_real_originals_are_whole(real_data_dir):
    for name in ("mnist", "fashion_mnist"):
        spec = find_spec(name)
        found = find_in_folder(spec, real_data_dir)
        assert len(verify_originals(spec, found.path)) == 4
