"""Networks on a table, fold by fold: how they are chosen, trained and compared.

What encodes, builds and measures comes from outside, as `Parts`. In each fold the penalty
is chosen with the validation rows; then every model is fitted to all rows but those of
the test part, and says what it thinks of these.
"""

from __future__ import annotations

import dataclasses
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from tfcourse import training
from tfcourse.data import Table, as_matrix
from tfcourse.runs import Run

Fold = tuple[np.ndarray, np.ndarray, np.ndarray]  # Rows: training, validation, test.


class Parts(NamedTuple):
    """What the exercise writes."""

    fit_pipeline: Callable[..., Any]
    preprocessing_model: Callable[..., keras.Model]
    keras_mlp: Callable[..., tuple[keras.Model, keras.Model]]
    class_weights: Callable[[np.ndarray], dict[int, float]]
    undo_weights: Callable[..., np.ndarray]
    roc_auc: Callable[[np.ndarray, np.ndarray], float]


@dataclasses.dataclass(frozen=True)
class Settings:
    """How networks are built and trained, in both libraries alike."""

    hidden_units: tuple[int, ...]
    alphas: tuple[float, ...]  # Penalties to choose from, as scikit-learn counts them.
    num_epochs: int
    batch_size: int
    learning_rate: float
    seed: int


@contextmanager
def scikit_training() -> Iterator[None]:
    """Let scikit-learn stop after a number of epochs without a warning, on one core.

    Its batches are too small to share: the threads would wait for one another, and for
    those of TensorFlow.
    """
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def scikit_mlp(settings: Settings, alpha: float) -> MLPClassifier:
    """Return an unfitted network that trains for exactly `num_epochs` epochs.

    Not with `early_stopping`: that watches the accuracy, which says nothing where most
    rows belong to one class.
    """
    return MLPClassifier(
        settings.hidden_units,
        alpha=alpha,
        batch_size=settings.batch_size,
        learning_rate_init=settings.learning_rate,
        max_iter=settings.num_epochs,
        n_iter_no_change=settings.num_epochs,
        random_state=settings.seed,
    )


def one_fold(
    run: Run, name: str, table: Table, fold: Fold, parts: Parts, settings: Settings
) -> dict[str, Any]:
    """Return what was found in one fold, as plain data; a resumed run reads it.

    `test`: the rows; `scores`: by model, a probability for each of them; `alpha`, and
    `sweep`: the AUC of training and of validation rows for each alpha; and what
    `sameness` returns.

    Args:
        run: Gets TensorBoard logs below `name`.
        name: Of the stage, unique in the run.
        table: The whole table.
        fold: Its rows, in three parts.
        parts: What encodes, builds and measures.
        settings: How networks are built and trained.
    """
    return run.once(name, lambda: _one_fold(run, name, table, fold, parts, settings))


def _one_fold(
    run: Run, name: str, table: Table, fold: Fold, parts: Parts, settings: Settings
) -> dict[str, Any]:
    train, val, test = fold
    both = np.concatenate([train, val])
    columns, targets = table.columns, table.targets
    matrix = as_matrix(columns)

    def fitted(rows: np.ndarray, classifier: Any) -> tuple[Any, np.ndarray]:
        with scikit_training():
            pipeline = parts.fit_pipeline(columns, targets, rows, classifier)
        return pipeline, pipeline.predict_proba(matrix)[:, 1]  # [n]

    sweep = []
    for alpha in settings.alphas:
        _, scores = fitted(train, scikit_mlp(settings, alpha))
        sweep.append([parts.roc_auc(targets[r], scores[r]) for r in (train, val)])
    alpha = settings.alphas[int(np.argmax([on_val for _, on_val in sweep]))]
    pipeline, scikit_scores = fitted(both, scikit_mlp(settings, alpha))
    scores = {
        "logistic regression": fitted(both, LogisticRegression(max_iter=1000))[1],
        "untuned MLPClassifier": fitted(
            both, MLPClassifier(random_state=settings.seed)
        )[1],
        "MLPClassifier": scikit_scores,
    }
    weights = parts.class_weights(targets[both])
    for model, options in (("Keras", {}), ("weighted", {"class_weight": weights})):
        callbacks = run.callbacks(
            f"{name}_{model.lower()}",
            epochs=settings.num_epochs,
            histograms=model == "Keras",
        )
        raw_model, _ = train_keras(
            table, both, parts, settings, alpha, callbacks=callbacks, **options
        )
        scores[model] = probabilities(raw_model, columns)
    scores["weights undone"] = parts.undo_weights(scores["weighted"], weights)
    return {
        "test": test,
        "alpha": alpha,
        "sweep": sweep,
        "scores": {model: values[test] for model, values in scores.items()},
        **sameness(pipeline, raw_model, table),
    }


