"""Exercise 20's `main` from beginning to end, and the library that it uses."""

import dataclasses
import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcourse.catalog import exercises_folder, find_exercise, load_module
from tfcourse.projector_reading import read_projector
from tfcourse.run_folder import unlock
from tfcourse.runs import Run
from tfcourse.speaker_baselines import clip_statistics, discriminant_embeddings
from tfcourse.speaker_figures import error_curve
from tfcourse.speaker_inputs import (
    SpeakerCentres,
    log_mel_inputs,
    masked,
    tempo_variants,
    voice_batches,
)
from tfcourse.speaker_whitening import (
    whitened_encoder,
    whitened_points,
    whitening,
)

SOLUTION = load_module(
    exercises_folder() / "20_siamese_speakers" / "solution.py", "siamese_speakers_run"
)
SETTINGS = types.SimpleNamespace(
    n_fft=512, win_length=400, hop_length=200, num_mels=32, range_db=60.0
)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    config = dataclasses.replace(
        SOLUTION.SMOKE,
        tempos=(1.0,),
        channels=4,
        embedding_size=4,
        steps_per_epoch=2,
        epochs=1,
        num_trials=20,
    )
    run = Run(tmp_path_factory.mktemp("runs") / "small", show_progress=False)
    return run, config, SOLUTION.main(config, run)


def test_every_tier_measures_what_it_promises(small_run):
    _, _, metrics = small_run
    for tier in find_exercise(20).tiers.values():
        assert {promise.metric for promise in tier.promises} <= set(metrics)
    assert all(np.isfinite(value) for value in metrics.values())


def test_figures_curves_and_projector_are_written(small_run):
    run, _, _ = small_run
    written = sorted(path.stem for path in (run.directory / "figures").glob("*.png"))
    assert written == ["methods", "roc", "scores"]
    for name in ("contrastive", "triplet", "aam"):
        for part in ("train", "validation"):
            folder = run.directory / "split_0" / name / part
            assert list(folder.glob("*tfevents*")), folder
    clouds = read_projector(run.directory)["embeddings"]
    assert list(clouds) == [
        f"{loss}{end}"
        for loss in ("contrastive", "triplet", "aam")
        for end in ("", "_whitened")
    ]
    assert clouds["aam"].vectors.shape == (180, 4)
    assert clouds["aam"].sprites is not None


def test_a_resumed_run_takes_up_what_was_measured(small_run):
    run, config, first = small_run
    path = run.directory / "resume" / "split_0" / "measured_triplet" / "value.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["value"]["accuracy"] = 0.125
    path.write_text(json.dumps(stored), encoding="utf-8")
    unlock(run.directory)
    again = Run(run.directory, resume=True, show_progress=False)
    second = SOLUTION.main(config, again)
    changed = {name for name in first if first[name] != second[name]}
    assert second["triplet_accuracy"] == 0.125
    assert {name for name in changed if "seconds" not in name} <= {
        "triplet_accuracy",
        "twin_accuracy",
        "gain_over_classical",
        "gain_over_whitening",
    }


def tone(frequency, samples=16_000):
    return np.sin(2 * np.pi * frequency * np.arange(samples) / 16_000)


def test_a_faster_voice_is_higher_and_another_one():
    clips = np.stack([tone(440), tone(700)]).astype("float32")
    varied, voices = tempo_variants(clips, np.array([7, 3]), (1.0, 1.25, 0.8))
    assert varied.shape == (6, 16_000) and varied.dtype == np.float32
    np.testing.assert_array_equal(voices, [1, 0, 3, 2, 5, 4])
    np.testing.assert_array_equal(varied[:2], clips)
    peaks = [np.abs(np.fft.rfft(row, 16_000)).argmax() for row in varied]
    np.testing.assert_allclose(peaks, [440, 700, 550, 875, 352, 560], atol=2)
    assert not varied[2, 12_801:].any() and varied[4].any()


def test_loudness_does_not_change_the_inputs():
    rng = np.random.default_rng(3)
    clips = rng.normal(size=(2, 16_000)).astype("float32") * 0.1
    inputs = log_mel_inputs(clips, SETTINGS, 16_000).numpy()
    assert inputs.shape == (2, 81, 32)
    np.testing.assert_allclose(inputs.mean(axis=(1, 2)), 0, atol=1e-4)
    louder = log_mel_inputs(3 * clips, SETTINGS, 16_000).numpy()
    np.testing.assert_allclose(louder, inputs, atol=1e-3)


def test_a_mask_hides_one_band_of_each_clip():
    inputs = tf.ones([50, 7, 20])
    hidden = masked(inputs, tf.constant([1, 2]), width=5).numpy() == 0
    assert np.all(hidden == hidden[:, :1])  # The same bands in all frames.
    counts = hidden[:, 0].sum(axis=1)
    assert set(counts) == {0, 1, 2, 3, 4, 5}
    edges = np.abs(np.diff(hidden[:, 0].astype(int), axis=1)).sum(axis=1)
    assert edges.max() <= 2
    assert hidden[:, 0, 0].any() and hidden[:, 0, -1].any()


