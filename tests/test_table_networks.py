"""Networks on a table: trained fold by fold, and the same in both libraries."""

import warnings

import keras
import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from tfcourse import table_networks
from tfcourse.data import Table, as_matrix
from tfcourse.runs import Run
from tfcourse.table_networks import Parts, Settings

# Keras 3.15's way of saving variables, under numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")

SETTINGS = Settings(
    hidden_units=(5,),
    alphas=(0.01, 1.0),
    num_epochs=4,
    batch_size=16,
    learning_rate=0.01,
    seed=0,
)


def number_pipeline(columns, targets, train_rows, classifier):
    scaler = StandardScaler()
    encoder = ColumnTransformer([("numbers", scaler, [0, 1])])
    pipeline = Pipeline([("encoder", encoder), ("classifier", classifier)])
    return pipeline.fit(as_matrix(columns)[train_rows], targets[train_rows])


def number_preprocessing(columns, train_rows):
    inputs, scaled = {}, []
    for name, values in columns.items():
        inputs[name] = keras.Input((), name=name)
        known = values[train_rows]
        layer = keras.layers.Normalization(mean=known.mean(), variance=known.var())
        scaled.append(layer(inputs[name][:, None]))
    return keras.Model(inputs, keras.layers.Concatenate()(scaled))


def small_mlp(preprocessing, hidden_units, *, alpha, batch_size):
    features = keras.Input(preprocessing.output.shape[1:])
    hidden = features
    for units in hidden_units:
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
    network = keras.Model(features, keras.layers.Dense(1)(hidden))
    probability = keras.ops.sigmoid(network(preprocessing.output))
    return network, keras.Model(preprocessing.input, probability)


PARTS = Parts(
    fit_pipeline=number_pipeline,
    preprocessing_model=number_preprocessing,
    keras_mlp=small_mlp,
    class_weights=lambda targets: {0: 1.0, 1: 3.0},
    undo_weights=lambda probabilities, weights: probabilities / 2,
    roc_auc=roc_auc_score,
)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(5, 2, 120), "b": rng.normal(-100, 30, 120)}
    score = columns["a"] - 5 + rng.normal(size=120)
    return Table(columns, (score > 1).astype(np.int64))


@pytest.fixture
def fold():
    rows = np.random.default_rng(1).permutation(120)
    return rows[:60], rows[60:90], rows[90:]


def test_the_classifier_trains_for_all_epochs_without_a_warning(table):
    classifier = table_networks.scikit_mlp(SETTINGS, alpha=0.1)
    features = np.stack(list(table.columns.values()), axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with table_networks.scikit_training():
            classifier.fit(features, table.targets)
    assert classifier.n_iter_ == SETTINGS.num_epochs
    with pytest.warns(ConvergenceWarning):
        classifier.fit(features, table.targets)


def test_a_fold_scores_its_test_rows_with_every_model(table, fold, tmp_path):
    run = Run(tmp_path / "run", show_progress=False)
    found = table_networks.one_fold(run, "fold0", table, fold, PARTS, SETTINGS)
    assert found["test"] == fold[2].tolist()
    assert np.shape(found["sweep"]) == (2, 2)
    best = np.argmax([on_val for _, on_val in found["sweep"]])
    assert found["alpha"] == SETTINGS.alphas[best]
    for scores in found["scores"].values():
        assert np.shape(scores) == (30,)
        assert np.all(np.isfinite(scores))
        assert np.min(scores) >= 0 and np.max(scores) <= 1
    undone = np.array(found["scores"]["weighted"]) / 2
    np.testing.assert_allclose(found["scores"]["weights undone"], undone)
    assert found["copied_difference"] < 1e-5
    assert found["reloaded_difference"] < 1e-6
    logs = {path.parts[-3] for path in run.directory.glob("*/train/events*")}
    assert logs == {"fold0_keras", "fold0_weighted"}


def test_test_rows_have_no_influence_on_training(table, fold, tmp_path):
    found = []
    for number, shift in enumerate((0.0, 1000.0)):
        columns = {name: values.copy() for name, values in table.columns.items()}
        columns["a"][fold[2][1:]] += shift
        targets = table.targets.copy()
        targets[fold[2]] = targets[fold[2]] if not shift else 1 - targets[fold[2]]
        run = Run(tmp_path / f"run{number}", show_progress=False)
        keras.utils.set_random_seed(0)
        result = table_networks.one_fold(
            run, "fold", Table(columns, targets), fold, PARTS, SETTINGS
        )
        found.append(result)
    one, other = found
    assert one["sweep"] == other["sweep"]
    for name, scores in one["scores"].items():  # The first test row is unchanged.
        assert scores[0] == pytest.approx(other["scores"][name][0], abs=1e-6)


def test_a_stored_fold_is_read_and_not_computed(table, fold, tmp_path):
    folder = tmp_path / "run"
    run = Run(folder, show_progress=False)
    first = table_networks.one_fold(run, "fold0", table, fold, PARTS, SETTINGS)
    from tfcourse.run_folder import unlock

    unlock(run.directory)
    again = Run(folder, resume=True, show_progress=False)
    nothing = Parts(*[None] * 6)
    second = table_networks.one_fold(again, "fold0", table, fold, nothing, SETTINGS)
    assert second == first


def test_weights_are_copied_layer_by_layer(table):
    rows = np.arange(100)
    classifier = MLPClassifier((4, 3), max_iter=5, random_state=0)
    with table_networks.scikit_training():
        pipeline = number_pipeline(table.columns, table.targets, rows, classifier)
    preprocessing = number_preprocessing(table.columns, rows)
    network, raw_model = small_mlp(preprocessing, (4, 3), alpha=0, batch_size=1)
    dense = table_networks.dense_layers(raw_model)
    assert [layer.units for layer in dense] == [4, 3, 1]
    assert dense == table_networks.dense_layers(network)
    table_networks.copy_weights(pipeline, raw_model)
    for layer, kernel, bias in zip(
        dense, classifier.coefs_, classifier.intercepts_, strict=True
    ):
        np.testing.assert_allclose(layer.get_weights()[0], kernel, rtol=1e-6)
        np.testing.assert_allclose(layer.get_weights()[1], bias, rtol=1e-6)
    found = table_networks.sameness(pipeline, raw_model, table)
    assert max(found.values()) < 1e-5


def test_another_network_is_not_the_same(table):
    rows = np.arange(100)
    with table_networks.scikit_training():
        pipeline = number_pipeline(
            table.columns, table.targets, rows, MLPClassifier((4,), max_iter=5)
        )
    other_rows = rows[table.columns["a"][rows] > 5]  # Scaled by other numbers.
    preprocessing = number_preprocessing(table.columns, other_rows)
    _, raw_model = small_mlp(preprocessing, (4,), alpha=0, batch_size=1)
    found = table_networks.sameness(pipeline, raw_model, table)
    assert found["copied_difference"] > 1e-3


def test_each_penalty_gets_a_curve(table, fold, tmp_path):
    run = Run(tmp_path / "run", show_progress=False)
    curves = table_networks.decay_curves(run, table, fold, PARTS, SETTINGS)
    assert list(curves) == ["0.01", "1"]
    for history in curves.values():
        assert len(history["val_auc"]) == SETTINGS.num_epochs