def train_keras(
    table: Table,
    rows: np.ndarray,
    parts: Parts,
    settings: Settings,
    alpha: float,
    *,
    val_rows: np.ndarray | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    class_weight: dict[int, float] | None = None,
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Return the trained model that takes raw columns, and the history.

    The columns are encoded once, before training, and not again in every epoch.
    """
    preprocessing = parts.preprocessing_model(table.columns, rows)
    network, raw_model = parts.keras_mlp(
        preprocessing,
        settings.hidden_units,
        alpha=alpha,
        batch_size=settings.batch_size,
    )
    network.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[
            keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0),  # Of logits.
            keras.metrics.AUC(name="auc", from_logits=True),
        ],
    )
    features = np.asarray(preprocessing(table.columns))  # [n, features]
    validation = None
    if val_rows is not None:
        validation = features[val_rows], table.targets[val_rows]
    history = training.fit(
        network,
        features[rows],
        table.targets[rows],
        batch_size=settings.batch_size,
        epochs=settings.num_epochs,
        validation_data=validation,
        callbacks=list(callbacks),
        class_weight=class_weight,
        seed=settings.seed,
        engine="graph",  # The same bits in every run; XLA gains nothing on so few rows.
    )
    return raw_model, history.history


def decay_curves(
    run: Run, table: Table, fold: Fold, parts: Parts, settings: Settings
) -> dict[str, dict[str, list[float]]]:
    """Return by alpha the history of the Keras network in one fold, test rows unseen.

    Args:
        run: Gets TensorBoard logs below `alpha_<alpha>`.
        table: The whole table.
        fold: Its rows, in three parts.
        parts: What encodes, builds and measures.
        settings: How networks are built and trained.
    """
    train, val, _ = fold
    histories = {}
    for alpha in settings.alphas:
        name = f"alpha_{alpha:g}"
        callbacks = run.callbacks(name, epochs=settings.num_epochs)
        _, histories[f"{alpha:g}"] = train_keras(
            table, train, parts, settings, alpha, val_rows=val, callbacks=callbacks
        )
    return histories


def probabilities(raw_model: keras.Model, columns: dict[str, np.ndarray]) -> np.ndarray:
    """Return the model's probabilities for raw columns: float32 [n]."""
    return np.asarray(raw_model(columns))[:, 0]


def sameness(pipeline: Any, raw_model: keras.Model, table: Table) -> dict[str, float]:
    """Return how far two networks are from being the same, and a file from its model.

    `copied_difference`: largest difference of a probability over all rows when the
    pipeline's weights stand in the Keras model. `reloaded_difference`: when that is
    saved as a .keras file and read back. The model keeps the pipeline's weights.
    """
    copy_weights(pipeline, raw_model)
    copied = probabilities(raw_model, table.columns)
    expected = pipeline.predict_proba(as_matrix(table.columns))[:, 1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw_model.keras"
        raw_model.save(path)
        reloaded = probabilities(keras.models.load_model(path), table.columns)
    return {
        "copied_difference": float(np.abs(copied - expected).max()),
        "reloaded_difference": float(np.abs(reloaded - copied).max()),
    }


def copy_weights(pipeline: Any, model: keras.Model) -> None:
    """Put the weights of a fitted pipeline's MLPClassifier into a Keras model's layers."""
    classifier = pipeline.steps[-1][1]
    arrays = zip(classifier.coefs_, classifier.intercepts_, strict=True)
    for layer, weights in zip(dense_layers(model), arrays, strict=True):
        layer.set_weights(weights)


def dense_layers(model: keras.Model) -> list[keras.layers.Dense]:
    """Return the dense layers of a model and of the models in it, in their order."""
    found: list[keras.layers.Dense] = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += dense_layers(layer)
        elif isinstance(layer, keras.layers.Dense):
            found.append(layer)
    return found
