"""Exercise 06's `main` from beginning to end, and the library that it uses."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tfcourse import data_validation_study as study
from tfcourse.catalog import exercises_folder, find_exercise, load_module
from tfcourse.data.colour_shapes import colour_shapes
from tfcourse.data_diagnosis import class_matched
from tfcourse.data_fault_effects import CASES, with_neighbours
from tfcourse.data_fault_images import PROCESSINGS, re_encode
from tfcourse.data_faults import FAULTS, SETS, flip_labels, make_triplet
from tfcourse.data_validation_tests import excess_p_value, is_corrupt, severities
from tfcourse.errors import UserError
from tfcourse.near_twins import near_twins, nearest_distances
from tfcourse.patch_features import patch_features
from tfcourse.run_folder import unlock
from tfcourse.runs import Run

SOLUTION = load_module(
    exercises_folder() / "06_data_validation" / "solution.py", "data_validation_run"
)
FIGURES = [
    "diagnoses",
    "effects",
    "evidence",
    "faults",
    "hashes",
    "mirrored",
    "precision_recall",
    "smallest",
    "worst_labels",
]
SIZES = (240, 120, 120)


@pytest.fixture(scope="module")
def pool():
    images, labels = colour_shapes(900, seed=5)
    return study.lit(images), labels


def keys(images):
    return [image.tobytes() for image in images]


# The generator of faults ----------------------------------------------------------------


def test_a_clean_triplet_shares_no_image_and_repeats_itself(pool):
    triplet = make_triplet(*pool, sizes=SIZES, seed=3)
    assert [len(triplet.sets[name][1]) for name in SETS] == list(SIZES)
    everything = [key for name in SETS for key in keys(triplet.sets[name][0])]
    assert len(set(everything)) == sum(SIZES)
    label_of = dict(zip(keys(pool[0]), pool[1], strict=True))
    for images, labels in triplet.sets.values():
        assert [label_of[key] for key in keys(images)] == labels.tolist()
        assert not SOLUTION.schema_problems(images, labels, triplet.schema)
    again = make_triplet(*pool, sizes=SIZES, seed=3)
    other = make_triplet(*pool, sizes=SIZES, seed=4)
    assert np.array_equal(triplet.sets["val"][0], again.sets["val"][0])
    assert not np.array_equal(triplet.sets["val"][0], other.sets["val"][0])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_changes_the_named_sets_alone(pool, fault):
    clean = make_triplet(*pool, sizes=SIZES, seed=8)
    before = pool[0].copy(), pool[1].copy()
    for where in FAULTS[fault].where:
        triplet = make_triplet(*pool, fault=fault, where=where, sizes=SIZES, seed=8)
        assert (triplet.fault, triplet.where) == (fault, where)
        for name in SETS:
            changed = [
                a.dtype != b.dtype or not np.array_equal(a, b)
                for a, b in zip(triplet.sets[name], clean.sets[name], strict=True)
            ]
            assert any(changed) == (name in where), (fault, where, name)
            assert len(triplet.sets[name][0]) == len(triplet.sets[name][1])
    assert np.array_equal(pool[0], before[0]) and np.array_equal(pool[1], before[1])


def planted(pool, fault, where, **options):
    triplet = make_triplet(
        *pool, fault=fault, where=where, sizes=SIZES, seed=9, **options
    )
    return triplet, make_triplet(*pool, sizes=SIZES, seed=9)


def test_each_fault_is_what_its_text_says(pool):
    triplet, clean = planted(pool, "wrong_range", ("val",))
    images = triplet.sets["val"][0]
    assert images.dtype == np.float32 and images.max() <= 1
    assert np.array_equal(np.round(images * 255), clean.sets["val"][0])
    triplet, clean = planted(pool, "labels_from_one", ("test",))
    assert np.array_equal(triplet.sets["test"][1], clean.sets["test"][1] + 1)
    triplet, _ = planted(pool, "duplicates", ("val", "test"), severity=0.1)
    known = {*keys(triplet.sets["train"][0])}
    for name in ("val", "test"):
        assert sum(key in known for key in keys(triplet.sets[name][0])) == 12
    triplet, clean = planted(pool, "labels_noisy", ("train",), severity=0.4)
    wrong = triplet.sets["train"][1] != clean.sets["train"][1]
    assert wrong.sum() == 96
    triplet, _ = planted(pool, "missing_classes", ("train",))
    assert np.sum(np.bincount(triplet.sets["train"][1], minlength=10) == 0) == 2
    triplet, clean = planted(pool, "labels_permuted", ("val",))
    pairs = {*zip(clean.sets["val"][1], triplet.sets["val"][1], strict=True)}
    assert len(pairs) == 10 and all(a != b for a, b in pairs)
    triplet, clean = planted(pool, "ordered", ("test",))
    assert sorted(keys(triplet.sets["test"][0])) == sorted(keys(clean.sets["test"][0]))
    same = np.mean(np.diff(triplet.sets["test"][1]) == 0)
    assert same > 0.5
    triplet, _ = planted(pool, "corrupt_images", ("train",), severity=0.1)
    assert 24 <= is_corrupt(triplet.sets["train"][0]).sum() <= 28
    triplet, clean = planted(pool, "other_distribution", ("val", "test"))
    for name in ("val", "test"):
        counts = [np.bincount(t.sets[name][1]) for t in (triplet, clean)]
        assert np.array_equal(*counts)
        brightness = [t.sets[name][0].mean() for t in (triplet, clean)]
        assert brightness[0] > 1.1 * brightness[1]
    triplet, clean = planted(pool, "near_duplicates", ("test",), severity=0.1)
    new = ~np.isin(keys(triplet.sets["test"][0]), keys(clean.sets["test"][0]))
    assert new.sum() == 12
    assert not {*keys(triplet.sets["test"][0])} & {*keys(triplet.sets["train"][0])}


def test_a_processing_is_undone_by_its_inverse(pool):
    images = pool[0][:5]
    for name in ("mirrored", "transposed", "channels_swapped"):
        once = PROCESSINGS[name](images, 1.0)
        assert not np.array_equal(once, images)
        assert np.array_equal(PROCESSINGS[name](once, 1.0), images)
    assert np.allclose(PROCESSINGS["darkened"](images, 0.5), images / 2, atol=0.51)
    assert np.array_equal(PROCESSINGS["blurred"](images, 1e-3), images)


def test_flipped_labels_are_wrong_ones_spread_over_all_classes():
    labels = np.repeat(np.arange(10), 500)
    flipped, where = flip_labels(labels, 0.3, 10, np.random.default_rng(0))
    assert where.sum() == 1500 and np.array_equal(flipped != labels, where)
    counts = np.bincount((flipped - labels)[where] % 10, minlength=10)
    assert counts[0] == 0 and stats.chisquare(counts[1:]).pvalue > 1e-6


def test_what_cannot_be_made_is_refused(pool):
    with pytest.raises(ValueError, match="a fault is one of"):
        make_triplet(*pool, fault="rotated", sizes=SIZES)
    with pytest.raises(ValueError, match="duplicates happens to one of"):
        make_triplet(*pool, fault="duplicates", where=("train",), sizes=SIZES)
    with pytest.raises(ValueError, match="need a pool a fifth larger"):
        make_triplet(*pool, sizes=(800, 50, 50))


# What the diagnosis stands on -----------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 40), st.integers(0, 3))
def test_near_twins_are_the_closest_disjoint_pairs(seed, count, max_distance):
    hashes = np.random.default_rng(seed).random((count, 8)) < 0.5
    pairs = near_twins(hashes, max_distance)
    distances = np.sum(hashes[:, None] != hashes, axis=2)
    assert len(np.unique(pairs)) == pairs.size
    taken = {int(row): distances[tuple(pair)] for pair in pairs for row in pair}
    for first, second in itertools.combinations(range(count), 2):
        # A close pair was left out only for one that is at least as close.
        if distances[first, second] <= max_distance:
            nearest = min(taken.get(first, 99), taken.get(second, 99))
            assert nearest <= distances[first, second]
    np.fill_diagonal(distances, 99)
    assert np.array_equal(nearest_distances(hashes), distances.min(axis=1))


def test_broken_images_are_seen_and_sound_ones_are_not(pool):
    assert is_corrupt(pool[0]).mean() < 0.02  # A drawing of low contrast.
    images = pool[0][:3].copy()
    images[0, 20:], images[1] = 128, 0
    images[2] = np.random.default_rng(0).integers(0, 256, images[2].shape)
    assert is_corrupt(images).all()
    flags = {"train": np.arange(50) < 1, "val": np.arange(20) < 6, "test": np.zeros(30)}
    table = [[6, 14], [1, 79]]
    expected = stats.fisher_exact(table, alternative="greater").pvalue
    assert excess_p_value(flags, "val") == pytest.approx(expected)


def test_a_blur_is_measured(pool):
    for deviation in (0.5, 0.9):
        target = PROCESSINGS["blurred"](pool[0][:300], deviation)
        found = severities(pool[0][300:], target)["blurred"]
        assert found == pytest.approx(deviation, abs=0.1)
    target = PROCESSINGS["darkened"](pool[0][:300], 0.8)
    assert severities(pool[0][300:], target)["darkened"] == pytest.approx(0.8, abs=0.03)


def test_patch_features_are_white_and_the_same_for_the_same_seed(pool):
    images = pool[0][:300]
    embed = patch_features(images, num_filters=16, num_features=20)
    features = embed(images)
    assert features.shape == (300, 20) and features.dtype == np.float32
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-3)
    correlation = np.corrcoef(features.T)
    np.testing.assert_allclose(correlation, np.eye(20), atol=1e-2)
    again = patch_features(images, num_filters=16, num_features=20)(images)
    np.testing.assert_allclose(features, again, atol=1e-4)


def test_re_encoded_images_have_close_hashes(pool):
    rng = np.random.default_rng(0)
    hashes = [SOLUTION.perceptual_hash(x) for x in (pool[0], re_encode(pool[0], rng))]
    distances = np.sum(hashes[0] != hashes[1], axis=1)
    assert np.mean(distances <= 6) > 0.9


def test_the_p_values_are_uniform_on_what_was_dealt_at_random():
    """Of 400 random deals about 5 % lie below 0.05, for each test that needs no images."""
    rng = np.random.default_rng(1)
    shares = np.full(10, 0.1)
    found = {"balance": [], "order": [], "overlap": []}
    groups = np.repeat([0, 1, 2], [200, 100, 100])
    for _ in range(400):
        labels = rng.integers(0, 10, 500)
        found["balance"].append(SOLUTION.balance_p_value(labels, shares))
        found["order"].append(SOLUTION.order_p_value(labels))
        pairs = rng.permutation(400)[:60].reshape(-1, 2)
        found["overlap"].append(SOLUTION.overlap_p_value(pairs, groups))
    for name, values in found.items():
        low, high = stats.binom.ppf([1e-6, 1 - 1e-6], 400, 0.05)
        low = 0 if name == "overlap" else low  # Whole numbers make it cautious.
        assert low <= np.sum(np.array(values) <= 0.05) <= high, name


def test_class_matched_rows_have_the_same_shares():
    rng = np.random.default_rng(0)
    first, second = rng.choice(3, 500, p=[0.6, 0.3, 0.1]), rng.choice(3, 200)
    rows = class_matched(first, second, 3, seed=0)
    counts = [np.bincount(x[r]) for x, r in zip((first, second), rows, strict=True)]
    assert all(len(np.unique(r)) == len(r) for r in rows)
    np.testing.assert_allclose(counts[0] / 500, counts[1] / 200, atol=0.01)


def test_flags_are_cleanlabs():
    """The cross-check: the same flags on at least 99 % of the rows."""
    rng = np.random.default_rng(3)
    # Where a model knows little, rows reach several thresholds, and cleanlab then takes
    # the most probable class of all; the paper, of those that reach theirs.
    for sharpness in (3.0, 4.0, 6.0):
        truth = rng.integers(0, 10, 3000)
        logits = rng.normal(size=(3000, 10)) + np.linspace(-1, 1, 10)
        logits[np.arange(3000), truth] += sharpness
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        labels, _ = flip_labels(truth, 0.2, 10, rng)
        flags, _ = SOLUTION.label_errors(labels, probabilities)
        theirs = study.cleanlab_flags(labels, probabilities)
        assert np.mean(flags == theirs) >= 0.99, sharpness
        assert 0 < flags.sum() < 3000


def test_neighbours_help_where_labels_stand_together():
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.integers(0, 10, 100), 10)
    logits = rng.normal(size=(1000, 10))
    logits[np.arange(1000), labels] += 1.5
    alone = np.mean(logits.argmax(axis=1) == labels)
    together = np.mean(with_neighbours(logits).argmax(axis=1) == labels)
    assert together > alone + 0.15


# The run --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    config = dataclasses.replace(
        SOLUTION.SMOKE,
        num_clean=1,
        sizes=(300, 150, 150),
        num_pool_examples=300,
        num_label_examples=300,
        num_folds=2,
        label_epochs=2,
        effect_epochs=1,
    )
    run = Run(tmp_path_factory.mktemp("runs") / "small", show_progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "FAULTS", {"ordered": FAULTS["ordered"]})
        metrics = SOLUTION.main(config, run)
    return run, config, metrics


def test_every_tier_measures_what_it_promises(small_run):
    _, _, metrics = small_run
    for tier in find_exercise(6).tiers.values():
        assert {promise.metric for promise in tier.promises} <= set(metrics)
    assert all(np.isfinite(value) for value in metrics.values())
    assert metrics["triplets_planted"] == 1 and metrics["faults_named"] == 1


def test_figures_curves_and_texts_are_written(small_run):
    run, _, _ = small_run
    written = sorted(path.stem for path in (run.directory / "figures").glob("*.png"))
    assert written == FIGURES
    for folder in ("labels/fold_1/train",):
        assert list((run.directory / folder).glob("*tfevents*")), folder


def test_a_resumed_run_takes_up_what_was_measured(small_run):
    run, config, first = small_run
    path = run.directory / "resume" / "triplets" / "clean1000" / "value.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["value"]["named"] = {"blurred": ["val"]}
    path.write_text(json.dumps(stored), encoding="utf-8")
    unlock(run.directory)
    again = Run(run.directory, resume=True, show_progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "FAULTS", {"ordered": FAULTS["ordered"]})
        second = SOLUTION.main(config, again)
    assert second["false_alarms"] == 1 and first["false_alarms"] == 0
    assert second["label_average_precision"] == first["label_average_precision"]


def test_triplets_that_do_not_fit_are_refused(tmp_path):
    config = dataclasses.replace(SOLUTION.SMOKE, sizes=(3000, 800, 800))
    run = Run(tmp_path / "run", show_progress=False)
    with pytest.raises(UserError, match="make sizes or num_pool_examples smaller"):
        study.load_pool(run, config)


def test_every_fault_has_an_effect_measured():
    assert {fault for fault, _ in CASES.values()} == {*FAULTS}
    for fault, where in CASES.values():
        assert where in FAULTS[fault].where
