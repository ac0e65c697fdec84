"""Mel spectrograms, their logarithm and cepstral coefficients, as TensorFlow ops."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from tfcourse.audio.transforms import stft

# Slaney's scale is linear below 1 kHz and logarithmic above.
_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def mel_spectrogram(
    samples: Any,
    sample_rate: int,
    *,
    n_fft: int = 2048,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = "hann",
    center: bool = True,
    pad_mode: str = "constant",
    power: float = 2.0,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
    norm: str | None = "slaney",
) -> tf.Tensor:
    """Return the mel spectrogram: float32 [..., frames, n_mels], at least 0.

    librosa.feature.melspectrogram gives the same with the last two axes exchanged, where
    hop_length is given: its own default is 512.

    Args:
        samples: float [..., n].
        sample_rate: In Hz.
        n_fft: As for `stft`, like those that follow.
        hop_length: Samples from frame to frame.
        win_length: Length of the window.
        window: Name or values.
        center: Whether frames are centred.
        pad_mode: What is padded.
        power: Of the magnitudes: 2 for power, 1 for amplitudes.
        n_mels: As for `mel_filter_bank`, like those that follow.
        fmin: Lowest frequency, in Hz.
        fmax: Highest frequency, in Hz.
        htk: Whether HTK's scale is used.
        norm: How filters are scaled.

    Raises:
        ValueError: As `stft` and `mel_filter_bank` do.
    """
    spectra = stft(
        samples,
        n_fft=n_fft,
        hop_length=hop_length,
        win_length=win_length,
        window=window,
        center=center,
        pad_mode=pad_mode,
    )
    bank = mel_filter_bank(
        sample_rate, n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm
    )
    if power == 2.0:  # Without the root, whose gradient has no value at 0.
        powers = tf.math.real(spectra) ** 2 + tf.math.imag(spectra) ** 2
    else:
        powers = tf.abs(spectra) ** power
    return powers @ bank  # [..., frames, n_mels]


def mel_filter_bank(
    sample_rate: int,
    n_fft: int,
    *,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
    norm: str | None = "slaney",
) -> np.ndarray:
    """Return triangular filters, evenly spaced in mel: float32 [n_fft // 2 + 1, n_mels].

    Args:
        sample_rate: In Hz.
        n_fft: Length of the FFT.
        n_mels: Number of filters.
        fmin: Where the first filter begins, in Hz.
        fmax: Where the last one ends, in Hz; default: half the sample rate.
        htk: Whether the scale is HTK's, logarithmic throughout, rather than Slaney's.
        norm: "slaney": filters have equal areas; None: equal heights of 1.

    Raises:
        ValueError: If a filter lies between two bins of the FFT and would always be 0.

    Source: Slaney, 1998, Auditory Toolbox; HTK Book, section 5.4.
    """
    if norm not in ("slaney", None):
        raise ValueError(f"norm must be 'slaney' or None; got {norm!r}")
    fmax = sample_rate / 2 if fmax is None else fmax
    if not 0 <= fmin < fmax:
        raise ValueError(f"fmin must be at least 0 and below fmax; got {fmin}, {fmax}")
    return _filter_bank(sample_rate, n_fft, n_mels, fmin, fmax, htk, norm).copy()


@functools.lru_cache(maxsize=32)
def _filter_bank(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    fmin: float,
    fmax: float,
    htk: bool,
    norm: str | None,
) -> np.ndarray:
    edges = _mel_to_hz(
        np.linspace(_hz_to_mel(fmin, htk), _hz_to_mel(fmax, htk), n_mels + 2), htk
    )
    bins = np.arange(n_fft // 2 + 1) * (sample_rate / n_fft)
    away = bins[:, None] - edges  # [bins, n_mels + 2], Hz
    widths = np.diff(edges)
    rising = away[:, :-2] / widths[:-1]
    falling = -away[:, 2:] / widths[1:]
    bank = np.maximum(0.0, np.minimum(rising, falling))  # [bins, n_mels]
    empty = np.flatnonzero(bank.max(axis=0) == 0.0)
    if len(empty):
        raise ValueError(
            f"{len(empty)} of {n_mels} mel filters lie between the bins of an FFT of "
            f"{n_fft} (the first: {empty[0]}): take fewer n_mels or a longer n_fft"
        )
    if norm == "slaney":
        bank *= 2.0 / (edges[2:] - edges[:-2])
    return bank.astype(np.float32)


def power_to_db(
    powers: Any,
    *,
    ref: float = 1.0,
    amin: float = 1e-10,
    top_db: float | None = 80.0,
) -> tf.Tensor:
    """Return 10 log10(powers / ref): float32 of the same shape, dB.

    Args:
        powers: float [..., frames, bins], at least 0.
        ref: The power that becomes 0 dB.
        amin: Lower powers count as this.
        top_db: What lies further than this below a clip's maximum, over its frames and
            bins, is lifted to it; None: nothing is. (librosa takes one maximum over all
            clips of a batch: what a clip becomes depends on its neighbours.)

    Raises:
        ValueError: If `ref` or `amin` is not positive.
    """
    if not (ref > 0 and amin > 0):
        raise ValueError(f"ref and amin must be positive; got {ref} and {amin}")
    powers = tf.cast(tf.convert_to_tensor(powers), tf.float32)
    per_log = 10.0 / np.log(10.0)
    decibels = per_log * tf.math.log(tf.maximum(powers, amin))
    decibels -= 10.0 * np.log10(max(amin, ref))
    if top_db is None:
        return decibels
    axes = list(range(max(0, powers.shape.rank - 2), powers.shape.rank))
    highest = tf.reduce_max(decibels, axis=axes, keepdims=True)
    return tf.maximum(decibels, highest - top_db)


def amplitude_to_db(
    amplitudes: Any,
    *,
    ref: float = 1.0,
    amin: float = 1e-5,
    top_db: float | None = 80.0,
) -> tf.Tensor:
    """Return 20 log10(amplitudes / ref), as `power_to_db` of their squares."""
    amplitudes = tf.cast(tf.convert_to_tensor(amplitudes), tf.float32)
    return power_to_db(amplitudes**2, ref=ref**2, amin=amin**2, top_db=top_db)


def log_mel_spectrogram(
    samples: Any, sample_rate: int, *, top_db: float | None = 80.0, **settings: Any
) -> tf.Tensor:
    """Return the mel spectrogram in dB: float32 [..., frames, n_mels].

    Arguments as for `mel_spectrogram` and `power_to_db`.
    """
    return power_to_db(mel_spectrogram(samples, sample_rate, **settings), top_db=top_db)


def mfcc(
    samples: Any, sample_rate: int, *, n_mfcc: int = 20, **settings: Any
) -> tf.Tensor:
    """Return mel-frequency cepstral coefficients: float32 [..., frames, n_mfcc].

    The orthonormal cosine transform of the mel spectrogram in dB, as librosa.feature.mfcc.
    Arguments as for `log_mel_spectrogram`.

    Raises:
        ValueError: If there are fewer mel filters than coefficients.
    """
    log_mel = log_mel_spectrogram(samples, sample_rate, **settings)
    if not 1 <= n_mfcc <= log_mel.shape[-1]:
        raise ValueError(
            f"n_mfcc must be 1 to n_mels = {log_mel.shape[-1]}; got {n_mfcc}"
        )
    return tf.signal.dct(log_mel, norm="ortho")[..., :n_mfcc]


def _hz_to_mel(frequency: float, htk: bool) -> float:
    if htk:
        return float(2595.0 * np.log10(1.0 + frequency / 700.0))
    if frequency < _BREAK_HZ:
        return frequency / _HZ_PER_MEL
    return float(_BREAK_MEL + np.log(frequency / _BREAK_HZ) / _LOG_STEP)


def _mel_to_hz(mels: np.ndarray, htk: bool) -> np.ndarray:
    if htk:
        return 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    above = _BREAK_HZ * np.exp(_LOG_STEP * (mels - _BREAK_MEL))
    return np.where(mels < _BREAK_MEL, mels * _HZ_PER_MEL, above)
