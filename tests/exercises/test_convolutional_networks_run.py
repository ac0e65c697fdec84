"""Exercise 07's `main` from beginning to end, and the library that it uses."""

import dataclasses
import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcourse import convolutional_networks
from tfcourse.catalog import exercises_folder, find_exercise, load_module
from tfcourse.convnet_ablation import TUNING_SEED, VARIANTS, Ablation, Trials
from tfcourse.convnet_study import Study, load_images
from tfcourse.convnet_training import Methods, Recipe, compiled, standardised
from tfcourse.errors import UserError
from tfcourse.layer_lists import layers_of
from tfcourse.run_folder import unlock
from tfcourse.runs import Run

SOLUTION = load_module(
    exercises_folder() / "07_convolutional_networks" / "solution.py",
    "convolutional_networks_run",
)
METHODS = Methods(
    SOLUTION.augment, SOLUTION.warmup_cosine, SOLUTION.smoothed_cross_entropy
)
FIGURES = [
    "ablation",
    "confusion",
    "convolutions",
    "feature_maps",
    "filters",
    "receptive_fields",
]


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    config = dataclasses.replace(
        SOLUTION.SMOKE,
        plain_filters=(4,),
        plain_units=8,
        plain_epochs=1,
        fashion_widths=(4, 4),
        fashion_epochs=1,
        ablation_images=128,
        left_out=("schedule",),
        ablation_rates=(0.1, 0.2),
        cifar_widths=(4, 4),
        cifar_epochs=2,
        batch_size=128,
    )
    run = Run(tmp_path_factory.mktemp("runs") / "small", show_progress=False)
    return run, config, SOLUTION.main(config, run)


def test_every_tier_measures_what_it_promises(small_run):
    _, _, metrics = small_run
    for tier in find_exercise(7).tiers.values():
        assert {promise.metric for promise in tier.promises} <= set(metrics)
    assert all(np.isfinite(value) for value in metrics.values())


def test_what_was_computed_by_hand_is_right(small_run):
    _, config, metrics = small_run
    assert metrics["conv2d_difference"] < 1e-5
    for name in ("max_pool", "parameter", "receptive_field"):
        assert metrics[f"{name}_difference"] == 0
    # Not Keras's count: 9 weights a channel and filter, 4 numbers of each norm.
    a, b = config.fashion_widths
    by_formula = 9 * a + 9 * a * b + 9 * b * b + 4 * (a + 2 * b) + 10 * (b + 1)
    assert metrics["fashion_parameters"] == by_formula


def test_figures_curves_and_filters_are_written(small_run):
    run, _, _ = small_run
    written = sorted(path.stem for path in (run.directory / "figures").glob("*.png"))
    assert written == FIGURES
    for folder in ("plain/trained/train", "fashion/trained/train", "images", "text"):
        assert list((run.directory / folder).glob("*tfevents*")), folder
    steps = set()
    for path in (run.directory / "images").glob("*tfevents*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            steps |= {
                event.step
                for v in event.summary.value
                if v.tag.startswith("filters/cifar")
            }
    assert steps == {1, 2}  # A slider over the epochs.


def test_a_resumed_run_takes_up_what_was_measured(small_run):
    run, config, first = small_run
    folder = run.directory / "resume" / "ablation" / "schedule"
    for path in folder.glob("test_*/value.json"):
        stored = json.loads(path.read_text(encoding="utf-8"))
        stored["value"] += 0.25
        path.write_text(json.dumps(stored), encoding="utf-8")
    unlock(run.directory)
    again = Run(run.directory, resume=True, show_progress=False)
    second = SOLUTION.main(config, again)
    changed = {name for name in first if first[name] != second[name]}
    assert changed <= {
        f"ablation_without_schedule_{key}" for key in ("accuracy", "deviation")
    }
    gain = second["ablation_without_schedule_accuracy"]
    assert gain == pytest.approx(first["ablation_without_schedule_accuracy"] + 0.25)


def study_of(folder, **changes):
    config = dataclasses.replace(SOLUTION.SMOKE, **changes)
    run = Run(folder, show_progress=False)
    return Study(run, config, METHODS)


def test_what_is_chosen_on_is_never_what_is_reported(tmp_path):
    options = {"num_val": 100, "seed": 3}
    run = Run(tmp_path / "run", show_progress=False)
    reported = load_images(run, "cifar10", "embedded", train_on_all=True, **options)
    choosing = load_images(run, "cifar10", "embedded", train_on_all=False, **options)

    def keys(part):
        return {image.tobytes() for image in part[0]}

    assert len(reported.train[1]) == 4000 and len(reported.scored[1]) == 1000
    assert not keys(reported.scored) & keys(reported.train)
    assert len(choosing.train[1]) == 3900 and len(choosing.scored[1]) == 100
    assert not keys(choosing.scored) & keys(choosing.train)
    assert not keys(choosing.scored) & keys(reported.scored)
    assert not keys(reported.rest) & keys(reported.chosen_on)


