"""Exercise 12's `main` from beginning to end, and the library that it uses."""

import dataclasses
import json

import numpy as np
import pytest

from tfcourse.autoencoder_comparisons import linear_over_pca
from tfcourse.autoencoder_study import FIRST_TUNING_DRAW, Study
from tfcourse.catalog import exercises_folder, find_exercise, load_module
from tfcourse.projector_reading import read_projector
from tfcourse.run_folder import unlock
from tfcourse.runs import Run

SOLUTION = load_module(
    exercises_folder() / "12_autoencoders" / "solution.py", "autoencoders_run"
)
FIGURES = [
    "code_planes",
    "denoising",
    "error_by_size",
    "few_labels",
    "reconstructions",
]


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    config = dataclasses.replace(
        SOLUTION.SMOKE,
        bottlenecks=(2,),
        hidden_units=(8,),
        wide_filters=(4, 4),
        study_epochs=1,
        linear_epochs=1,
        pretrain_epochs=1,
        pretrain_bottleneck=4,
        num_draws=2,
        label_steps=2,
        student_epochs=1,
    )
    run = Run(tmp_path_factory.mktemp("runs") / "small", show_progress=False)
    return run, config, SOLUTION.main(config, run)


def test_every_tier_measures_what_it_promises(small_run):
    _, _, metrics = small_run
    for tier in find_exercise(12).tiers.values():
        assert {promise.metric for promise in tier.promises} <= set(metrics)
    assert all(np.isfinite(value) for value in metrics.values())


def test_figures_curves_and_projector_are_written(small_run):
    run, _, _ = small_run
    written = sorted(path.stem for path in (run.directory / "figures").glob("*.png"))
    assert written == FIGURES
    for folder in ("pretrain/warps/train", "size/dense_2/train", "linear/train"):
        assert list((run.directory / folder).glob("*tfevents*")), folder
    codes = read_projector(run.directory)["codes"]["codes"]
    assert codes.vectors.shape == (360, 4) and codes.sprites is not None


def test_a_resumed_run_takes_up_what_was_measured(small_run):
    run, config, first = small_run
    path = run.directory / "resume" / "scratch" / "test_0.01_0_0" / "value.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["value"] += 0.25
    path.write_text(json.dumps(stored), encoding="utf-8")
    unlock(run.directory)
    again = Run(run.directory, resume=True, show_progress=False)
    second = SOLUTION.main(config, again)
    changed = {name for name in first if first[name] != second[name]}
    assert changed <= {"scratch_accuracy", "scratch_deviation", "scratch_least"}
    assert second["scratch_accuracy"] == pytest.approx(
        first["scratch_accuracy"] + 0.125
    )


def small_study(folder, **changes):
    run = Run(folder, show_progress=False)
    return Study(run, dataclasses.replace(SOLUTION.SMOKE, **changes))


def test_parts_are_grey_levels_and_share_no_image(tmp_path):
    study = small_study(tmp_path / "run")
    for images, labels in study.parts.values():
        assert images.dtype == np.float32 and 0 <= images.min() and images.max() == 1
        assert len(images) == len(labels)
    assert [study.parts["test"][1][i] for i in study.examples] == list(range(10))
    seen = {image.tobytes() for image in study.train_images}
    assert not any(image.tobytes() in seen for image in study.test_images)


def test_the_rate_is_chosen_on_draws_and_images_that_are_not_reported(tmp_path):
    study = small_study(
        tmp_path / "run",
        rates=(1.0, 2.0),
        decays=(0.0, 0.5),
        num_tuning_draws=2,
        num_draws=3,
        seed=4,
    )
    calls = []

    def accuracy(rate, decay, seed, part):
        calls.append((rate, decay, seed, part))
        # The smaller rate is better on test images, the larger one on validation images.
        reached = {"val": rate / 10, "test": (seed - 4000) / 100 - rate / 10}
        return reached[part] + decay / 100

    reached = study.tuned("any start", accuracy)
    tuning, reported = calls[:8], calls[8:]
    assert len(set(tuning)) == 8 and {part for *_, part in tuning} == {"val"}
    seeds = {FIRST_TUNING_DRAW, FIRST_TUNING_DRAW + 1}
    assert {seed for _, _, seed, _ in tuning} == seeds
    assert reported == [(2.0, 0.5, seed, "test") for seed in (4000, 4001, 4002)]
    assert reached == pytest.approx([-0.195, -0.185, -0.175])


def test_draws_of_runs_with_other_seeds_are_others(tmp_path):
    first = small_study(tmp_path / "a", seed=0, num_draws=10).draws()
    second = small_study(tmp_path / "b", seed=1, num_draws=10).draws()
    assert len(first) == len(second) == 10 and not set(first) & set(second)


def test_the_linear_autoencoder_is_compared_with_pca_of_the_same_size(tmp_path):
    study = small_study(tmp_path / "run", linear_epochs=2, bottlenecks=(2, 16))
    metrics = linear_over_pca(
        study, SOLUTION.pca_reconstructions, SOLUTION.dense_autoencoder
    )
    assert metrics["linear_over_pca"] >= 1 - 1e-4  # Nothing linear is better.


def test_networks_have_the_parameters_that_a_formula_gives():
    config = SOLUTION.LAB
    encoder, decoder = SOLUTION.dense_autoencoder((28, 28), 32, config.hidden_units)
    assert encoder.count_params() == 785 * 256 + 257 * 32 == 209_184
    assert decoder.count_params() == 33 * 256 + 257 * 784 == 209_936
    encoder, decoder = SOLUTION.conv_autoencoder((28, 28), 64, config.wide_filters)
    maps = 7 * 7 * 32
    assert encoder.count_params() == 10 * 16 + 145 * 32 + (maps + 1) * 64 == 105_216
    assert decoder.count_params() == 65 * maps + (9 * 32 + 1) * 16 + 145 == 106_689
