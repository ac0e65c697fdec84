"""The doctor's evaluation: its programs, its scores and its workers."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
if BENCHMARKS not in sys.path:
    sys.path.insert(0, BENCHMARKS)

import doctor_programs  # noqa: E402
from doctor_programs import scoring, workers  # noqa: E402
from doctor_programs.scoring import Scored  # noqa: E402


@pytest.fixture(scope="module")
def programs():
    return list(doctor_programs.load().values())


def of(programs, split):
    return [entry for entry in programs if entry.split == split]


@pytest.mark.parametrize("split", ["tune", "held-out"])
def test_every_fault_has_a_program_in_both_splits(programs, split):
    from tfcourse.doctor.faults import FAULTS

    assert {e.faults[0] for e in of(programs, split) if e.faults} == set(FAULTS)
    assert {code for e in programs for code in e.faults} <= set(FAULTS)


def test_every_fault_has_two_architectures(programs):
    seen = {}
    for entry in programs:
        for code in entry.faults[:1]:
            seen.setdefault(code, set()).add(entry.architecture)
    assert not [code for code, architectures in seen.items() if len(architectures) < 2]


@pytest.mark.parametrize("split", ["tune", "held-out"])
def test_there_are_as_many_healthy_programs_as_faulty_ones(programs, split):
    chosen = of(programs, split)
    healthy = [e for e in chosen if not e.faults]
    assert len(healthy) >= len(chosen) - len(healthy) >= 28
    assert len([e for e in healthy if not e.mended]) >= 28
    kinds = {e.architecture for e in chosen}
    assert {"mlp", "cnn", "recurrent", "tabular", "transformer", "siamese"} <= kinds


def test_every_program_says_what_it_is(programs):
    assert not [e.name for e in programs if not e.about.endswith(".")]


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="two programs are named 'all_zeros'"):

        @doctor_programs.program(architecture="mlp", split="tune")
        def all_zeros(seed):
            """Return nothing."""


def test_a_program_trains_the_same_way_twice_and_its_twin_does_better():
    entry = doctor_programs.load()["one_hot_metric_on_numbers"]
    first, second = (doctor_programs.run(entry, 3).history for _ in range(2))
    assert first == second
    mended = doctor_programs.run(entry, 3, mended=True).history
    assert mended["accuracy"][-1] > 0.9 > first["accuracy"][-1]


def test_data_come_from_the_seed_alone():
    from doctor_programs import datasets, more_datasets

    for make in (datasets.spirals, datasets.reviews, datasets.houses, datasets.shapes):
        for one, other in zip(make(5), make(5), strict=True):
            np.testing.assert_array_equal(one, other)
    words, labels = more_datasets.brackets(1, n=200, train=200)[:2]
    counts = np.stack([(words == symbol).sum(1) for symbol in (1, 2, 3)])
    assert (counts.argmax(0) == labels).mean() > 0.97


def test_windows_end_right_before_their_target():
    from doctor_programs.datasets import windows

    x, y = windows(np.arange(10.0), 3)
    np.testing.assert_array_equal(x[..., 0], [[i, i + 1, i + 2] for i in range(7)])
    np.testing.assert_array_equal(y, np.arange(3.0, 10.0))
    np.testing.assert_array_equal(windows(np.arange(10.0), 3, ahead=2)[1], y[1:])


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_scipy(case):
    successes, trials = case
    theirs = binomtest(successes, trials).proportion_ci(0.95, "wilson")
    ours = scoring.wilson(successes, trials)
    np.testing.assert_allclose(ours, (theirs.low, theirs.high), atol=1e-5)


def scored(name, seed, faults, *findings):
    return Scored(name, seed, faults, "tune", findings)


def test_programs_count_once_whatever_their_seeds():
    runs = [
        scored("a", 0, ("dead-relu",), "dead-relu"),
        scored("a", 1, ("dead-relu",), "overfitting", "x", "dead-relu"),
        scored("b", 0, ("wrong-metric", "y")),
        scored("c", 0, ("label-noise", "y"), "y"),
        scored("d", 0, ()),
        scored("d", 1, (), "overfitting"),
    ]
    found, alarms, first, three = (share for _, share in scoring.goals(runs))
    assert [found.value, first.value, three.value] == pytest.approx(
        [2 / 3, 1 / 2, 2 / 3]
    )
    assert (found.programs, found.runs) == (3, 4)
    assert alarms.value == 0.5
    assert scoring.confusions(runs) == [
        ("dead-relu", "overfitting", 1),
        ("wrong-metric", "nothing", 1),
        ("healthy", "overfitting", 1),
    ]
    rows = {row[0]: row[2].value for row in scoring.by_fault(runs)}
    assert rows == {"dead-relu": 0.5, "wrong-metric": 0.0, "label-noise": 1.0}


def stubborn(task):
    """Answer as the task's name says: a worker's function for the test below."""
    if task.name == "crash":
        print("last words", file=sys.stderr, flush=True)
        os._exit(3)
    if task.name == "hang":
        time.sleep(60)
    if task.name == "raise":
        raise RuntimeError("a broken program")
    return workers.Outcome(task.name, task.seed)


def test_a_crash_and_a_hang_cost_only_their_own_program():
    names = ["fine", "crash", "raise", "hang", "fine"]
    tasks = [workers.Task(name, seed, "", "") for seed, name in enumerate(names)]
    outcomes = workers.perform(tasks, 1, timeout_seconds=15, answer=stubborn)
    errors = {outcome.seed: outcome.error for outcome in outcomes}
    assert errors[0] == errors[4] == ""
    assert "exit code 3" in errors[1] and "last words" in errors[1]
    assert "RuntimeError: a broken program" in errors[2]
    assert errors[3] == "no answer for 15 s"
