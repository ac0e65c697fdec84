# %% [markdown]
# `columns` is a dict of raw columns by name: float64 [n], or texts [n] (objects).

# %%
"""A table explored, split and encoded; one MLP in two libraries; honest metrics."""

import dataclasses
import functools

import keras
import numpy as np
import scipy.stats
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tfcourse import data, table_leaks, table_networks, table_study
from tfcourse.data import as_matrix
from tfcourse.runs import Run


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set: `tfcourse run 2 --set alphas=0.1,1`."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    num_folds: int = 5
    hidden_units: tuple[int, ...] = (64,)
    alphas: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 10.0)  # To choose from.
    num_epochs: int = 30
    batch_size: int = 200  # scikit-learn's default.
    learning_rate: float = 1e-3
    num_repeats: int = 1  # Each with folds of its own.
    seed: int = 0

    def __post_init__(self):
        if self.num_folds < 3:  # One part each for test and val, the rest for train.
            raise ValueError(f"num_folds must be at least 3; got {self.num_folds}")


SMOKE = Config(
    source="embedded", num_folds=3, alphas=(0.01, 1.0), num_epochs=40, batch_size=32
)
LAB = Config()
FULL = Config(hidden_units=(256, 256), num_repeats=10)


# %%
def column_report(columns: dict) -> dict[str, dict]:
    """Return by column what to know about it before anything is computed from it.

    Counts are ints: `missing` (texts empty or blank, numbers nan), and of the values
    that are there: `distinct`, how many different ones; `commonest_share`, the share of
    the most frequent one, float in [0, 1]; `far_out`, how many lie more than 3
    interquartile ranges below the first quartile or above the third (0 for texts).
    """
    raise NotImplementedError("exercise 02: write column_report()")


# %%
def share_by_group(groups: np.ndarray, targets: np.ndarray) -> dict:
    """Return `{group: (count, share, low, high)}`: positives among each group's rows.

    `low` and `high` are Wilson's 95 % interval of the share, with z = 1.96. `groups`,
    texts or ints [n], are such as the purposes, or tenths of the rate.
    """
    raise NotImplementedError("exercise 02: write share_by_group()")


# %%
def split_rows(targets: np.ndarray, *, num_folds: int, seed: int) -> list[tuple]:
    """Return per fold `(train, val, test)`: row numbers, int arrays without overlap.

    Together the three are all rows, each with the positives in the table's proportion.
    Every row is in `test` in exactly one fold; `val` is as large as `test`, to a row.
    The rows are shuffled (the file is sorted); the same seed gives the same folds.
    """
    raise NotImplementedError("exercise 02: write split_rows()")


# %%
def fit_pipeline(columns: dict, targets, train_rows, classifier) -> Pipeline:
    """Return a pipeline of an encoder and `classifier`, fitted to the training rows.

    `columns` and `targets` are the whole table; of it only `train_rows`, int [m], have
    any influence. `predict_proba` takes `as_matrix` of raw columns of the same names.
    The encoder makes features in this order: the numbers, standardised, in the order of
    `columns`; then one-hot categories, each column's in alphabetical order. A category
    that the training rows don't have is all zeros.
    """
    raise NotImplementedError("exercise 02: write fit_pipeline()")


# %%
def preprocessing_model(columns: dict, train_rows) -> keras.Model:
    """Return a Functional model from raw columns to what the pipeline's encoder makes.

    It takes a dict with an input of shape [batch] for each column, float32 or string,
    under the column's name, and returns float32 [batch, features] in the order of
    `fit_pipeline`. A Normalization layer scales, a StringLookup layer finds the
    categories. Only `train_rows` have any influence.
    """
    raise NotImplementedError("exercise 02: write preprocessing_model()")


# %%
def keras_mlp(preprocessing, hidden_units, *, alpha: float, batch_size: int) -> tuple:
    """Return `(network, raw_model)`, two Functional models that share their weights.

    `network` is scikit-learn's MLPClassifier: features float32 [batch, features] to
    logits [batch, 1], through ReLU layers of `hidden_units`. Its penalty is what
    `alpha` means there: alpha / (2 batch_size) times the sum of all squared kernel
    weights, without the biases. `raw_model` takes what `preprocessing` takes, and
    returns the probability of the positive class, float32 [batch, 1].
    """
    raise NotImplementedError("exercise 02: write keras_mlp()")


# %%
def class_weights(targets: np.ndarray) -> dict[int, float]:
    """Return weights that give both classes the same total, and rows a mean of 1."""
    return {label: len(targets) / (2 * np.sum(targets == label)) for label in (0, 1)}


def undo_weights(probabilities: np.ndarray, weights: dict[int, float]) -> np.ndarray:
    """Return what the probabilities would be without the class weights of training.

    `probabilities`, float [n], are those of a classifier trained with `weights`.
    """
    raise NotImplementedError("exercise 02: write undo_weights()")


# %%
def roc_auc(targets: np.ndarray, scores: np.ndarray) -> float:
    """Return the share of pairs (a positive, a negative) that `scores` order rightly.

    A pair with equal scores counts one half.
    """
    raise NotImplementedError("exercise 02: write roc_auc()")


# %%
def average_precision(targets: np.ndarray, scores: np.ndarray) -> float:
    """Return the sum of (R_n - R_{n-1}) P_n over the thresholds, from high to low.

    P_n and R_n are precision and recall where all rows with a score of at least the
    n-th threshold count as positive. The thresholds are the different scores.
    """
    raise NotImplementedError("exercise 02: write average_precision()")


# %%
def calibration_curve(targets, probabilities, num_bins: int) -> tuple:
    """Return `(predicted, observed, counts)`, three arrays [num_bins], by probability.

    The rows, sorted by probability, are cut into bins of equal size, to a row: the mean
    probability in each, the share of positives, and the number of rows.
    """
    raise NotImplementedError("exercise 02: write calibration_curve()")


# %%
def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    table, info = data.load_table("loan", source=config.source)
    run.record_data(info)
    metrics = table_study.explore(run, table, info, column_report, share_by_group)
    parts = table_networks.Parts(
        fit_pipeline,
        preprocessing_model,
        keras_mlp,
        class_weights,
        undo_weights,
        roc_auc,
    )
    settings = table_networks.Settings(
        hidden_units=config.hidden_units,
        alphas=config.alphas,
        num_epochs=config.num_epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        seed=config.seed,
    )
    fold_of = functools.partial(split_rows, table.targets, num_folds=config.num_folds)
    repeats = [fold_of(seed=config.seed + 1000 * r) for r in range(config.num_repeats)]
    # In each fold: alpha chosen by `val`, then all models fitted to the rows but `test`.
    results = [
        table_networks.one_fold(run, f"fold{k}", table, fold, parts, settings)
        for k, fold in enumerate(sum(repeats, []))
    ]
    curves = table_networks.decay_curves(run, table, repeats[0][0], parts, settings)
    measures = table_study.Measures(roc_auc, average_precision, calibration_curve)
    metrics |= table_study.compare(run, table.targets, results, measures)
    table_study.report_decay(run, config.alphas, results, curves)
    return metrics | table_leaks.study(run, table, repeats[0], fit_pipeline, roc_auc)
