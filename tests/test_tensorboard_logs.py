"""Event files, read back as TensorBoard reads them."""

import shutil
from collections import defaultdict
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from tfcourse.embedding_projector import sprite_sheet
from tfcourse.errors import UserError
from tfcourse.model_graphs import forward_graph
from tfcourse.runs import Run
from tfcourse.tensorboard_logs import histogram, weight_tags


def events(folder):
    for path in sorted(folder.glob("*tfevents*")):
        for record in tf.data.TFRecordDataset(str(path)):
            yield Event.FromString(record.numpy())


def values(folder):
    """Return by tag the list of (step, value or tensor), and the plugins by tag."""
    found, plugins = defaultdict(list), {}
    for event in events(folder):
        for value in event.summary.value:
            tensor = tf.make_ndarray(value.tensor)
            found[value.tag].append((event.step, tensor))
            plugins[value.tag] = value.metadata.plugin_data.plugin_name
    return found, plugins


def small_model():
    inputs = keras.Input((4, 2), name="image")
    hidden = keras.layers.Flatten(name="flatten")(inputs)
    hidden = keras.layers.Dense(3, activation="relu", name="hidden")(hidden)
    hidden = keras.layers.Dropout(0.1, name="dropout")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(hidden))
    model.compile("adam", "mse", metrics=["mae"], run_eagerly=True)
    return model


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("run"), show_progress=False)
    x, y = np.ones((8, 4, 2), "float32"), np.ones((8, 2), "float32")
    history = small_model().fit(
        x,
        y,
        epochs=3,
        validation_data=(x, y),
        verbose=0,
        callbacks=run.callbacks("deep", epochs=3),
    )
    return run.directory, history.history


def test_scalars_of_training_and_validation_share_their_tags(trained):
    folder, history = trained
    for part, prefix in (("train", ""), ("validation", "val_")):
        found, plugins = values(folder / "deep" / part)
        for metric in ("loss", "mae"):
            steps, numbers = zip(*found[f"epoch_{metric}"], strict=True)
            assert steps == (1, 2, 3)
            np.testing.assert_allclose(numbers, history[prefix + metric], rtol=1e-6)
            assert plugins[f"epoch_{metric}"] == "scalars"
    found, _ = values(folder / "deep" / "train")
    assert float(found["epoch_learning_rate"][0][1]) == pytest.approx(1e-3)


def test_every_weight_has_its_histograms(trained):
    found, plugins = values(trained[0] / "deep" / "train")
    for name in ("hidden/kernel", "hidden/bias", "logits/kernel", "logits/bias"):
        assert [step for step, _ in found[f"weights/{name}"]] == [1, 2, 3]
        assert plugins[f"weights/{name}"] == "histograms"
    assert found["weights/hidden/kernel"][0][1][:, 2].sum() == 8 * 3


def test_two_builds_of_one_model_have_the_same_weight_tags():
    def built():
        block = keras.Sequential(
            [keras.layers.Dense(3), keras.layers.BatchNormalization()], name="block_7"
        )
        layers = [block, keras.layers.Dense(3), keras.layers.Dense(2, name="dense_9")]
        return keras.Sequential([keras.Input((4,)), *layers])

    built()
    tags = weight_tags(built())
    assert tags == weight_tags(built())
    layers = ["block_7/dense"] * 2 + ["block_7/batch_normalization"] * 4
    layers += ["dense_1"] * 2 + ["dense_2"] * 2
    of_layers = [tag.removeprefix("weights/sequential/") for tag in tags]
    assert [tag.rpartition("/")[0] for tag in of_layers] == layers
    assert len(set(tags)) == len(tags)


def test_a_chosen_name_that_looks_like_a_number_keeps_tags_apart():
    class Other(keras.layers.Dense):
        pass

    layers = [Other(3, name="dense_1"), keras.layers.Dense(3), keras.layers.Dense(2)]
    tags = weight_tags(keras.Sequential([keras.Input((4,)), *layers]))
    assert len(set(tags)) == 6


