"""The short-time Fourier transform and its inverse, as TensorFlow ops.

They differ from tf.signal's: frames are centred on the samples 0, hop, 2 hop, ..., a
window may be shorter than the FFT, and the inverse divides by the sum of the squared
windows, so that every window without gaps is inverted. All of it as librosa has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

PAD_MODES = ("constant", "reflect", "symmetric", "edge")


def stft(
    samples: Any,
    *,
    n_fft: int = 2048,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = "hann",
    center: bool = True,
    pad_mode: str = "constant",
) -> tf.Tensor:
    """Return the short-time Fourier transform: complex64 [..., frames, n_fft // 2 + 1].

    The frame t is centred on the sample t * hop_length; with `center=False` it begins
    there. librosa.stft gives the same with the last two axes exchanged.

    Args:
        samples: float [..., n], any n from 1; from n_fft with `center=False`.
        n_fft: Length of a frame and of its FFT, in samples.
        hop_length: Samples from frame to frame; default: a quarter of `win_length`.
        win_length: Length of the window, at most n_fft, which is its default; it is
            centred in the frame, zeros around it.
        window: A name that scipy.signal.get_window knows, or float [win_length].
        center: Whether n_fft // 2 samples are padded on both sides.
        pad_mode: What is padded: "constant" zeros, "reflect", "symmetric" or "edge".

    Raises:
        ValueError: If a setting makes no sense, or the known length is too short.
        InvalidArgumentError: If a length that a graph did not know is too short.
    """
    hop_length, win_length = _lengths(n_fft, hop_length, win_length)
    weights = tf.constant(_padded_window(window, win_length, n_fft))
    samples = _as_samples(samples)
    if pad_mode not in PAD_MODES:
        raise ValueError(f"pad_mode must be one of {PAD_MODES}; got {pad_mode!r}")
    samples = _long_enough(samples, 1 if center else n_fft, center)
    if center:
        samples = _padded(samples, n_fft // 2, pad_mode)
    frames = tf.signal.frame(samples, n_fft, hop_length)  # [..., frames, n_fft]
    return tf.signal.rfft(frames * weights)


def inverse_stft(
    spectra: Any,
    *,
    hop_length: int | None = None,
    win_length: int | None = None,
    n_fft: int | None = None,
    window: Any = "hann",
    center: bool = True,
    length: int | tf.Tensor | None = None,
) -> tf.Tensor:
    """Return the samples of a short-time Fourier transform: float32 [..., length].

    The least-squares inverse: overlapping frames are windowed again, added, and divided by
    the sum of the squared windows. Exact where that sum is not near 0: with a hop of a
    quarter of the window everywhere; with a hop of half a Hann window all but the samples
    behind the last frame's centre, when the hop does not divide the length.

    Args:
        spectra: complex64 [..., frames, n_fft // 2 + 1].
        hop_length: As given to `stft`, like those that follow.
        win_length: Length of the window, in samples.
        n_fft: Length of a frame; default: even, 2 * (bins - 1).
        window: Name or values.
        center: Whether frames are centred.
        length: Samples to return, cut or filled with zeros; default: all that whole
            frames give.

    Raises:
        ValueError: If window and hop leave samples out, so that there is no inverse.

    Source: Griffin and Lim, 1984, section III (equation 6).
    """
    spectra = tf.convert_to_tensor(spectra)
    if not spectra.dtype.is_complex:
        raise ValueError(
            f"spectra must be complex; got {spectra.dtype.name}: multiply a magnitude "
            "with a phase, exp(i phase)"
        )
    spectra = tf.cast(spectra, tf.complex64)
    n_fft = _checked_n_fft(spectra, n_fft)
    hop_length, win_length = _lengths(n_fft, hop_length, win_length)
    weights = _padded_window(window, win_length, n_fft)
    _refuse_gaps(weights, hop_length, win_length)
    frames = tf.signal.irfft(spectra, [n_fft]) * weights  # [..., frames, n_fft]
    samples = tf.signal.overlap_and_add(frames, hop_length)
    count = spectra.shape[-2] or tf.shape(spectra)[-2]
    squares = tf.repeat(tf.constant(weights**2)[None], count, axis=0)
    total = tf.signal.overlap_and_add(squares, hop_length)  # [samples]
    tiny = np.finfo(np.float32).tiny
    samples /= tf.where(total > tiny, total, 1.0)
    margin = n_fft // 2 if center else 0
    if length is None:
        return samples[..., margin : -margin or None]
    return _with_length(samples[..., margin:], length)


def num_frames(
    num_samples: int, *, n_fft: int, hop_length: int, center: bool = True
) -> int:
    """Return how many frames `stft` makes of so many samples.

    >>> num_frames(16_000, n_fft=512, hop_length=128)
    126
    """
    padded = num_samples + (2 * (n_fft // 2) if center else 0)
    return max(0, 1 + (padded - n_fft) // hop_length)


def _lengths(
    n_fft: int, hop_length: int | None, win_length: int | None
) -> tuple[int, int]:
    """Return hop_length and win_length, checked and with their defaults."""
    win_length = n_fft if win_length is None else win_length
    hop_length = max(1, win_length // 4) if hop_length is None else hop_length
    if not (1 <= win_length <= n_fft and hop_length >= 1):
        raise ValueError(
            "win_length must be 1 to n_fft and hop_length at least 1; got n_fft "
            f"{n_fft}, win_length {win_length}, hop_length {hop_length}"
        )
    return hop_length, win_length


def _padded_window(window: Any, win_length: int, n_fft: int) -> np.ndarray:
    """Return the window with zeros around it: float32 [n_fft].

    By name it is periodic, as an FFT wants it: a symmetric one would have its last sample
    twice where frames meet.
    """
    from scipy.signal import get_window

    if isinstance(window, str | tuple | float):
        values = get_window(window, win_length, fftbins=True)
    else:
        values = np.asarray(window, np.float64)
    if values.shape != (win_length,):
        raise ValueError(
            f"window must have win_length = {win_length} values; got {values.shape}"
        )
    before = (n_fft - win_length) // 2
    padded = np.pad(values, (before, n_fft - win_length - before))
    return padded.astype(np.float32)


def _as_samples(samples: Any) -> tf.Tensor:
    samples = tf.convert_to_tensor(samples)
    if not samples.dtype.is_floating:
        raise ValueError(
            f"samples must be floats, about [-1, 1]; got {samples.dtype.name}: divide "
            "integers of 16 bits by 32768"
        )
    if samples.shape.rank is None or samples.shape.rank < 1:
        raise ValueError(
            f"samples must be [..., n]; got shape {samples.shape}: where a graph does "
            "not know the rank, tf.ensure_shape(samples, [None]) tells it"
        )
    return tf.cast(samples, tf.float32)


def _long_enough(samples: tf.Tensor, minimum: int, center: bool) -> tf.Tensor:
    rule = f"samples must have at least {minimum:,} values along the last axis"
    if not center:
        rule += ", a frame's length (center=True pads)"
    if samples.shape[-1] is not None:
        if samples.shape[-1] < minimum:
            raise ValueError(f"{rule}; got {samples.shape[-1]:,}")
        return samples
    check = tf.debugging.assert_greater_equal(tf.shape(samples)[-1], minimum, rule)
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(samples)


def _padded(samples: tf.Tensor, margin: int, mode: str) -> tf.Tensor:
    """Return the samples with `margin` more on both sides: float32 [..., n + 2 margin]."""
    if mode == "constant":
        widths = [[0, 0]] * (samples.shape.rank - 1) + [[margin, margin]]
        return tf.pad(samples, widths)
    # Not tf.pad, which refuses more than there is to be reflected.
    known = samples.shape[-1]
    length = known if known is not None else tf.shape(samples)[-1]
    places = (tf.range(-margin, 0), length + tf.range(margin))
    parts = [tf.gather(samples, _inside(p, length, mode), axis=-1) for p in places]
    padded = tf.concat([parts[0], samples, parts[1]], axis=-1)
    if known is not None:
        padded.set_shape([*samples.shape[:-1], known + 2 * margin])
    return padded


def _inside(places: tf.Tensor, length: int | tf.Tensor, mode: str) -> tf.Tensor:
    """Return where in [0, length) the places outside of it take their samples from."""
    if mode == "edge":
        return tf.clip_by_value(places, 0, length - 1)
    # There and back; "reflect" leaves the turning points out.
    skip = 1 if mode == "reflect" else 0
    places = tf.math.floormod(places, tf.maximum(2 * (length - skip), 1))
    return tf.minimum(places, 2 * length - 1 - skip - places)


def _checked_n_fft(spectra: tf.Tensor, n_fft: int | None) -> int:
    bins = spectra.shape[-1] if (spectra.shape.rank or 0) >= 2 else None
    if bins is None:
        raise ValueError(
            "spectra must be [..., frames, bins] with a known number of bins; got shape "
            f"{spectra.shape}"
        )
    n_fft = 2 * (bins - 1) if n_fft is None else n_fft
    if n_fft < 1 or n_fft // 2 + 1 != bins:
        raise ValueError(
            f"spectra must have n_fft // 2 + 1 bins; got {bins} for n_fft {n_fft}"
        )
    return n_fft


def _refuse_gaps(weights: np.ndarray, hop_length: int, win_length: int) -> None:
    """Raise ValueError unless every sample lies under a window (nonzero overlap-add)."""
    blocks = np.zeros(-(-len(weights) // hop_length) * hop_length)
    blocks[: len(weights)] = np.square(weights, dtype=np.float64)
    total = blocks.reshape(-1, hop_length).sum(axis=0)
    if total.min() < 1e-10:  # As scipy.signal.check_NOLA has it.
        raise ValueError(
            f"no inverse: a window of {win_length} at every {hop_length} samples leaves "
            f"{np.sum(total < 1e-10)} of {hop_length} out; take a smaller hop_length"
        )


def _with_length(samples: tf.Tensor, length: int | tf.Tensor) -> tf.Tensor:
    """Return the first `length` samples, followed by zeros where there are fewer."""
    samples = samples[..., :length]
    missing = tf.maximum(length - tf.shape(samples)[-1], 0)
    widths = [[0, 0]] * (samples.shape.rank - 1) + [[0, missing]]
    padded = tf.pad(samples, widths)
    if not tf.is_tensor(length):
        padded.set_shape([*samples.shape[:-1], length])
    return padded
