"""STFT, inverse and mel spectrograms against librosa and scipy, eagerly and in graphs."""

import librosa
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcourse import audio, data

QUICK = settings(max_examples=25, deadline=None, database=None, derandomize=True)


def noise(*shape, seed=0):
    """Return samples of speech's size: float32, standard deviation 0.2."""
    rng = np.random.default_rng(seed)
    return (0.2 * rng.standard_normal(shape)).astype(np.float32)


def swapped(spectra):
    """Return librosa's axes: bins before frames."""
    return np.swapaxes(np.asarray(spectra), -1, -2)


def close(found, expected, tolerance=1e-4):
    """Assert equality to `tolerance`, relative to the largest value if that is over 1."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    assert np.abs(found - expected).max(initial=0.0) <= tolerance * scale


@st.composite
def framings(draw):
    """Draw settings that stft, inverse_stft and librosa take."""
    n_fft = draw(st.integers(8, 300))
    win_length = draw(st.integers(max(4, n_fft // 2), n_fft))
    return {
        "n_fft": n_fft,
        "win_length": win_length,
        "hop_length": draw(st.integers(1, max(1, win_length // 2))),
        "window": draw(st.sampled_from(["hann", "hamming", "blackman", "boxcar"])),
        "center": draw(st.booleans()),
    }


@QUICK
@given(
    framing=framings(),
    length=st.integers(1, 1500),
    pad_mode=st.sampled_from(["constant", "reflect", "edge", "symmetric"]),
)
@pytest.mark.filterwarnings("ignore:n_fft=.* is too large:UserWarning")
def test_stft_is_librosas(framing, length, pad_mode):
    length = max(length, 1 if framing["center"] else framing["n_fft"])
    samples = noise(2, length, seed=length)
    expected = librosa.stft(samples, pad_mode=pad_mode, **framing)
    found = audio.stft(samples, pad_mode=pad_mode, **framing)
    assert found.dtype == tf.complex64
    close(swapped(found), expected)
    frames = audio.num_frames(
        length, **{k: framing[k] for k in ("n_fft", "hop_length", "center")}
    )
    assert found.shape == (2, frames, framing["n_fft"] // 2 + 1)


@QUICK
@given(framing=framings(), frames=st.integers(1, 12), cut=st.integers(-40, 40))
def test_the_inverse_is_librosas_of_any_spectra(framing, frames, cut):
    framing["win_length"] = framing["n_fft"]
    framing["window"] = "hamming"  # No value near 0, by which float32 would divide.
    bins = framing["n_fft"] // 2 + 1
    spectra = noise(bins, frames) + 1j * noise(bins, frames, seed=1)
    spectra[0] = spectra[0].real
    whole = librosa.istft(spectra, **framing)
    close(audio.inverse_stft(spectra.T, **framing), whole)
    length = max(1, len(whole) + cut)
    again = audio.inverse_stft(spectra.T, length=length, **framing)
    kept = whole[: min(length, len(whole))]
    close(again[: len(kept)], kept)
    assert again.shape == (length,)


@QUICK
@given(framing=framings(), length=st.integers(1, 1500))
def test_the_inverse_is_exact_where_windows_overlap(framing, length):
    length = max(length, 1 if framing["center"] else framing["n_fft"])
    framing["hop_length"] = min(framing["hop_length"], framing["win_length"] // 4)
    samples = noise(3, length, seed=length)
    spectra = audio.stft(samples, **framing)
    again = np.asarray(audio.inverse_stft(spectra, length=length, **framing))
    if framing["center"]:
        assert np.abs(again - samples).max() <= 1e-5
        return
    # Without padding, the ends lie under one window's flank, or under none.
    covered = (spectra.shape[1] - 1) * framing["hop_length"]
    inside = slice(framing["n_fft"], max(covered, framing["n_fft"]))
    assert np.abs(again - samples)[:, inside].max(initial=0.0) <= 1e-5


def test_scipy_agrees():
    samples = noise(1000)
    _, _, expected = scipy.signal.stft(
        samples, nperseg=128, noverlap=96, boundary="zeros", padded=False
    )
    window = scipy.signal.get_window("hann", 128)
    found = audio.stft(samples, n_fft=128, hop_length=32)
    close(swapped(found) / window.sum(), expected)
    _, again = scipy.signal.istft(expected, nperseg=128, noverlap=96)
    close(audio.inverse_stft(found, hop_length=32)[: len(again)], again, 1e-5)


@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize("norm", ["slaney", None])
@pytest.mark.parametrize("rate", [8_000, 16_000])
def test_the_mel_filters_are_librosas(rate, norm, htk):
    settings_ = {"n_mels": 30, "fmin": 50.0, "fmax": 3_800.0, "norm": norm, "htk": htk}
    expected = librosa.filters.mel(sr=rate, n_fft=512, **settings_)
    close(audio.mel_filter_bank(rate, 512, **settings_), expected.T, 1e-6)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_mel_spectrograms_and_mfcc_are_librosas_on_speech(power):
    speech, _ = data.load_recordings("fsdd")
    framing = {"n_fft": 256, "hop_length": 80, "win_length": 200, "n_mels": 40}
    for clip in speech.clips[::120]:
        expected = librosa.feature.melspectrogram(
            y=clip, sr=8_000, power=power, **framing
        )
        found = audio.mel_spectrogram(clip, 8_000, power=power, **framing)
        close(swapped(found), expected)
        close(
            swapped(audio.power_to_db(found)),
            librosa.power_to_db(expected),
            tolerance=1e-4,
        )
        close(
            swapped(audio.amplitude_to_db(found)),
            librosa.amplitude_to_db(expected),
            tolerance=1e-4,
        )
        coefficients = librosa.feature.mfcc(y=clip, sr=8_000, n_mfcc=13, **framing)
        found = audio.mfcc(clip, 8_000, n_mfcc=13, **framing)
        close(swapped(found), coefficients)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["fsdd", "esc10"])
def test_real_clips_agree_with_librosa(real_data_dir, name):
    clips, _ = data.load_recordings(name, source="real", data_dir=real_data_dir)
    rate = clips.sample_rate
    for clip in clips.clips[:: len(clips) // 5]:
        framing = {"n_fft": 1024, "hop_length": 256, "win_length": 800}
        spectra = audio.stft(clip, **framing)
        close(swapped(spectra), librosa.stft(clip, **framing))
        mel = librosa.feature.melspectrogram(y=clip, sr=rate, n_mels=40, **framing)
        found = audio.mel_spectrogram(clip, rate, n_mels=40, **framing)
        close(swapped(found), mel)
        spectra = audio.stft(clip, n_fft=1024, hop_length=200, win_length=800)
        again = audio.inverse_stft(
            spectra, hop_length=200, win_length=800, length=len(clip)
        )
        assert np.abs(again - clip).max() <= 1e-5


def test_a_batch_is_its_clips():
    samples = noise(2, 3, 700)
    spectra = audio.stft(samples, n_fft=64)
    assert spectra.shape == (2, 3, 44, 33)
    close(spectra[1, 2], audio.stft(samples[1, 2], n_fft=64))
    levels = audio.log_mel_spectrogram(samples, 8_000, n_fft=256, n_mels=20)
    alone = audio.log_mel_spectrogram(samples[0, 1], 8_000, n_fft=256, n_mels=20)
    close(levels[0, 1], alone)


def test_static_shapes_are_kept():
    shapes = {}

    @tf.function(
        input_signature=[tf.TensorSpec([4, 1000]), tf.TensorSpec([None, None])]
    )
    def trace(known, unknown):
        for name, samples in (("known", known), ("unknown", unknown)):
            spectra = audio.stft(samples, n_fft=128, pad_mode="reflect")
            mel = audio.mel_spectrogram(samples, 8_000, n_fft=128, n_mels=10)
            again = audio.inverse_stft(spectra, length=1000)
            rest = audio.inverse_stft(spectra)
            found = [spectra, mel, again, rest]
            shapes[name] = [tensor.shape.as_list() for tensor in found]
        return again

    samples = noise(4, 1000)
    assert np.abs(trace(samples, samples) - samples).max() <= 1e-5
    assert shapes["known"] == [[4, 32, 65], [4, 32, 10], [4, 1000], [4, 992]]
    assert shapes["unknown"][:3] == [[None, None, 65], [None, None, 10], [None, 1000]]


def test_one_graph_takes_any_length():
    traces = []

    @tf.function(input_signature=[tf.TensorSpec([None])])
    def there_and_back(samples):
        traces.append(samples.shape)
        spectra = audio.stft(samples, n_fft=64, pad_mode="reflect")
        return audio.inverse_stft(spectra, length=tf.shape(samples)[0])

    for length in (1, 2, 3, 31, 32, 33, 63, 64, 65, 777):
        samples = noise(length, seed=length)
        assert np.abs(there_and_back(samples) - samples).max() <= 1e-5
    assert len(traces) == 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least 1 values"):
        there_and_back(noise(0))


def test_xla_gives_the_same():
    samples = noise(2, 500)

    @tf.function(jit_compile=True)
    def compiled(samples):
        spectra = audio.stft(samples, n_fft=64, pad_mode="reflect")
        levels = audio.log_mel_spectrogram(samples, 8_000, n_fft=256, n_mels=20)
        return spectra, audio.inverse_stft(spectra, length=500), levels

    spectra, again, levels = compiled(samples)
    close(spectra, audio.stft(samples, n_fft=64, pad_mode="reflect"))
    assert np.abs(again - samples).max() <= 1e-5
    close(levels, audio.log_mel_spectrogram(samples, 8_000, n_fft=256, n_mels=20))


def test_in_tf_data_over_clips_of_different_length():
    speech, _ = data.load_recordings("fsdd")
    few = speech.chosen([0, 100, 200, 300])
    dataset = few.dataset().map(
        lambda samples, label, speaker: audio.log_mel_spectrogram(
            samples, 8_000, n_fft=256, n_mels=20
        )
    )
    assert dataset.element_spec.shape.as_list() == [None, 20]
    for clip, found in zip(few.clips, dataset, strict=True):
        expected = audio.log_mel_spectrogram(clip, 8_000, n_fft=256, n_mels=20)
        close(found, expected)
    batch = next(iter(dataset.padded_batch(4)))
    assert batch.shape[::2] == (4, 20)


@pytest.mark.parametrize("n_fft", [16, 15])
@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
def test_gradients_agree_with_differences(n_fft, pad_mode):
    weights = tf.constant(noise(40))

    def loss(samples):
        spectra = audio.stft(samples, n_fft=n_fft, hop_length=4, pad_mode=pad_mode)
        again = audio.inverse_stft(spectra * 2, hop_length=4, n_fft=n_fft, length=40)
        power = tf.reduce_sum(tf.abs(spectra) ** 2)
        return tf.reduce_sum(weights * again**2) + 0.1 * power

    (found,), (expected,) = tf.test.compute_gradient(loss, [noise(40, seed=5)], 1e-2)
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=5e-3)


def test_silence_has_finite_gradients():
    samples = tf.zeros([300])
    with tf.GradientTape() as tape:
        tape.watch(samples)
        levels = audio.log_mel_spectrogram(samples, 8_000, n_fft=256, n_mels=20)
        total = tf.reduce_sum(levels) + tf.reduce_sum(
            audio.mel_spectrogram(samples, 8_000, n_fft=256, n_mels=20, power=1.0)
        )
    assert np.isfinite(tape.gradient(total, samples)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: audio.stft(np.zeros(0, np.float32)), "at least 1 values.*got 0"),
        (lambda: audio.stft(noise(5), n_fft=8, center=False), "a frame's length"),
        (lambda: audio.stft(np.zeros(9, np.int16)), "divide integers of 16 bits"),
        (lambda: audio.stft(noise(99), n_fft=8, win_length=9), "win_length must be 1"),
        (lambda: audio.stft(noise(99), n_fft=8, hop_length=0), "hop_length at least 1"),
        (lambda: audio.stft(noise(99), n_fft=8, window=np.ones(5)), "win_length = 8"),
        (lambda: audio.stft(noise(99), n_fft=8, pad_mode="wrap"), "pad_mode must be"),
        (lambda: audio.stft(np.float32(1)), r"must be \[..., n\]"),
        (lambda: audio.inverse_stft(noise(3, 5)), "spectra must be complex"),
        (
            lambda: audio.inverse_stft(noise(3, 5) * 1j, n_fft=7),
            "bins; got 5 for n_fft 7",
        ),
        (lambda: audio.inverse_stft(noise(5) * 1j), "with a known number of bins"),
        (
            lambda: audio.inverse_stft(noise(3, 5) * 1j, hop_length=8),
            "no inverse: a window of 8 at every 8 samples leaves 1 of 8 out",
        ),
        (
            lambda: audio.inverse_stft(noise(3, 9) * 1j, win_length=8, hop_length=12),
            "leaves 5 of 12 out; take a smaller hop_length",
        ),
        (lambda: audio.mel_filter_bank(16_000, 256), "filters lie between the bins"),
        (lambda: audio.mel_filter_bank(8_000, 256, fmin=5e3), "below fmax"),
        (lambda: audio.mel_filter_bank(8_000, 256, norm="l1"), "norm must be"),
        (lambda: audio.power_to_db(noise(3, 3), amin=0.0), "must be positive"),
        (
            lambda: audio.mfcc(noise(300), 8_000, n_fft=256, n_mels=10),
            "n_mfcc must be 1 to n_mels = 10",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_gaps_are_those_that_scipy_finds():
    for win_length in (4, 7, 8, 16):
        for hop in (1, 3, 4, 5, 8, 16):
            window = np.pad(scipy.signal.get_window("hann", win_length), (0, 16))[:16]
            overlaps = scipy.signal.check_NOLA(window, 16, 16 - hop)
            spectra = noise(5, 9) + 0j
            try:
                audio.inverse_stft(spectra, win_length=win_length, hop_length=hop)
                assert overlaps
            except ValueError:
                assert not overlaps


def test_the_package_is_lazy_and_whole():
    assert set(audio.__all__) <= set(dir(audio))
    for name in audio.__all__:
        assert callable(getattr(audio, name))
    with pytest.raises(AttributeError, match="no attribute 'fft'"):
        _ = audio.fft
