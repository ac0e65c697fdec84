"""Spectrograms to look at: figures with axes, and plain images for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from tfcourse.plots import new_figure, set_title

COLOURS = "magma"
RANGE_DB = 70.0  # What a picture shows below its loudest point.


def spectrograms(
    magnitudes: Mapping[str, Any],
    *,
    sample_rate: int,
    hop_length: int,
    title: str = "",
    range_db: float = RANGE_DB,
) -> Figure:
    """Return spectrograms side by side, on one scale: what is darker is quieter.

    Args:
        magnitudes: By name, float [frames, bins] from `stft(..., center=True)`: complex
            spectra or their magnitudes, of one clip.
        sample_rate: In Hz.
        hop_length: Samples from frame to frame.
        title: Above the figure.
        range_db: Shown below the loudest point of all, in dB.

    Raises:
        ValueError: If there are none, or one is not [frames, bins].
    """
    levels = {name: _decibels(values) for name, values in magnitudes.items()}
    if not levels:
        raise ValueError("magnitudes must hold at least one spectrogram; got none")
    highest = max(float(level.max()) for level in levels.values())
    width = 2.9 * len(levels) + 1.4
    figure, axes = new_figure(1, len(levels), width=width, height=3.2, share_y=True)
    for ax, (name, level) in zip(axes, levels.items(), strict=True):
        seconds = len(level) * hop_length / sample_rate
        picture = ax.imshow(
            level.T,
            origin="lower",
            aspect="auto",
            cmap=COLOURS,
            vmin=highest - range_db,
            vmax=highest,
            extent=(0.0, seconds, 0.0, sample_rate / 2000),
            interpolation="nearest",
        )
        ax.grid(False)
        ax.set_xlabel("time, s")
        set_title(ax, name)
    axes[0].set_ylabel("frequency, kHz")
    figure.colorbar(picture, ax=axes, label="dB", pad=0.01)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def spectrogram_images(magnitudes: Any, *, range_db: float = RANGE_DB) -> np.ndarray:
    """Return pictures for `run.image`: uint8 [n, bins, frames, 3], low frequencies below.

    All on one scale, from the loudest point of all.

    Args:
        magnitudes: Complex spectra or magnitudes, [n, frames, bins].
        range_db: Shown below the loudest point, in dB.

    Raises:
        ValueError: If they are not [n, frames, bins].
    """
    magnitudes = np.asarray(magnitudes)
    if magnitudes.ndim != 3 or not magnitudes.size:
        raise ValueError(
            f"magnitudes must be [n, frames, bins]; got {magnitudes.shape}"
        )
    levels = np.stack([_decibels(clip) for clip in magnitudes])
    shares = 1.0 + (levels - levels.max()) / range_db
    pictures = np.flip(shares.transpose(0, 2, 1), axis=1).clip(0.0, 1.0)
    return (255 * colormaps[COLOURS](pictures)[..., :3]).round().astype(np.uint8)


def _decibels(values: Any) -> np.ndarray:
    magnitudes = np.abs(np.asarray(values))
    if magnitudes.ndim != 2 or not magnitudes.size:
        raise ValueError(
            f"a spectrogram must be [frames, bins]; got {magnitudes.shape}"
        )
    return 20.0 * np.log10(np.maximum(magnitudes, 1e-10))
