"""Metrics, losses and mixtures by closed forms."""

import importlib.util

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcourse import audio, data
from tfcourse.errors import UserError

QUICK = settings(max_examples=30, deadline=None, database=None, derandomize=True)
SEEDS = st.integers(0, 10_000)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@QUICK
@given(seed=SEEDS, snr_db=st.floats(-40, 40), scale=st.floats(1e-3, 1e3))
def test_si_sdr_of_orthogonal_noise_is_its_snr_at_any_scale(seed, snr_db, scale):
    clean, distortion = noise(2, 200, seed=seed)
    distortion -= clean * (clean @ distortion) / (clean @ clean)
    distortion *= np.sqrt((clean @ clean) / (distortion @ distortion))
    estimate = clean + 10 ** (-snr_db / 20) * distortion
    assert audio.snr(clean, estimate) == pytest.approx(snr_db, abs=1e-6)
    assert audio.si_sdr(clean, scale * estimate) == pytest.approx(snr_db, abs=1e-6)
    loss = audio.negative_si_sdr(clean[None], scale * estimate[None])
    if 0.1 < scale < 10 and snr_db < 30:  # Within float32, and above TINY.
        assert loss.numpy() == pytest.approx([-snr_db], abs=1e-2)


def test_limits():
    clean = noise(100)
    assert audio.snr(clean, clean) == np.inf
    assert audio.snr(clean, 0 * clean) == 0.0
    assert audio.snr(clean, 2 * clean) == 0.0
    assert audio.si_sdr(clean, -3 * clean) > 250
    assert audio.si_sdr(clean, 0 * clean) == -np.inf
    with np.errstate(invalid="ignore"):
        assert audio.si_sdr(clean + 5, clean, zero_mean=True) > 250
    batch = audio.snr(noise(2, 3, 50), noise(2, 3, 50, seed=1))
    assert batch.shape == (2, 3) and batch.dtype == np.float64


@pytest.mark.parametrize(
    ("reference", "estimate", "message"),
    [
        (np.zeros(9), np.ones(9), "1 of the references are silent"),
        (np.ones(9), np.ones(8), "must have one shape"),
        (np.ones(9), np.full(9, np.nan), "the estimate holds values that are not"),
        (np.ones(0), np.ones(0), "must have one shape"),
    ],
)
def test_what_has_no_ratio_is_refused(reference, estimate, message):
    for metric in (audio.snr, audio.si_sdr):
        with pytest.raises(ValueError, match=message):
            metric(reference, estimate)
    with pytest.raises(ValueError, match="one clip at a time"):
        audio.stoi(np.ones((2, 9)), np.ones((2, 9)), 8_000)


def test_the_loss_is_the_metric_and_its_gradient_goes_up_the_hill():
    clean, other = noise(2, 4, 300).astype(np.float32)
    estimate = tf.Variable(clean + 0.5 * other)
    expected = audio.si_sdr(clean, estimate.numpy())
    with tf.GradientTape() as tape:
        loss = audio.negative_si_sdr(clean, estimate)
    np.testing.assert_allclose(loss, -expected, atol=1e-4)
    estimate.assign_sub(3.0 * tape.gradient(loss, estimate))
    assert (audio.si_sdr(clean, estimate.numpy()) > expected + 0.1).all()
    for clip in (0 * clean, clean):  # Silence, and a perfect estimate.
        with tf.GradientTape() as tape:
            same = tf.Variable(clip)
            loss = audio.negative_si_sdr(clip, same)
        assert np.isfinite(loss).all()
        assert np.isfinite(tape.gradient(loss, same)).all()


