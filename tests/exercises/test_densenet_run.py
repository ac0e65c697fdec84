"""Exercise 09's `main` from beginning to end, and the library that it uses."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from tfcourse.catalog import exercises_folder, find_exercise, load_module
from tfcourse.densenet_sizes import measured_field
from tfcourse.densenet_study import Study, methods, pointwise_pairs
from tfcourse.run_folder import unlock
from tfcourse.runs import Run

SOLUTION = load_module(
    exercises_folder() / "09_densenet" / "solution.py", "densenet_run"
)
FIGURES = ["confusion", "equal_time", "memory", "sources", "staircase"]
SMALL = dataclasses.replace(
    SOLUTION.SMOKE,
    num_layers=(2, 1),
    growth_rate=4,
    stem_filters=8,
    val_fraction=0.9,
    memory_layers=(1, 2),
)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("runs") / "small", show_progress=False)
    return run, SOLUTION.main(SMALL, run)


def test_every_tier_measures_what_it_promises(small_run):
    _, metrics = small_run
    for tier in find_exercise(9).tiers.values():
        assert {promise.metric for promise in tier.promises} <= set(metrics)
    assert all(np.isfinite(value) for value in metrics.values())


def test_what_was_worked_out_by_hand_is_what_keras_has(small_run):
    _, metrics = small_run
    assert metrics["paper_parameters"] == metrics["paper_by_arithmetic"] == 769_162
    assert metrics["receptive_field_difference"] == metrics["kept_difference"] == 0


def test_the_first_loss_is_nearly_that_of_guessing(small_run):
    _, metrics = small_run
    assert 0.9 < metrics["densenet_start_loss_over_ln_classes"] < 1.3


def test_gains_are_differences_and_errors_the_rest(small_run):
    _, metrics = small_run
    assert metrics["test_error"] == 1 - metrics["test_accuracy"]
    difference = metrics["test_accuracy"] - metrics["plain_test_accuracy"]
    assert metrics["gain_over_plain"] == pytest.approx(difference)
    seconds = metrics["plain_train_seconds"] / metrics["densenet_train_seconds"]
    assert metrics["plain_time_ratio"] == pytest.approx(seconds)


def test_figures_and_curves_are_written(small_run):
    run, _ = small_run
    written = sorted(path.stem for path in (run.directory / "figures").glob("*.png"))
    assert written == FIGURES
    for folder in (
        "densenet/trained/train",
        "densenet/trained/validation",
        "plain/trained/validation",
        "study/densenet",
        "study/plain",
    ):
        assert list((run.directory / folder).glob("*tfevents*")), folder


def test_a_resumed_run_takes_up_what_was_measured(small_run):
    run, first = small_run
    path = run.directory / "resume" / "memory" / "kept" / "value.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["value"][-1] += 5
    path.write_text(json.dumps(stored), encoding="utf-8")
    unlock(run.directory)
    again = Run(run.directory, resume=True, show_progress=False)
    second = SOLUTION.main(SMALL, again)
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"kept_difference", "kept_over_recomputed"}
    assert second["kept_difference"] == 5


def test_the_plain_network_gets_as_many_seconds_and_some_more(tmp_path, monkeypatch):
    settings = dataclasses.replace(SMALL, plain_epochs=0, spare_time=0.05)
    study = Study(Run(tmp_path / "run", show_progress=False), settings)
    study._history["densenet"] = {"seconds": [10.0, 10.5], "val_accuracy": [0.2, 0.4]}
    study._accuracy["densenet"] = 0.5
    monkeypatch.setattr(study, "_seconds_per_epoch", lambda *arguments: 2.0)

    def fit(name, network, epochs, settings):
        assert settings.rate == SMALL.plain_rate
        assert settings.batch_size == SMALL.plain_batch_size
        study._history[name] = {
            "seconds": [2.0] * epochs,
            "val_accuracy": [0.3] * epochs,
        }
        study._accuracy[name] = 0.4
        return {f"{name}_train_seconds": 2.0 * epochs}

    monkeypatch.setattr(study, "_fit", fit)
    metrics = study.compare_with_plain()
    assert metrics["plain_epochs"] == 11  # 1.05 * 20.5 / 2, rounded up.
    assert metrics["plain_time_ratio"] == pytest.approx(22 / 20.5)
    assert metrics["gain_over_plain"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("depth", "growth_rate", "millions"),
    [(100, 12, 0.8), (250, 24, 15.3), (190, 40, 25.6)],
)
def test_the_papers_networks_have_the_sizes_of_its_table(depth, growth_rate, millions):
    count = SOLUTION.num_parameters(
        [(depth - 4) // 6] * 3, growth_rate, 0.5, 2 * growth_rate, 10
    )
    assert round(count / 1e6, 1) == millions  # Table 2 of the paper.


def test_networks_without_bottlenecks_have_the_sizes_of_its_table():
    def by_arithmetic(depth, growth_rate):
        count, channels = 27 * 16, 16
        for block in range(3):
            for _ in range((depth - 4) // 3):
                count += 2 * channels + 9 * growth_rate * channels
                channels += growth_rate
            count += (2 * channels + channels**2) * (block < 2)
        return count + 2 * channels + (channels + 1) * 10

    assert round(by_arithmetic(40, 12) / 1e6, 1) == 1.0
    assert round(by_arithmetic(100, 24) / 1e6, 1) == 27.2
    model = SOLUTION.cifar_densenet(10, 12, bottleneck=False, compression=1.0)
    trained = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trained == by_arithmetic(10, 12)


@pytest.mark.parametrize(("stride", "fields"), [(1, (6, 22)), (2, (9, 41))])
def test_fields_are_measured_by_gradients(stride, fields):
    # By hand for stride 1: 3, past two transitions + 1 + 2; through the layers of the
    # blocks + 2 * 2, + 2 * 2, + 2 * 4.
    assert SOLUTION.receptive_fields((2, 1, 1), stride) == fields
    network = SOLUTION.densenet(
        (96, 96, 1), 2, (2, 1, 1), 2, SOLUTION.basic_layer, 0.5, 4, stride
    )
    measured = [measured_field(network, through=through) for through in (False, True)]
    assert tuple(measured) == fields


def test_a_convolution_is_paired_with_the_normalisation_before_it():
    network = SOLUTION.densenet(
        (8, 8, 3), 2, (2, 1), 3, SOLUTION.bottleneck_layer, 0.5, 5, 1
    )
    shapes = [(len(scale), kernel.shape) for scale, kernel in pointwise_pairs(network)]
    assert shapes == [
        (5, (1, 1, 5, 12)),
        (8, (1, 1, 8, 12)),
        (11, (1, 1, 11, 5)),  # The transition.
        (5, (1, 1, 5, 12)),
    ]


def test_rates_rise_and_fall_or_are_the_papers():
    rate = methods(SOLUTION.LAB).rate
    steps = [0, 10, 20, 60, 100]
    received = [float(rate(step, 100, 0.4, 20)) for step in steps]
    np.testing.assert_allclose(received, [0.02, 0.21, 0.4, 0.2, 0], atol=1e-6)
    rate = methods(SOLUTION.FULL).rate
    received = [float(rate(step, 100, 0.1, 20)) for step in (0, 49, 51, 76, 99)]
    np.testing.assert_allclose(received, [0.1, 0.1, 0.01, 0.001, 0.001], rtol=1e-5)


def test_the_loss_is_the_smoothed_cross_entropy_of_logits():
    labels, rng = np.array([3, 7]), np.random.default_rng(0)
    logits = rng.normal(0, 2, (2, 10)).astype("float32")
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = 0.8 * np.eye(10)[labels] + 0.02
    expected = -np.sum(targets * np.log(shares), axis=1)
    received = methods(SOLUTION.LAB).loss(labels, logits, 0.2)
    np.testing.assert_allclose(received, expected, rtol=1e-5)


def test_images_are_scaled_by_the_training_images(tmp_path):
    study = Study(Run(tmp_path / "run", show_progress=False), SMALL)
    train, _ = study.parts["train"]
    assert train.dtype == np.float32 and len(train) == 400
    np.testing.assert_allclose(train.mean(axis=(0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(train.std(axis=(0, 1, 2)), 1, atol=1e-3)
    assert study.image_shape == (32, 32, 3) and study.num_classes == 10


def test_networks_of_another_kind_have_no_picture_of_sources(tmp_path):
    run = Run(tmp_path / "run", show_progress=False)
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(4, 1)(inputs))
    study = Study(run, SMALL)
    study.draw_sources(keras.Model(inputs, outputs), SOLUTION.weight_by_source)
    assert not list(run.directory.rglob("*.png"))
