import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcourse import studies
from tfcourse.run_folder import unlock
from tfcourse.runs import Run
from tfcourse.training.clock import EpochClock

LEVELS = {"learning_rate": [1e-3, 1e-2, 1e-1], "width": [4, 8]}
BASE = {"learning_rate": 1e-2, "width": 4}


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run", exercise="01_deep_mlp", tier="smoke", seed=3)


def trial(accuracy, **changes):
    return {**BASE, **changes, "seed": 0, "accuracy": accuracy}


@pytest.mark.parametrize("name", ["sgd", "momentum", "rmsprop", "adam", "adamw"])
def test_optimizers_have_the_rate_and_are_fresh(name):
    first, second = studies.optimizer(name, 0.25), studies.optimizer(name, 0.25)
    assert first is not second
    assert float(first.learning_rate) == 0.25


def test_momentum_is_not_plain_descent():
    assert studies.optimizer("momentum", 0.1).momentum == 0.9
    assert studies.optimizer("sgd", 0.1).momentum == 0.0


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="one of sgd, momentum"):
        studies.optimizer("newton", 0.1)


def test_one_factor_counts_trials_that_agree_with_base_elsewhere():
    trials = [trial(0.5), trial(0.6), trial(0.7, width=8), trial(0.8, width=8)]
    trials += [trial(0.1, width=8, learning_rate=1e-3)] * 2
    found = studies.accuracies_by_level(trials, LEVELS, BASE)
    assert found["width"] == {4: [0.5, 0.6], 8: [0.7, 0.8]}
    assert found["learning_rate"] == {1e-2: [0.5, 0.6]}


def test_without_a_base_all_trials_count():
    trials = [trial(0.5), trial(0.6, learning_rate=0.003), trial(0.7, width=8)]
    trials += [trial(0.8, width=8, learning_rate=0.0015)]
    found = studies.accuracies_by_level(trials, LEVELS)
    assert found["width"] == {4: [0.5, 0.6], 8: [0.7, 0.8]}
    assert found["learning_rate"] == {1e-3: [0.6, 0.8], 1e-2: [0.5, 0.7]}


def test_a_level_with_one_trial_says_nothing_about_spread():
    assert studies.accuracies_by_level([trial(0.5)], LEVELS, BASE) == {}


@given(st.floats(1e-5, 1.0))
def test_the_nearest_rate_is_less_than_a_decade_away_inside_the_range(rate):
    levels = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    nearest = studies.nearest_rate(rate, levels)
    assert abs(np.log10(nearest / rate)) <= 0.5 + 1e-9


def test_equal_configurations_get_different_seeds(run):
    seen = []

    def accuracy(learning_rate, width, seed):
        seen.append((learning_rate, width, seed))
        return 0.1 * seed

    configurations = [BASE, {**BASE, "width": 8}] * 2
    trials = studies.run_trials(run, "one_factor", configurations, accuracy, seed=3)
    assert seen == [(1e-2, 4, 3), (1e-2, 8, 3), (1e-2, 4, 4), (1e-2, 8, 4)]
    assert [entry["seed"] for entry in trials] == [3, 3, 4, 4]
    assert trials[2]["accuracy"] == pytest.approx(0.4)
    assert len(list((run.directory / "study").glob("*/events*"))) == 4


def test_a_resumed_study_trains_only_what_is_missing(tmp_path):
    class Interrupted(Exception):
        pass

    calls = []

    def accuracy(learning_rate, width, seed):
        calls.append(learning_rate)
        if len(calls) == 2:
            raise Interrupted
        return 0.5

    plan = [{**BASE, "learning_rate": rate} for rate in (1e-3, 1e-2, 1e-1)]
    first = Run(tmp_path / "run", seed=0)
    with pytest.raises(Interrupted):
        studies.run_trials(first, "random", plan, accuracy)
    unlock(first.directory)
    second = Run(tmp_path / "run", seed=0, resume=True)
    trials = studies.run_trials(second, "random", plan, accuracy)
    assert calls == [1e-3, 1e-2, 1e-2, 1e-1]
    assert [entry["learning_rate"] for entry in trials] == [1e-3, 1e-2, 1e-1]


def test_compare_reports_figure_table_and_metrics(run, capsys):
    def effect_table(accuracies):
        means = {k: float(np.mean(values)) for k, values in accuracies["width"].items()}
        row = {"factor": "width", "best": 8, "worst": 4, "spread": 0.01}
        return [{**row, "effect": means[8] - means[4]}]

    metrics = studies.compare(
        run,
        lambda learning_rate, width, seed: width / 10 + seed / 100,
        LEVELS,
        effect_table,
        "one_factor",
        [BASE, {**BASE, "width": 8}] * 2,
        base=BASE,
    )
    assert metrics["one_factor_runs"] == 4
    assert metrics["one_factor_seconds"] > 0
    assert metrics["one_factor_effect_width"] == pytest.approx(0.4)
    assert (run.directory / "figures" / "study_one_factor.png").is_file()
    assert "| width  |    8 |     4 |  40.00 |   1.00 |" in capsys.readouterr().out


@pytest.mark.parametrize("num_trials", [0, 1])
def test_too_few_trials_are_said_to_be_too_few(run, capsys, num_trials):
    metrics = studies.compare(
        run, lambda **_: 0.5, LEVELS, lambda _: [], "random_search", [BASE] * num_trials
    )
    assert metrics["random_search_runs"] == num_trials
    assert "too few" in capsys.readouterr().out


def test_the_clock_is_a_part_of_the_history():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    history = model.fit(
        np.zeros((4, 2)), np.zeros(4), epochs=2, verbose=0, callbacks=[EpochClock()]
    ).history
    assert len(history["seconds"]) == 2
    assert all(seconds > 0 for seconds in history["seconds"])
    assert json.dumps(history["seconds"])


def test_a_clock_counts_from_its_making_and_not_between_epochs(monkeypatch):
    ticks = iter([1.0, 4.0, 10.0, 15.0])  # Made; end, begin and end of an epoch.
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    monkeypatch.setattr("time.process_time", lambda: 0.0)
    clock, logs = EpochClock(), [{}, {}]
    for epoch, entry in enumerate(logs):
        clock.on_epoch_begin(epoch)
        clock.on_epoch_end(epoch, entry)
    assert [entry["seconds"] for entry in logs] == [3.0, 5.0]
