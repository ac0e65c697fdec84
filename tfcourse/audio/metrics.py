"""How near an estimate is to clean speech: SNR, SI-SDR, STOI and PESQ, in numpy.

STOI and PESQ come from the packages that the field uses; where one is not installed, its
function says so, and `scores` gives None.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcourse.errors import UserError

PESQ_MODES = {8_000: "nb", 16_000: "wb"}  # Narrow band (P.862), wide band (P.862.2).


def snr(reference: Any, estimate: Any) -> NDArray[np.float64]:
    """Return the signal-to-noise ratio: float64 [...], dB; infinite if nothing differs.

    Args:
        reference: Clean, float [..., samples].
        estimate: Of the same shape.

    Raises:
        ValueError: If shapes differ, values are not finite, or a reference is silent.
    """
    reference, estimate = _checked(reference, estimate)
    return _decibels(_energy(reference), _energy(reference - estimate))


def si_sdr(
    reference: Any, estimate: Any, *, zero_mean: bool = False
) -> NDArray[np.float64]:
    """Return the scale-invariant signal-to-distortion ratio: float64 [...], dB.

    The SNR of the estimate against the reference scaled as suits it best: a factor
    changes nothing. Minus infinity for a silent estimate.

    Args:
        reference: Clean, float [..., samples].
        estimate: Of the same shape.
        zero_mean: Whether both lose their mean first, so that an offset changes nothing.

    Raises:
        ValueError: If shapes differ, values are not finite, or a reference is silent.

    Source: Le Roux et al., 2019, equation 2.
    """
    reference, estimate = _checked(reference, estimate)
    if zero_mean:
        reference = reference - reference.mean(axis=-1, keepdims=True)
        estimate = estimate - estimate.mean(axis=-1, keepdims=True)
        _refuse_silence(reference)
    scale = (reference * estimate).sum(axis=-1) / _energy(reference)
    target = scale[..., None] * reference
    return _decibels(_energy(target), _energy(target - estimate))


def stoi(
    reference: Any, estimate: Any, sample_rate: int, *, extended: bool = False
) -> float:
    """Return the short-time objective intelligibility of one clip, about 0 to 1.

    Not a number if, silent parts left out, under 0.4 seconds of speech remain: the
    measure needs 30 frames. Average with `numpy.nanmean`, and say how many were left out.

    Args:
        reference: Clean, float [samples].
        estimate: float [samples].
        sample_rate: In Hz.
        extended: Whether to return ESTOI, for noise that comes and goes.

    Raises:
        UserError: If pystoi is not installed.
        ValueError: As `snr`.

    Source: Taal et al., 2011; Jensen and Taal, 2016 (ESTOI).
    """
    if find_spec("pystoi") is None:
        raise UserError('STOI needs the package pystoi: pip install "tfcourse[audio]"')
    import pystoi

    reference, estimate = _checked(reference, estimate, num_axes=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(pystoi.stoi(reference, estimate, sample_rate, extended))
        except (RuntimeWarning, ValueError):  # Too few frames, or none at all.
            return float("nan")


def pesq(reference: Any, estimate: Any, sample_rate: int) -> float:
    """Return the perceptual quality of one clip, -0.5 to 4.6; not a number if not found.

    Wide band at 16 kHz, narrow band at 8 kHz; the two are not comparable.

    Args:
        reference: Clean, float [samples].
        estimate: float [samples].
        sample_rate: 8000 or 16000, in Hz.

    Raises:
        UserError: If the package pesq is not installed.
        ValueError: As `snr`, and at another rate.

    Source: ITU-T P.862, P.862.2.
    """
    if find_spec("pesq") is None:
        raise UserError(
            'PESQ needs the package pesq, and a C compiler: pip install "tfcourse[pesq]"'
        )
    if sample_rate not in PESQ_MODES:
        raise ValueError(f"PESQ knows 8000 and 16000 Hz; got {sample_rate}: resample")
    import pesq as package

    reference, estimate = _checked(reference, estimate, num_axes=1)
    mode = PESQ_MODES[sample_rate]
    try:
        return float(package.pesq(sample_rate, reference, estimate, mode))
    except package.PesqError:  # It found no speech, or the clip is too short.
        return float("nan")


def scores(reference: Any, estimate: Any, sample_rate: int) -> dict[str, float | None]:
    """Return snr, si_sdr, stoi and pesq of one clip; None for what is not installed.

    Args:
        reference: Clean, float [samples].
        estimate: float [samples].
        sample_rate: In Hz; PESQ is None at other rates than 8000 and 16000.

    Raises:
        ValueError: As `snr`.
    """
    reference, estimate = _checked(reference, estimate, num_axes=1)
    knows_pesq = find_spec("pesq") is not None and sample_rate in PESQ_MODES
    return {
        "snr": float(snr(reference, estimate)),
        "si_sdr": float(si_sdr(reference, estimate)),
        "stoi": stoi(reference, estimate, sample_rate) if find_spec("pystoi") else None,
        "pesq": pesq(reference, estimate, sample_rate) if knows_pesq else None,
    }


def _checked(
    reference: Any, estimate: Any, num_axes: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    reference = np.asarray(reference, np.float64)
    estimate = np.asarray(estimate, np.float64)
    if reference.shape != estimate.shape or not reference.ndim or not reference.size:
        raise ValueError(
            "reference and estimate must have one shape [..., samples]; got "
            f"{reference.shape} and {estimate.shape}"
        )
    if num_axes is not None and reference.ndim != num_axes:
        raise ValueError(f"one clip at a time: [samples]; got {reference.shape}")
    for name, values in (("reference", reference), ("estimate", estimate)):
        if not np.isfinite(values).all():
            raise ValueError(f"the {name} holds values that are not finite")
    _refuse_silence(reference)
    return reference, estimate


def _refuse_silence(reference: NDArray[np.float64]) -> None:
    silent = int(np.sum(_energy(reference) == 0.0))
    if silent:
        raise ValueError(f"{silent} of the references are silent: they have no ratio")


def _energy(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.square(values).sum(axis=-1))


def _decibels(
    signal: NDArray[np.float64], noise: NDArray[np.float64]
) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = 10.0 * (np.log10(signal) - np.log10(noise))
    return np.where(signal == 0.0, -np.inf, ratios)  # Also where both are 0.
