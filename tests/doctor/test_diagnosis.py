"""The doctor on real runs, on damaged ones, and on runs of others."""

import copy
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from tfcourse.doctor import Evidence, Finding, Recorder, Where, diagnose, read_run
from tfcourse.doctor.diagnosis import rank
from tfcourse.doctor.faults import FAULTS
from tfcourse.doctor.findings import from_json, to_json
from tfcourse.doctor.record import Record
from tfcourse.doctor.series import Series

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
if BENCHMARKS not in sys.path:
    sys.path.insert(0, BENCHMARKS)

import doctor_programs  # noqa: E402
from doctor_programs import registry  # noqa: E402

# What each run is called in the evaluation, and what it has: one per family of rules.
RUNS = {
    "forgot_to_divide": "unnormalised-inputs",
    "all_zeros": "symmetric-initialisation",
    "softmax_twice": "loss-activation-mismatch",
    "rate_of_ten": "learning-rate-too-high",
    "gradients_never_applied": "wrong-update",
    "plain_descent": None,
}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Return the recording of each of RUNS, by name."""
    folder = tmp_path_factory.mktemp("runs")
    entries = doctor_programs.load()
    for name in RUNS:
        registry.run(entries[name], 0, Recorder(folder / name))
    return {name: read_run(folder / name) for name in RUNS}


@pytest.mark.parametrize("name", RUNS)
def test_the_first_finding_is_the_fault(name, records):
    found = [f for f in diagnose(records[name]) if f.severity != "note"]
    assert [f.fault for f in found[:1]] == [RUNS[name]] * bool(RUNS[name])
    for finding in found:
        assert finding.fault in FAULTS
        assert finding.message.endswith(".")
        assert finding.remedy
        assert finding.see
        assert from_json(to_json(finding)) == finding


def test_what_a_finding_shows_is_there(records):
    for record in records.values():
        for finding in diagnose(record):
            for tag in finding.evidence[0].series:
                assert tag in record.train or tag in record.validation, finding.fault


def broken(value, rng, depth=0):
    """Return a copy of a record with one value of another type."""
    junk = [None, "text", [], {}, -1, float("nan"), True, [{"a": 1}], 1e308]
    if isinstance(value, dict) and value and (depth < 1 or rng.random() < 0.9):
        key = list(value)[rng.integers(len(value))]
        return value | {key: broken(value[key], rng, depth + 1)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        position = int(rng.integers(len(value)))
        changed = copy.copy(value)
        changed[position] = broken(value[position], rng, depth + 1)
        return changed
    return junk[rng.integers(len(junk))]


@pytest.mark.parametrize("name", ["softmax_twice", "rate_of_ten"])
def test_damaged_facts_raise_nothing(name, records):
    rng = np.random.default_rng(0)
    for _ in range(300):
        record = copy.copy(records[name])
        record.problems = []
        record.facts = broken(record.facts, rng)
        record.probes = [broken(probe, rng) for probe in record.probes]
        diagnose(record)


def scalars(**tags):
    """Return a record of scalars alone, as Keras's own callback leaves it."""
    record = Record("run", Path("run"))
    for tag, values in tags.items():
        side = record.validation if tag.startswith("val_") else record.train
        values = np.array(values, np.float64)
        name = tag.removeprefix("val_")
        side[name] = Series(np.arange(len(values), dtype=np.int64), values)
    return record


def test_scalars_alone_are_enough_for_some():
    falls = np.exp(-np.arange(20) / 4)
    rises = 0.5 + 0.04 * np.arange(20)
    found = diagnose(scalars(epoch_loss=falls, val_epoch_loss=rises))
    assert [f.fault for f in found] == ["overfitting"]

    found = diagnose(scalars(epoch_loss=[1.0, 4.0, np.nan, np.nan]))
    assert found[0].fault == "non-finite-values"

    assert diagnose(scalars(epoch_loss=falls, val_epoch_loss=falls + 0.1)) == []
    assert diagnose(scalars()) == []


def described(**facts):
    """Return a record whose loss falls, with some facts."""
    record = scalars(epoch_loss=[1.0, 0.9, 0.8])
    record.facts = facts
    return record


