"""Sounds and spectrograms in TensorBoard, and as figures."""

import io

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from tfcourse import audio, data
from tfcourse.runs import Run
from tfcourse.spectrogram_figures import spectrogram_images, spectrograms


def clip():
    return data.load_recordings("fsdd")[0].clips[0]


def written(folder, tag):
    """Return a tag's tensors, one a step, and its description."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    description = events.SummaryMetadata(tag).summary_description
    return [
        make_ndarray(event.tensor_proto) for event in events.Tensors(tag)
    ], description


def test_sounds_can_be_played(tmp_path):
    run = Run(tmp_path, show_progress=False)
    run.audio("noisy", np.stack([clip(), -clip()]), 8_000)
    run.audio("loud", 4 * clip() / np.abs(clip()).max(), 8_000, step=3)
    for wrong in (np.zeros((2, 3, 4)), np.array([np.nan]), np.zeros((2, 0))):
        with pytest.raises(
            ValueError, match=r"clips must be finite floats \[n, samples"
        ):
            run.audio("wrong", wrong, 8_000)
    run.finish({}, {})
    (tensor,), description = written(tmp_path / "audio", "noisy")
    assert tensor.shape == (2, 2) and description == ""
    for wav, expected in zip(tensor[:, 0], (clip(), -clip()), strict=True):
        samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
        assert rate == 8_000
        np.testing.assert_allclose(samples, expected, atol=1e-4)
    (tensor,), description = written(tmp_path / "audio", "loud")
    samples, _ = audio.read_audio(tensor[0, 0])
    np.testing.assert_allclose(samples, clip() / np.abs(clip()).max(), atol=1e-4)
    assert description == "Made quieter by a factor of 0.25."


def test_spectrograms_are_figures_and_images(tmp_path):
    spectra = audio.stft(clip(), n_fft=256, hop_length=64)
    figure = spectrograms(
        {"clean": spectra, "half": 0.5 * tf.abs(spectra)},
        sample_rate=8_000,
        hop_length=64,
        title="one voice",
    )
    panels = figure.axes[:2]
    assert [ax.get_title(loc="left") for ax in panels] == ["clean", "half"]
    scales = {ax.images[0].get_clim() for ax in panels}
    assert len(scales) == 1  # Else the half would look as loud.
    assert panels[0].get_ylim() == (0.0, 4.0)
    picture = panels[0].images[0].get_array() - panels[1].images[0].get_array()
    loud = np.abs(spectra.numpy().T) > 1e-3
    np.testing.assert_allclose(picture[loud], 20 * np.log10(2), atol=1e-3)
    images = spectrogram_images(np.stack([spectra, 0.1 * spectra]))
    assert images.shape == (2, 129, len(spectra), 3) and images.dtype == np.uint8
    loudest = np.unravel_index(np.argmax(np.abs(spectra)), spectra.shape)
    assert images[0, 128 - loudest[1], loudest[0]].tolist() == [252, 253, 191]
    assert images[1].mean() < images[0].mean()
    run = Run(tmp_path, show_progress=False)
    run.image("spectrogram", images)
    assert run.figure("spectrogram", figure).stat().st_size > 5_000
    run.finish({}, {})


def test_what_is_no_spectrogram_is_refused():
    for wrong in ({}, {"x": np.zeros(3)}, {"x": np.zeros((0, 3))}):
        with pytest.raises(ValueError, match="spectrogram"):
            spectrograms(wrong, sample_rate=8_000, hop_length=64)
    with pytest.raises(ValueError, match=r"must be \[n, frames, bins\]"):
        spectrogram_images(np.zeros((3, 4)))
