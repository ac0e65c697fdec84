"""Exercise 01's `main`, at tiny sizes: metrics, files, and resuming after a failure."""

import dataclasses
import json

import keras
import pytest

from tfcourse.catalog import find_exercise
from tfcourse.run_folder import unlock
from tfcourse.runs import Run
from tfcourse.submission import load_solution

TIMES = ("_seconds", "seconds")


class Interrupted(Exception):
    pass


@pytest.fixture
def solution():
    return load_solution(find_exercise(1))


@pytest.fixture
def config(solution):
    return dataclasses.replace(
        solution.SMOKE,
        width=16,
        linear_epochs=2,
        plain_epochs=1,
        deep_epochs=2,
        long_epochs=1,
        num_factors=1,
        study_seeds=1,
        study_examples=100,
        study_epochs=1,
        random_runs=1,
    )


def measured(metrics):
    return {key: value for key, value in metrics.items() if not key.endswith(TIMES)}


def test_a_resumed_run_ends_like_an_uninterrupted_one(solution, config, tmp_path):
    keras.utils.set_random_seed(config.seed)
    expected = solution.main(config, Run(tmp_path / "whole", seed=0))

    evaluate, calls = solution.evaluate, []

    def failing_evaluate(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise Interrupted
        return evaluate(*arguments)

    keras.utils.set_random_seed(config.seed)
    run = Run(tmp_path / "run", seed=0)
    solution.evaluate = failing_evaluate
    with pytest.raises(Interrupted):
        solution.main(config, run)
    solution.evaluate = evaluate
    unlock(run.directory)

    keras.utils.set_random_seed(config.seed)
    run = Run(tmp_path / "run", seed=0, resume=True)
    metrics = solution.main(config, run)
    assert measured(metrics) == measured(expected)
    assert metrics["linear_train_seconds"] > 0

    path = run.finish(metrics, config)
    assert json.loads(path.read_text())["status"] == "complete"
    figures = {figure.stem for figure in path.parent.glob("figures/*.png")}
    assert {"loss_curves", "confusion_deep"} <= figures
    trials = list(path.parent.glob("study/*/events*"))
    assert len(trials) == metrics["one_factor_runs"] + metrics["random_search_runs"]
