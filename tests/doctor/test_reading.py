"""Reading event files: what is written comes back, and damage invents nothing."""

import io
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto import event_pb2, summary_pb2, types_pb2
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from tfcourse.doctor import event_files, series
from tfcourse.doctor.event_files import masked_crc32c
from tfcourse.doctor.reading import find_runs, read_run
from tfcourse.doctor.series import Budget, HistogramBuilder, SeriesBuilder
from tfcourse.errors import UserError

NAME = "events.out.tfevents.{}.host.1.0.v2"


def value(tag, content, plugin=""):
    """Return a summary's value: a number, a proto's field, or a tensor's array."""
    made = summary_pb2.Summary.Value(tag=tag)
    if isinstance(content, float):
        made.simple_value = content
    elif isinstance(content, summary_pb2.HistogramProto):
        made.histo.CopyFrom(content)
    else:
        made.tensor.CopyFrom(tensor_util.make_tensor_proto(content))
    made.metadata.plugin_data.plugin_name = plugin
    return made


def event(step, *values, wall_time=1000.0):
    made = event_pb2.Event(wall_time=wall_time, step=step)
    made.summary.value.extend(values)
    return made


def encoded(*events):
    file = io.BytesIO()
    writer = RecordWriter(file)
    version = event_pb2.Event(wall_time=1000.0, file_version="brain.Event:2")
    for each in (version, *events):
        writer.write(each.SerializeToString())
    return file.getvalue()


def write(folder, *events, time=1):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME.format(time)
    path.write_bytes(encoded(*events))
    return path


def curve(tag, numbers, first=0):
    return [
        event(first + step, value(tag, float(number)))
        for step, number in enumerate(numbers)
    ]


def points(series):
    return dict(zip(series.steps.tolist(), series.values.tolist(), strict=True))


LOSSES = [2.0, 1.5, 1.25, 1.0]
# Read once: the property tests compare with what a whole file holds.
WHOLE = encoded(
    *curve("epoch_loss", LOSSES),
    event(0, value("weights/kernel", np.array([[0.0, 1.0, 3.0], [1.0, 2.0, 4.0]]))),
    event(0, value("doctor/facts", np.array(b'{"model": {}}', dtype=object), "doctor")),
)


@given(
    st.binary(max_size=200)
    | st.integers(0, 40_000).map(
        lambda n: bytes(range(256)) * (n // 256) + bytes(n % 256)
    )
)
@settings(max_examples=40, deadline=None)
def test_the_checksum_is_tensorboards(data):
    assert masked_crc32c(data) == pywrap_tensorflow.masked_crc32c(data)


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u4", "u8", "?"]
)
def test_scalars_of_every_dtype(tmp_path, dtype):
    number = np.array(1, dtype=dtype)
    as_content = value("content", number, "scalars")
    as_content.tensor.CopyFrom(tensor_util.make_tensor_proto(number))
    as_content.tensor.tensor_content = number.tobytes()
    write(tmp_path, event(3, as_content, value("field", number)))
    train = read_run(tmp_path).train
    assert points(train["content"]) == points(train["field"]) == {3: 1.0}


def test_bfloat16(tmp_path):
    made = value("loss_b", 0.0)
    made.tensor.dtype = types_pb2.DT_BFLOAT16
    made.tensor.tensor_content = struct.pack("<f", -2.5)[2:]
    write(tmp_path, event(0, made))
    assert points(read_run(tmp_path).train["loss_b"]) == {0: -2.5}


def test_both_kinds_of_histograms(tmp_path):
    proto = summary_pb2.HistogramProto(
        min=-1, max=2, bucket_limit=[-1.1, 0, 1e300], bucket=[0, 2, 3]
    )
    table = np.array([[-1.0, 0.0, 2.0], [0.0, 2.0, 3.0]])
    write(tmp_path, event(5, value("a", proto), value("b", table, "histograms")))
    for tag in "ab":
        (histogram,) = read_run(tmp_path).histograms[tag]
        assert histogram.step == 5
        assert histogram.edges.tolist() == [-1, 0, 2]
        assert histogram.counts.tolist() == [2, 3]


def test_what_is_no_number_and_no_histogram_is_left_out(tmp_path):
    write(
        tmp_path,
        event(0, value("text", np.array(b"hi", dtype=object), "text")),
        event(0, value("long", np.arange(7.0))),
        event(0, value("h", np.array([[1.0, 0.0, np.nan]]), "histograms")),
    )
    hostile = value("huge", np.float32(1))
    hostile.tensor.tensor_shape.dim.add(size=2**40)
    write(tmp_path, event(0, hostile), time=2)
    record = read_run(tmp_path)
    assert (record.train, record.histograms, record.problems) == ({}, {}, [])