def test_both_graphs_are_there(trained):
    train = trained[0] / "deep" / "train"
    graphs = [event.graph_def for event in events(train) if event.graph_def]
    assert len(graphs) == 1
    names = {node.name.split("/")[0] for node in GraphDef.FromString(graphs[0]).node}
    assert names == {"image", "flatten", "hidden", "logits"}
    found, plugins = values(train)
    assert plugins["keras"] == "graph_keras_model"
    ((_, model),) = found["keras"]
    assert keras.models.model_from_json(model.item().decode()).count_params() > 0


def test_the_op_graph_is_connected():
    nodes = {node.name: node for node in forward_graph(small_model()).node}
    for node in nodes.values():
        for name in node.input:
            assert name.partition(":")[0] in nodes
    seen, queue = set(), ["logits/BiasAdd"]
    while queue:
        name = queue.pop()
        if name not in seen:
            seen.add(name)
            queue += [text.partition(":")[0] for text in nodes[name].input]
    assert "image" in seen


def test_a_layer_called_twice_keeps_two_scopes():
    dense = keras.layers.Dense(4, name="shared")
    inputs = [keras.Input((4,), name="left"), keras.Input((4,), name="right")]
    outputs = keras.layers.Add(name="sum")([dense(inputs[0]), dense(dense(inputs[1]))])
    nodes = [node.name for node in forward_graph(keras.Model(inputs, outputs)).node]
    assert len(set(nodes)) == len(nodes)
    assert sum("MatMul" in name for name in nodes) == 3


def test_a_model_without_known_inputs_trains_without_graphs(tmp_path):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

    model = Subclassed()
    model.compile("sgd", "mse", run_eagerly=True)
    callbacks = Run(tmp_path, show_progress=False).callbacks("only", epochs=1)
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=callbacks)
    assert not [e for e in events(tmp_path / "only" / "train") if e.graph_def]


@pytest.mark.parametrize(
    "numbers",
    [
        np.random.default_rng(0).normal(size=(50, 20)),
        np.arange(31.0),
        np.array([-1e30, 0, 1e30], np.float32),
        np.array([3.0]),
    ],
)
def test_histogram_counts_as_numpy_does(numbers):
    ours = histogram(numbers)
    low, high = numbers.min(), numbers.max()
    limits = (low, high) if low < high else (low - 0.5, high + 0.5)
    counts, edges = np.histogram(numbers.astype(np.float64), 30, range=limits)
    np.testing.assert_allclose(ours[:, 0], edges[:-1])
    np.testing.assert_allclose(ours[:, 1], edges[1:])
    # A value on an edge may fall to either side.
    assert np.abs(np.cumsum(ours[:, 2]) - np.cumsum(counts)).max() <= 1
    assert ours[:, 2].sum() == numbers.size


def test_weights_that_burst_still_have_a_histogram():
    assert histogram(np.array([np.nan, np.inf])).shape == (0, 3)
    assert histogram(np.array([np.nan, 1.0, 2.0]))[:, 2].sum() == 2
    assert histogram(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("shape", [(3, 5, 6), (3, 5, 6, 1), (3, 5, 6, 3)])
def test_images_come_back(shape, tmp_path):
    run = Run(tmp_path)
    run.image("digits", np.full(shape, 7, np.uint8), step=2)
    found, plugins = values(tmp_path / "images")
    assert plugins["digits"] == "images"
    ((step, (width, height, *pngs)),) = found["digits"]
    assert (step, width, height, len(pngs)) == (2, b"6", b"5", 3)
    assert tf.io.decode_png(pngs[0]).numpy().max() == 7


def test_images_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"got shape \(3, 5, 6, 2\)"):
        Run(tmp_path).image("digits", np.zeros((3, 5, 6, 2)))


def test_scalars_and_text(tmp_path):
    run = Run(tmp_path)
    run.scalars("speed", {"images_per_second": 5}, 3)
    run.text("summary", "# Title")
    found, _ = values(tmp_path / "speed")
    assert found["images_per_second"] == [(3, 5.0)]
    found, plugins = values(tmp_path / "text")
    assert found["summary"][0][1].ravel().tolist() == [b"# Title"]
    assert plugins["summary"] == "text"


def session_of(folder):
    for event in events(folder):
        for value in event.summary.value:
            if value.tag == hparams_metadata.SESSION_START_INFO_TAG:
                content = value.metadata.plugin_data.content
                return hparams_metadata.parse_session_start_info_plugin_data(content)
    return None


