"""Each method on the embedded digits: its promise holds after fine-tuning, in the file."""

import dataclasses
import os
import pickle

import keras
import numpy as np
import pytest

from tests.compression import models
from tfcourse import compression
from tfcourse.compression import KINDS, LiteRTFile, method
from tfcourse.compression.measuring import latency_of, num_right
from tfcourse.data.locks import exclusive
from tfcourse.errors import UserError

SPARSITY, NUM_CLUSTERS = 0.7, 8
# A kernel's share of zeros is that of whole weights, and Keras prunes layer by layer.
TOLERANCE = 0.02


@dataclasses.dataclass
class Made:
    """A result in a form that another process of the tests can read."""

    problem: str
    suffix: str
    content: bytes
    kernels: list | None


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return what `make` makes; the processes of one test run share it."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if run else folder
    stored = folder / f"compressed-{run}.pickle"
    with exclusive(folder / "compressed.lock", when_waiting=lambda: None):
        if not stored.exists():
            stored.write_bytes(pickle.dumps(make()))
        return pickle.loads(stored.read_bytes())


@pytest.fixture(scope="module")
def results(made):
    return made[1]


def make():
    """Return the trained model's answers for the test digits, and what became of it."""
    keras.utils.set_random_seed(0)
    model = models.cnn()
    images, labels = models.digits("train")
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, labels, epochs=6, batch_size=32, verbose=0)
    settings = {"sparsity": SPARSITY, "num_clusters": NUM_CLUSTERS, "epochs": 2}
    chosen = []
    for name, kind in KINDS.items():
        known = {**kind.settings, "epochs": 0} if kind.runs_in == "worker" else {}
        own = {key: value for key, value in settings.items() if key in known}
        chosen.append(method(name, **own))
    before = model.get_weights()
    seen = []
    results = compression.compress_all(
        model, chosen, images[:800], labels[:800], progress=seen.append
    )
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)  # The model was left as it was.
    assert {entry.method for entry in seen} == set(KINDS)
    answers = model.predict(models.digits("test")[0], verbose=0)
    return answers, {r.method.name: plain(r) for r in results}


def plain(result):
    kernels = result.model and [w for w in result.model.get_weights() if w.ndim > 1]
    return Made(result.problem, result.suffix, result.content, kernels)


def kernels(result):
    return result.kernels


def stored_kernels(result):
    """Return the int8 kernels of a LiteRT file, [outputs, ...]."""
    arrays = LiteRTFile(result.content).weight_arrays().values()
    found = [array for array in arrays if array.dtype == np.int8]
    assert len(found) == 4
    return found


def test_every_method_gives_a_file_that_still_knows_the_digits(results):
    images, labels = models.digits("test")
    for name, result in results.items():
        assert not result.problem, f"{name}: {result.problem}"
        if result.suffix == ".tflite":
            right = num_right(LiteRTFile(result.content).predict(images), labels)
            assert right / len(labels) > 0.8, name


def test_float_files_answer_as_the_model_does(made):
    images, _ = models.digits("test")
    expected, results = made
    answers = LiteRTFile(results["litert_float"].content).predict(images)
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    for name in ("litert_float16", "litert_dynamic", "litert_int8"):
        answers = LiteRTFile(results[name].content).predict(images)
        assert np.abs(answers - expected).mean() < 0.02, name


def test_a_quantised_file_is_smaller(results):
    sizes = {name: len(result.content) for name, result in results.items()}
    assert sizes["litert_float16"] < 0.65 * sizes["litert_float"]
    for name in ("litert_dynamic", "litert_int8", "quantize", "prune_quantize"):
        assert sizes[name] < 0.5 * sizes["litert_float"], name


def test_pruned_kernels_keep_their_zeros(results):
    for kernel in kernels(results["prune"]):
        assert abs((kernel == 0).mean() - SPARSITY) < TOLERANCE


def test_two_of_each_four_inputs_are_zero(results):
    for kernel in kernels(results["prune_2_4"]):
        channels = kernel.reshape(
            -1, *kernel.shape[-2:]
        )  # [positions, inputs, outputs]
        if channels.shape[1] % 4 == 0:
            groups = channels.reshape(len(channels), -1, 4, channels.shape[2])
            assert ((groups == 0).sum(axis=2) >= 2).all()