def test_keras_trains_with_the_loss():
    keras = tf.keras
    clean, other = noise(2, 8, 64).astype(np.float32)
    noisy = clean + 0.3 * other
    inputs = keras.Input((64,))
    model = keras.Model(inputs, keras.layers.Dense(64, use_bias=False)(inputs))
    model.compile(keras.optimizers.Adam(0.01), audio.negative_si_sdr)
    losses = model.fit(noisy, clean, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 5
    found = audio.si_sdr(clean, model(noisy).numpy()).mean()
    assert model.evaluate(noisy, clean, verbose=0) == pytest.approx(-found, abs=1e-2)


@QUICK
@given(
    seed=SEEDS,
    lengths=st.tuples(st.integers(2, 400), st.integers(1, 900)),
    snr_db=st.floats(-30, 30),
    peak=st.sampled_from([None, 1.0, 0.1]),
)
def test_a_mixture_has_the_ratio_and_does_not_clip(seed, lengths, snr_db, peak):
    rng = np.random.default_rng(seed)
    speech, disturbance = (noise(n, seed=seed + n) for n in lengths)
    mixture = audio.mix_at_snr(speech, disturbance, snr_db, rng=rng, peak=peak)
    assert audio.snr(mixture.speech, mixture.noisy) == pytest.approx(snr_db, abs=0.01)
    total = mixture.speech.astype(np.float64) + mixture.noise
    np.testing.assert_allclose(mixture.noisy, total, atol=1e-5)
    np.testing.assert_allclose(mixture.speech, mixture.scale * speech, rtol=1e-5)
    assert 0 < mixture.scale <= 1
    if peak is not None:
        assert np.abs(mixture.noisy).max() <= peak * (1 + 1e-6)
    assert mixture.noisy.dtype == np.float32


def test_the_part_of_the_noise_is_drawn_but_never_silent():
    bark = np.zeros(5_000)
    bark[4_000:4_100] = 1.0
    starts = set()
    for seed in range(30):
        part = audio.fit_noise(bark, 300, rng=np.random.default_rng(seed))
        assert part.any()
        starts.add(int(np.flatnonzero(part)[0]))
    assert len(starts) > 10
    short = audio.fit_noise(np.arange(1, 4), 8, rng=np.random.default_rng(0))
    assert set(short[:3]) == {1, 2, 3} and (short[3:6] == short[:3]).all()


@pytest.mark.parametrize(
    ("speech", "disturbance", "message"),
    [
        (np.ones(9), np.zeros(9), "noise is silent"),
        (np.zeros(9), np.ones(9), "speech is silent"),
        (np.ones((2, 9)), np.ones(9), r"speech must be \[samples\]"),
        (np.ones(9), np.ones(0), r"noise must be \[samples\]"),
        (np.ones(9), np.array([np.inf]), "noise holds values that are not finite"),
    ],
)
def test_what_can_not_be_mixed_is_refused(speech, disturbance, message):
    with pytest.raises(ValueError, match=message):
        audio.mix_at_snr(speech, disturbance, 0.0, rng=np.random.default_rng(0))


def test_mixing_in_a_graph_gives_the_ratio():
    speech, disturbance = noise(2, 4, 500)
    wanted = np.array([-10.0, 0.0, 5.0, 20.0])
    dataset = tf.data.Dataset.from_tensor_slices((speech, disturbance, wanted))
    mixed = dataset.map(audio.mix_tensors_at_snr)
    for clean, snr_db, (noisy, scaled) in zip(speech, wanted, mixed, strict=True):
        assert audio.snr(clean, noisy) == pytest.approx(snr_db, abs=1e-3)
        np.testing.assert_allclose(noisy, clean + scaled, atol=1e-5)
    noisy, _ = audio.mix_tensors_at_snr(speech, disturbance, wanted)
    np.testing.assert_allclose(audio.snr(speech, noisy), wanted, atol=1e-3)
    noisy, _ = audio.mix_tensors_at_snr(speech, 0 * disturbance, wanted)
    np.testing.assert_allclose(noisy, speech, atol=1e-6)


def test_stoi_rises_with_the_ratio():
    speech, _ = data.load_recordings("speech_commands")
    clean = np.concatenate(speech.clips[:4])
    values = []
    for snr_db in (-10, 0, 10, 40):
        rng = np.random.default_rng(1)
        mixture = audio.mix_at_snr(clean, rng.standard_normal(80_000), snr_db, rng=rng)
        values.append(audio.stoi(mixture.speech, mixture.noisy, 16_000))
    assert values == sorted(values) and values[0] < 0.7 and values[-1] > 0.95
    assert np.isnan(audio.stoi(clean[:2_000], clean[:2_000], 16_000))
    found = audio.scores(mixture.speech, mixture.noisy, 16_000)
    assert list(found) == ["snr", "si_sdr", "stoi", "pesq"]
    assert found["snr"] == pytest.approx(40, abs=0.01)
    assert found["stoi"] == pytest.approx(values[-1])


def test_pesq_of_clean_speech_is_the_highest():
    pytest.importorskip("pesq", reason="not run: pip install tfcourse[pesq]")
    speech, _ = data.load_recordings("speech_commands")
    clean = np.concatenate(speech.clips[:4])
    noisy = clean + 0.05 * noise(len(clean))
    assert audio.pesq(clean, clean, 16_000) > audio.pesq(clean, noisy, 16_000)
    with pytest.raises(ValueError, match="8000 and 16000"):
        audio.pesq(clean, clean, 44_100)


def test_what_is_not_installed_says_so(monkeypatch):
    monkeypatch.setattr("tfcourse.audio.metrics.find_spec", lambda name: None)
    clean = noise(9_000)
    with pytest.raises(UserError, match=r'pip install "tfcourse\[audio\]"'):
        audio.stoi(clean, clean, 8_000)
    with pytest.raises(UserError, match=r'pip install "tfcourse\[pesq\]"'):
        audio.pesq(clean, clean, 8_000)
    found = audio.scores(clean, clean + noise(9_000, seed=1), 8_000)
    assert found["stoi"] is None and found["pesq"] is None and found["snr"] < 1
    assert importlib.util.find_spec("pystoi")