def test_a_study_is_one_session_per_trial(tmp_path):
    run = Run(tmp_path)
    for index in range(3):
        settings = {"rate": 10.0**-index, "hidden": (64, index), "norm": index > 1}
        run.hparams(f"trial_{index}", settings, {"accuracy": 0.9 + index / 100})
    session = session_of(tmp_path / "study" / "trial_2")
    assert session.group_name == "trial_2"
    assert session.hparams["rate"].number_value == 0.01
    assert session.hparams["hidden"].string_value == "(64, 2)"
    assert session.hparams["norm"].bool_value
    found, _ = values(tmp_path / "study" / "trial_2")
    assert found["accuracy"][0][1] == pytest.approx(0.92)


def test_a_trial_written_again_takes_the_place_of_the_first(tmp_path):
    run = Run(tmp_path)
    run.hparams("trial", {"rate": 0.1}, {"accuracy": 0.5})
    run.hparams("trial", {"rate": 0.1}, {"accuracy": 0.6})
    found, _ = values(tmp_path / "study" / "trial")
    assert [float(value) for _, value in found["accuracy"]] == [pytest.approx(0.6)]


def test_the_projector_finds_its_files(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(10, 4))
    labels = ["T-shirt\ttop", "two\nlines", *range(8)]
    run = Run(tmp_path)
    run.projector("features", vectors, labels, np.zeros((10, 8, 6)))
    folder = tmp_path / "features"
    text = (folder / "projector_config.pbtxt").read_text()
    (embedding,) = text_format.Parse(text, ProjectorConfig()).embeddings
    assert embedding.tensor_name == "features"
    stored = np.loadtxt(folder / embedding.tensor_path, delimiter="\t")
    np.testing.assert_allclose(stored, vectors, rtol=1e-5)
    names = (folder / embedding.metadata_path).read_text().splitlines()
    assert names == ["T-shirt top", "two lines", *"01234567"]
    assert list(embedding.sprite.single_image_dim) == [6, 8]
    sheet = tf.io.decode_png((folder / embedding.sprite.image_path).read_bytes())
    assert sheet.shape == (4 * 8, 4 * 6, 3)
    assert list(folder.glob("*tfevents*")), "the projector looks for event files"


@pytest.mark.parametrize(
    ("vectors", "labels", "images"),
    [
        (np.zeros(3), [1, 2, 3], None),
        (np.zeros((3, 2)), [1, 2], None),
        (np.zeros((3, 2)), [1, 2, 3], np.zeros((2, 4, 4))),
        (np.zeros((0, 2)), [], None),
    ],
)
def test_points_without_labels_are_refused(vectors, labels, images, tmp_path):
    with pytest.raises(ValueError, match="one label and one image each"):
        Run(tmp_path).projector("features", vectors, labels, images)


def test_sprites_stand_row_by_row():
    images = np.zeros((3, 2, 2, 3), np.uint8)
    images[1] = 50
    sheet, height, width = sprite_sheet(images)
    assert (sheet.shape, height, width) == ((4, 4, 3), 2, 2)
    assert (sheet[:2, 2:] == 50).all() and (sheet[:2, :2] == 0).all()
    assert (sheet[2:, 2:] == 255).all()


def test_many_sprites_are_thinned_out_to_what_webgl_takes():
    sheet, height, width = sprite_sheet(np.zeros((150 * 150, 32, 32), np.uint8))
    assert max(sheet.shape) <= 4096
    assert (height, width) == (16, 16)


def test_a_disk_without_room_is_noticed(tmp_path, monkeypatch):
    run = Run(tmp_path)
    usage = SimpleNamespace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="no space left on device; make room there"):
        run.scalars("speed", {"x": 1.0}, 0)


def test_an_error_of_the_writer_is_one_line(tmp_path, monkeypatch):
    message = (
        "{{function_node __wrapped__Flush}} /runs/events.v2; No space left on device"
    )

    def fail(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, message)

    monkeypatch.setattr(tf.summary, "scalar", fail)
    with pytest.raises(UserError, match="speed: no space left on device; make room"):
        Run(tmp_path).scalars("speed", {"x": 1.0}, 0)