@given(cut=st.integers(0, len(WHOLE)))
@settings(max_examples=60, deadline=None)
def test_a_cut_file_gives_what_was_whole(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("run")
    (folder / NAME.format(1)).write_bytes(WHOLE[:cut])
    record = read_run(folder)
    found = points(record.train["epoch_loss"]) if record.train else {}
    assert list(found.values()) == LOSSES[: len(found)]
    assert record.problems == []


@given(place=st.integers(0, len(WHOLE) - 1), flip=st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_a_changed_byte_invents_nothing(tmp_path_factory, place, flip):
    folder = tmp_path_factory.mktemp("run")
    damaged = bytearray(WHOLE)
    damaged[place] ^= flip
    (folder / NAME.format(1)).write_bytes(damaged)
    record = read_run(folder)
    found = points(record.train["epoch_loss"]) if record.train else {}
    assert list(found.values()) == LOSSES[: len(found)]
    assert len(record.problems) == 1
    assert record.facts is None or record.facts == {"model": {}}


@given(data=st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes_under_a_right_checksum_raise_nothing(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("run")
    file = io.BytesIO(encoded(*curve("epoch_loss", LOSSES)))
    file.seek(0, os.SEEK_END)
    RecordWriter(file).write(data)
    (folder / NAME.format(1)).write_bytes(file.getvalue())
    assert points(read_run(folder).train["epoch_loss"])[0] == 2.0


@given(
    rows=st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=24)
        ),
        max_size=30,
    ),
    wall_time=st.floats(),
)
@settings(max_examples=100, deadline=None)
def test_any_steps_and_numbers_are_read(tmp_path_factory, rows, wall_time):
    folder = tmp_path_factory.mktemp("run")
    events = []
    for step, number, data in rows:
        dtype = [types_pb2.DT_DOUBLE, types_pb2.DT_FLOAT, types_pb2.DT_HALF][
            len(data) % 3
        ]
        table = value("h", np.array([[number, number, 1.0]]), "histograms")
        table.tensor.tensor_content = data
        half = value("bits", np.float32(0))
        half.tensor.dtype, half.tensor.tensor_content = dtype, data[:8]
        proto = summary_pb2.HistogramProto(
            min=-number, max=number, bucket_limit=[number, 1e308], bucket=[1, number]
        )
        double = value("loss", np.float64(number))
        values = (table, half, value("p", proto), double, value("val_loss", number / 2))
        events.append(event(step, *values, wall_time=wall_time))
    write(folder, *events)
    record = read_run(folder)
    assert record.problems == []
    for found in (*record.train.values(), *record.validation.values()):
        assert (np.diff(found.steps.astype(object)) > 0).all()
    for kept in record.histograms.values():
        assert all((h.edges[1:] >= h.edges[:-1]).all() for h in kept)


def test_the_next_file_is_read_after_a_damaged_one(tmp_path):
    path = write(tmp_path, *curve("epoch_loss", LOSSES))
    path.write_bytes(path.read_bytes()[:-3] + b"???")
    write(tmp_path, *curve("epoch_loss", [0.5], first=4), time=2)
    record = read_run(tmp_path)
    assert points(record.train["epoch_loss"]) == {0: 2.0, 1: 1.5, 2: 1.25, 4: 0.5}
    (problem,) = record.problems
    assert "is damaged at byte" in problem and path.name in problem


def test_foreign_files_are_named_or_passed_over(tmp_path):
    write(tmp_path, *curve("epoch_loss", LOSSES))
    (tmp_path / "result.json").write_text("{}")
    (tmp_path / "notes.tfevents.txt").write_text("These are my notes, no events.")
    os.mkfifo(tmp_path / "pipe.tfevents")
    (tmp_path / "empty.tfevents").touch()
    record = read_run(tmp_path)
    assert len(record.train["epoch_loss"]) == 4
    assert sorted(line.split(" ", 1) for line in record.problems) == [
        [
            "notes.tfevents.txt",
            "is no event file, or damaged from its first byte: ignored",
        ],
        ["pipe.tfevents", "is not a regular file: ignored"],
    ]


def test_records_of_another_kind_are_no_events(tmp_path):
    with open(tmp_path / "train.tfevents.tfrecord", "wb") as file:
        RecordWriter(file).write(b"\x0a\x03abc")  # As a tf.train.Example begins.
    assert "holds no events" in read_run(tmp_path).problems[0]


def test_a_record_too_large_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(event_files, "MAX_RECORD_BYTES", 500)
    large = event(0, value("text", np.array(b"x" * 600, dtype=object), "text"))
    write(tmp_path, large, *curve("epoch_loss", LOSSES))
    record = read_run(tmp_path)
    assert len(record.train["epoch_loss"]) == 4
    assert "left out" in record.problems[0]


def test_a_restarted_run_replaces_what_it_does_again(tmp_path):
    write(tmp_path, *curve("epoch_loss", [2, 1.8, 1.6, 1.4]), time=9)
    write(tmp_path, *curve("epoch_loss", [1.5, 1.3], first=2), time=10)
    expected = {0: 2.0, 1: pytest.approx(1.8), 2: 1.5, 3: pytest.approx(1.3)}
    assert points(read_run(tmp_path).train["epoch_loss"]) == expected
    write(tmp_path, *curve("epoch_loss", [3.0]), time=11)
    assert points(read_run(tmp_path).train["epoch_loss"]) == {0: 3.0}


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[1]",
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 60 + b"1" + b"}" * 60,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
    ids=["cut", "list", "no UTF-8", "deep", "quite deep", "long number"],
)
def test_hostile_json_is_one_line(tmp_path, text):
    array = np.array(text, dtype=object)
    write(tmp_path, event(0, value("doctor/facts", array, "doctor")))
    record = read_run(tmp_path)
    assert record.recorded and record.facts is None
    assert record.problems == [
        "doctor/facts can't be read: not the JSON that Recorder writes"
    ]


