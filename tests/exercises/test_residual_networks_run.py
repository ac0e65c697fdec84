"""Exercise 10's `main` from beginning to end, and the library that it uses."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from tfcourse.catalog import exercises_folder, find_exercise, load_module
from tfcourse.errors import UserError
from tfcourse.residual_study import Study, averaged, confusion, training_batches
from tfcourse.run_folder import unlock
from tfcourse.runs import Run

SOLUTION = load_module(
    exercises_folder() / "10_residual_networks" / "solution.py",
    "residual_networks_run",
)
FIGURES = ["confusion", "gradient_norms", "learning_curves", "training_error"]
SMALL = dataclasses.replace(
    SOLUTION.SMOKE,
    study_depths=(8, 14),
    study_images=40,
    study_size=8,
    study_batch=20,
    epochs=1,
    val_fraction=0.9,
)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("runs") / "small", show_progress=False)
    return run, SOLUTION.main(SMALL, run)


def test_every_tier_measures_what_it_promises(small_run):
    _, metrics = small_run
    for tier in find_exercise(10).tiers.values():
        assert {promise.metric for promise in tier.promises} <= set(metrics)
    assert all(np.isfinite(value) for value in metrics.values())


def test_sizes_are_the_papers(small_run):
    _, metrics = small_run
    assert metrics["resnet_20_parameters"] == metrics["resnet_20_by_arithmetic"]
    assert metrics["resnet_20_parameters"] == 269_722
    assert metrics["resnet_18_parameters"] == 11_689_512
    assert metrics["resnet_50_parameters"] == 25_557_032


def test_differences_are_those_of_the_errors(small_run):
    _, metrics = small_run
    error = {
        name.removeprefix("train_error_"): value
        for name, value in metrics.items()
        if name.startswith("train_error_")
    }
    assert set(error) == {
        f"{kind}_{place}"
        for kind in ("plain", "residual")
        for place in ("shallow", "deep")
    }
    expected = {
        "degradation": error["plain_deep"] - error["plain_shallow"],
        "residual_degradation": error["residual_deep"] - error["residual_shallow"],
        "residual_gain": error["plain_deep"] - error["residual_deep"],
    }
    assert expected == {name: metrics[name] for name in expected}


def test_figures_and_curves_are_written(small_run):
    run, _ = small_run
    written = sorted(path.stem for path in (run.directory / "figures").glob("*.png"))
    assert written == FIGURES
    for folder in (
        "resnet_8/train",
        "resnet_8/validation",
        "depths/plain_14/train",
        "gradients/preactivation_14",
        "study/residual_14",
    ):
        assert list((run.directory / folder).glob("*tfevents*")), folder


def test_a_resumed_run_takes_up_what_was_measured(small_run):
    run, first = small_run
    path = run.directory / "resume" / "gradients" / "plain_8" / "value.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["value"][0] = 3 * stored["value"][-1]
    path.write_text(json.dumps(stored), encoding="utf-8")
    unlock(run.directory)
    again = Run(run.directory, resume=True, show_progress=False)
    second = SOLUTION.main(SMALL, again)
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"first_over_last_gradient_plain_shallow"}
    assert second["first_over_last_gradient_plain_shallow"] == pytest.approx(3)


def test_more_images_than_there_are_and_odd_sizes_are_refused(tmp_path):
    study = Study(Run(tmp_path / "run", show_progress=False), SMALL, None)
    with pytest.raises(UserError, match="study_images <="):
        study.small_part(10**6, 16)
    with pytest.raises(UserError, match="must divide 32; got 12"):
        study.small_part(40, 12)


def test_colours_are_scaled_by_the_training_images(tmp_path):
    study = Study(Run(tmp_path / "run", show_progress=False), SMALL, None)
    train = study.parts["train"][0]
    assert train.dtype == np.float32
    np.testing.assert_allclose(train.mean(axis=(0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(train.std(axis=(0, 1, 2)), 1, atol=1e-3)
    few, labels = study.small_part(40, 8)
    assert few.shape == (40, 8, 8, 3)
    np.testing.assert_array_equal(np.bincount(labels), [4] * 10)


def test_averages_are_those_of_squares_of_pixels():
    images = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    received = averaged(images, 3)
    np.testing.assert_allclose(
        received[1, 2, 0], images[1, 4:6, 0:2].mean(axis=(0, 1)), rtol=1e-5
    )
    np.testing.assert_array_equal(averaged(images, 6), images)


def test_epochs_have_all_images_in_other_orders():
    images = np.arange(1.0, 11)[:, None, None, None] * np.ones((10, 3, 3, 1))
    part = images.astype("float32"), np.arange(10)
    options = {"num_classes": 10, "batch_size": 4, "padding": 0, "mirror": True}
    train_ds = training_batches(part, seed=3, **options)

    def epoch():
        batches = [(x.numpy(), y.numpy()) for x, y in train_ds]
        assert [len(x) for x, _ in batches] == [4, 4, 2]
        images, labels = (np.concatenate(a) for a in zip(*batches, strict=True))
        order = labels.argmax(axis=1)
        np.testing.assert_array_equal(images[:, 0, 0, 0], order + 1)
        return order.tolist()

    first, second = epoch(), epoch()
    assert sorted(first) == list(range(10)) and first != second


def test_confusion_counts_true_classes_in_rows():
    inputs = keras.Input((2, 2, 3))
    model = keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(inputs))
    images = np.zeros((4, 2, 2, 3), "float32")
    for index, channel in enumerate((0, 1, 1, 2)):
        images[index, 0, 0, channel] = 1
    matrix = confusion(model, (images, np.array([0, 1, 2, 2])), 3)
    np.testing.assert_array_equal(matrix, [[1, 0, 0], [0, 1, 0], [0, 1, 1]])


def test_the_papers_schedule_is_a_tenth_twice():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    SOLUTION.compile_model(model, 64_000, 0.1, SOLUTION.FULL)
    rates = []
    for step in (0, 31_999, 32_001, 48_001, 63_999):
        model.optimizer.iterations.assign(step)
        rates.append(float(model.optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.001, 0.001], rtol=1e-5)
    steps = SOLUTION.FULL.epochs * -(-45_000 // SOLUTION.FULL.batch_size)
    assert 64_000 <= steps < 64_200


def test_the_loss_is_the_smoothed_cross_entropy_of_logits():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(10)])
    SOLUTION.compile_model(model, 10, 0.1, SOLUTION.LAB)
    labels = np.eye(10, dtype="float32")[[3, 7]]
    loss = float(model.loss(labels, np.zeros((2, 10), "float32")))
    assert loss == pytest.approx(np.log(10), rel=1e-6)
    logits = np.random.default_rng(0).normal(0, 2, (2, 10)).astype("float32")
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    smoothing = SOLUTION.LAB.label_smoothing
    targets = (1 - smoothing) * labels + smoothing / 10
    expected = -np.mean(np.sum(targets * np.log(shares), axis=1))
    assert float(model.loss(labels, logits)) == pytest.approx(expected, rel=1e-5)
