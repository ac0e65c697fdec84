"""Exercise 08's `main` from beginning to end, and the library that it uses."""

import dataclasses
import json

import numpy as np
import pytest

from tfcourse.catalog import exercises_folder, find_exercise, load_module
from tfcourse.graph_speed import operation_table, size_table, speedups
from tfcourse.profiles import Profile
from tfcourse.run_folder import unlock
from tfcourse.runs import Run

SOLUTION = load_module(
    exercises_folder() / "08_graph_execution" / "solution.py", "graph_execution_run"
)
FIGURES = ["gains", "retracing", "speed_by_size", "step"]
VARIANTS = ["eager", "graph", "XLA", "epoch", "epoch, XLA"]


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    config = dataclasses.replace(
        SOLUTION.SMOKE,
        num_examples=64,
        small_widths=(8,),
        widths=(8,),
        num_same_steps=2,
        window_seconds=0.001,
        num_rounds=1,
    )
    run = Run(tmp_path_factory.mktemp("runs") / "small", show_progress=False)
    return run, config, SOLUTION.main(config, run)


def test_every_tier_measures_what_it_promises(small_run):
    _, _, metrics = small_run
    for tier in find_exercise(8).tiers.values():
        assert {promise.metric for promise in tier.promises} <= set(metrics)
    assert all(np.isfinite(value) for value in metrics.values())


def test_what_does_not_depend_on_speed_holds(small_run):
    _, _, metrics = small_run
    assert metrics["predictions_right"] == 1
    assert metrics["traces_of_two_batch_sizes"] == 2
    assert metrics["traces_with_signature"] == metrics["traces_of_three_targets"] == 1
    assert metrics["logged_calls"] == 100 and metrics["logged_lines"] == 5
    assert metrics["weights_apart"] < 1e-6
    assert metrics["dispatches_graph"] == metrics["dispatches_xla"] == 1
    assert metrics["dispatches_eager"] > 100


def test_figures_curves_graph_and_profiles_are_written(small_run):
    run, _, _ = small_run
    written = sorted(path.stem for path in (run.directory / "figures").glob("*.png"))
    assert written == FIGURES
    for folder in ("graph/step", "epochs/eager", "epochs/epoch_xla", "text"):
        assert list((run.directory / folder).glob("*tfevents*")), folder
    for name in ("eager", "graph", "xla"):
        folder = run.directory / "profile" / name
        assert list(folder.glob("plugins/profile/*/*.xplane.pb")), name
    assert len((run.directory / "steps.log").read_text().splitlines()) == 5


def test_a_resumed_run_takes_up_what_was_measured(small_run):
    run, config, first = small_run
    path = run.directory / "resume" / "sizes" / "small_mlp" / "value.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["value"]["rates"]["graph"] = [7.0]
    stored["value"]["rates"]["eager"] = [0.5]
    path.write_text(json.dumps(stored), encoding="utf-8")
    unlock(run.directory)
    second = SOLUTION.main(config, Run(run.directory, resume=True, show_progress=False))
    assert second["graph_speedup"] == pytest.approx(14)
    kept = ("epoch_seconds_eager", "retrace_over_call", "largest_model_graph_speedup")
    assert all(second[name] == first[name] for name in kept)


def test_speedups_are_of_the_small_and_the_largest_model():
    gains = {
        "small MLP": dict(zip(VARIANTS, [1, 12, 13, 30, 70], strict=True)),
        "MLP 16, 16": dict(zip(VARIANTS, [1, 20, 21, 22, 23], strict=True)),
        "MLP 64, 64": dict(zip(VARIANTS, [1, 1.4, 1.5, 1.2, 1.1], strict=True)),
        "convolutions": dict(zip(VARIANTS, [1, 4, 1, 4, 1], strict=True)),
    }
    metrics = speedups(gains, small="small MLP")
    assert metrics["graph_speedup"] == 12 and metrics["compiled_epoch_speedup"] == 70
    assert metrics["largest_model_graph_speedup"] == 1.4
    assert metrics["largest_model_best_speedup"] == 1.5
    assert metrics["convolutions_xla_over_graph"] == 0.25


def test_tables_set_the_variants_side_by_side():
    entry = {
        "parameters": 1234,
        "operations": 56,
        "batch_size": 32,
        "rates": {"eager": [1.0, 2.0, 3.0], "graph": [20.0]},
        "first_seconds": {"eager": 0.1, "graph": 0.25},
    }
    table = size_table({"small": entry}, {"small": {"eager": 1.0, "graph": 10.0}})
    assert table.splitlines()[-1] == "| small | 1,234 | 56 | 64 | 10.00 | 0.25 |"
    profile = Profile(9.0, {"Add": 2.0}, {"Add": (2.0, 3.0), "MatMul": (1.0, 5.0)})
    assert [line.split(" | ")[0] for line in operation_table(profile).splitlines()] == [
        "| operation",
        "|---|---|---|",
        "| MatMul",
        "| Add",
    ]