def test_a_recording_says_when_it_has_ended(tmp_path):
    def doctor(tag, content):
        array = np.array(json.dumps(content).encode(), dtype=object)
        return event(0, value(f"doctor/{tag}", array, "doctor"))

    begun = [doctor("facts", {"model": {}}), doctor("probes", {"when": "start"})]
    write(tmp_path, *begun, time=1)
    assert not read_run(tmp_path).finished
    write(tmp_path, doctor("probes", {"when": "end"}), time=2)
    record = read_run(tmp_path)
    assert record.finished and record.facts == {"model": {}}
    assert [probe["when"] for probe in record.probes] == ["start", "end"]
    write(tmp_path, *begun, time=3)
    assert not read_run(tmp_path).finished


def test_a_foreign_run_has_ended_when_it_is_silent(tmp_path):
    import time

    now = time.time()
    for place, (wall_time, finished) in enumerate([(now, False), (now - 90, True)]):
        events = curve("loss", LOSSES)
        for i, each in enumerate(events):
            each.wall_time = wall_time - 20 * (len(events) - 1 - i)
        version = encoded()
        folder = tmp_path / str(place)
        path = write(folder, *events)
        # The version event is older: drop it.
        path.write_bytes(path.read_bytes()[len(version) :])
        assert read_run(folder).finished is finished


def test_keras_and_recorder_layouts(tmp_path):
    write(tmp_path / "keras/train", *curve("epoch_loss", LOSSES))
    write(tmp_path / "keras/validation", *curve("epoch_loss", [3.0]))
    write(tmp_path / "mine", *curve("epoch_loss", LOSSES))
    write(tmp_path / "mine/validation", *curve("epoch_loss", [3.0]))
    for folder in ("keras", "mine"):
        record = read_run(tmp_path / folder)
        assert record.name == folder
        assert len(record.train["epoch_loss"]) == 4
        assert points(record.validation["epoch_loss"]) == {0: 3.0}
    assert [path.name for path in find_runs(tmp_path)] == ["keras", "mine"]


def test_a_run_of_an_exercise(tmp_path):
    image = summary_pb2.Summary.Value(tag="figures/a")
    image.image.encoded_image_string = b"png"
    hparams = value("_hparams_/session_start_info", np.float32(0), "hparams")
    write(tmp_path / "figures", event(0, image))
    write(tmp_path / "study/0", event(0, hparams), event(0, value("accuracy", 0.5)))
    write(tmp_path / "deep/train", *curve("epoch_loss", LOSSES))
    write(tmp_path / "run_10", *curve("loss", LOSSES))
    write(tmp_path / "run_2", *curve("loss", LOSSES))
    names = [path.relative_to(tmp_path).as_posix() for path in find_runs(tmp_path)]
    assert names == ["deep", "run_2", "run_10"]


