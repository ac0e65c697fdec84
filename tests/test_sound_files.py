"""Sound files: what is read, what is refused, resampling."""

import io
import struct

import librosa
import numpy as np
import pytest
import soundfile

from tfcourse import sound_files
from tfcourse.errors import UserError
from tfcourse.sound_files import read_audio, resample, wav_bytes


def tone(seconds=0.5, rate=16_000, hertz=440.0):
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def encoded(samples, rate=16_000, form="WAV", subtype=None):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("form", "subtype", "tolerance"),
    [
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_24", 1e-6),
        ("WAV", "FLOAT", 0),
        ("WAV", "PCM_U8", 1e-2),
        ("WAVEX", "PCM_16", 1e-4),
        ("FLAC", "PCM_16", 1e-4),
        ("FLAC", "PCM_24", 1e-6),
        ("OGG", "VORBIS", 0.05),
        ("OGG", "OPUS", 0.25),  # At the ends.
    ],
)
def test_formats_come_back_from_a_path_and_from_bytes(
    tmp_path, form, subtype, tolerance
):
    content = encoded(tone(), form=form, subtype=subtype)
    path = tmp_path / "tone"
    path.write_bytes(content)
    samples, rate = read_audio(path)
    assert rate == 16_000 and samples.dtype == np.float32
    np.testing.assert_allclose(samples, tone(), atol=tolerance)
    np.testing.assert_array_equal(read_audio(content)[0], samples)
    np.testing.assert_array_equal(read_audio(str(path))[0], samples)


def test_channels_are_averaged_and_the_rate_is_changed():
    stereo = np.stack([tone(), -0.5 * tone()], axis=1)
    samples, _ = read_audio(encoded(stereo, subtype="FLOAT"))
    np.testing.assert_allclose(samples, 0.25 * tone(), atol=1e-7)
    samples, rate = read_audio(encoded(tone(), subtype="FLOAT"), sample_rate=8_000)
    assert rate == 8_000 and samples.shape == (4_000,)
    np.testing.assert_allclose(samples[200:-200], tone(rate=8_000)[200:-200], atol=1e-3)


@pytest.mark.parametrize(("source", "target"), [(44_100, 16_000), (8_000, 16_000)])
def test_resampling_is_librosas_and_lets_no_alias_through(source, target):
    samples = np.random.default_rng(0).standard_normal((2, 3_001)).astype(np.float32)
    found = resample(samples, source, target)
    expected = librosa.resample(samples, orig_sr=source, target_sr=target)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # A tone just below the new Nyquist frequency stays; one above it goes.
    low, high = (tone(0.5, 44_100, hertz) for hertz in (7_000.0, 8_700.0))
    assert np.std(resample(low, 44_100, 16_000)) == pytest.approx(np.std(low), rel=0.01)
    assert np.std(resample(high, 44_100, 16_000)[500:-500]) < 1e-3
    np.testing.assert_array_equal(resample(samples, 8_000, 8_000), samples)
    with pytest.raises(ValueError, match="rates must be positive"):
        resample(samples, 0, 8_000)


WAV = encoded(tone())
OGG = encoded(tone(3.0), form="OGG")
FLAC = encoded(tone(), form="FLAC")


def flipped(content, place):
    changed = bytearray(content)
    changed[place] ^= 0x10
    return bytes(changed)


