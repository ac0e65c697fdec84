"""What training takes: the loss SI-SDR, and mixing as an op for tf.data."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

TINY = 1e-8  # Keeps silence, and a perfect estimate, finite.


def negative_si_sdr(y_true: Any, y_pred: Any) -> tf.Tensor:
    """Return minus the scale-invariant signal-to-distortion ratio: float32 [...], dB.

    A loss for `compile`. Silent references and perfect estimates give finite values.

    Args:
        y_true: Clean, float [..., samples].
        y_pred: Estimate, of the same shape.

    Source: Le Roux et al., 2019, equation 2.
    """
    reference = tf.cast(tf.convert_to_tensor(y_true), tf.float32)
    estimate = tf.cast(tf.convert_to_tensor(y_pred), tf.float32)
    energy = tf.reduce_sum(reference**2, axis=-1, keepdims=True)
    scale = tf.reduce_sum(reference * estimate, axis=-1, keepdims=True)
    target = reference * scale / (energy + TINY)
    signal = tf.reduce_sum(target**2, axis=-1)
    distortion = tf.reduce_sum((target - estimate) ** 2, axis=-1)
    ratio = tf.math.log(signal + TINY) - tf.math.log(distortion + TINY)
    return -10.0 / np.log(10.0) * ratio


def mix_tensors_at_snr(
    speech: Any, noise: Any, snr_db: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return (noisy, scaled noise): float32 [..., samples], noisy = speech + noise.

    For tf.data; `mix_at_snr` also fits the noise's length and looks at peaks. The noise
    is scaled so that the energies over the whole clip have the ratio; silent noise stays
    silent.

    Args:
        speech: float [..., samples].
        noise: float of the same shape.
        snr_db: float [...], dB.
    """
    speech = tf.cast(tf.convert_to_tensor(speech), tf.float32)
    noise = tf.cast(tf.convert_to_tensor(noise), tf.float32)
    snr_db = tf.cast(tf.convert_to_tensor(snr_db), tf.float32)[..., None]
    energies = [tf.reduce_sum(x**2, axis=-1, keepdims=True) for x in (speech, noise)]
    wanted = energies[0] * 10.0 ** (-snr_db / 10.0)
    noise *= tf.sqrt(tf.math.divide_no_nan(wanted, energies[1]))
    return speech + noise, noise
