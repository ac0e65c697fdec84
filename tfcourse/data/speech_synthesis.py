"""A seeded source-filter synthesiser of words: the embedded twin of the speech sets.

Glottal pulses, and noise, go through resonators whose frequencies follow a word's
phonemes; a speaker is a vocal-tract length, a pitch, and a way of using both. It is no
natural speech: twenty words, one manner of saying each. But what methods live on is there:
harmonics with a contour, formants that move, hiss and bursts, pauses, and speakers.

It works at 16 kHz; 8 kHz are made from that.

Source: Fant, 1960 (source and filter); Klatt, 1980 (the synthesiser).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcourse.data.phonemes import PHONEMES, TRACT_CM, WORDS, Phoneme
from tfcourse.data.resonators import FRAME_SAMPLES, SAMPLE_RATE, resonate

Floats = NDArray[Any]  # float32 or float64
Ints = NDArray[np.int64]

CHUNK = 256  # Clips at a time: their states stay in the processor's cache.
HIGHER_FORMANTS = (3500.0, 4500.0, 5500.0)  # Hz: a uniform tube's.
BANDWIDTHS = (60.0, 90.0, 150.0, 200.0, 280.0, 380.0)  # Hz.
SLOWNESS = 1.3  # Words said alone last longer than in the sentences of the tables.
GLIDE_MS = 14.0  # Standard deviation of the smoothing of formants,
LEVELS_MS = (10.0, 6.0, 4.0)  # and of voicing, aspiration and frication.
NOISE_FLOOR = 10.0 ** (-60 / 20)  # Of the recording, relative to full scale.


@dataclass(frozen=True)
class Speakers:
    """Voices, one value a speaker: float64 [num_speakers]."""

    pitch_hz: Floats  # Mean fundamental frequency.
    tract_cm: Floats  # Length of the vocal tract: all formants go with its inverse.
    habits: Floats  # [num_speakers, 6]: factors of F1 to F6 beside that.
    jitter: Floats  # Relative standard deviation of the periods.
    shimmer: Floats  # The same of the pulses' heights.
    open_quotient: Floats  # Share of a period in which the glottis is open.
    breath: Floats  # Level of the noise under the pulses.
    rate: Floats  # Of speaking; 1.2 is faster by a fifth.
    melody: Floats  # Semitones by which pitch falls over a word.
    channel_db: Floats  # Treble of the microphone at 4 kHz.


@dataclass(frozen=True)
class Utterances:
    """Spoken words."""

    clips: NDArray[np.float32]  # [n, samples], in (-1, 1).
    starts: Ints  # [n]: first sample of the word,
    ends: Ints  # [n]: and where it has ended.
    pitch_hz: NDArray[np.float32]  # [n, frames of 5 ms]: what was asked for.
    formants_hz: NDArray[np.float32]  # [n, frames of 5 ms, 6], likewise.


def draw_speakers(num_speakers: int, *, seed: int) -> Speakers:
    """Return speakers, women and men in turn; the same seed gives the same.

    Raises:
        ValueError: If `num_speakers` is negative.
    """
    if num_speakers < 0:
        raise ValueError(f"num_speakers must be at least 0; got {num_speakers}")
    rng = np.random.default_rng([seed, 1])
    female = np.arange(num_speakers) % 2 == 0

    def normal(mean: Any, deviation: Any) -> Floats:
        # Cut at two deviations: no voice that a resonator can't follow.
        draws = rng.standard_normal(num_speakers).clip(-2, 2)
        return np.asarray(mean + deviation * draws)

    def log_normal(mean: Any, deviation: float) -> Floats:
        return np.asarray(np.exp(normal(np.log(mean), deviation)))

    habits = rng.standard_normal((num_speakers, 6)).clip(-2, 2)
    return Speakers(
        pitch_hz=log_normal(np.where(female, 205.0, 118.0), 0.13),
        tract_cm=normal(np.where(female, 14.9, 17.3), 0.6),
        habits=np.exp(0.035 * habits),
        jitter=log_normal(0.008, 0.3),
        shimmer=log_normal(0.04, 0.3),
        open_quotient=normal(np.where(female, 0.64, 0.56), 0.05),
        breath=log_normal(np.where(female, 0.02, 0.01), 0.5),
        rate=log_normal(1.0, 0.10),
        melody=normal(4.0, 1.2),
        channel_db=normal(0.0, 3.0),
    )


def speak(
    words: Sequence[str],
    speakers: Speakers,
    speaker_ids: Ints,
    *,
    seed: int,
    sample_rate: int = SAMPLE_RATE,
    num_samples: int | None = None,
) -> Utterances:
    """Return one clip for each word and speaker.

    The same arguments give the same clips; so does a part of them with another seed not.

    Args:
        words: [n], of `phonemes.WORDS`.
        speakers: The voices.
        speaker_ids: int [n], whose voice says the word.
        seed: Of what differs from one saying to the next.
        sample_rate: 16000 or 8000, in Hz.
        num_samples: Length of a clip; default: one second. Words that are longer end
            early.

    Raises:
        ValueError: If a word is not known, the counts differ, or the rate is another.
    """
    unknown = sorted(set(words) - set(WORDS))
    if unknown or len(words) != len(speaker_ids):
        raise ValueError(
            "words must be one of phonemes.WORDS for each of speaker_ids; got "
            f"{len(words)} words for {len(speaker_ids)}, unknown: {unknown[:5]}"
        )
    if sample_rate not in (SAMPLE_RATE, SAMPLE_RATE // 2):
        raise ValueError(f"sample_rate must be 16000 or 8000; got {sample_rate}")
    factor = SAMPLE_RATE // sample_rate
    length = (num_samples or sample_rate) * factor
    parts = [
        _chunk(
            words[i : i + CHUNK],
            _of(speakers, np.asarray(speaker_ids[i : i + CHUNK], np.int64)),
            length,
            factor,
            np.random.default_rng([seed, 2, i]),
        )
        for i in range(0, max(len(words), 1), CHUNK)
    ]
    fields = zip(*parts, strict=True)
    return Utterances(*(np.concatenate(field) for field in fields))


def _of(speakers: Speakers, ids: Ints) -> Speakers:
    return Speakers(*(values[ids] for values in vars(speakers).values()))


def _chunk(
    words: Sequence[str],
    voice: Speakers,
    length: int,
    factor: int,
    rng: np.random.Generator,
) -> tuple[Any, ...]:
    """Return the fields of `Utterances` for some clips; `length` at 16 kHz."""
    from scipy.signal import resample_poly

    num_frames = -(-length // FRAME_SAMPLES)
    targets, starts, ends = _targets(words, voice, num_frames, rng)
    pitch = _pitch(voice, starts, ends, num_frames, rng)  # [n, frames]
    formants = _formant_tracks(targets, voice, rng)  # [n, frames, 6]
    pulses, flow = _glottal_source(pitch, voice, num_frames * FRAME_SAMPLES, rng)
    levels = [
        _smooth(targets[..., place], milliseconds)  # [n, frames]
        for place, milliseconds in zip((3, 4, 5), LEVELS_MS, strict=True)
    ]
    voicing, aspiration, frication = (
        np.repeat(level, FRAME_SAMPLES, axis=1).astype(np.float32) for level in levels
    )
    noise = rng.standard_normal(pulses.shape, dtype=np.float32)
    # Breath comes with the air that flows.
    breath = voice.breath[:, None].astype(np.float32) * voicing * flow
    source = voicing * pulses + noise * (breath + 0.3 * aspiration)
    bandwidths = np.broadcast_to(np.array(BANDWIDTHS, np.float32), formants.shape)
    sound = resonate(source, formants, bandwidths)
    friction = np.diff(noise * frication, axis=1, prepend=0.0).astype(np.float32)
    centres, widths = targets[..., 6:7], targets[..., 7:8]
    sound += 0.08 * resonate(friction, centres, widths, peak=True)
    sound = _recorded(sound[:, :length], voice, rng)
    if factor > 1:
        sound = resample_poly(sound, 1, factor, axis=-1).astype(np.float32)
    edges = [np.minimum(x * FRAME_SAMPLES, length) // factor for x in (starts, ends)]
    return sound, *edges, pitch.astype(np.float32), formants


def _targets(
    words: Sequence[str], voice: Speakers, num_frames: int, rng: np.random.Generator
) -> tuple[Floats, Ints, Ints]:
    """Return targets [n, frames, 8] and the words' first and last frames, int64 [n].

    The eight: F1, F2, F3, voicing, aspiration, frication, its centre and width.
    """
    spelled = [WORDS[word].split() for word in words]
    most = max(map(len, spelled), default=1)
    rest = Phoneme(0.0, (500, 1500, 2500), 0.0)
    segments = [
        [
            rest,
            *(PHONEMES[sound] for sound in sounds),
            *[rest] * (most + 1 - len(sounds)),
        ]
        for sounds in spelled
    ]
    table = np.array(
        [[(s.milliseconds, *s.formants, *s[2:]) for s in row] for row in segments],
        np.float64,
    ).reshape(len(words), most + 2, 9)
    # The rests before and after hold the mouth as their neighbours do.
    table[:, 0, 1:4] = table[:, 1, 1:4]
    for place in range(1, most + 2):
        silent = table[:, place, 0] == 0.0
        table[silent, place, 1:4] = table[silent, place - 1, 1:4]
    said = rng.normal(SLOWNESS, 0.09, (len(words), 1)) / voice.rate[:, None]
    said = said * rng.normal(1.0, 0.08, (len(words), most + 2)).clip(0.75, 1.25)
    spans = np.maximum(table[..., 0] * said / 5.0, table[..., 0] > 0).round()  # Frames.
    lengths = spans.sum(axis=1)
    room = np.maximum(num_frames - 10 - lengths, 0)
    starts = (5 + rng.uniform(0.2, 0.8, len(words)) * room).astype(np.int64)
    spans[:, 0] = starts
    limits = spans.cumsum(axis=1)  # [n, segments]: where each ends.
    limits[:, -1] = np.inf
    frames = np.arange(num_frames)
    which = (frames[:, None] >= limits[:, None, :-1]).sum(axis=-1)  # [n, frames]
    targets = np.take_along_axis(table[..., 1:], which[..., None], axis=1)
    return targets, starts, (starts + lengths).astype(np.int64)


def _pitch(
    voice: Speakers,
    starts: Ints,
    ends: Ints,
    num_frames: int,
    rng: np.random.Generator,
) -> Floats:
    """Return the fundamental frequency: float64 [n, frames], Hz.

    It falls over the word, with a rise and fall upon it.
    """
    count = len(starts)
    place = (np.arange(num_frames) - starts[:, None]) / np.maximum(
        ends - starts, 1
    ).reshape(-1, 1)
    place = place.clip(0.0, 1.0)
    accent = rng.normal(1.5, 0.8, (count, 1)) * np.sin(np.pi * place**0.7)
    semitones = voice.melody[:, None] * (0.5 - place) + accent
    semitones += rng.normal(0.0, 0.6, (count, 1))
    return np.asarray(voice.pitch_hz[:, None] * 2.0 ** (semitones / 12.0))


def _formant_tracks(
    targets: Floats, voice: Speakers, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return F1 to F6: float32 [n, frames, 6], Hz."""
    lower = _smooth(np.log(targets[..., :3]), GLIDE_MS, axis=1)
    said = rng.normal(0.0, 0.02, (len(targets), 1, 3))
    higher = np.broadcast_to(np.log(HIGHER_FORMANTS), (*targets.shape[:2], 3))
    tracks = np.exp(np.concatenate([lower + said, higher], axis=-1))
    tracks *= (voice.habits * (TRACT_CM / voice.tract_cm)[:, None])[:, None]
    return np.asarray(np.minimum(tracks, 0.47 * SAMPLE_RATE), np.float32)


