"""What speaker encoders get: voices at other tempos, log-mel spectrograms, batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.signal import resample_poly

from tfcourse import audio

MEL_FLOOR_HZ = 20.0
MAX_DENOMINATOR = 25  # Of a tempo: filters stay short.
DB_PER_UNIT = 15.0  # About the deviation of speech: inputs are of size 1.


def tempo_variants(
    clips: np.ndarray, speakers: np.ndarray, tempos: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the clips at all tempos, and whose voice each has become, from 0 on.

    A clip that is played faster is shorter, and its pitch and formants are higher: another
    person, with a shorter vocal tract, seems to speak. So each tempo makes new voices.

    Args:
        clips: float32 [n, samples].
        speakers: int [n].
        tempos: 1.1 is faster by a tenth.

    Returns:
        float32 [n * tempos, samples], zeros behind what became shorter, and int
        [n * tempos]: the voices.

    Source: Yamamoto, Lee, Okabe and Koshinaka, 2019 (speed makes speakers).
    """
    _, numbers = np.unique(speakers, return_inverse=True)
    num_speakers, length = int(numbers.max()) + 1, clips.shape[1]
    varied, voices = [], []
    for place, tempo in enumerate(tempos):
        ratio = Fraction(tempo).limit_denominator(MAX_DENOMINATOR)
        faster = resample_poly(clips, ratio.denominator, ratio.numerator, axis=1)
        # What is cut off slower clips is cut off at both ends.
        start = max(faster.shape[1] - length, 0) // 2
        faster = faster[:, start : start + length]
        missing = length - faster.shape[1]
        varied.append(np.pad(faster, ((0, 0), (0, missing))).astype(np.float32))
        voices.append(numbers + place * num_speakers)
    return np.concatenate(varied), np.concatenate(voices)


def log_mel_inputs(samples: Any, settings: Any, sample_rate: int) -> tf.Tensor:
    """Return log-mel spectrograms whose mean is 0: float32 [batch, frames, mels].

    How loud a clip is says nothing about its speaker: each clip's mean level is taken away.

    Args:
        samples: float32 [batch, n].
        settings: Has `n_fft`, `win_length`, `hop_length`, `num_mels` and `range_db`.
        sample_rate: In Hz.
    """
    decibels = audio.log_mel_spectrogram(
        samples,
        sample_rate,
        n_fft=settings.n_fft,
        win_length=settings.win_length,
        hop_length=settings.hop_length,
        n_mels=settings.num_mels,
        fmin=MEL_FLOOR_HZ,
        top_db=settings.range_db,
    )
    mean = tf.reduce_mean(decibels, axis=[1, 2], keepdims=True)
    return (decibels - mean) / DB_PER_UNIT


def masked(inputs: tf.Tensor, seed: tf.Tensor, *, width: int) -> tf.Tensor:
    """Return spectrograms with one band of mels set to 0, in each clip another one.

    Args:
        inputs: float32 [batch, frames, mels].
        seed: int [2].
        width: Largest number of mels that are missing.

    Source: Park et al., 2019, section 2.
    """
    batch, num_mels = tf.shape(inputs)[0], inputs.shape[2]
    first, second = tf.unstack(tf.random.split(seed, 2))
    widths = tf.random.stateless_uniform([batch, 1], first, 0, width + 1, tf.int32)
    starts = tf.random.stateless_uniform([batch, 1], second, 0, 1.0)
    starts *= tf.cast(num_mels - widths + 1, tf.float32)
    away = tf.range(num_mels)[None, :] - tf.cast(starts, tf.int32)  # [batch, mels]
    kept = tf.cast((away < 0) | (away >= widths), tf.float32)
    return inputs * kept[:, None, :]


def voice_batches(
    samples: np.ndarray,
    voices: np.ndarray,
    make_inputs: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    *,
    voices_per_batch: int,
    clips_per_voice: int,
    num_batches: int,
    seed: int,
) -> tf.data.Dataset:
    """Return batches (inputs, voices), each with some voices and as many clips of each.

    Every epoch draws others; the same seed gives the same epochs.

    Args:
        samples: float32 [n, samples].
        voices: int [n], 0 to the number of voices.
        make_inputs: Of samples [batch, samples] and a seed, int [2].
        voices_per_batch: Different voices; no more than there are.
        clips_per_voice: Different clips of each; no more than each has.
        num_batches: Of an epoch.
        seed: Of the draws.
    """
    counts = np.bincount(voices)
    of_voice = np.stack(
        [np.flatnonzero(voices == v)[: counts.min()] for v in range(len(counts))]
    )  # [voices, clips]
    values = tf.constant(samples)

    def batch(key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seeds = tf.unstack(tf.random.split(key, 3))
        order = tf.random.stateless_uniform([len(of_voice)], seeds[0])
        chosen = tf.argsort(order)[:voices_per_batch]
        draws = tf.random.stateless_uniform(
            [voices_per_batch, of_voice.shape[1]], seeds[1]
        )
        columns = tf.argsort(draws, axis=1)[:, :clips_per_voice]
        places = tf.gather(tf.gather(of_voice, chosen), columns, batch_dims=1)
        places = tf.reshape(places, [voices_per_batch * clips_per_voice])
        inputs = make_inputs(tf.gather(values, places), seeds[2])
        return inputs, tf.repeat(chosen, clips_per_voice)

    keys = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)
    return keys.take(num_batches).map(batch, tf.data.AUTOTUNE).prefetch(2)


@keras.saving.register_keras_serializable("tfcourse")
class SpeakerCentres(keras.layers.Layer):
    """Cosines of embeddings with one direction per voice, all learned.

    From float32 [batch, size], of length 1, to float32 [batch, num_voices].
    """

    def __init__(self, num_voices: int, **options: Any):
        super().__init__(**options)
        self.num_voices = num_voices

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the directions."""
        shape = (input_shape[-1], self.num_voices)
        self.directions = self.add_weight(shape=shape, initializer="random_normal")

    def call(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Return the cosines."""
        return embeddings @ keras.ops.normalize(self.directions, axis=0)

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer again."""
        return {**super().get_config(), "num_voices": self.num_voices}
