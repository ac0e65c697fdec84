"""Speaker verification without a network: means and deviations of MFCCs, and LDA."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import scipy.fft
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from tfcourse import audio

NUM_COEFFICIENTS = 24
NUM_MELS = 40
VOICED_DB = 30.0  # Speech: frames within this of the clip's loudest one.
BACKGROUND_SHARE = 0.25  # The quietest frames: hardly ever speech.
SHRINKAGES = (0.03, 0.1, 0.3)  # Of the covariance; validation speakers choose.
SIZES = (12, 20, 30, 48)  # Of the discriminant space; they choose this too.
# Which frames enter: the words alone, everything, or what is heard when nobody speaks.
REGIONS = ("voiced", "all", "background")

Scorer = Callable[[np.ndarray], float]


def clip_statistics(clips: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
    """Return mean and deviation over frames of 24 MFCCs, by region: float [n, 48].

    Args:
        clips: float32 [n, samples].
        sample_rate: In Hz.
    """
    found: dict[str, list[np.ndarray]] = {region: [] for region in REGIONS}
    for start in range(0, len(clips), 100):
        powers = audio.mel_spectrogram(
            clips[start : start + 100],
            sample_rate,
            n_fft=512,
            win_length=int(0.025 * sample_rate),
            hop_length=int(0.01 * sample_rate),
            n_mels=NUM_MELS,
            fmin=20.0,
        ).numpy()  # [batch, frames, mels]
        decibels = 10 * np.log10(np.maximum(powers, 1e-10))
        cepstra = scipy.fft.dct(decibels, norm="ortho", axis=-1)[..., :NUM_COEFFICIENTS]
        levels = 10 * np.log10(powers.sum(axis=-1) + 1e-10)  # [batch, frames]
        for frames, level in zip(cepstra, levels, strict=True):
            for region, flags in _regions(level).items():
                chosen = frames[flags]
                found[region].append(np.append(chosen.mean(0), chosen.std(0)))
    return {region: np.array(rows) for region, rows in found.items()}


def _regions(level: np.ndarray) -> dict[str, np.ndarray]:
    """Return by region which frames belong to it: bool [frames]."""
    return {
        "voiced": level >= level.max() - VOICED_DB,
        "all": np.ones(len(level), bool),
        "background": level <= np.quantile(level, BACKGROUND_SHARE),
    }


def discriminant_embeddings(
    statistics: np.ndarray,
    speakers: np.ndarray,
    parts: Mapping[str, np.ndarray],
    val: Scorer,
) -> np.ndarray:
    """Return the clips in the directions that tell training speakers apart, length 1.

    Args:
        statistics: float [n, numbers].
        speakers: int [n].
        parts: Places of the clips of "train", "val" and "test".
        val: Of embeddings [n, size]: how good they are on validation speakers; the
            shrinkage and size with the highest value are taken.

    Returns:
        float [n, size].
    """
    train = parts["train"]
    mean, deviation = statistics[train].mean(0), statistics[train].std(0)
    scaled = (statistics - mean) / deviation
    candidates = []
    for shrinkage in SHRINKAGES:
        lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage)
        points = lda.fit(scaled[train], speakers[train]).transform(scaled)
        points -= points[train].mean(0)
        for size in SIZES:
            kept = points[:, :size]  # Those that separate best come first.
            candidates.append(kept / np.linalg.norm(kept, axis=1, keepdims=True))
    return max(candidates, key=val)
