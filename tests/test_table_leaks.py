"""Leaks: what they pretend, on a table where the truth is known to be chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tfcourse import table_leaks
from tfcourse.data import Table, as_matrix
from tfcourse.runs import Run


def scaled_pipeline(columns, targets, rows, classifier):
    matrix = as_matrix(columns).astype(float)
    return make_pipeline(StandardScaler(), classifier).fit(matrix[rows], targets[rows])


@given(hnp.arrays(np.int64, st.integers(2, 60), elements=st.integers(0, 1)))
def test_repeating_balances_the_classes_and_invents_nothing(targets):
    targets[:2] = 0, 1
    rows = np.arange(len(targets)) * 3  # Numbers of rows in a longer table.
    longer = np.zeros(3 * len(targets), int)
    longer[rows] = targets
    repeated = table_leaks.repeat_positives(rows, longer)
    assert set(repeated) == set(rows)
    num_positive, num_negative = np.sum(targets), np.sum(1 - targets)
    times = np.unique(np.bincount(repeated)[rows[targets == 1]])
    assert len(times) == 1
    if num_positive < num_negative:
        assert abs(times[0] * num_positive - num_negative) <= num_positive / 2
    else:
        assert times[0] == 1
    assert np.all(np.bincount(repeated)[rows[targets == 0]] == 1)


def test_copies_on_both_sides_make_a_model_of_noise(tmp_path):
    """Nothing is to be learned here, so every AUC beyond one half is pretence."""
    rng = np.random.default_rng(0)
    columns = {f"c{k}": rng.normal(size=300) for k in range(8)}
    table = Table(columns, (rng.random(300) < 0.15).astype(np.int64))
    parts = np.array_split(rng.permutation(300), 3)
    folds = [(parts[k], parts[k - 1], parts[k - 2]) for k in range(3)]
    run = Run(tmp_path / "run", show_progress=False)
    found = table_leaks.study(run, table, folds, scaled_pipeline, roc_auc_score)
    assert set(found) == {"leak_scaling", "leak_repeating"}
    assert abs(found["leak_scaling"]) < 0.05
    assert found["leak_repeating"] > 0.25
    assert (run.directory / "figures" / "leaks.png").is_file()
    measured = table_leaks.measure(run, table, folds, scaled_pipeline, roc_auc_score)
    assert {len(aucs) for aucs in measured.values()} == {3}
    assert np.mean(measured[table_leaks.HONEST]) == pytest.approx(0.5, abs=0.15)
    assert np.mean(measured[table_leaks.BEFORE]) > 0.75
