"""Exercise 23's `main` from beginning to end, hardly trained."""

import dataclasses

import keras
import numpy as np
import pytest

from tfcourse.catalog import exercises_folder, find_exercise, load_module
from tfcourse.run_folder import unlock
from tfcourse.runs import Run
from tfcourse.weights.packing import unpack

SOLUTION = load_module(
    exercises_folder() / "23_network_compression" / "solution.py",
    "network_compression_run",
)
# One epoch of everything, and no trip to tf_keras: the smoke tier makes one.
SHORT = dataclasses.replace(
    SOLUTION.SMOKE,
    mlp_epochs=1,
    cnn_epochs=1,
    mlp_prune_epochs=2,
    cnn_prune_epochs=2,
    share_epochs=1,
    mlp_tune_epochs=1,
    cnn_tune_epochs=1,
    compare_epochs=1,
    mlp_sparsities=(0.9,),
    bits=(8, 2),
    low_rank_shares=(0.2,),
    rival_epochs=1,
    rival_units=(8,),
    tfmot_networks=(),
)
FIGURES = ["front", "low_rank", "pruning_and_bits", "weights_cnn", "weights_mlp"]
TIMES = ("seconds", "milliseconds", "speedup")


def metrics_of(run):
    keras.utils.set_random_seed(0)  # As `tfcourse run` does.
    return SOLUTION.main(SHORT, run)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("runs") / "short", show_progress=False)
    return run, metrics_of(run)


def test_every_tier_measures_what_it_promises(finished_run):
    _, metrics = finished_run
    for tier in find_exercise(23).tiers.values():
        assert {promise.metric for promise in tier.promises} <= set(metrics)


def test_the_figures_are_written(finished_run):
    run, _ = finished_run
    written = sorted(path.stem for path in (run.directory / "figures").glob("*.png"))
    assert written == FIGURES


def test_every_file_can_be_decoded(finished_run):
    run, metrics = finished_run
    files = list((run.directory / "files").glob("*.tfw"))
    assert len(files) >= 10
    for path in files:
        arrays = unpack(path.read_bytes(), SOLUTION.CODER)
        assert all(np.all(np.isfinite(array)) for array in arrays)
    (smallest,) = (run.directory / "files").glob("lenet_5_all_in_sequence*.tfw")
    ratio = 4 * 431_080 / smallest.stat().st_size
    assert metrics["cnn_smallest_ratio"] == pytest.approx(ratio)
    rivals = {path.name for path in files if path.name.startswith("rivals")}
    assert rivals == {"rivals_small_mlp_8.tfw", "rivals_small_cnn_6.tfw"}


def test_sparsity_and_cluster_counts_hold_in_the_file(finished_run):
    run, _ = finished_run
    sparsity = SHORT.cnn_sparsities[-1]
    (path,) = (run.directory / "files").glob(f"lenet_5_*_{sparsity:g}.tfw")
    kernels = [a for a in unpack(path.read_bytes(), SOLUTION.CODER) if a.ndim > 1]
    zeros = sum((kernel == 0).sum() for kernel in kernels)
    assert zeros / sum(kernel.size for kernel in kernels) >= sparsity - 1e-6
    for kernel in kernels:
        assert len(np.unique(kernel[kernel != 0])) <= SHORT.num_clusters


def test_a_resumed_run_ends_with_the_same_files(finished_run, tmp_path):
    run, metrics = finished_run

    class Stopped(Exception):
        pass

    folder = tmp_path / "run"
    stopped = Run(folder, show_progress=False)

    def stop(*_, **__):
        raise Stopped

    stopped.once = stop  # Where LiteRT's turn comes, half of the trainings are done.
    with pytest.raises(Stopped):
        metrics_of(stopped)
    unlock(folder)
    again = metrics_of(Run(folder, resume=True, show_progress=False))
    for name in metrics:
        if not name.endswith(TIMES):
            assert again[name] == metrics[name], name
