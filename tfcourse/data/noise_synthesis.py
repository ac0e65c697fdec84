"""Seeded noises: the embedded twin of recordings of the environment.

Five kinds are stationary: Gaussian noise in a colour or a band, and a hum. Five are
impulsive: events with pauses between them. Every recording draws its own colour, band,
pitch, event and times, so that a recording which was not in training is a new one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]

STATIONARY = ("wind", "rumble", "hiss", "band", "hum")
IMPULSIVE = ("clicks", "crackle", "knocks", "drops", "bursts")
NOISES = STATIONARY + IMPULSIVE

# Of wind, rumble, hiss: exponent of the power's fall with frequency, lowest and highest.
_COLOURS = {"wind": (0.7, 1.3), "rumble": (1.6, 2.4), "hiss": (-0.6, 0.2)}
# Of events: how many a second; ring and decay as lowest and highest, Hz and ms.
_EVENTS = {
    "clicks": ((2.0, 5.0), (1500.0, 5000.0), (2.0, 6.0)),
    "crackle": ((20.0, 60.0), (2000.0, 6500.0), (0.5, 2.0)),
    "knocks": ((1.5, 4.0), (150.0, 500.0), (15.0, 40.0)),
    "drops": ((3.0, 8.0), (700.0, 2500.0), (10.0, 30.0)),
    "bursts": ((0.8, 2.0), (500.0, 4000.0), (60.0, 150.0)),
}


def make_noises(
    kinds: NDArray[np.int64], num_samples: int, sample_rate: int, *, seed: int
) -> NDArray[np.float32]:
    """Return recordings float32 [n, num_samples], in [-0.9, 0.9].

    Args:
        kinds: int [n], places in NOISES.
        num_samples: Length of each.
        sample_rate: In Hz.
        seed: The same arguments give the same recordings.
    """
    clips = np.empty((len(kinds), num_samples), np.float32)
    for place, kind in enumerate(kinds):
        rng = np.random.default_rng([seed, 3, place])
        name = NOISES[kind]
        if name in _EVENTS:
            sound = _events(name, num_samples, sample_rate, rng)
        elif name == "hum":
            sound = _hum(num_samples, sample_rate, rng)
        else:
            sound = _coloured(name, num_samples, sample_rate, rng)
        clips[place] = sound * (rng.uniform(0.3, 0.9) / np.abs(sound).max())
    return clips


def _coloured(
    name: str, num_samples: int, sample_rate: int, rng: np.random.Generator
) -> Floats:
    frequencies = np.fft.rfftfreq(num_samples, 1.0 / sample_rate)
    if name == "band":
        centre = np.exp(rng.uniform(np.log(300.0), np.log(0.35 * sample_rate)))
        width = centre * rng.uniform(0.2, 0.6)
        gain = np.exp(-0.5 * ((frequencies - centre) / width) ** 2) + 0.01
    else:
        exponent = rng.uniform(*_COLOURS[name])
        gain = np.maximum(frequencies, 30.0) ** (-exponent / 2)
        gain[frequencies < 20.0] = 0.0  # Nothing that a loudspeaker can't give.
    return _shaped(gain, num_samples, rng)


def _hum(num_samples: int, sample_rate: int, rng: np.random.Generator) -> Floats:
    """Return the harmonics of a machine, with some noise."""
    base = rng.uniform(45.0, 160.0)
    seconds = np.arange(num_samples) / sample_rate
    harmonics = np.arange(1, int(0.4 * sample_rate / base))
    heights = rng.uniform(0.3, 1.0, len(harmonics)) * harmonics ** -rng.uniform(
        0.6, 1.2
    )
    sound = np.zeros(num_samples)
    for harmonic, height in zip(harmonics[:40], heights, strict=False):
        phase = rng.uniform(0.0, 2 * np.pi)
        sound += height * np.sin(2 * np.pi * harmonic * base * seconds + phase)
    frequencies = np.fft.rfftfreq(num_samples, 1.0 / sample_rate)
    noise = _shaped(np.maximum(frequencies, 50.0) ** -0.5, num_samples, rng)
    return np.asarray(
        sound + noise * (rng.uniform(0.1, 0.3) * sound.std() / noise.std())
    )


def _events(
    name: str, num_samples: int, sample_rate: int, rng: np.random.Generator
) -> Floats:
    """Return one kind of event, ringing and dying away, again and again."""
    rates, rings, decays = _EVENTS[name]
    gap = sample_rate / rng.uniform(*rates)  # Samples.
    if name in ("crackle", "drops"):  # By chance; else about evenly.
        gaps = rng.exponential(gap, int(3 * num_samples / gap) + 5)
    else:
        gaps = gap * rng.normal(1.0, 0.1, int(3 * num_samples / gap) + 5).clip(0.5, 1.5)
    times = (rng.uniform(0.0, gap) + gaps.cumsum() - gaps[0]).astype(np.int64)
    times = times[times < num_samples]
    train = np.zeros(num_samples)
    np.add.at(train, times, rng.uniform(0.4, 1.0, len(times)))
    decay = rng.uniform(*decays) / 1000 * sample_rate
    place = np.arange(min(num_samples, int(8 * decay)))
    ring = rng.uniform(rings[0], min(rings[1], 0.45 * sample_rate)) / sample_rate
    event = np.sin(2 * np.pi * ring * place + rng.uniform(0.0, 2 * np.pi))
    if name in ("bursts", "crackle"):
        event = event * 0.5 + rng.standard_normal(len(place))
    event = event * np.exp(-place / decay) * (1.0 - np.exp(-place / (0.05 * decay + 1)))
    size = num_samples + len(event)
    sound = np.fft.irfft(np.fft.rfft(train, size) * np.fft.rfft(event, size), size)
    sound = sound[:num_samples]
    floor = 1e-3 * np.abs(sound).max() * rng.standard_normal(num_samples)
    return np.asarray(sound + floor)


def _shaped(gain: Floats, num_samples: int, rng: np.random.Generator) -> Floats:
    spectrum = np.fft.rfft(rng.standard_normal(num_samples)) * gain
    return np.fft.irfft(spectrum, num_samples)