def _glottal_source(
    pitch: Floats, voice: Speakers, length: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the pulses and the air flow: each float32 [n, length].

    The pulses are differences of the flow: its derivative, which the lips radiate, and
    averaged over a sample, so that little is aliased.

    Source: Rosenberg, 1971, pulse C.
    """
    steps = np.repeat(pitch / SAMPLE_RATE, FRAME_SAMPLES, axis=1)  # Periods a sample.
    period = steps.cumsum(axis=1).astype(np.int64)  # [n, length]: which one.
    most = int(period.max(initial=0)) + 2
    wobble = voice.jitter[:, None] * rng.standard_normal((len(pitch), most))
    steps *= 1.0 + np.take_along_axis(wobble.clip(-0.1, 0.1), period, axis=1)
    phase = rng.random((len(pitch), 1)) + steps.cumsum(axis=1)
    period = phase.astype(np.int64)
    phase = (phase - period).astype(np.float32)  # In [0, 1).
    heights = 1.0 + voice.shimmer[:, None] * rng.standard_normal((len(pitch), most + 2))
    height = np.take_along_axis(heights, period, axis=1).astype(np.float32)
    opening = (0.67 * voice.open_quotient[:, None]).astype(np.float32)
    closing = (0.33 * voice.open_quotient[:, None]).astype(np.float32)
    up = 0.5 - 0.5 * np.cos(np.float32(np.pi) * phase / opening)
    down = np.cos(np.float32(np.pi / 2) * ((phase - opening) / closing).clip(0.0, 1.0))
    flow = np.where(phase < opening, up, down) * height
    return np.diff(flow, axis=1, prepend=flow[:, :1]), flow


def _smooth(tracks: Floats, milliseconds: float, axis: int = 1) -> Floats:
    from scipy.ndimage import gaussian_filter1d

    frames = milliseconds * SAMPLE_RATE / 1000 / FRAME_SAMPLES
    return np.asarray(gaussian_filter1d(tracks, frames, axis=axis, mode="nearest"))


def _recorded(
    sound: NDArray[np.float32], voice: Speakers, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return what a microphone gives: its treble, a level, a floor of noise."""
    treble = 10.0 ** (voice.channel_db[:, None] / 20.0) - 1.0
    edges = np.diff(sound, axis=1, prepend=0.0)  # Gain 1.4 at 4 kHz.
    sound = sound + (0.5 * treble * edges).astype(np.float32)
    peaks = np.abs(sound).max(axis=1, keepdims=True, initial=1e-6)
    levels = rng.uniform(0.2, 0.8, peaks.shape)
    floor = NOISE_FLOOR * rng.standard_normal(sound.shape, dtype=np.float32)
    return np.asarray((sound * (levels / peaks) + floor).clip(-1.0, 1.0), np.float32)