def test_the_ablation_chooses_rates_on_images_held_out(tmp_path, monkeypatch):
    study = study_of(
        tmp_path / "run", ablation_rates=(0.1, 0.2), ablation_seeds=2, seed=4
    )
    calls = []

    def reached(self, rate, seed, part):
        calls.append((self.variant.name, rate, seed, part))
        # The larger rate is better on images held out, the smaller one on test images.
        return rate if part == "val" else 1 - rate - (seed - 4000) / 100

    monkeypatch.setattr(Trials, "accuracy", reached)
    metrics = Ablation(study).measure()
    of_first = [call[1:] for call in calls if call[0] == VARIANTS[0].name]
    assert of_first == [
        (0.1, TUNING_SEED, "val"),
        (0.2, TUNING_SEED, "val"),
        (0.2, 4000, "test"),
        (0.2, 4001, "test"),
    ]
    assert metrics["ablation_without_nothing_accuracy"] == pytest.approx(0.795)


def test_a_part_that_the_network_does_not_have_is_refused(tmp_path):
    study = study_of(tmp_path / "run", left_out=("schedule", "attention"))
    with pytest.raises(UserError, match="left_out names some of.*got 'attention'"):
        Ablation(study)


def test_trials_of_one_rate_don_t_go_on_from_one_another(tmp_path):
    run = Run(tmp_path / "run", show_progress=False)
    config = dataclasses.replace(
        SOLUTION.SMOKE, ablation_images=64, ablation_widths=(4, 4), warmup=0.5
    )
    trials = Trials(Ablation(Study(run, config, METHODS)), VARIANTS[0])
    first = [trials._train(0.1, seed, "val") for seed in (5, 6)]
    model, _ = trials._models[0.1]
    after = model.get_weights()
    assert trials._train(0.1, 5, "val") == first[0]
    assert trials._train(0.1, 6, "val") == first[1]
    for one, other in zip(after, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert int(model.optimizer.iterations) == 1


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_the_library_has_the_networks_of_the_solution(shape):
    """Exercises after 07 compare with these."""
    plain = (
        SOLUTION.plain_cnn(shape, 10, (8, 16), 32),
        convolutional_networks.plain_cnn(shape, 10, (8, 16), 32),
    )
    good = [
        (
            SOLUTION.good_cnn(shape, 10, (8, 16, 24), pool_first=first),
            convolutional_networks.good_cnn(shape, 10, (8, 16, 24), pool_first=first),
        )
        for first in (False, True)
    ]
    images = np.random.default_rng(0).normal(0, 1, (3, *shape)).astype("float32")
    for solution, library in (plain, *good):
        assert layers_of(solution) == layers_of(library)
        library.set_weights(solution.get_weights())
        for training in (False, True):
            np.testing.assert_allclose(
                solution(images, training=training),
                library(images, training=training),
                atol=1e-5,
            )
        for layer, other in zip(solution.layers, library.layers, strict=True):
            config, same = layer.get_config(), other.get_config()
            assert {**config, "name": ""} == {**same, "name": ""}


def test_the_lab_s_networks_have_the_parameters_that_a_formula_gives():
    config = SOLUTION.LAB

    def good(channels, widths):
        total, before = 0, channels
        for width in [widths[0], *(w for w in widths[1:] for _ in range(2))]:
            total += 9 * before * width + 4 * width
            before = width
        return total + (before + 1) * 10

    fashion = SOLUTION.good_cnn(
        (28, 28, 1), 10, config.fashion_widths, pool_first=False
    )
    assert fashion.count_params() == good(1, config.fashion_widths) <= 100_000
    cifar = SOLUTION.good_cnn((32, 32, 3), 10, config.cifar_widths, pool_first=True)
    assert cifar.count_params() == good(3, config.cifar_widths)


def test_the_recipe_decays_kernels_alone_and_follows_the_schedule(tmp_path):
    network = SOLUTION.good_cnn((8, 8, 3), 10, (4, 4), pool_first=True)
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)
    recipe = Recipe(num_steps=10, rate=0.5, smoothing=0.1, max_shift=1)
    config = dataclasses.replace(SOLUTION.LAB, warmup=0.2, decay=0.1)
    model = compiled(standardised(network, images), recipe, METHODS, config)
    decayed = [
        v.path
        for v in model.trainable_variables
        if model.optimizer._use_weight_decay(v)
    ]
    assert decayed and all("kernel" in path for path in decayed)
    rates = [float(model.optimizer._learning_rate(step)) for step in range(10)]
    assert rates[:3] == pytest.approx([0.25, 0.5, 0.5])
    assert rates[-1] == pytest.approx(0.25 * (1 + math.cos(math.pi * 7 / 8)), 1e-4)
    labels = np.arange(50) % 10
    loss = model.evaluate(images, labels, verbose=0)[0]
    logits = model.predict(images, verbose=0)
    target = np.eye(10)[labels] * 0.9 + 0.01
    expected = keras.losses.categorical_crossentropy(target, logits, from_logits=True)
    assert loss == pytest.approx(float(np.mean(expected)), rel=1e-4)
