"""Profiles and graphs, written as TensorBoard reads them and read back."""

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfcourse.profiles import read_profile, write_graph, write_profile

X = tf.ones([4, 4])


def three_products(x):
    """Four operations: three products of matrices and one sum."""
    for _ in range(3):
        x = tf.matmul(x, x)
    return tf.add(x, x)


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profiles")
    functions = {
        "eager": three_products,
        "graph": tf.function(three_products),
        "xla": tf.function(three_products, jit_compile=True),
    }
    found = {}
    for name, function in functions.items():
        function(X)
        write_profile(folder / name, lambda function=function: function(X), 4)
        found[name] = read_profile(folder / name)
    return found


def test_eagerly_python_hands_over_each_operation(profiles):
    profile = profiles["eager"]
    assert profile.dispatches["MatMul"] == 3
    assert profile.num_dispatches == profile.num_operations == 4
    assert profile.operations["MatMul"][0] == 3


def test_a_graph_is_handed_over_as_one_thing(profiles):
    assert profiles["graph"].num_dispatches == 1
    products = {k: v for k, v in profiles["graph"].operations.items() if "MatMul" in k}
    assert sum(count for count, _ in products.values()) == 3


def test_kernels_of_xla_are_found(profiles):
    assert profiles["xla"].num_dispatches == 1
    assert profiles["xla"].num_operations >= 1
    assert all(name.startswith("XLA: ") for name in profiles["xla"].operations)


def test_operations_take_a_part_of_the_step(profiles):
    for profile in profiles.values():
        assert 0 < profile.operation_microseconds
    assert profiles["eager"].operation_microseconds < profiles["eager"].microseconds


def test_a_second_profile_takes_the_place_of_the_first(tmp_path):
    for num_steps in (1, 2):
        write_profile(tmp_path, lambda: tf.add(X, X), num_steps)
    assert len(list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))) == 1
    assert read_profile(tmp_path).dispatches == {"AddV2": 1.0}


def test_a_missing_profile_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no profile below"):
        read_profile(tmp_path)


def test_the_graph_is_what_tensorboard_reads(tmp_path):
    graph = tf.function(three_products)
    write_graph(tmp_path, graph, tf.TensorSpec([None, 4]))
    (path,) = tmp_path.glob("*tfevents*")
    events = EventAccumulator(str(path)).Reload()
    operations = [node.op for node in events.Graph().node]
    assert operations.count("MatMul") == 3 and "AddV2" in operations