def test_a_folder_called_validation_may_be_a_run(tmp_path):
    write(tmp_path / "validation", *curve("loss", LOSSES))
    assert find_runs(tmp_path) == [tmp_path / "validation"]


def test_links_in_circles_end(tmp_path):
    write(tmp_path / "a", *curve("loss", LOSSES))
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert find_runs(tmp_path) == [tmp_path / "a"]


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        ("loss", "val_loss"),
        ("Loss/train", "Loss/val"),
        ("train_loss", "valid_loss"),
        ("train/loss", "eval/loss"),
        ("loss/training", "loss/validation"),
        ("train_loss_epoch", "val_loss_epoch"),
        ("Loss/train", "Loss/test"),
    ],
)
def test_flat_scalars_get_keras_names(tmp_path, train, validation):
    write(tmp_path, *curve(train, LOSSES), *curve(validation, [3.0] * 4))
    record = read_run(tmp_path)
    assert points(record.train["epoch_loss"])[3] == 1.0
    assert points(record.validation["epoch_loss"])[3] == 3.0
    assert record.aliases == {
        "train/epoch_loss": train,
        "validation/epoch_loss": validation,
    }


def test_what_is_not_clear_keeps_its_name(tmp_path):
    tags = ["loss_G", "train_val_loss", "reward", "accuracy/classes/3"]
    write(tmp_path, *[event(0, value(tag, 1.0)) for tag in tags])
    record = read_run(tmp_path)
    assert set(record.train) == set(tags) and not record.validation


def test_a_loss_of_each_step_becomes_a_mean_per_epoch(tmp_path):
    steps = np.arange(100.0)
    checks = [event(step, value("val_loss", 1.0)) for step in (49, 99)]
    write(tmp_path, *curve("loss", steps), *checks)
    record = read_run(tmp_path)
    assert points(record.train["epoch_loss"]) == {49: 24.5, 99: 74.5}
    assert len(record.train["step/loss"]) == 100


def test_checks_that_count_epochs_get_as_many_means(tmp_path):
    write(tmp_path, *curve("train/loss", range(1, 401)), *curve("val/loss", [1.0, 2.0]))
    assert points(read_run(tmp_path).train["epoch_loss"]) == {0: 100.5, 1: 300.5}


def test_thousands_of_losses_without_checks_are_steps(tmp_path):
    write(tmp_path, *curve("loss", range(5000)))
    record = read_run(tmp_path)
    found = points(record.train["epoch_loss"])
    assert len(found) == 100 and found[49] == 24.5 and found[4999] == 4974.5
    assert len(record.train["step/loss"]) == 5000


def test_the_same_tags_in_two_folders(tmp_path):
    write(tmp_path / "train", *curve("loss", LOSSES), *curve("accuracy", [0.5]))
    write(tmp_path / "test", *curve("loss", [3.0]))
    record = read_run(tmp_path)
    assert points(record.train["epoch_loss"])[3] == 1.0
    assert points(record.train["epoch_accuracy"]) == {0: 0.5}
    assert points(record.validation["epoch_loss"]) == {0: 3.0}
    assert find_runs(tmp_path) == [tmp_path]


# Keras's callback reads the learning rate by a way that numpy 2 warns about.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_what_keras_writes(tmp_path):
    import keras

    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae"])
    board = keras.callbacks.TensorBoard(tmp_path, histogram_freq=1, update_freq=1)
    data = np.ones((8, 3)), np.ones((8, 2))
    history = model.fit(
        *data,
        epochs=3,
        batch_size=4,
        validation_data=data,
        verbose=0,
        callbacks=[board],
    ).history
    record = read_run(tmp_path)
    for tag, key in (("epoch_loss", "loss"), ("epoch_mae", "mae")):
        found = record.train[tag].values
        np.testing.assert_allclose(found, history[key], rtol=1e-6)
        found = record.validation[tag].values
        np.testing.assert_allclose(found, history[f"val_{key}"], rtol=1e-6)
    assert len(record.train["batch_loss"]) == 6
    assert [len(kept) for kept in record.histograms.values()] == [3, 3]
    assert (record.recorded, record.problems, record.aliases) == (False, [], {})
    assert find_runs(tmp_path) == [tmp_path]


