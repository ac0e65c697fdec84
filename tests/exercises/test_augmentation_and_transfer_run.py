"""Exercise 11's `main` from beginning to end, and the library that it uses."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcourse import transfer_comparisons as comparisons
from tfcourse.catalog import exercises_folder, find_exercise, load_module
from tfcourse.errors import UserError
from tfcourse.random_crops import random_crops
from tfcourse.run_folder import unlock
from tfcourse.runs import Run
from tfcourse.transfer_study import Methods, Study, of_classes

SOLUTION = load_module(
    exercises_folder() / "11_augmentation_and_transfer" / "solution.py",
    "augmentation_and_transfer_run",
)
FIGURES = [
    "accuracy_by_size",
    "five_classes",
    "gains",
    "learning_turns",
    "operations",
    "starts",
]
SMALL = dataclasses.replace(
    SOLUTION.SMOKE,
    widths=(4, 4),
    num_steps=2,
    sizes=(100, 200),
    draws=(1, 1),
    num_labels=100,
    source_images=100,
    class_draws=1,
    class_epochs=1,
)
METHODS = Methods(
    SOLUTION.augment,
    SOLUTION.batches,
    SOLUTION.transfer,
    SOLUTION.rate_factors,
    SOLUTION.train_step,
    SOLUTION.unfreeze,
)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("runs") / "small", show_progress=False)
    return run, SOLUTION.main(SMALL, run)


def small_study(folder, **changes):
    config = dataclasses.replace(SMALL, **changes)
    run = Run(folder, show_progress=False)
    return Study(run, config, METHODS, SOLUTION.named_operations(config))


def test_every_tier_measures_what_it_promises(small_run):
    _, metrics = small_run
    for tier in find_exercise(11).tiers.values():
        assert {promise.metric for promise in tier.promises} <= set(metrics)
    assert all(np.isfinite(value) for value in metrics.values())


def test_gains_are_differences_of_accuracies(small_run):
    _, metrics = small_run
    gain = metrics["accuracy_augmented_100"] - metrics["accuracy_plain_100"]
    assert metrics["augmentation_gain"] == pytest.approx(gain)
    assert metrics["scratch_accuracy"] == metrics["accuracy_augmented_100"]
    gain = metrics["fine_tuned_accuracy"] - metrics["scratch_plain_accuracy"]
    assert metrics["transfer_gain"] == pytest.approx(gain)
    gain = metrics["five_other_classes_accuracy"]
    gain -= metrics["five_scratch_accuracy"]
    assert metrics["five_classes_gain"] == pytest.approx(gain)


def test_figures_and_curves_are_written(small_run):
    run, _ = small_run
    written = sorted(path.stem for path in (run.directory / "figures").glob("*.png"))
    assert written == FIGURES
    for folder in (
        "turns/train",
        "turns/validation",
        "five_classes/train",
        "study/sizes/plain_100_0",
        "study/starts/frozen_100_0",
        "sizes/augmented",
    ):
        assert list((run.directory / folder).glob("*tfevents*")), folder


def test_a_resumed_run_takes_up_what_was_measured(small_run):
    run, first = small_run
    path = run.directory / "resume" / "starts" / "frozen_100_0" / "value.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["value"][0] += 0.25
    path.write_text(json.dumps(stored), encoding="utf-8")
    unlock(run.directory)
    again = Run(run.directory, resume=True, show_progress=False)
    second = SOLUTION.main(SMALL, again)
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"frozen_accuracy"}
    expected = first["frozen_accuracy"] + 0.25
    assert second["frozen_accuracy"] == pytest.approx(expected)


def test_test_images_are_scored_and_never_learned_from(tmp_path):
    study = small_study(tmp_path / "a")
    held_out = small_study(tmp_path / "b", train_on_all=False)

    def images_of(part):
        return {image.tobytes() for image in part[0]}

    everything, rest = images_of(study.train), images_of(held_out.train)
    assert not everything & images_of(study.scored)
    assert rest < everything and images_of(held_out.scored) == everything - rest
    assert len(held_out.scored[1]) == SMALL.num_val
    assert study.train[0].dtype == np.float32
    assert 0 <= study.train[0].min() and study.train[0].max() <= 1


def test_draws_have_as_many_images_of_each_class_and_differ(tmp_path):
    study = small_study(tmp_path / "run")
    first, second = (study.subset(100, study.all_classes, seed) for seed in (0, 1))
    again = study.subset(100, study.all_classes, 0)
    np.testing.assert_array_equal(np.bincount(first[1]), [10] * 10)
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], second[0])
    images, labels = study.subset(50, (5, 6, 7, 8, 9), 3)
    np.testing.assert_array_equal(np.bincount(labels), [10] * 5)
    assert len(images) == 50
    other = small_study(tmp_path / "other", seed=1)
    assert not set(other.draws(100)) & set(study.draws(100))


def test_classes_are_counted_in_their_order():
    images = np.arange(6)
    images, labels = of_classes((images, np.array([4, 0, 2, 4, 1, 2])), (2, 4))
    assert images.tolist() == [0, 2, 3, 5] and labels.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sizes": (100, 10**6)}, "sizes <= 4000"),
        ({"num_labels": 300}, "must contain num_labels"),
        ({"draws": (1,)}, "one number of draws"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, words, tmp_path):
    with pytest.raises(UserError, match=words):
        small_study(tmp_path / "run", **changes)


def test_unknown_operations_are_refused(tmp_path):
    study = small_study(tmp_path / "run")
    with pytest.raises(UserError, match="operations are mirror, .*; got blur"):
        study.change(["crop", "blur"])


def test_crops_are_among_those_of_the_library():
    images = np.random.default_rng(0).uniform(size=(12, 6, 6, 2)).astype("float32")
    received = SOLUTION.random_crop(tf.constant(images), [3, 4], 1).numpy()
    same = np.tile(images, (40, 1, 1, 1))
    crops = random_crops(tf.constant(same - 0.5), [5, 6], 1, mirror=False).numpy() + 0.5
    for place, crop in enumerate(received):
        assert np.isclose(crops[place::12], crop, atol=1e-6).all(axis=(1, 2, 3)).any()


def test_a_backbone_is_trained_frozen_first(tmp_path, monkeypatch):
    def tiny(*, input_shape, weights, **_):
        assert weights is None
        images = keras.Input(input_shape)
        maps = keras.layers.Conv2D(4, 3, strides=8, activation="relu")(images)
        return keras.Model(images, keras.layers.GlobalAveragePooling2D()(maps))

    monkeypatch.setattr(keras.applications, "MobileNet", tiny)
    study = small_study(
        tmp_path / "run", backbone="MobileNet", backbone_weights="", num_steps=8
    )
    source = comparisons.imagenet_source(study)
    frozen = source.get_weights()
    metrics = comparisons.compare_backbone(study, source)
    assert set(metrics) == {"backbone_frozen_accuracy", "backbone_accuracy"}
    for first, last in zip(frozen, source.get_weights(), strict=True):
        np.testing.assert_array_equal(first, last)
    assert (study.run.directory / "figures" / "backbone.png").is_file()


def test_without_a_backbone_nothing_is_downloaded(tmp_path):
    study = small_study(tmp_path / "run")
    assert comparisons.imagenet_source(study) is None
    assert comparisons.compare_backbone(study, None) == {}