def claims(size=None, rate=None, channels=None):
    """Return the WAV with another header."""
    changed = bytearray(WAV)
    for place, form, value in (
        (40, "<I", size),
        (24, "<I", rate),
        (22, "<H", channels),
    ):
        if value is not None:
            struct.pack_into(form, changed, place, value)
    return bytes(changed)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty: copy it again"),
        (
            b"hello, this is no sound at all" * 20,
            "it is damaged or no WAV, FLAC or Ogg",
        ),
        (b"RIFF\x00\x00\x00\x00WAVE", "it is damaged or no WAV"),
        (WAV[:-100], "it is cut off: 15,944 of 16,044 bytes; copy it again"),
        (WAV[:40], "it is damaged or no WAV|it is cut off"),
        (encoded(np.zeros(0)), "it holds no samples"),
        (claims(size=2**31), "it is cut off"),
        (claims(rate=0), "it claims 0 Hz|damaged"),
        (claims(rate=2**31 - 1), "it claims 2,147,483,647 Hz"),
        (claims(channels=1_000), "it claims 1000 channels|damaged"),
        (OGG[:-50], "it is damaged or cut off at byte"),
        (flipped(OGG, len(OGG) // 2), "it is damaged after byte"),
        (flipped(OGG, 80), "it is damaged"),
        (FLAC[:-500], "it is damaged"),
        (flipped(FLAC, len(FLAC) // 2), "it is damaged"),
        (encoded(tone(), form="AIFF"), "it is AIFF: convert it to WAV, FLAC or Ogg"),
        (
            encoded(np.full(9, np.nan), subtype="FLOAT"),
            "it holds values that are no numbers",
        ),
    ],
)
def test_what_is_damaged_or_no_sound_gets_one_clear_line(content, message):
    with pytest.raises(UserError, match=message) as caught:
        read_audio(content, name="it")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_an_ogg_that_ends_with_a_whole_page_is_cut_off_too():
    last = OGG.rfind(b"OggS")
    with pytest.raises(UserError, match="its last page is missing"):
        read_audio(OGG[:last])


def test_every_flipped_bit_of_an_ogg_and_most_of_a_flac_are_seen():
    whole = {"ogg": read_audio(OGG)[0], "flac": read_audio(FLAC)[0]}
    rng = np.random.default_rng(0)
    for name, content in (("ogg", OGG), ("flac", FLAC)):
        for place in rng.integers(0, len(content), 40):
            try:
                found, _ = read_audio(flipped(content, place))
            except UserError:
                continue
            # In a FLAC, a bit may lie in a comment or padding.
            assert name == "flac"
            np.testing.assert_array_equal(found, whole[name])


def test_a_wav_of_a_pipe_has_no_length_and_is_read():
    samples, _ = read_audio(claims(size=0xFFFFFFFF))
    np.testing.assert_array_equal(samples, read_audio(WAV)[0])


def test_a_claim_is_refused_before_memory_is_taken():
    changed = bytearray(FLAC)  # The 36 bits of the header's number of samples.
    changed[21] |= 0x0F
    changed[22:26] = b"\xff" * 4
    with pytest.raises(UserError, match=r"claims 4,294,967 seconds, over 600"):
        read_audio(bytes(changed))
    with pytest.raises(UserError, match="claims 0 seconds, over 0"):
        read_audio(WAV, max_seconds=0.1)


def test_paths_that_can_not_be_read(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="none.wav can't be read .* check the path"):
        read_audio(tmp_path / "none.wav")
    with pytest.raises(UserError, match="can't be read .Is a directory."):
        read_audio(tmp_path)
    (tmp_path / "large.wav").write_bytes(WAV)
    monkeypatch.setattr(sound_files, "MAX_FILE_BYTES", 1_000)
    with pytest.raises(UserError, match="large.wav has 16,044 bytes, over 1,000"):
        read_audio(tmp_path / "large.wav")


def test_what_is_not_installed_says_so(monkeypatch):
    monkeypatch.setattr(sound_files, "find_spec", lambda name: None)
    for use in (lambda: read_audio(WAV), lambda: resample(tone(), 8_000, 16_000)):
        with pytest.raises(UserError, match=r'pip install "tfcourse\[audio\]"'):
            use()


def test_a_wav_is_written_without_clipping():
    samples, rate = read_audio(wav_bytes(tone(), 8_000))
    assert rate == 8_000
    np.testing.assert_allclose(samples, tone(), atol=1e-4)
    for wrong in (3 * tone(), tone()[None], np.array([np.nan])):
        with pytest.raises(ValueError, match=r"samples must be \[n\], in \[-1, 1\]"):
            wav_bytes(wrong, 8_000)
