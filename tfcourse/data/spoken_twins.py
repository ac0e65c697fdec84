"""The embedded twins of the sets of recordings: which voices say what, which noises."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from tfcourse.data.noise_synthesis import NOISES, make_noises
from tfcourse.data.recording_specs import find_recordings_spec
from tfcourse.data.speech_synthesis import draw_speakers, speak

NOISE_RATE = 16_000  # Hz
MARGIN = 400  # Samples of 8 kHz that stay on both sides of a digit.
# Fixed: everybody trains on, and is scored on, the same clips; no two sets share a voice.
_SEEDS = {"fsdd": 11, "speech_commands": 12, "esc10": 13}

Twin = tuple[tuple[NDArray[np.float32], ...], int, NDArray[np.int64], NDArray[np.int64]]


@functools.cache  # Checks load the same clips dozens of times.
def embedded_clips(name: str, part: str) -> Twin:
    """Return clips, each float32 [samples], their rate, labels and speakers int64 [n]."""
    seed = _SEEDS[name]
    twin = find_recordings_spec(name).part(part).twin
    count = twin.num_examples["train"]
    if part == "noise":
        labels = np.arange(count, dtype=np.int64) % len(NOISES)
        labels.sort()
        seconds = 5 if name == "esc10" else 1
        noises = make_noises(labels, seconds * NOISE_RATE, NOISE_RATE, seed=seed)
        return tuple(noises), NOISE_RATE, labels, np.full(count, -1, np.int64)
    num_words = len(twin.class_names)
    num_speakers = 5 if name == "fsdd" else count // num_words
    places = np.arange(count, dtype=np.int64)
    labels, speakers = places % num_words, places // (count // num_speakers)
    rate = 8_000 if name == "fsdd" else 16_000
    spoken = speak(
        [twin.class_names[label] for label in labels],
        draw_speakers(num_speakers, seed=seed),
        speakers,
        seed=seed,
        sample_rate=rate,
        num_samples=10_240 if name == "fsdd" else rate,
    )
    clips = tuple(spoken.clips)
    if name == "fsdd":  # Cut to the word, as the real ones are.
        spans = zip(clips, spoken.starts, spoken.ends, strict=True)
        clips = tuple(c[max(0, a - MARGIN) : b + MARGIN].copy() for c, a, b in spans)
    return clips, rate, labels, speakers
