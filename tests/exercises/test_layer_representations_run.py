"""Exercise 05's `main` from beginning to end, and the library that it uses."""

import dataclasses
import json

import numpy as np
import pytest

from tfcourse.catalog import exercises_folder, find_exercise, load_module
from tfcourse.errors import UserError
from tfcourse.projector_reading import read_projector
from tfcourse.representation_networks import load_parts
from tfcourse.representation_study import depth_metrics
from tfcourse.run_folder import unlock
from tfcourse.runs import Run

SOLUTION = load_module(
    exercises_folder() / "05_layer_representations" / "solution.py",
    "layer_representations_run",
)
FIGURES = [
    "alignment",
    "depth",
    "explained_variance",
    "neighbours",
    "perplexity",
    "planes_pca",
    "planes_tsne",
]


def measured(metrics):
    return {name: value for name, value in metrics.items() if "seconds" not in name}


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    config = dataclasses.replace(
        SOLUTION.SMOKE,
        depth=2,
        width=16,
        epochs=2,
        num_points=60,
        num_close_points=50,
        perplexity=10.0,
        perplexities=(5.0,),
    )
    run = Run(tmp_path_factory.mktemp("runs") / "small", show_progress=False)
    return run, config, SOLUTION.main(config, run)


def test_every_tier_measures_what_it_promises(small_run):
    _, _, metrics = small_run
    for tier in find_exercise(5).tiers.values():
        assert {promise.metric for promise in tier.promises} <= set(metrics)
    assert all(np.isfinite(value) for value in metrics.values())


def test_figures_curves_and_projector_are_written(small_run):
    run, config, metrics = small_run
    written = sorted(path.stem for path in (run.directory / "figures").glob("*.png"))
    assert written == FIGURES
    for folder in (
        "trained/train",
        "retrained/train",
        "depth/trained",
        "depth/untrained",
    ):
        assert list((run.directory / folder).glob("*tfevents*")), folder
    embeddings = read_projector(run.directory)["projector"]
    layers = ["hidden_1", "hidden_2", "logits"]
    expected = [
        f"{name}_{layer}" for name in ("trained", "untrained") for layer in layers
    ]
    assert list(embeddings) == ["pixels", *expected]
    assert metrics["projector_layers_read"] == len(embeddings)
    assert len(embeddings["pixels"].labels) == config.num_close_points


def test_a_resumed_run_takes_up_what_was_measured(small_run):
    run, config, first = small_run
    path = run.directory / "resume" / "layers" / "trained_hidden_2" / "value.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["value"]["probe"] = 0.125
    path.write_text(json.dumps(stored), encoding="utf-8")
    unlock(run.directory)
    again = Run(run.directory, resume=True, show_progress=False)
    second = SOLUTION.main(config, again)
    changed = {name for name in measured(first) if first[name] != second[name]}
    assert second["probe_last_hidden"] == 0.125
    assert all(name.startswith("probe_") for name in changed)


def test_more_points_than_test_images_are_refused(tmp_path):
    config = dataclasses.replace(SOLUTION.SMOKE, num_points=361, epochs=1)
    with pytest.raises(UserError, match="num_points <= 360, the test images"):
        SOLUTION.main(config, Run(tmp_path / "run", show_progress=False))


def test_the_scale_comes_from_the_training_images(tmp_path):
    run = Run(tmp_path / "run", show_progress=False)
    parts, images = load_parts(run, "embedded", val_fraction=0.25, seed=3)
    train, labels = parts["train"]
    assert train.dtype == np.float32
    assert abs(train.mean()) < 1e-4 and abs(train.std() - 1) < 1e-4
    assert images.dtype == np.uint8 and len(images) == len(parts["test"][0])
    shares = [np.bincount(y) / len(y) for y in (labels, parts["val"][1])]
    np.testing.assert_allclose(*shares, atol=0.01)
    # One line maps stored grey levels to what the networks get, for all parts.
    slope, offset = np.polyfit(images.ravel(), parts["test"][0].ravel(), 1)
    assert slope == pytest.approx(1 / (255 / (train.max() - train.min())), rel=1e-3)
    assert offset == pytest.approx(train.min(), abs=1e-3)


def test_depth_metrics_tell_rising_from_falling():
    names = ["pixels", "hidden_1", "hidden_2", "hidden_3", "logits"]
    keys = ("knn_pca", "knn_tsne", "trust_pca", "trust_tsne", "same_class")
    rest = dict.fromkeys((*keys, "tsne_seconds", "tsne_cpu_seconds"), 0.5)

    def rows(probes):
        return {
            name: {**rest, "probe": probe, "shares": [0.5, 0.2, 0.3]}
            for name, probe in zip(names, probes, strict=True)
        }

    rising, falling = [0.9, 0.95, 0.97, 0.98, 0.9], [0.9, 0.8, 0.7, 0.6, 0.5]
    metrics = depth_metrics({"trained": rows(rising), "untrained": rows(falling)})
    assert metrics["probe_rank_correlation"] == pytest.approx(1)
    assert metrics["probe_least_step"] == pytest.approx(0.01)
    assert metrics["probe_last_hidden"] == 0.98 and metrics["probe_logits"] == 0.9
    assert metrics["probe_gain_of_training"] == pytest.approx(0.38)
    assert metrics["explained_by_two_last_hidden"] == pytest.approx(0.7)
    metrics = depth_metrics({"trained": rows(falling), "untrained": rows(rising)})
    assert metrics["probe_rank_correlation"] == pytest.approx(-1)