def test_clustered_kernels_have_few_values(results):
    for kernel in kernels(results["cluster"]):
        assert len(np.unique(kernel)) <= NUM_CLUSTERS


def test_sparse_clusters_keep_zeros_and_few_values(results):
    for kernel in kernels(results["prune_cluster"]):
        assert (kernel == 0).mean() > SPARSITY - TOLERANCE
        assert len(np.unique(kernel)) <= max(NUM_CLUSTERS, 0.3 * kernel.size + 1)
    largest = max(kernels(results["prune_cluster"]), key=np.size)
    assert len(np.unique(largest)) <= NUM_CLUSTERS


def test_quantisation_keeps_the_zeros_of_pruning(results):
    for kernel in stored_kernels(results["prune_quantize"]):
        assert (kernel == 0).mean() > SPARSITY - TOLERANCE


def test_quantisation_keeps_clusters(results):
    # The scales are per output, so that values are counted per output.
    for kernel in stored_kernels(results["cluster_quantize"]):
        assert max(len(np.unique(output)) for output in kernel) <= NUM_CLUSTERS


def test_quantisation_keeps_zeros_and_clusters_together(results):
    for kernel in stored_kernels(results["prune_cluster_quantize"]):
        assert (kernel == 0).mean() > SPARSITY - TOLERANCE
        assert max(len(np.unique(output)) for output in kernel) <= NUM_CLUSTERS


def test_only_methods_without_quantisation_give_a_keras_model(results):
    have = {name for name, result in results.items() if result.kernels is not None}
    assert have == {"prune", "prune_2_4", "cluster", "prune_cluster"}


def test_latency_has_a_median_between_its_quartiles(results):
    images, _ = models.digits("test")
    content = results["litert_int8"].content
    latency = latency_of(content, images[:1], 2, num_calls=20)
    assert 0 < latency.lower_quartile <= latency.median <= latency.upper_quartile


def test_two_inputs_keep_their_order_in_the_file():
    model = models.shuffled_weights(models.two_inputs())
    inputs = models.examples(model)
    expected = np.asarray(model(inputs))
    for name, error in (("litert_float", 1e-5), ("litert_int8", 0.5)):
        made = compression.compress(model, method(name), inputs)
        file = LiteRTFile(made.content, input_names=[t.name for t in model.inputs])
        np.testing.assert_allclose(file.predict(inputs), expected, atol=error)


def test_layers_that_have_no_ranges_stay_in_float():
    """A model as in many tutorials: pixels from 0 to 255, scaled by its first layer."""
    keras.utils.set_random_seed(1)
    images, labels = models.digits("train")
    images, labels = 255 * images[:320], labels[:320]
    model = models.unusual()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss)
    model.fit(images, labels, epochs=12, batch_size=16, verbose=0)
    answers = model.predict(images, verbose=0).argmax(axis=1)
    settings = {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3}
    names = {"quantize": {}, "prune_cluster_quantize": {"sparsity": 0.3}}
    chosen = [method(name, **extra, **settings) for name, extra in names.items()]
    for result in compression.compress_all(model, chosen, images, labels, seed=0):
        assert not result.problem
        found = LiteRTFile(result.content).predict(images).argmax(axis=1)
        assert np.mean(found == answers) > 0.75


def test_data_that_do_not_fit_are_refused_before_a_child_starts():
    model = models.cnn()
    images, labels = models.digits("test")
    for given, answers in (
        (images[:, :7], labels),
        ([images, images], labels),
        (images[:0], labels[:0]),
        (images, labels[:5]),
        (images, None),
    ):
        with pytest.raises(UserError):
            compression.compress(model, method("prune"), given, answers)


@pytest.mark.parametrize("content", [b"", b"abc", b"\0" * 100])
def test_what_is_no_litert_file_is_refused(content, tmp_path):
    with pytest.raises(UserError):
        LiteRTFile(content)
    with pytest.raises(UserError, match="can't read"):
        LiteRTFile(tmp_path / "none.tflite")
