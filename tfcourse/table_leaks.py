"""What leaks pretend: the same classifiers, once scored honestly and once not.

Two leaks. Scaling by numbers that the test rows helped to compute is the one that
everybody names; repeating the rows of the rare class before the split, so that copies of
one row lie on both sides, is the one that sells results which don't exist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier

from tfcourse import table_figures
from tfcourse.data import Table, as_matrix
from tfcourse.runs import Run
from tfcourse.table_networks import Fold, scikit_training

FitPipeline = Callable[..., Any]
RocAuc = Callable[[np.ndarray, np.ndarray], float]
HONEST, SCALED = "scaled on training rows", "scaled on all rows"
AFTER, BEFORE = "repeated in the training rows", "repeated before the split"


def study(
    run: Run,
    table: Table,
    folds: Sequence[Fold],
    fit_pipeline: FitPipeline,
    roc_auc: RocAuc,
) -> dict[str, float]:
    """Return how much AUC each leak adds, `leak_scaling` and `leak_repeating`.

    Args:
        run: Gets the figure `leaks`.
        table: The whole table.
        folds: Rows for training, validation and test.
        fit_pipeline: The exercise's.
        roc_auc: The exercise's.
    """
    found = run.once("leaks", lambda: measure(run, table, folds, fit_pipeline, roc_auc))
    run.figure("leaks", table_figures.leaks(found, honest=(HONEST, AFTER)))
    means = {name: float(np.mean(aucs)) for name, aucs in found.items()}
    return {
        "leak_scaling": means[SCALED] - means[HONEST],
        "leak_repeating": means[BEFORE] - means[AFTER],
    }


def measure(
    run: Run,
    table: Table,
    folds: Sequence[Fold],
    fit_pipeline: FitPipeline,
    roc_auc: RocAuc,
) -> dict[str, list[float]]:
    """Return the AUC on each fold's test rows, by way of doing it."""
    targets, matrix = table.targets, as_matrix(table.columns)

    def auc(train_rows: np.ndarray, test_rows: np.ndarray, classifier: Any) -> float:
        with scikit_training():
            fitted = fit_pipeline(table.columns, targets, train_rows, classifier)
        scores = fitted.predict_proba(matrix[test_rows])[:, 1]
        return roc_auc(targets[test_rows], scores)

    everything = np.arange(len(targets))
    shared = fit_pipeline(table.columns, targets, everything, LogisticRegression())
    features = shared[:-1].transform(matrix)  # By numbers from all rows.
    sample = repeat_positives(everything, targets)
    cuts = StratifiedKFold(len(folds), shuffle=True, random_state=run.seed)
    parts = list(cuts.split(sample, targets[sample]))
    found: dict[str, list[float]] = {HONEST: [], SCALED: [], AFTER: [], BEFORE: []}
    pairs = list(zip(folds, parts, strict=True))
    for (train, val, test), (sample_train, sample_test) in run.progress(pairs, "leaks"):
        both = np.concatenate([train, val])
        linear = LogisticRegression(max_iter=1000)
        found[HONEST].append(auc(both, test, linear))
        linear = linear.fit(features[both], targets[both])
        scores = linear.predict_proba(features[test])[:, 1]
        found[SCALED].append(roc_auc(targets[test], scores))
        network = MLPClassifier(random_state=run.seed)
        found[AFTER].append(auc(repeat_positives(both, targets), test, network))
        found[BEFORE].append(auc(sample[sample_train], sample[sample_test], network))
    return found


def repeat_positives(rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the rows with those of positives repeated, about as many as negatives.

    >>> repeat_positives(np.arange(6), np.array([0, 1, 0, 0, 0, 0]))
    array([0, 1, 2, 3, 4, 5, 1, 1, 1, 1])
    """
    positives = rows[targets[rows] == 1]
    times = max(1, round((len(rows) - len(positives)) / len(positives)))
    return np.concatenate([rows, np.tile(positives, times - 1)])
