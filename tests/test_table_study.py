"""The reports on a table: correlations, tenths, calibration errors, decisions."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfcourse import data, table_figures, table_study
from tfcourse.runs import Run


def random_columns(seed, num_rows=60):
    rng = np.random.default_rng(seed)
    rate = rng.normal(size=num_rows)
    return [
        rate,
        np.round(rate + rng.normal(size=num_rows), 1),
        rng.integers(3, size=num_rows),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_rank_correlations_are_spearmans(seed):
    columns = random_columns(seed)
    found = table_study.rank_correlations(columns)
    expected = scipy.stats.spearmanr(np.stack(columns, axis=1)).statistic
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_one_far_value_moves_no_rank_correlation():
    values = np.arange(20.0)
    far = np.append(values[:-1], 1e9)
    matrix = table_study.rank_correlations([values, far])
    np.testing.assert_allclose(matrix, 1, atol=1e-12)


@given(
    hnp.arrays(
        np.float64, st.integers(1, 80), elements=st.integers(-5, 5).map(lambda v: v / 2)
    ),
    st.integers(2, 10),
)
def test_cut_keeps_order_and_equal_values_together(values, num_parts):
    parts = table_study.cut(values, num_parts)
    assert parts.min() >= 0 and parts.max() < num_parts
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(parts[order]) >= 0)
    for value in np.unique(values):
        assert len(np.unique(parts[values == value])) == 1


def test_tenths_of_different_values_have_equal_size():
    rng = np.random.default_rng(0)
    counts = np.bincount(table_study.cut(rng.permutation(1000) / 7.0))
    assert counts.tolist() == [100] * 10


def test_tenths_are_named_by_their_values():
    values = np.arange(1.0, 101.0)
    tenths = {part: (10, 0.1 * part, 0.0, 1.0) for part in range(10)}
    named = table_study.tenth_names(values, tenths)
    assert list(named)[0] == "1 to 10" and list(named)[-1] == "91 to 100"
    assert list(named.values()) == list(tenths.values())


def test_the_calibration_error_weighs_bins_by_their_rows():
    error = table_study.calibration_error([0.1, 0.5], [0.2, 0.5], [30, 10])
    assert error == pytest.approx(0.1 * 30 / 40)
    assert table_study.calibration_error([0.3], [0.3], [5]) == 0


def results_of(targets, scores_by_model, folds):
    """Return results as `table_networks.one_fold` gives them."""
    return [
        {
            "test": test.tolist(),
            "alpha": 1.0,
            "sweep": [[0.7, 0.6], [0.65, 0.62]],
            "scores": {m: s[test].tolist() for m, s in scores_by_model.items()},
            "copied_difference": 1e-8 * k,
            "reloaded_difference": 0.0,
        }
        for k, test in enumerate(folds)
    ]


@pytest.fixture
def results():
    """Return targets, probabilities by model, and results of three folds."""
    rng = np.random.default_rng(1)
    targets = (rng.random(600) < 0.2).astype(np.int64)
    scores = {
        name: np.clip(0.2 + 0.2 * (targets - 0.2) + rng.normal(0, 0.1, 600), 0.01, 0.99)
        for name in table_study.MODELS
    }
    folds = np.array_split(rng.permutation(600), 3)
    return targets, scores, results_of(targets, scores, folds)


def test_pooled_rows_are_those_of_all_folds_in_their_order(results):
    targets, scores, folds = results
    truth, pooled = table_study.pooled(targets, folds, "Keras")
    rows = np.concatenate([fold["test"] for fold in folds])
    assert np.array_equal(truth, targets[rows])
    assert np.array_equal(pooled, scores["Keras"][rows])


def measures():
    from sklearn.metrics import average_precision_score, roc_auc_score

    def curve(targets, probabilities, num_bins):
        bins = np.array_split(np.argsort(probabilities), num_bins)
        parts = [(probabilities[b].mean(), targets[b].mean(), len(b)) for b in bins]
        return tuple(np.array(part) for part in zip(*parts, strict=True))

    return table_study.Measures(roc_auc_score, average_precision_score, curve)


def test_a_comparison_means_over_folds_and_pools_what_needs_rows(results, tmp_path):
    from sklearn.metrics import accuracy_score, recall_score, roc_auc_score

    targets, scores, folds = results
    run = Run(tmp_path / "run", show_progress=False)
    metrics = table_study.compare(run, targets, folds, measures())
    for name, short in table_study.MODELS.items():
        aucs = [
            roc_auc_score(targets[f["test"]], scores[name][f["test"]]) for f in folds
        ]
        assert metrics[f"{short}_auc"] == pytest.approx(np.mean(aucs))
    expected = metrics["keras_auc"] - metrics["logistic_auc"]
    assert metrics["keras_minus_logistic"] == pytest.approx(expected)
    taken = scores["Keras"] >= 0.5
    assert metrics["keras_accuracy"] == pytest.approx(accuracy_score(targets, taken))
    found = recall_score(targets, taken)
    assert metrics["keras_positives_found"] == pytest.approx(found)
    assert metrics["majority_accuracy"] == pytest.approx(1 - targets.mean())
    assert metrics["copied_difference"] == 2e-8
    written = {path.stem for path in (run.directory / "figures").glob("*.png")}
    assert written == {"scores", "calibration", "thresholds"}


def test_a_sweep_is_written_as_trials(results, tmp_path):
    _, _, folds = results
    run = Run(tmp_path / "run", show_progress=False)
    history = {"loss": [1.0, 0.9], "val_auc": [0.6, 0.65]}
    table_study.report_decay(run, [0.1, 1.0], folds, {"0.1": history, "1": history})
    assert (run.directory / "figures" / "decay.png").is_file()
    assert len(list((run.directory / "study").iterdir())) == 3 * 2


def test_figures_have_a_panel_for_each_thing():
    rng = np.random.default_rng(0)
    targets = rng.integers(2, size=50)
    columns = {f"c{k}": rng.normal(size=50) for k in range(5)}
    columns["count"] = rng.integers(3, size=50).astype(float)
    far_out = dict.fromkeys(columns, 2)
    group = {"a": (3, 0.5, 0.1, 0.9), "b": (9, 0.2, 0.1, 0.4)}
    curve = (np.array([0.1, 0.3]), np.array([0.2, 0.3]), np.array([5, 5]))
    sweep, history = rng.random((3, 2)), {"val_auc": [0.5, 0.6]}
    aucs = {"a": [0.6, 0.7], "b": [0.65, 0.66]}
    figures = {
        table_figures.distributions(columns, targets, far_out, ("no", "yes")): 8,
        table_figures.correlations(np.eye(3), ["a", "b", "c"]): 2,
        table_figures.correlations(np.eye(20), [f"c{k}" for k in range(20)]): 2,
        table_figures.shares({"by a": group, "by b": group}, 0.3): 2,
        table_figures.scores(aucs, aucs): 2,
        table_figures.calibration({"a": curve, "b": curve}): 1,
        table_figures.thresholds(targets, rng.random(50)): 1,
        table_figures.decay([0.1, 1], sweep, sweep, {"0.1": history, "1": history}): 2,
        table_figures.leaks(aucs, honest=("a",)): 1,
    }
    for figure, count in figures.items():
        assert len(figure.axes) == count


def test_exploring_finds_what_is_missing_and_what_tells_the_classes_apart(tmp_path):
    table, info = data.load_table("loan")
    run = Run(tmp_path / "run", show_progress=False)

    def report(columns):
        row = {"missing": 1, "distinct": 400, "commonest_share": 0.1, "far_out": 2}
        return dict.fromkeys(columns, row)

    def share_by_group(groups, targets):
        return {
            group: (int(np.sum(groups == group)), targets[groups == group].mean(), 0, 1)
            for group in np.unique(groups)
        }

    metrics = table_study.explore(run, table, info, report, share_by_group)
    assert metrics["missing_cells"] == len(table.columns)
    assert metrics["positive_share"] == pytest.approx(212 / 569)
    assert metrics["positive_share_highest_tenth"] > 0.9
    assert metrics["positive_share_lowest_tenth"] < 0.1
    written = {path.stem for path in (run.directory / "figures").glob("*.png")}
    assert written == {"distributions", "correlations", "target_by_group"}
