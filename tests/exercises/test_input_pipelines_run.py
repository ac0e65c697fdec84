"""Exercise 03's `main` from beginning to end, on few examples."""

import dataclasses
import json
import shutil

import pytest

from tfcourse.catalog import exercises_folder, find_exercise, load_module
from tfcourse.errors import UserError
from tfcourse.runs import Run

SOLUTION = load_module(
    exercises_folder() / "03_input_pipelines" / "solution.py", "input_pipelines_run"
)
# Too short to keep promises: tests/test_exercises.py runs the whole smoke tier.
QUICK = dataclasses.replace(SOLUTION.SMOKE, num_examples=210, window_seconds=0.001)
FIGURES = ["autotune", "balance", "mixing", "orders", "speed"]


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("runs") / "quick", show_progress=False)
    metrics = SOLUTION.main(QUICK, run)
    # `finish` takes away what a resumed run starts from.
    shutil.copytree(run.directory, run.directory.with_name("unfinished"))
    run.finish(metrics, QUICK)
    return run, metrics


def test_every_tier_measures_what_it_promises(finished_run):
    _, metrics = finished_run
    for tier in find_exercise(3).tiers.values():
        assert {promise.metric for promise in tier.promises} <= set(metrics)


def test_the_figures_are_written(finished_run):
    run, _ = finished_run
    written = sorted(path.stem for path in (run.directory / "figures").glob("*.png"))
    assert written == FIGURES


def test_a_resumed_run_takes_up_what_was_measured(finished_run, tmp_path):
    finished, first = finished_run
    unfinished = finished.directory.with_name("unfinished")
    folder = shutil.copytree(unfinished, tmp_path / "run")
    (stored,) = (folder / "resume").glob("speed/value.json")
    value = json.loads(stored.read_text(encoding="utf-8"))
    value["value"]["interleave"]["files read batch decode"] = [1.0]
    stored.write_text(json.dumps(value), encoding="utf-8")
    run = Run(folder, resume=True, show_progress=False)
    second = SOLUTION.main(QUICK, run)
    assert second["interleave_speedup"] != first["interleave_speedup"]
    assert {**second, "interleave_speedup": 0} == {**first, "interleave_speedup": 0}


@pytest.mark.parametrize("changes", [{"num_examples": 100}, {"batch_size": 100}])
def test_sizes_that_show_nothing_are_refused(tmp_path, changes):
    config = dataclasses.replace(SOLUTION.SMOKE, **changes)
    with pytest.raises(
        UserError, match="needs at least 200 examples, and a last batch"
    ):
        SOLUTION.main(config, Run(tmp_path / "run", show_progress=False))
