"""Exercise 13's `main` from beginning to end, and what its attacks owe to numpy."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcourse.catalog import exercises_folder, find_exercise, load_module
from tfcourse.errors import UserError
from tfcourse.run_folder import unlock
from tfcourse.runs import Run

SOLUTION = load_module(
    exercises_folder() / "13_adversarial_examples" / "solution.py",
    "adversarial_examples_run",
)
FIGURES = [
    "attacks",
    "epsilon",
    "examples",
    "filters",
    "queries",
    "targeted",
    "training",
    "transfer",
]


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    config = dataclasses.replace(
        SOLUTION.SMOKE,
        num_test_images=40,
        filters=(4, 4),
        units=8,
        plain_epochs=2,
        fgsm_epochs=1,
        robust_epochs=1,
        train_steps=1,
        attack_steps=2,
        num_restarts=1,
        num_queries=10,
        num_curve_images=10,
    )
    run = Run(tmp_path_factory.mktemp("runs") / "small", show_progress=False)
    return run, config, SOLUTION.main(config, run)


def test_every_tier_measures_what_it_promises(small_run):
    _, _, metrics = small_run
    for tier in find_exercise(13).tiers.values():
        assert {promise.metric for promise in tier.promises} <= set(metrics)
    assert all(np.isfinite(value) for value in metrics.values())


def test_all_attacks_together_are_at_least_as_strong_as_each(small_run):
    _, _, metrics = small_run
    for name in ("standard", "masked", "fgsm_trained", "robust"):
        for attack in ("clean", "fgsm", "pgd_margin", "transfer", "square"):
            assert metrics[f"{name}_accuracy"] <= metrics[f"{name}_{attack}_accuracy"]
    assert metrics["masked_clean_accuracy"] == metrics["standard_clean_accuracy"]
    assert metrics["norm_excess"] < 1e-6 and metrics["range_excess"] < 1e-6


def test_figures_and_curves_are_written(small_run):
    run, _, _ = small_run
    written = sorted(path.stem for path in (run.directory / "figures").glob("*.png"))
    assert written == FIGURES
    for folder in ("standard/train", "robust/train", "fgsm_trained/train", "images"):
        assert list((run.directory / folder).glob("*tfevents*")), folder


def test_a_resumed_run_trains_nothing_and_takes_up_what_was_measured(small_run):
    run, config, first = small_run
    path = run.directory / "resume" / "attack" / "robust" / "square" / "value.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["value"]["right"] = [False] * config.num_test_images
    path.write_text(json.dumps(stored), encoding="utf-8")
    unlock(run.directory)
    again = Run(run.directory, resume=True, show_progress=False)
    second = SOLUTION.main(config, again)
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"robust_accuracy", "robust_square_accuracy"} or changed == {
        "robust_square_accuracy"
    }
    assert second["robust_accuracy"] == 0


def test_more_test_images_than_there_are_are_refused(tmp_path):
    config = dataclasses.replace(SOLUTION.SMOKE, num_test_images=361)
    with pytest.raises(UserError, match="num_test_images <= 360"):
        SOLUTION.main(config, Run(tmp_path / "run", show_progress=False))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    epsilon=st.floats(0, 2),
    norm=st.sampled_from(["linf", "l2"]),
)
def test_a_projection_stays_in_ball_and_range_and_does_not_move_twice(
    seed, epsilon, norm
):
    rng = np.random.default_rng(seed)
    originals = rng.random((3, 4, 5)).astype(np.float32)
    images = originals + rng.normal(0, 1, originals.shape).astype(np.float32)
    once = SOLUTION.project(images, originals, epsilon, norm).numpy()
    change = once.astype(np.float64) - originals
    flat = change.reshape(3, -1)
    size = {"linf": np.abs(flat).max(1), "l2": np.sqrt((flat**2).sum(1))}[norm]
    assert size.max() <= epsilon + 1e-5
    assert once.min() >= 0 and once.max() <= 1
    twice = SOLUTION.project(once, originals, epsilon, norm).numpy()
    np.testing.assert_allclose(twice, once, atol=1e-5)


def linear_model(rng):
    inputs = keras.Input((4, 4))
    logits = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, logits)
    model.layers[-1].kernel.assign(rng.normal(size=(16, 3)))
    return model


def test_gradients_agree_with_finite_differences():
    rng = np.random.default_rng(0)
    model = linear_model(rng)
    images = tf.constant(rng.random((2, 4, 4)), tf.float32)
    labels = tf.constant([0, 2], tf.int64)
    slope = SOLUTION.input_gradient(model, images, labels).numpy()
    step = 1e-2
    for place in ((0, 1, 2), (1, 3, 0)):
        shift = np.zeros(images.shape, np.float32)
        shift[place] = step
        above, below = (
            SOLUTION.cross_entropy(labels, model(images + sign * shift)).numpy().sum()
            for sign in (1, -1)
        )
        assert slope[place] == pytest.approx((above - below) / (2 * step), abs=2e-3)


def test_no_attack_on_a_linear_model_beats_the_closed_form():
    """In L-infinity each pixel goes to whichever end of its interval helps."""
    rng = np.random.default_rng(1)
    model = linear_model(rng)
    images = rng.random((6, 4, 4)).astype(np.float32)
    labels = np.zeros(6, np.int64)
    kernel = model.layers[-1].kernel.numpy()
    low, high = np.clip(images - 0.2, 0, 1), np.clip(images + 0.2, 0, 1)
    best = np.full(6, -np.inf)
    for other in (1, 2):
        slope = (kernel[:, other] - kernel[:, 0]).reshape(4, 4)
        extreme = np.where(slope > 0, high, low)
        best = np.maximum(best, np.sum(extreme * slope, axis=(1, 2)))
    options = {"epsilon": 0.2, "step_size": 0.05, "num_steps": 20, "seed": [0, 1]}
    attacked = SOLUTION.pgd(model, images, labels, loss=SOLUTION.margin_loss, **options)
    by_descent = SOLUTION.margin_loss(labels, model(attacked)).numpy()
    found = SOLUTION.square_attack(
        lambda x: model(x).numpy(),
        images,
        labels,
        epsilon=0.2,
        num_queries=200,
        rng=rng,
    )
    by_search = SOLUTION.margin_loss(labels, model(found)).numpy()
    assert np.all(by_descent <= best + 1e-4) and np.all(by_search <= best + 1e-4)
    # The margin is the largest of two lines: descent may stay on the wrong one.
    assert np.mean(by_descent > best - 1e-3) > 0.6