def test_a_softmax_behind_a_softmax():
    links = [["in|InputLayer|", "dense|Dense|relu"], ["dense|Dense|relu", ""]]

    def named(activation):
        links[1][1] = f"head|Dense|{activation}"
        last = [links[1][1], "last|Softmax|softmax"]
        record = described(model={"links": [*links, last]})
        return [f.fault for f in diagnose(record)]

    assert "loss-activation-mismatch" in named("softmax")
    assert "loss-activation-mismatch" not in named("")


def test_a_metric_that_stays_while_the_loss_falls():
    def named(values):
        record = scalars(epoch_loss=[1.0, 0.5, 0.2, 0.1], epoch_top=values)
        record.facts = {"metrics": [{"name": "top", "class": "TopK", "function": ""}]}
        return [f.fault for f in diagnose(record)]

    assert named([1.0, 1.0, 1.0, 1.0]) == ["wrong-metric"]
    assert named([0.8, 0.9, 0.9, 1.0]) == []


def test_weights_that_are_put_back_after_each_epoch():
    def named(changes):
        record = scalars(
            epoch_loss=[1.0, 0.99, 1.0, 0.98, 0.99],
            epoch_weight_change=changes,
            **{"update_rms/one/kernel": [0.01] * 8},
        )
        return [f.fault for f in diagnose(record)]

    assert named([0.0, 0.0, 0.0, 0.0]) == ["wrong-update"]
    assert named([0.2, 0.1, 0.0, 0.1]) == []


def test_predictions_that_start_far_beyond_the_targets():
    def named(spread):
        record = scalars(epoch_loss=[1e6, 1e6, 1e6])
        fit = {"std": spread, "mse": spread**2, "target_variance": 1.0}
        record.facts = {"model": {"layers": []}}
        examples = {
            "train_targets": [{"kind": "values", "std": 1.0, "mean": 0.0}],
            "train_inputs": [{"mean": 0.0, "std": 1.0}],
        }
        record.probes = [
            {"when": "start", "outputs": {"output": fit}},
            {"when": "end", "examples": examples},
        ]
        return [f.fault for f in diagnose(record)]

    assert "initialisation-scale" in named(100.0)
    assert "initialisation-scale" not in named(2.0)


def test_targets_are_scaled_where_the_loss_is_small_beside_them():
    def named(first):
        record = scalars(**{"step/data_loss": [first, first, first]})
        examples = {"train_targets": [{"kind": "values", "std": 50.0, "mean": 100.0}]}
        record.probes = [{"when": "end", "examples": examples}]
        return [f.fault for f in diagnose(record)]

    assert "unscaled-targets" in named(1e4)
    assert "unscaled-targets" not in named(3.0)


def test_a_gap_alone_is_no_overfitting():
    def named(auc_there, last):
        record = scalars(
            epoch_loss=[0.7, 0.4, 0.2, 0.1], val_epoch_loss=[0.7, 0.6, 0.5, last]
        )
        outputs = {
            "train_outputs": {"o": {"accuracy_at_half": 0.97, "auc": 0.99}},
            "validation_outputs": {"o": {"accuracy_at_half": 0.5, "auc": auc_there}},
        }
        target = [{"kind": "binary", "mean": 0.5, "largest_share": 0.5}]
        examples = {"train_targets": target, "validation_targets": target}
        record.probes = [{"when": "end", "examples": examples, **outputs}]
        return [f.fault for f in diagnose(record) if f.severity != "note"]

    assert named(0.82, 0.5) == []  # 0.98 and 0.64 above chance.
    assert named(0.6, 0.5) == ["overfitting"]


def test_a_loss_that_comes_through_add_loss_is_no_penalty():
    def named(data):
        tags = {"step/regularisation": [9.0, 8.0, 8.0], "step/data_loss": data}
        record = scalars(epoch_loss=[9.0, 8.9, 8.8], **tags)
        return [f.fault for f in diagnose(record)]

    assert "over-regularised" in named([0.7, 0.7, 0.7])
    assert "over-regularised" not in named([0.0, 0.0, 0.0])


