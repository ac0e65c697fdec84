"""The cache: what is written comes back, and nothing damaged does."""

import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data import tiny_set
from tfcourse.data import cache
from tfcourse.errors import UserError

SPEC = tiny_set.SPEC


def arrays():
    rng = np.random.default_rng(0)
    return {
        split: (
            rng.integers(0, 256, (count, 28, 28), np.uint8),
            np.arange(count, dtype=np.int64) % 10,
        )
        for split, count in SPEC.num_examples.items()
    }


@pytest.fixture
def prepared(cache_dir):
    cache_dir.mkdir(parents=True)
    cache.write_prepared(SPEC, arrays(), cache_dir / SPEC.name, "folder")
    return cache_dir / SPEC.name


def load_all():
    manifest = cache.read_manifest(SPEC)
    return {split: cache.load_prepared(SPEC, manifest, split) for split in arrays()}


def test_the_folder_follows_the_variable(monkeypatch, tmp_path):
    assert cache.set_folder(SPEC) == tmp_path / "cache" / "data" / "tiny_set"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("TFCOURSE_CACHE_DIR", "~/elsewhere")
    assert cache.cache_folder() == tmp_path / "elsewhere" / "data"
    monkeypatch.delenv("TFCOURSE_CACHE_DIR")
    assert cache.cache_folder() == tmp_path / ".cache" / "tfcourse" / "data"


def test_an_empty_cache_is_no_mistake():
    assert cache.read_manifest(SPEC) is None


def test_arrays_come_back_as_they_were(prepared):
    for split, (images, labels) in load_all().items():
        np.testing.assert_array_equal(images, arrays()[split][0])
        np.testing.assert_array_equal(labels, arrays()[split][1])
        assert images.dtype == np.uint8 and labels.dtype == np.int64
        images[0] = 0  # A caller may write into its arrays.
    manifest = cache.read_manifest(SPEC)
    assert manifest.source == "folder"
    files = cache.verify_prepared(SPEC, manifest)
    assert {file.path.name for file in files} == set(manifest.arrays)


def test_the_files_are_ordinary_npy_files(prepared):
    images = np.load(prepared / "train_images.npy")
    np.testing.assert_array_equal(images, arrays()["train"][0])


FILES = (
    "manifest.json",
    "train_images.npy",
    "train_labels.npy",
    "test_images.npy",
    "test_labels.npy",
)
REMEDY = "is damaged .* run: tfcourse data prepare tiny_set"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["removed", "emptied", "shortened", "folder"])
def test_damage_is_refused(prepared, name, damage):
    path = prepared / name
    contents = path.read_bytes()
    path.unlink()
    if damage == "emptied":
        path.touch()
    elif damage == "shortened":
        path.write_bytes(contents[:-1])
    elif damage == "folder":
        path.mkdir()
    with pytest.raises(UserError, match=REMEDY) as caught:
        load_all()
    assert "\n" not in str(caught.value)


def test_every_changed_byte_of_the_manifest_is_noticed(prepared):
    path = prepared / "manifest.json"
    good, manifest = path.read_bytes(), cache.read_manifest(SPEC)
    for index in range(len(good)):
        path.write_bytes(good[:index] + bytes([good[index] ^ 1]) + good[index + 1 :])
        try:
            found = cache.read_manifest(SPEC)
            assert found.originals == manifest.originals
            if found != manifest:  # The checksum itself was changed.
                cache.verify_prepared(SPEC, found)
        except UserError:
            continue
        assert found == manifest


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_nothing(
    tmp_path_factory, name, place, mask
):
    base = tmp_path_factory.getbasetemp() / "changed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFCOURSE_CACHE_DIR", str(base))
        folder = cache.set_folder(SPEC)
        if not folder.exists():
            folder.parent.mkdir(parents=True)
            cache.write_prepared(SPEC, arrays(), folder, "folder")
        path = folder / name
        good, manifest = path.read_bytes(), cache.read_manifest(SPEC)
        index = int(place * len(good))
        path.write_bytes(good[:index] + bytes([good[index] ^ mask]) + good[index + 1 :])
        try:
            for split, (images, labels) in load_all().items():
                assert name == "manifest.json"
                assert cache.read_manifest(SPEC) == manifest
                np.testing.assert_array_equal(images, arrays()[split][0])
                np.testing.assert_array_equal(labels, arrays()[split][1])
        except UserError as error:
            assert "\n" not in str(error)
        finally:
            path.write_bytes(good)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"originals": {"tiny-train.bin": "0" * 64}},
        {"arrays": {}},
        {"arrays": []},
        {"arrays": {"../../../etc/passwd": {"num_bytes": 1, "sha256": "0"}}},
        {"name": "mnist"},
        {"source": 7},
        {"more": 1},
    ],
)
def test_another_manifest_is_refused(prepared, change):
    path = prepared / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=REMEDY):
        cache.read_manifest(SPEC)


@pytest.mark.parametrize("text", ["", "[]", "null", "3", '"x"', "{", "[" * 99_999])
def test_a_manifest_that_is_none_is_refused(prepared, text):
    (prepared / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=REMEDY):
        cache.read_manifest(SPEC)


def test_a_file_in_the_place_of_the_set_is_refused(cache_dir):
    cache_dir.mkdir(parents=True)
    (cache_dir / SPEC.name).touch()
    with pytest.raises(UserError, match=REMEDY):
        cache.read_manifest(SPEC)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_removing_a_link_leaves_its_target(tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    link = tmp_path / "link"
    link.symlink_to(target)
    cache.remove(link)
    assert target.is_dir() and not link.is_symlink()
    cache.remove(link)  # Nothing there: nothing to do.
