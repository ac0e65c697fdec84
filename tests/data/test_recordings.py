"""Recordings: the embedded twins, an archive from elsewhere, and the real ones."""

import dataclasses
import io
import tarfile

import numpy as np
import pytest
import soundfile

from tfcourse import data
from tfcourse.data import noise_synthesis, recording_specs, recordings
from tfcourse.data.sound_archives import read_archive
from tfcourse.errors import UserError

NAMES = [spec.name for spec in data.recordings_catalogue()]
TONE = (0.3 * np.sin(np.arange(800) / 5)).astype(np.float32)
DIGITS = {
    "recordings/0_ann_0.wav": TONE,
    "recordings/0_bob_0.wav": TONE[:500],
    "recordings/7_ann_0.wav": -TONE[:300],
}


def sound(samples, rate=8_000, form="WAV"):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form)
    return buffer.getvalue()


def write_archive(path, members, mode="w:gz"):
    """Write a tar archive of sounds, or of bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            if not isinstance(content, bytes):
                content = sound(content)
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return path


@pytest.fixture
def folder(tmp_path):
    """Return a data folder with a small fsdd from elsewhere."""
    write_archive(tmp_path / "fsdd" / "fsdd.tar.gz", DIGITS)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "part", "count", "rate", "speakers"),
    [
        ("fsdd", "speech", 500, 8_000, 5),
        ("speech_commands", "speech", 600, 16_000, 60),
        ("speech_commands", "noise", 40, 16_000, 0),
        ("esc10", "noise", 80, 16_000, 0),
    ],
)
def test_the_twins_have_the_form_of_the_real_sets(name, part, count, rate, speakers):
    found, info = data.load_recordings(name, part)
    assert len(found) == info.num_examples == count
    assert found.sample_rate == info.sample_rate == rate
    assert (info.source, info.verified, info.split) == ("embedded", True, part)
    assert info.note.startswith("not ") and info.licence == "Apache-2.0"
    assert len(info.speaker_names) == speakers
    assert len(info.class_names) == len(info.class_kinds) == 10
    assert np.bincount(found.labels).tolist() == [count // 10] * 10
    if speakers:
        assert np.bincount(found.speakers).tolist() == [count // speakers] * speakers
        pairs = set(zip(found.labels.tolist(), found.speakers.tolist(), strict=True))
        assert len(pairs) == 10 * speakers
    else:
        assert (found.speakers == -1).all()
    assert len(set(found.origins)) == len(set(found.names)) == count
    for clip in found.clips:
        assert clip.dtype == np.float32 and 0.05 < np.abs(clip).max() <= 1.0
    lengths = {len(clip) for clip in found.clips}
    assert len(lengths) > 40 if name == "fsdd" else len(lengths) == 1
    again, _ = data.load_recordings(name, part)
    again.clips[0][:] = 9.0  # The caller's own.
    np.testing.assert_array_equal(
        data.load_recordings(name, part)[0].clips[0], found.clips[0]
    )


def test_no_two_clips_of_a_twin_are_the_same():
    found, _ = data.load_recordings("speech_commands")
    samples = found.fixed(16_000)
    samples /= np.linalg.norm(samples, axis=1, keepdims=True)
    likeness = samples @ samples.T
    assert np.abs(likeness - np.eye(len(samples))).max() < 0.9


def test_fixed_chosen_and_dataset():
    found, _ = data.load_recordings("fsdd")
    samples = found.fixed(3_000)
    assert samples.shape == (500, 3_000) and samples.dtype == np.float32
    for row, clip in zip(samples, found.clips, strict=True):
        kept = min(3_000, len(clip))
        np.testing.assert_array_equal(row[:kept], clip[:kept])
        assert not row[kept:].any()
    ann = found.chosen(found.speakers == 2)
    assert len(ann) == 100 and set(ann.speakers) == {2}
    few = found.chosen([7, 3])
    assert few.names == (found.names[7], found.names[3])
    assert few.labels.tolist() == found.labels[[7, 3]].tolist()
    examples = list(few.dataset().as_numpy_iterator())
    assert len(examples) == few.dataset().cardinality() == 2
    for (clip, label, speaker), place in zip(examples, (7, 3), strict=True):
        np.testing.assert_array_equal(clip, found.clips[place])
        assert (label, speaker) == (found.labels[place], found.speakers[place])
    assert few.dataset().element_spec[0].shape.as_list() == [None]
    assert len(found.chosen([])) == 0
    for wrong in ([500], np.zeros(3, bool), [[1]]):
        with pytest.raises(ValueError, match=r"must be \["):
            found.chosen(wrong)


def test_another_rate_and_the_names_of_the_noises():
    found, info = data.load_recordings("fsdd", sample_rate=16_000)
    assert found.sample_rate == info.sample_rate == 16_000
    slow, _ = data.load_recordings("fsdd")
    assert [len(c) for c in found.clips] == [2 * len(c) for c in slow.clips]
    assert recording_specs.SYNTHETIC_NOISES == noise_synthesis.NOISES
    kinds = recording_specs.noise_kinds(noise_synthesis.NOISES)
    assert kinds.count("stationary") == len(noise_synthesis.STATIONARY)


def test_an_archive_from_elsewhere_is_read_and_reported_as_unverified(folder):
    found, info = data.load_recordings("fsdd", source="real", data_dir=folder)
    assert (info.source, info.verified) == ("archive", False)
    assert (
        info.note == "unverified: read as it is, 3 clips" and "SHA-256" in info.origin
    )
    assert found.labels.tolist() == [0, 0, 7]
    assert info.speaker_names == ("ann", "bob") and found.speakers.tolist() == [0, 1, 0]
    assert [len(clip) for clip in found.clips] == [800, 500, 300]
    np.testing.assert_allclose(found.clips[0], TONE, atol=1e-4)
    assert found.names[0] == "recordings/0_ann_0.wav"
    assert data.status("fsdd", folder).state == "archive"
    assert data.prepare("fsdd", folder).state == "archive"
    assert not data.verify("fsdd", folder)[0].registered


def test_an_archive_may_have_folders_around_and_other_compression(tmp_path):
    path = tmp_path / "esc10" / "esc10.tar.gz"
    clip = sound(TONE, 44_100, "OGG")
    members = {
        "ESC-10-master/README.md": b"no sound",
        "ESC-10-master/002 - Rain/5-123-B.ogg": clip,
        "ESC-10-master/001 - Dog bark/1-99-A.ogg": clip,
    }
    write_archive(path, members, "w:xz")
    found, info = data.load_recordings(
        "esc10", source="real", data_dir=tmp_path, sample_rate=16_000
    )
    assert found.folds.tolist() == [1, 5] and found.origins == ("99", "123")
    assert [info.class_names[i] for i in found.labels] == ["Dog bark", "Rain"]
    assert found.sample_rate == 16_000 and len(found.clips[0]) == 291
    assert info.class_kinds[0] == "impulsive" and info.speaker_names == ()


def changed(**members):
    return {**DIGITS, **{f"recordings/{k}.wav": v for k, v in members.items()}}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            changed(**{"1_eve_0": sound(TONE)[:-99]}),
            "1_eve_0.wav is cut off: .* copy it",
        ),
        (changed(**{"1_eve_0": b""}), "1_eve_0.wav is empty"),
        (changed(**{"1_eve_0": b"x" * 999}), "1_eve_0.wav is damaged or no WAV"),
        (changed(**{"1_eve_0": np.tile(TONE, 120)}), "claims 12 seconds, over 10"),
        (
            changed(**{"1_eve_0": sound(TONE, 16_000)}),
            "mixes sample rates .8000, 16000",
        ),
        ({"README.md": b"nothing"}, "holds no speech of fsdd: its clips must be named"),
        ({**DIGITS, **{f"x/{k}": v for k, v in DIGITS.items()}}, "0_ann_0.wav twice"),
    ],
)
def test_an_archive_with_something_wrong_gets_one_clear_line(
    tmp_path, members, message
):
    write_archive(tmp_path / "fsdd" / "fsdd.tar.gz", members)
    with pytest.raises(UserError, match=message) as caught:
        data.load_recordings("fsdd", source="real", data_dir=tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_what_is_no_archive_is_refused(tmp_path, folder, monkeypatch):
    path = folder / "fsdd" / "fsdd.tar.gz"
    whole = path.read_bytes()
    for content in (whole[:-200], whole[: len(whole) // 2], b"", b"no tar at all" * 99):
        path.write_bytes(content)
        with pytest.raises(
            UserError, match=r"fsdd.tar.gz (is damaged|holds no speech)"
        ):
            data.load_recordings("fsdd", source="real", data_dir=folder)
    path.write_bytes(whole)
    spec = recording_specs.find_recordings_spec("fsdd")
    small = dataclasses.replace(spec.parts[0], num_clips=0)
    with pytest.raises(UserError, match="over 0 clips of fsdd: leave some out"):
        read_archive(spec, small, path, None)
    monkeypatch.setattr("tfcourse.data.sound_archives.MAX_TOTAL_BYTES", 5_000)
    with pytest.raises(UserError, match="take over 5,000 bytes: leave some out"):
        read_archive(spec, spec.parts[0], path, None)
    monkeypatch.setattr("tfcourse.data.sound_archives.MAX_CLIP_BYTES", 100)
    with pytest.raises(UserError, match="has 1,644 bytes: no clip has"):
        read_archive(spec, spec.parts[0], path, None)


def test_verify_reads_every_part_that_an_archive_holds(tmp_path):
    path = tmp_path / "speech_commands" / "speech_commands.tar.gz"
    word = {"yes/0123abcd_nohash_0.wav": sound(TONE, 16_000)}
    write_archive(path, word)  # Without background noise: words can be loaded from it.
    assert len(data.verify("speech_commands", tmp_path)) == 1
    noise = {"_silence_/17.wav": sound(TONE, 16_000)[:300]}
    write_archive(path, word | noise)
    with pytest.raises(UserError, match="17.wav"):
        data.verify("speech_commands", tmp_path)


def test_a_word_of_no_class_is_refused(tmp_path):
    members = {"backward/0123abcd_nohash_0.wav": sound(TONE, 16_000)}
    write_archive(tmp_path / "speech_commands" / "speech_commands.tar.gz", members)
    with pytest.raises(
        UserError, match="backward/.*no class of speech_commands; these"
    ):
        data.load_recordings("speech_commands", source="real", data_dir=tmp_path)


def test_a_damaged_original_is_refused(tmp_path):
    spec = recording_specs.find_recordings_spec("fsdd")
    path = tmp_path / "fsdd" / spec.originals[0].filename
    write_archive(path, DIGITS, "w:xz")
    for use in (data.verify, data.prepare):
        with pytest.raises(UserError, match="tar.xz is damaged: .*; copy it again$"):
            use("fsdd", tmp_path)
    path.write_bytes(b"x" * spec.download_bytes)
    with pytest.raises(UserError, match="its SHA-256 is .*; copy it again$"):
        data.load_recordings("fsdd", source="real", data_dir=tmp_path)
    assert data.status("fsdd", tmp_path).state == "originals"


def test_a_missing_set_says_what_to_do(tmp_path):
    place = r"put fsdd_recordings_5_speakers.tar.xz \(or fsdd.tar.gz\) in .*fsdd"
    with pytest.raises(UserError, match=place):
        data.load_recordings("fsdd", source="real", data_dir=tmp_path)
    get = "not downloaded by itself: get it from https://github.com/.*TFCOURSE_DATA_DIR"
    for use in (data.verify, data.prepare):
        with pytest.raises(UserError, match=get):
            use("fsdd")
    assert data.status("fsdd").state == data.status("esc10", tmp_path).state == "absent"


def test_names_that_are_no_recordings_are_refused():
    with pytest.raises(
        UserError, match="'mnist'; there are fsdd, speech_commands, esc"
    ):
        data.load_recordings("mnist")
    with pytest.raises(UserError, match="fsdd is a set of recordings.*load_recordings"):
        data.load_arrays("fsdd", "train")
    with pytest.raises(UserError, match="esc10 has no part 'speech'; it has noise"):
        data.load_recordings("esc10", "speech")
    with pytest.raises(UserError, match="source must be one of"):
        data.load_recordings("fsdd", source="web")
    with pytest.raises(UserError, match="take source='real'"):
        data.load_recordings("fsdd", data_dir="x")


def read_by_others(folder, found, name):
    """Compare every tenth clip with what tarfile and soundfile make of it."""
    (path,) = (folder / name).iterdir()
    number = {clip: place for place, clip in enumerate(found.names)}
    compared = 0
    with tarfile.open(path) as archive:
        for member in archive:
            place = number.get("/".join(member.name.split("/")[-2:]), 1)
            if place % 10 == 0:
                content = archive.extractfile(member).read()
                samples, rate = soundfile.read(io.BytesIO(content), dtype="float32")
                assert rate == found.sample_rate
                np.testing.assert_array_equal(samples, found.clips[place])
                compared += 1
    assert compared == -(-len(found) // 10)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "part", "count", "rate", "speakers"),
    [
        ("fsdd", "speech", 2_500, 8_000, 5),
        ("speech_commands", "speech", 600, 16_000, 60),
        ("speech_commands", "noise", 40, 16_000, 0),
        ("esc10", "noise", 80, 44_100, 0),
    ],
)
def test_the_real_sets_are_verified_and_whole(
    real_data_dir, name, part, count, rate, speakers
):
    found, info = data.load_recordings(
        name, part, source="real", data_dir=real_data_dir
    )
    assert (info.source, info.verified) == ("folder", True)
    assert info.num_examples == len(found) == count and found.sample_rate == rate
    assert len(info.speaker_names) == speakers
    read_by_others(real_data_dir, found, name)
    if speakers:
        assert set(np.bincount(found.speakers)) == {count // speakers}
    if name == "esc10":
        assert np.bincount(found.labels).tolist() == [8] * 10
        assert set(found.folds) == {1, 2, 3, 4, 5}
        assert len(set(found.origins)) < count  # Several clips of one recording.
    assert max(np.abs(clip).max() for clip in found.clips) < 1.05
    (file,) = data.verify(name, real_data_dir)
    assert file.registered
    assert data.prepare(name, real_data_dir).state == "originals"


def test_the_catalogue_agrees_with_itself():
    assert NAMES == ["fsdd", "speech_commands", "esc10"]
    for spec in data.recordings_catalogue():
        assert spec.licence and spec.homepage.startswith("http")
        for part in spec.parts:
            assert len(part.class_names) == len(part.kinds)
            assert part.twin.note.startswith("not ")
    assert recordings.NOBODY == -1