def test_a_million_steps_keep_their_shape():
    builder = SeriesBuilder(Budget())
    for step in range(300_000):
        builder.add(step, float(step % 1000))
    builder.add(300_000, 1e6)
    builder.add(300_001, float("nan"))
    for step in range(300_002, 1_000_000):
        builder.add(step, 1.0)
    found = builder.build()
    assert len(found) <= series.MAX_POINTS
    assert (np.diff(found.steps) > 0).all() and np.diff(found.steps).max() < 1100
    kept = points(found)
    assert kept[300_000] == 1e6 and np.isnan(kept[300_001])
    assert {0, 999_999} <= set(kept)


@given(
    st.lists(
        st.tuples(st.integers(0, 2000), st.floats(width=32)), min_size=1, max_size=300
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_thinning_keeps_ends_extremes_and_onsets(monkeypatch_session, written):
    builder = SeriesBuilder(Budget())
    ordered = sorted(dict(written).items())
    for step, number in ordered:
        builder.add(step, number)
    found = builder.build()
    assert len(found) <= 40
    kept, everything = points(found), dict(ordered)
    assert all(
        kept[step] == everything[step] or np.isnan(everything[step]) for step in kept
    )
    assert ordered[0][0] in kept and ordered[-1][0] in kept
    finite = [number for number in everything.values() if np.isfinite(number)]
    if finite:
        found_finite = [number for number in kept.values() if np.isfinite(number)]
        assert min(found_finite) == min(finite) and max(found_finite) == max(finite)
    first = next((s for s, number in ordered if not np.isfinite(number)), None)
    assert first is None or first in kept


@pytest.fixture(scope="module")
def monkeypatch_session():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series, "MAX_POINTS", 40)
        yield


def test_histograms_are_few():
    from tfcourse.doctor.event_values import Histogram

    builder = HistogramBuilder()
    for step in range(1000):
        builder.add(Histogram(step, np.zeros(2), np.zeros(1)))
    steps = [histogram.step for histogram in builder.build()]
    assert len(steps) <= series.MAX_HISTOGRAMS
    assert steps[0] == 0 and steps[-1] == 999 and len(steps) > 10
    builder.add(Histogram(0, np.zeros(2), np.zeros(1)))
    assert [histogram.step for histogram in builder.build()] == [0]


def test_too_many_tags_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("tfcourse.doctor.reading.MAX_TAGS", 3)
    write(tmp_path, event(0, *[value(f"t{i}", 1.0) for i in range(9)]))
    record = read_run(tmp_path)
    assert len(record.train) == 3 and len(record.problems) == 1


def test_only_nan_is_read_as_it_is(tmp_path):
    write(tmp_path, *curve("epoch_loss", [float("nan")] * 3))
    record = read_run(tmp_path)
    assert np.isnan(record.train["epoch_loss"].values).all() and not record.problems


def test_an_empty_event_file_is_a_run_that_begins(tmp_path):
    (tmp_path / NAME.format(1)).touch()
    record = read_run(tmp_path)
    assert record.train == {} and record.problems == []
    assert find_runs(tmp_path) == [tmp_path]


def test_wrong_folders_are_one_line(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        read_run(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file: name the folder of a run"):
        read_run(tmp_path / "file")
    with pytest.raises(UserError, match="no event files in"):
        read_run(tmp_path)
    write(tmp_path / "runs" / "a", *curve("loss", LOSSES))
    with pytest.raises(UserError, match="holds 1 runs: name one"):
        read_run(tmp_path / "runs")
    assert find_runs(tmp_path / "runs") == [tmp_path / "runs" / "a"]


def test_what_may_not_be_read_is_one_line(tmp_path, monkeypatch):
    path = write(tmp_path, *curve("epoch_loss", LOSSES))
    # Permissions don't hold for root, so the refusal is played.
    opened = open

    def refuse(name, *arguments, **options):
        if Path(name) == path:
            raise PermissionError(13, "Permission denied")
        return opened(name, *arguments, **options)

    monkeypatch.setattr("builtins.open", refuse)
    record = read_run(tmp_path)
    assert record.problems == [f"{path.name} can't be read: permission denied"]

    def refuse_folder(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse_folder)
    with pytest.raises(UserError, match="can't read .*: permission denied"):
        read_run(tmp_path)


def test_no_tensorflow_is_loaded(tmp_path):
    write(tmp_path, *curve("epoch_loss", LOSSES))
    program = (
        "import sys; from tfcourse.doctor.reading import read_run; "
        "read_run(sys.argv[1]); print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()", done.stderr
