"""Exercise 02's `main` from beginning to end, and what its functions promise together."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tfcourse import data, table_networks
from tfcourse.catalog import find_exercise
from tfcourse.run_folder import unlock
from tfcourse.runs import Run
from tfcourse.submission import load_solution

# Keras 3.15's way of saving variables, under numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")

FIGURES = [
    "calibration",
    "correlations",
    "decay",
    "distributions",
    "leaks",
    "scores",
    "target_by_group",
    "thresholds",
]
SOLUTION = load_solution(find_exercise(2))
# Too short to keep promises: tests/test_exercises.py runs the whole smoke tier.
QUICK = dataclasses.replace(
    SOLUTION.SMOKE, hidden_units=(4,), alphas=(0.1, 1.0), num_epochs=3
)


class Interrupted(Exception):
    pass


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    keras.utils.set_random_seed(0)
    run = Run(tmp_path_factory.mktemp("runs") / "quick", show_progress=False)
    metrics = SOLUTION.main(QUICK, run)
    run.finish(metrics, QUICK)
    return run, metrics


def test_every_tier_measures_what_it_promises(finished_run):
    _, metrics = finished_run
    for tier in find_exercise(2).tiers.values():
        assert {promise.metric for promise in tier.promises} <= set(metrics)
    assert all(np.isfinite(value) for value in metrics.values())


def test_the_figures_and_the_logs_are_written(finished_run):
    run, _ = finished_run
    folder = run.directory
    assert sorted(path.stem for path in folder.glob("figures/*.png")) == FIGURES
    assert list(folder.glob("fold0_keras/train/events*"))
    trials = list(folder.glob("study/*/events*"))
    assert len(trials) == QUICK.num_folds * len(QUICK.alphas)
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert record["status"] == "complete"
    assert record["data"][0]["source"] == "embedded"
    assert "not loans" in record["data"][0]["note"]


def test_metrics_of_the_run_are_the_baselines_of_scikit_learn(finished_run):
    """Independent of the solution: the same folds, scikit-learn from raw to score."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    _, metrics = finished_run
    table, _ = data.load_table("loan")
    numbers = np.stack([v for v in table.columns.values() if v.dtype != object], axis=1)
    one_hot = table.columns["size"][:, None] == np.unique(table.columns["size"])
    aucs, precisions = [], []
    folds = SOLUTION.split_rows(
        table.targets, num_folds=QUICK.num_folds, seed=QUICK.seed
    )
    for *fitted, test in folds:
        rows = np.concatenate(fitted)
        scaled = (numbers - numbers[rows].mean(axis=0)) / numbers[rows].std(axis=0)
        features = np.concatenate([scaled, one_hot], axis=1)
        model = LogisticRegression(max_iter=1000)
        model.fit(features[rows], table.targets[rows])
        scores = model.predict_proba(features[test])[:, 1]
        aucs.append(roc_auc_score(table.targets[test], scores))
        precisions.append(average_precision_score(table.targets[test], scores))
    assert metrics["logistic_auc"] == pytest.approx(np.mean(aucs), abs=2e-4)
    found = metrics["logistic_average_precision"]
    assert found == pytest.approx(np.mean(precisions), abs=5e-4)
    assert metrics["majority_accuracy"] == pytest.approx(357 / 569)


def test_a_resumed_run_ends_like_an_uninterrupted_one(
    finished_run, tmp_path, monkeypatch
):
    _, expected = finished_run
    # Leaks and figures have tests of their own, and take most of the time.
    monkeypatch.setattr(SOLUTION.table_leaks, "study", lambda *_: {})
    monkeypatch.setattr(Run, "figure", lambda *_: None)

    undo, calls = SOLUTION.undo_weights, []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise Interrupted
        return undo(*arguments)

    run = Run(tmp_path / "run", show_progress=False)
    keras.utils.set_random_seed(0)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(SOLUTION, "undo_weights", failing)
        SOLUTION.main(QUICK, run)
    unlock(run.directory)
    run = Run(tmp_path / "run", resume=True, show_progress=False)
    metrics = SOLUTION.main(QUICK, run)
    assert len(metrics) > 10
    same = {name: expected[name] for name in metrics}
    assert metrics == pytest.approx(same, abs=1e-6)


def test_both_encoders_agree_on_real_columns():
    """scikit-learn's encoder and the Keras layers: the same features from raw columns."""
    table, _ = data.load_table("loan")
    rows = np.arange(0, 569, 2)
    pipeline = SOLUTION.fit_pipeline(
        table.columns, table.targets, rows, LogisticRegression(max_iter=1000)
    )
    expected = pipeline[:-1].transform(data.as_matrix(table.columns))
    model = SOLUTION.preprocessing_model(table.columns, rows)
    received = np.asarray(model(table.columns))
    assert received.shape == (569, 34)
    np.testing.assert_allclose(received, expected, atol=2e-4)


def test_the_raw_model_takes_columns_through_tf_data():
    import tensorflow as tf

    table, _ = data.load_table("loan")
    columns = {name: values[:50] for name, values in table.columns.items()}
    preprocessing = SOLUTION.preprocessing_model(columns, np.arange(30))
    _, raw_model = SOLUTION.keras_mlp(preprocessing, (4,), alpha=1.0, batch_size=10)
    expected = table_networks.probabilities(raw_model, columns)
    floats = {
        name: values if values.dtype == object else values.astype("float32")
        for name, values in columns.items()
    }
    ds = tf.data.Dataset.from_tensor_slices(
        {name: tf.constant(values.tolist()) for name, values in floats.items()}
    )
    received = raw_model.predict(ds.batch(16), verbose=0)[:, 0]
    np.testing.assert_allclose(received, expected, atol=1e-6)


@pytest.mark.real_data
def test_the_folds_of_the_loans_are_alike(real_data_dir):
    table, _ = data.load_table("loan", source="real", data_dir=real_data_dir)
    folds = SOLUTION.split_rows(table.targets, num_folds=5, seed=0)
    for part, share in ((2, 0.2), (1, 0.2), (0, 0.6)):
        for fold in folds:
            assert abs(len(fold[part]) - share * 9_578) <= 2
            assert abs(table.targets[fold[part]].mean() - 1_533 / 9_578) < 0.001
            policy = table.columns["credit.policy"][fold[part]]
            assert 0.75 < policy.mean() < 0.85  # The file is sorted by it.


@pytest.mark.real_data
def test_the_loans_report_what_is_odd(real_data_dir):
    table, _ = data.load_table("loan", source="real", data_dir=real_data_dir)
    report = SOLUTION.column_report(table.columns)
    assert all(row["missing"] == 0 for row in report.values())
    assert report["purpose"]["distinct"] == 7
    assert report["credit.policy"]["commonest_share"] == pytest.approx(7_710 / 9_578)
    assert report["revol.bal"]["far_out"] > 300
    assert report["dti"]["far_out"] == 0