def test_few_steps_of_usual_length_are_no_low_rate():
    def named(ratio):
        loss = np.linspace(1.0, 0.99, 8)
        tags = {"step/loss": loss, "step/loss_after": loss - 0.001}
        record = scalars(**tags, **{"update_ratio/one/kernel": [ratio] * 8})
        variable = {"path": "one/kernel", "name": "kernel", "shape": [8, 8]}
        layer = {"name": "one", "class": "Dense", "trainable": True}
        layer["variables"] = [variable | {"fan_in": 8, "fan_out": 8, "trainable": True}]
        model = {"layers": [layer], "trainable_variables": ["one/kernel"]}
        record.facts = {"model": model}
        return [f.fault for f in diagnose(record)]

    assert "learning-rate-too-low" in named(1e-5)
    assert "learning-rate-too-low" not in named(3e-3)


def test_why_a_variable_has_no_gradient():
    def named(without, not_given, tapped=("one", "two")):
        names = ("one", "two")
        layers = [
            {
                "name": name,
                "class": "Dense",
                "trainable": True,
                "variables": [{"path": f"{name}/kernel", "name": "kernel"}],
            }
            for name in names
        ]
        paths = [f"{name}/kernel" for name in names]
        model = {"layers": layers, "trainable_variables": paths}
        record = described(
            model=model,
            without_gradient=without,
            not_given=not_given,
            tapped=dict.fromkeys(tapped, "relu"),
        )
        found = [f for f in diagnose(record) if f.severity != "note"]
        return [(f.fault, f.where.variable) for f in found]

    one = ["one/kernel"]
    assert named(one, []) == [("disconnected-gradient", "one/kernel")]
    assert named(one, one) == [("frozen-weights", "one/kernel")]
    assert named(one, one, tapped=("one",)) == [("wrong-update", "one/kernel")]
    assert named(one, one, tapped=("two",)) == [("disconnected-gradient", "one/kernel")]


def test_causes_stand_before_symptoms():
    def finding(fault, severity="error", confidence=0.9):
        evidence = (Evidence("rule"),)
        return Finding(fault, severity, confidence, Where(), evidence, "It is.", "x")

    found = [
        finding("non-finite-values", confidence=0.99),
        finding("exploding-gradients"),
        finding("unscaled-targets", "warning", 0.7),
        finding("underfitting", confidence=1.0),
        finding("class-imbalance", "note"),
    ]
    assert [f.fault for f in rank(found)] == [
        "unscaled-targets",
        "exploding-gradients",
        "non-finite-values",
        "underfitting",
        "class-imbalance",
    ]


@pytest.fixture(scope="module")
def two_headed(tmp_path_factory):
    """Return a function that trains a model with a class and a value as its outputs."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    kind = (x[:, 0] + x[:, 1] > 0).astype(np.int64)
    value = (x[:, 2] - x[:, 3]).astype(np.float32)

    def run(value_activation=None, metric="mae", as_dict=False):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6,))
        h = layers.Dense(32, "relu")(inputs)
        outputs = {
            "value": layers.Dense(1, value_activation, name="value")(h),
            "kind": layers.Dense(2, "softmax", name="kind")(h),
        }
        losses = {"value": "mse", "kind": "sparse_categorical_crossentropy"}
        metrics = {"value": [metric], "kind": ["accuracy"]}
        targets = {"value": value, "kind": kind}
        if not as_dict:
            outputs, targets = list(outputs.values()), list(targets.values())
            losses, metrics = list(losses.values()), list(metrics.values())
        model = keras.Model(inputs, outputs)
        model.compile(keras.optimizers.Adam(0.01), losses, metrics=metrics)
        folder = tmp_path_factory.mktemp("two") / "run"
        validation = (x[:80], keras.tree.map_structure(lambda y: y[:80], targets))
        x_rest = x[80:], keras.tree.map_structure(lambda y: y[80:], targets)
        model.fit(
            *x_rest,
            epochs=15,
            validation_data=validation,
            callbacks=[Recorder(folder)],
            verbose=0,
        )
        found = [f for f in diagnose(read_run(folder)) if f.severity != "note"]
        return [(f.fault, f.where.layer) for f in found]

    return run


@pytest.mark.parametrize("as_dict", [False, True])
def test_each_output_is_judged_by_its_own_loss_and_targets(as_dict, two_headed):
    assert two_headed(as_dict=as_dict) == []
    found = two_headed(value_activation="sigmoid", as_dict=as_dict)
    assert found[0] == ("loss-activation-mismatch", "value")
    assert ("wrong-metric", "") in two_headed(metric="accuracy", as_dict=as_dict)
