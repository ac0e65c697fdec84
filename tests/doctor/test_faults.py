"""The texts on the faults: complete, and their code runs."""

import ast
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcourse.doctor.faults import FAULTS, near_codes

CODES = """
vanishing-gradients exploding-gradients dead-relu saturated-activations
symmetric-initialisation initialisation-scale learning-rate-too-high
learning-rate-too-low unnormalised-inputs misaligned-labels loss-activation-mismatch
missing-nonlinearity non-finite-values unshuffled-data frozen-weights
disconnected-gradient wrong-update wrong-metric overfitting underfitting
over-regularised train-inference-gap data-leakage class-imbalance loss-reduction
unscaled-targets train-validation-shift label-noise
""".split()
# What Recorder writes, up to the name of a layer or variable.
TAGS = """
epoch_ step/ gradients/ weights/ activations/ predictions/ inputs/ targets/
gradient_norm/ gradient_zero_share/ weight_rms/ update_ratio/ update_cosine/
activation_mean/ activation_std/ activation_max/ zero_share/ dead_units/
saturated_units/ batch_variation/ label_share/ target_mean/ target_std/ images/inputs
cards/model cards/optimizer cards/loss cards/data keras
""".split()
DASHBOARDS = ("Scalars", "Histograms", "Distributions", "Images", "Graphs", "Text")
SOURCE = re.compile(
    r"arXiv:\d{4}\.\d{4,5}\b|doi:10\.\d{4,}/|[a-z.]+\.(io|org|com|press)\b|NeurIPS"
)


def test_every_fault_is_there():
    assert sorted(FAULTS) == sorted(CODES)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.code)
def test_every_text_is_there_and_short(fault):
    assert len(fault.title) <= 70
    assert 100 <= len(fault.what) <= 450
    for items in (fault.looks_like, fault.causes, fault.helps, fault.sources):
        assert items and all(item and len(item) <= 170 for item in items)
    assert max(len(line) for line in fault.example.splitlines()) <= 88


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.code)
def test_where_to_look_is_what_recorder_writes(fault):
    for line in fault.looks_like:
        dashboard, _, _ = re.split("[,:]", line, maxsplit=1)[0].partition(" and")
        assert dashboard in DASHBOARDS
        for tag in re.findall(r"\b[a-z_]+/[<a-z]+|\bepoch_[a-z<]+", line):
            assert tag.startswith(tuple(TAGS)), tag
    assert any(re.search(r"epoch_|[a-z]+/", line) for line in fault.looks_like)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.code)
def test_sources_can_be_found(fault):
    assert all(SOURCE.search(source) for source in fault.sources)


@pytest.fixture(scope="module")
def given():
    """Return the names that the examples take as given."""
    random = np.random.default_rng(0)

    def build_model():
        return keras.Sequential(
            [layers.Flatten(), layers.Dense(8, "relu"), layers.Dense(10)]
        )

    layers = keras.layers
    labels = np.arange(40) % 10
    images = random.integers(0, 256, (40, 28, 28)).astype(np.uint8)
    features = random.normal(size=(40, 8)).astype(np.float32)
    targets = (200_000 + 1000 * features[:, :1]).astype(np.float32)
    return {
        "keras": keras,
        "layers": layers,
        "np": np,
        "tf": tf,
        "images": images,
        "labels": labels,
        "features": features,
        "targets": targets,
        "val_images": images[:10],
        "val_labels": labels[:10],
        "build_model": build_model,
    }


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.code)
def test_the_example_runs(fault, given):
    code = compile(ast.parse(fault.example), fault.code, "exec")
    names = dict(given)
    exec(code, names)
    for name in ("model", "layer", "head", "hidden", "gated"):
        made = names.get(name)
        if isinstance(made, keras.Model):
            data = given["features" if "normalization" in names else "images"]
            if fault.code != "unscaled-targets":
                assert made(data[:4].astype("float32")).shape[0] == 4
        elif made is not None and not made.built:
            assert made(np.ones((2, 4), "float32")).shape[0] == 2


def test_the_custom_step_trains(given):
    names = dict(given)
    exec(FAULTS["wrong-update"].example, names)
    inputs = keras.Input((8,))
    model = names["Classifier"](inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    before = model.get_weights()[0]
    model.fit(given["features"], given["features"][:, :1], epochs=1, verbose=0)
    assert np.abs(model.get_weights()[0] - before).max() > 0


def test_statements_with_numbers_hold():
    # Softmax twice over ten classes: between 0.09 and 0.23, and no loss below 1.46.
    once = np.eye(10)[0]
    twice = np.exp(once) / np.exp(once).sum()
    assert np.round([twice.min(), twice.max()], 2).tolist() == [0.09, 0.23]
    assert round(-np.log(twice.max()), 2) == 1.46
    sigmoid = 1 / (1 + np.exp(-6.0))
    assert round(sigmoid * (1 - sigmoid), 4) == 0.0025
    assert np.finfo(np.float16).max == 65504
    assert round(32 * np.log(10)) == 74
    normal = np.random.default_rng(0).normal(size=(64, 4000))
    weights = np.random.default_rng(1).normal(size=(64, 64))
    second = weights.T @ np.maximum(weights @ normal, 0)
    assert 5 < second.std() / (weights @ normal).std() < 7
    # BinaryAccuracy with one-hot labels of ten classes, every output below 0.5.
    metric = keras.metrics.BinaryAccuracy()
    metric.update_state(np.eye(10), np.full((10, 10), 0.1))
    assert float(metric.result()) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("dead-rely", "dead-relu"),
        ("Vanishing_Gradient", "vanishing-gradients"),
        ("overfit", "overfitting"),
        ("learning rate", "learning-rate-too-high"),
    ],
)
def test_near_codes(typed, meant):
    assert meant in near_codes(typed)


def test_nothing_is_near_nonsense():
    assert near_codes("qqqq") == [] and near_codes("") == []