def test_batches_have_voices_with_as_many_different_clips():
    samples = np.arange(24, dtype=np.float32)[:, None]
    voices = np.repeat(np.arange(6), 4)

    def epochs(seed):
        batches = voice_batches(
            samples,
            voices,
            lambda values, key: values,
            voices_per_batch=3,
            clips_per_voice=2,
            num_batches=5,
            seed=seed,
        )
        return [[(x.numpy().ravel(), y.numpy()) for x, y in batches] for _ in range(2)]

    first, second = epochs(1)
    assert len(first) == 5
    for places, labels in first:
        np.testing.assert_array_equal(labels, voices[places.astype(int)])
        assert len(set(places)) == 6
        assert sorted(np.unique(labels, return_counts=True)[1]) == [2, 2, 2]
    assert any(np.any(a[0] != b[0]) for a, b in zip(first, second, strict=True))
    again = epochs(1)[0]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a[0], b[0])


def test_centres_give_cosines():
    layer = SpeakerCentres(5)
    points = tf.math.l2_normalize(tf.random.stateless_normal([7, 4], [1, 2]), 1)
    cosines = layer(points).numpy()
    directions = layer.directions.numpy()
    directions /= np.linalg.norm(directions, axis=0)
    np.testing.assert_allclose(cosines, points.numpy() @ directions, atol=1e-5)
    assert SpeakerCentres.from_config(layer.get_config()).num_voices == 5


def test_statistics_tell_speech_from_background():
    rng = np.random.default_rng(5)
    clip = 0.001 * rng.normal(size=16_000)
    clip[4_000:8_000] += tone(300, 4_000)
    found = clip_statistics(clip[None].astype("float32"), 16_000)
    assert {name: rows.shape for name, rows in found.items()} == dict.fromkeys(
        ("voiced", "all", "background"), (1, 48)
    )
    levels = {name: rows[0, 0] for name, rows in found.items()}  # Mean of C0.
    assert levels["background"] < levels["all"] < levels["voiced"]


def test_lda_separates_speakers_that_it_has_not_seen():
    rng = np.random.default_rng(7)
    speakers = np.repeat(np.arange(30), 8)
    centres, noise = rng.normal(size=(30, 3)), rng.normal(size=(240, 9))
    points = noise @ rng.normal(size=(9, 9))
    points[:, :3] += 4 * centres[speakers]
    parts = {"train": np.arange(160), "val": np.arange(160, 200)}
    embeddings = discriminant_embeddings(
        points, speakers, parts, lambda values: -values.shape[1]
    )
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1)
    cosines = embeddings[160:] @ embeddings[160:].T
    same = speakers[160:, None] == speakers[None, 160:]
    assert cosines[same].mean() > cosines[~same].mean() + 0.3


def test_the_curve_of_errors_is_the_mean_over_splits():
    perfect = {"scores": [[0.1, 0.2], [0.8, 0.9]]}
    useless = {"scores": [[0.5, 0.5], [0.5, 0.5]]}
    accepts, rejects = error_curve([perfect, useless])
    np.testing.assert_allclose(rejects, (1 - accepts) / 2, atol=1e-6)


def voices_and_words(num_speakers=40, clips=6, size=9):
    """Return points in which words hide voices, in three directions; speakers."""
    rng = np.random.default_rng(11)
    speakers = np.repeat(np.arange(num_speakers), clips)
    mixing, _ = np.linalg.qr(rng.normal(size=(size, size)))
    words = rng.normal(size=(len(speakers), size)) * np.where(
        np.arange(size) < 3, 6, 0.3
    )
    voices = rng.normal(size=(num_speakers, size))[speakers]
    return (words + voices) @ mixing, speakers


def test_whitened_clips_of_one_speaker_have_the_unit_covariance():
    points, speakers = voices_and_words()
    mean, matrix = whitening(points, speakers, 0.0)
    whitened = (points - mean) @ matrix
    centres = np.stack([whitened[speakers == k].mean(0) for k in range(40)])
    residuals = whitened - centres[speakers]
    np.testing.assert_allclose(residuals.T @ residuals / 200, np.eye(9), atol=1e-8)
    np.testing.assert_allclose(whitened.mean(axis=0), 0, atol=1e-8)
    _, matrix = whitening(points, speakers, 1.0)  # Only the scales are left.
    gram = matrix.T @ np.diag(points.std(axis=0) ** 2) @ matrix
    np.testing.assert_allclose(gram, gram[0, 0] * np.eye(9), atol=1e-6)


def test_whitening_helps_speakers_that_it_has_not_seen():
    points, speakers = voices_and_words()
    train = np.flatnonzero(speakers < 30)
    unseen = speakers >= 30
    pairs, same = SOLUTION.make_pairs(speakers[unseen], 0)

    def error(embeddings):
        embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        first, second = embeddings[unseen][pairs.T]
        return SOLUTION.equal_error_rate(same, np.sum(first * second, axis=1))

    whitened = whitened_points(points, speakers, train)
    np.testing.assert_allclose(np.linalg.norm(whitened, axis=1), 1)
    assert error(whitened) < error(points - points[train].mean(axis=0)) - 0.1


@pytest.mark.parametrize("dense", [False, True])
def test_an_encoder_whitens_like_numpy_what_enters_its_last_layer(dense):
    rng = np.random.default_rng(13)
    inputs = rng.normal(size=(30, 7, 5)).astype("float32")
    speakers = np.repeat(np.arange(6), 5)
    frames = keras.Input([None, 5])
    hidden = keras.layers.GlobalAveragePooling1D()(frames)
    outputs = keras.layers.Dense(2)(hidden) if dense else hidden
    encoder = keras.Model(frames, outputs)
    before = encoder.predict(inputs, verbose=0)
    found = whitened_encoder(encoder, inputs, speakers).predict(inputs, verbose=0)
    expected = whitened_points(inputs.mean(axis=1), speakers, np.arange(30))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(encoder.predict(inputs, verbose=0), before)
