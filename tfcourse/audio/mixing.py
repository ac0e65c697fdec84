"""Speech in noise at a given signal-to-noise ratio, in numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
MIN_ENERGY_SHARE = 0.01  # Of the loudest part's, in a part that is chosen.


@dataclass(frozen=True)
class Mixture:
    """A mixture and what it is made of: noisy = speech + noise, to rounding."""

    noisy: Samples  # float32 [samples], as the other two.
    speech: Samples
    noise: Samples
    scale: float  # What the speech was multiplied with, so that no peak exceeds `peak`.


def mix_at_snr(
    speech: Any,
    noise: Any,
    snr_db: float,
    *,
    rng: np.random.Generator,
    peak: float | None = 1.0,
) -> Mixture:
    """Return speech and noise mixed: their energies over the clip have the ratio.

    Nothing is ever clipped, which would be a third signal. Where the mixture would exceed
    `peak`, speech, noise and mixture are made quieter by one factor, so that the ratio
    stays: compare estimates with the mixture's `speech`, not with what was passed.

    Args:
        speech: float [samples].
        noise: float [any length], fitted by `fit_noise`.
        snr_db: Wanted ratio, in dB.
        rng: Draws the part of the noise.
        peak: Highest magnitude of the mixture; None: as it comes.

    Raises:
        ValueError: If speech or noise is silent, not finite or not one-dimensional.
    """
    speech = _checked("speech", speech)
    part = fit_noise(noise, len(speech), rng=rng).astype(np.float64)
    wanted = np.square(speech).sum() * 10.0 ** (-snr_db / 10.0)
    part *= np.sqrt(wanted / np.square(part).sum())
    noisy = speech + part
    highest = float(np.abs(noisy).max())
    scale = 1.0 if peak is None or highest <= peak else peak / highest
    noisy, speech, part = (np.asarray(scale * x) for x in (noisy, speech, part))
    return Mixture(
        noisy.astype(np.float32),
        speech.astype(np.float32),
        part.astype(np.float32),
        scale,
    )


def fit_noise(noise: Any, num_samples: int, *, rng: np.random.Generator) -> Samples:
    """Return a part of the noise, float32 [num_samples]; a short one is repeated.

    Many recordings of noise are mostly silence (a dog barks twice in five seconds). The
    part is drawn among those with at least 1 % of the loudest part's energy: else a
    mixture could be of next to nothing, made loud.

    Args:
        noise: float [any length].
        num_samples: Length of the part.
        rng: Draws where it begins.

    Raises:
        ValueError: If the noise is silent, not finite or not one-dimensional, or
            `num_samples` is not positive.
    """
    noise = _checked("noise", noise)
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1; got {num_samples}")
    if len(noise) < num_samples:
        turned = np.roll(noise, -int(rng.integers(len(noise))))
        return np.asarray(np.resize(turned, num_samples), np.float32)
    total = np.concatenate([[0.0], np.cumsum(np.square(noise))])
    energy = total[num_samples:] - total[:-num_samples]  # By start.
    starts = np.flatnonzero(energy >= MIN_ENERGY_SHARE * energy.max())
    start = int(rng.choice(starts))
    return np.asarray(noise[start : start + num_samples], np.float32)


def _checked(name: str, values: Any) -> NDArray[np.float64]:
    samples: NDArray[np.float64] = np.asarray(values, np.float64)
    if samples.ndim != 1 or not len(samples):
        raise ValueError(f"{name} must be [samples]; got shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError(f"{name} holds values that are not finite")
    if not np.abs(samples).max() > 1e-12:
        raise ValueError(f"{name} is silent: no factor gives it a ratio")
    return samples
