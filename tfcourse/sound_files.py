"""Sound files: WAV, FLAC and Ogg to samples and back, read with distrust.

    samples, sample_rate = read_audio("speech.wav", sample_rate=16_000)

soundfile (libsndfile) decodes: one small wheel with its codecs, no ffmpeg beside it. soxr
resamples: as small, without further dependencies, and what librosa calls by default;
scipy's `resample_poly` with its own filter lets aliases through near the Nyquist frequency.
libsndfile forgives much that a course should not: it reads a WAV that was cut off, and an
Ogg with a damaged page, as shorter sounds. So containers are walked here first.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import struct
import wave
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcourse.errors import UserError

Samples = NDArray[np.float32]

FORMATS = ("WAV", "WAVEX", "FLAC", "OGG")
MAX_SECONDS = 600.0
MAX_FILE_BYTES = 1 << 29
MAX_CHANNELS = 32
MAX_SAMPLE_RATE = 768_000  # Hz
INSTALL = 'pip install "tfcourse[audio]"'

# Ogg's checksum takes bits in the opposite order of zlib's, of the same polynomial.
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_OGG_LAST_PAGE = 4  # Bit of a page's flags.


def read_audio(
    source: str | os.PathLike[str] | bytes,
    *,
    sample_rate: int | None = None,
    name: str = "",
    max_seconds: float = MAX_SECONDS,
) -> tuple[Samples, int]:
    """Return (samples float32 [n], their rate in Hz): one channel, about [-1, 1].

    Channels are averaged. Ogg may overshoot 1 a little: nothing is clipped.

    Args:
        source: A path, or the bytes of a file, as of an archive's member.
        sample_rate: Resample to this rate, in Hz; None keeps the file's.
        name: What to call `source` in messages; default: the path.
        max_seconds: A longer sound is refused before memory is taken for it.

    Raises:
        UserError: If the file can't be read, is damaged, empty, too long or no sound.
    """
    if isinstance(source, bytes):
        content, name = source, name or "the sound"
    else:
        name = name or str(source)
        content = _content(Path(source), name)
    if not content:
        raise UserError(f"{name} is empty: copy it again")
    try:
        _refuse_damaged_container(content)
        samples, rate = _decoded(content, max_seconds)
    except _NotSound as error:
        raise UserError(f"{name} {error}") from None
    if sample_rate is not None:
        samples = resample(samples, rate, sample_rate)
    return samples, sample_rate or rate


def resample(samples: NDArray[Any], from_rate: int, to_rate: int) -> Samples:
    """Return the samples at another rate: float32 [..., ceil(n * to_rate / from_rate)].

    Args:
        samples: float [..., n].
        from_rate: Their rate, in Hz.
        to_rate: The rate to return, in Hz.

    Raises:
        UserError: If soxr is not installed.
        ValueError: If a rate is no positive number.
    """
    if not (from_rate > 0 and to_rate > 0):
        raise ValueError(f"rates must be positive; got {from_rate} and {to_rate}")
    samples = np.asarray(samples, np.float32)
    if from_rate == to_rate:
        return samples
    if find_spec("soxr") is None:
        raise UserError(f"resampling needs the package soxr: {INSTALL}")
    import soxr

    length = math.ceil(samples.shape[-1] * to_rate / from_rate)
    flat = samples.reshape(-1, samples.shape[-1])
    result = np.zeros((len(flat), length), np.float32)
    for row, clip in zip(result, flat, strict=True):
        found = soxr.resample(clip, from_rate, to_rate)[:length]
        row[: len(found)] = found
    return result.reshape(*samples.shape[:-1], length)


def wav_bytes(samples: NDArray[Any], sample_rate: int) -> bytes:
    """Return a WAV file of 16 bits and one channel.

    Args:
        samples: float [n], in [-1, 1].
        sample_rate: In Hz.

    Raises:
        ValueError: If samples are not finite or lie outside of [-1, 1]: they would be
            clipped.
    """
    samples = np.asarray(samples, np.float64)
    peak = float(np.abs(samples).max(initial=0.0))
    if samples.ndim != 1 or not peak <= 1.0:
        raise ValueError(
            f"samples must be [n], in [-1, 1]; got shape {samples.shape}, peak {peak:.3g}"
        )
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((samples * 32_767).round().astype("<i2").tobytes())
    return buffer.getvalue()


class _NotSound(Exception):
    """What is wrong, and what to do; the name of the file goes before it."""


def _content(path: Path, name: str) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise UserError(
                f"{name} has {size:,} bytes, over {MAX_FILE_BYTES:,}: cut it into parts"
            )
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"{name} can't be read ({reason}): check the path") from error


def _decoded(content: bytes, max_seconds: float) -> tuple[Samples, int]:
    """Return the mean of the channels, and the rate; the header is believed in part."""
    if find_spec("soundfile") is None:
        raise UserError(f"reading sound files needs the package soundfile: {INSTALL}")
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            _refuse_claims(file, max_seconds)
            samples = file.read(dtype="float32", always_2d=True)  # [n, channels]
            num_claimed, rate = file.frames, file.samplerate
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0].rpartition(": ")[2][:80].rstrip(".")
        raise _NotSound(
            f"is damaged or no WAV, FLAC or Ogg file ({reason}): copy it again"
        ) from error
    if len(samples) != num_claimed:
        raise _NotSound(
            f"is damaged: {len(samples):,} of {num_claimed:,} samples; copy it again"
        )
    if not np.isfinite(samples).all():
        raise _NotSound("holds values that are no numbers: convert it again")
    _refuse_other_checksum(content, samples)
    return samples.mean(axis=1), rate


def _refuse_claims(file: Any, max_seconds: float) -> None:
    """Raise _NotSound for what the header says, before memory is taken for it."""
    if file.format not in FORMATS:
        raise _NotSound(f"is {file.format}: convert it to WAV, FLAC or Ogg")
    if not 0 < file.samplerate <= MAX_SAMPLE_RATE:
        raise _NotSound(f"claims {file.samplerate:,} Hz: convert it again")
    if file.channels > MAX_CHANNELS:
        raise _NotSound(f"claims {file.channels} channels: convert it to one or two")
    if file.frames <= 0:
        raise _NotSound("holds no samples: record or copy it again")
    seconds = file.frames / file.samplerate
    if seconds > max_seconds:
        raise _NotSound(
            f"claims {seconds:,.0f} seconds, over {max_seconds:,.0f}: cut it into parts, "
            "or raise max_seconds"
        )


def _refuse_damaged_container(content: bytes) -> None:
    """Raise _NotSound if a WAV ends early, or an Ogg does or has a damaged page."""
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        place = 12
        while place + 8 <= len(content):
            kind, size = struct.unpack_from("<4sI", content, place)
            place += 8
            # A program that could not seek back leaves 2^32 - 1: until the end.
            if place + size > len(content) and size != 0xFFFFFFFF:
                raise _NotSound(
                    f"is cut off: {len(content):,} of {place + size:,} bytes; copy it "
                    "again"
                )
            if kind == b"data":
                return
            place += size + size % 2
    elif content[:4] == b"OggS":
        _refuse_damaged_pages(content)


def _refuse_damaged_pages(content: bytes) -> None:
    """Raise _NotSound at the first page of an Ogg that is not whole.

    Source: RFC 3533, section 6.
    """
    place, flags = 0, 0
    while place < len(content):
        num_segments = content[place + 26] if place + 27 <= len(content) else 0
        body = place + 27 + num_segments
        end = body + sum(content[place + 27 : body])
        if content[place : place + 4] != b"OggS" or not body <= end <= len(content):
            raise _NotSound(f"is damaged or cut off at byte {place:,}: copy it again")
        flags = content[place + 5]
        page = content[place : place + 22] + bytes(4) + content[place + 26 : end]
        checksum = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
        stored = int.from_bytes(content[place + 22 : place + 26], "little")
        if int(f"{checksum:032b}"[::-1], 2) != stored:
            raise _NotSound(f"is damaged after byte {place:,}: copy it again")
        place = end
    if not flags & _OGG_LAST_PAGE:
        raise _NotSound("is cut off: its last page is missing; copy it again")


def _refuse_other_checksum(content: bytes, samples: Samples) -> None:
    """Raise _NotSound if a FLAC's samples are not those that its header sums up.

    Source: RFC 9639, section 8.2 (streaminfo).
    """
    if content[:4] != b"fLaC":
        return
    stored = content[26:42]
    bits = (int.from_bytes(content[20:22], "big") >> 4 & 0x1F) + 1
    if bits not in (16, 24) or not any(stored):  # Zeros: not computed.
        return
    whole = (samples.astype(np.float64) * 2 ** (bits - 1)).astype("<i4")
    parts = whole.reshape(-1, 1).view(np.uint8)[:, : bits // 8]
    if hashlib.md5(parts.tobytes(), usedforsecurity=False).digest() != stored:
        raise _NotSound("is damaged: its samples have another checksum; copy it again")
