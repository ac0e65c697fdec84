"""Sound: transforms, metrics, mixtures and files.

    from tfcourse import audio

    spectra = audio.stft(samples, n_fft=512, hop_length=128)  # complex64 [..., frames, 257]
    again = audio.inverse_stft(spectra, hop_length=128, length=16_000)
    log_mel = audio.power_to_db(audio.mel_spectrogram(samples, 16_000, n_fft=512))
    noisy = audio.mix_at_snr(speech, noise, snr_db=0.0, rng=rng).noisy
    audio.si_sdr(speech, noisy)  # dB

Transforms and losses are TensorFlow ops: float32, batched, differentiable, in graphs and
in tf.data; settings have librosa's names, defaults and results, but time comes before
frequency: [..., frames, bins]. Metrics, mixtures and files are numpy. Importing this
package imports neither; each name brings its own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfcourse.audio.mel import (
        amplitude_to_db,
        log_mel_spectrogram,
        mel_filter_bank,
        mel_spectrogram,
        mfcc,
        power_to_db,
    )
    from tfcourse.audio.metrics import pesq, scores, si_sdr, snr, stoi
    from tfcourse.audio.mixing import Mixture, fit_noise, mix_at_snr
    from tfcourse.audio.objectives import mix_tensors_at_snr, negative_si_sdr
    from tfcourse.audio.transforms import inverse_stft, num_frames, stft
    from tfcourse.sound_files import read_audio, resample, wav_bytes

_PLACES = {
    "tfcourse.audio.mel": (
        "amplitude_to_db",
        "log_mel_spectrogram",
        "mel_filter_bank",
        "mel_spectrogram",
        "mfcc",
        "power_to_db",
    ),
    "tfcourse.audio.metrics": ("pesq", "scores", "si_sdr", "snr", "stoi"),
    "tfcourse.audio.mixing": ("Mixture", "fit_noise", "mix_at_snr"),
    "tfcourse.audio.objectives": ("mix_tensors_at_snr", "negative_si_sdr"),
    "tfcourse.audio.transforms": ("inverse_stft", "num_frames", "stft"),
    "tfcourse.sound_files": ("read_audio", "resample", "wav_bytes"),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Mixture",
    "amplitude_to_db",
    "fit_noise",
    "inverse_stft",
    "log_mel_spectrogram",
    "mel_filter_bank",
    "mel_spectrogram",
    "mfcc",
    "mix_at_snr",
    "mix_tensors_at_snr",
    "negative_si_sdr",
    "num_frames",
    "pesq",
    "power_to_db",
    "read_audio",
    "resample",
    "scores",
    "si_sdr",
    "snr",
    "stft",
    "stoi",
    "wav_bytes",
]


def __getattr__(name: str) -> Any:
    """Return a public name from its module, which is imported now."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
