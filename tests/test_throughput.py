import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfcourse import stream_figures
from tfcourse.pipeline_speed import plain_gather
from tfcourse.pipelines import Pipelines
from tfcourse.throughput import (
    images_per_second,
    median_ratio,
    rates_in_turns,
    slow_records,
    with_busy_accelerator,
    write_png_files,
)


class FakeTime:
    """A clock that only goes on when a batch is made."""

    def __init__(self):
        self.now = 1_000.0

    def clock(self):
        return self.now

    def batches(self, sizes, seconds):
        for size, duration in zip(sizes, seconds, strict=True):
            self.now += duration
            yield np.zeros((size, 2, 2)), np.zeros(size)


def test_the_warm_up_is_not_counted():
    fake = FakeTime()
    batches = fake.batches([1_000, 10, 10, 10, 10], [60.0, 1.0, 1.0, 1.0, 1.0])
    rate = images_per_second(
        batches, window_seconds=4.0, warmup_seconds=0.0, clock=fake.clock
    )
    assert rate == 10


def test_images_are_counted_and_not_batches():
    fake = FakeTime()
    batches = fake.batches([8, 8, 8, 2], [1.0] * 4)
    rate = images_per_second(
        batches, window_seconds=3.0, warmup_seconds=0.0, clock=fake.clock
    )
    assert rate == 6


def test_the_window_ends_with_a_whole_batch():
    fake = FakeTime()
    batches = fake.batches([5, 5, 5], [1.0, 1.0, 9.0])
    rate = images_per_second(
        batches, window_seconds=2.0, warmup_seconds=0.0, clock=fake.clock
    )
    assert rate == 1


def test_the_default_warm_up_is_as_long_as_the_window():
    fake = FakeTime()
    batches = fake.batches([1] * 3 + [100] * 3, [1.0] * 6)
    rate = images_per_second(batches, window_seconds=3.0, clock=fake.clock)
    assert rate == 100


def test_candidates_take_turns_and_every_second_round_runs_backwards():
    asked = []

    def measure(name):
        asked.append(name)
        return len(asked)

    rates = rates_in_turns({"a": "a", "b": "b"}, measure, num_rounds=3)
    assert asked == ["a", "b", "b", "a", "a", "b"]
    assert rates == {"a": [1, 4, 5], "b": [2, 3, 6]}


@pytest.mark.parametrize(("candidates", "num_rounds"), [({}, 1), ({"a": 1}, 0)])
def test_nothing_to_compare_is_refused(candidates, num_rounds):
    with pytest.raises(ValueError, match="at least one candidate and one round"):
        rates_in_turns(candidates, float, num_rounds=num_rounds)


def test_a_slow_moment_does_not_move_the_ratio():
    assert median_ratio([20, 2, 20], [10, 1, 10]) == 2


def test_the_busy_accelerator_hands_every_batch_on():
    assert list(with_busy_accelerator([1, 2, 3], 0.0)) == [1, 2, 3]


@pytest.fixture
def pipelines(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 6, 5), np.uint8)
    labels = rng.integers(0, 3, 40)
    files = write_png_files(tmp_path / "png", images, labels)
    return Pipelines(images, labels, seed=3, files=files)


def test_files_hold_one_class_each_and_give_the_same_images_back(pipelines):
    assert len(pipelines.files) == 3
    expected = pipelines.sorted_by_class()
    for chain in ("records decode batch", "records batch decode*"):
        (images, labels), *more = pipelines.build(chain, batch_size=40)
        assert not more
        np.testing.assert_array_equal(labels, expected.labels)
        np.testing.assert_array_equal(images, expected.images)


def test_slow_files_hold_what_the_files_hold(pipelines):
    slow = list(slow_records(pipelines.files[0], seconds=0.0).as_numpy_iterator())
    assert slow == list(tf.data.TFRecordDataset(pipelines.files[0]).as_numpy_iterator())


@pytest.mark.parametrize(
    "chain",
    [
        "generator batch map",
        "slices map batch",
        "slices map* batch prefetch",
        "slices shuffle batch map bare",
        "indices shuffle batch gather*",
        "records decode cache shuffle batch map",
        "files interleave* batch decode map",
    ],
)
def test_every_way_gives_the_same_pairs(pipelines, chain):
    def pairs(images, labels):
        pixels = np.rint(np.reshape(images, (len(images), -1)) * 255).astype(int)
        return sorted(zip(map(tuple, pixels.tolist()), labels.tolist(), strict=True))

    batches = list(pipelines.build(chain, batch_size=7).as_numpy_iterator())
    images, labels = map(np.concatenate, zip(*batches, strict=True))
    assert images.dtype == np.float32
    assert [len(labels) for _, labels in batches] == [7] * 5 + [5]
    assert pairs(images, labels) == pairs(pipelines.images / 255, pipelines.labels)


def test_a_buffer_behind_batch_holds_as_many_examples(pipelines):
    batches = pipelines.stream("batch shuffle", batch_size=10, buffer_size=11)
    # Two batches in the buffer: the third can't be the first.
    assert batches[0][0] in (0, 10)


def test_augmented_images_stay_in_their_range(pipelines):
    images, _ = next(iter(pipelines.build("slices batch augment", batch_size=40)))
    assert 0 <= np.min(images) and np.max(images) <= 1
    assert not np.allclose(images, pipelines.images / 255)


def test_an_unknown_step_is_refused(pipelines):
    with pytest.raises(ValueError, match="steps are .*; got 'shufle'"):
        pipelines.build("slices shufle batch")


def test_the_plain_gather_shows_every_image_with_its_label():
    images = np.arange(10, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    batches = plain_gather(images, np.arange(10), batch_size=4, seed=0)
    for _ in range(2):
        seen = []
        for batch, labels in itertools.islice(batches, 3):
            np.testing.assert_allclose(batch[:, 0, 0] * 255, labels, rtol=1e-6)
            seen += labels.tolist()
        assert sorted(seen) == list(range(10))


def test_figures_of_streams_have_their_panels():
    order = np.random.default_rng(0).permutation(1_000)
    sweep = {"1 ahead": {1: 10.0, 2: 20.0}, "8 ahead": {1: 11.0, 2: 19.0}}
    figures = {
        stream_figures.stream_panels({"a": [np.arange(4)], "b": [np.arange(4)]}, 2): 2,
        stream_figures.mixing_curves({1: 0.0, 10: 7.0}, order, 10): 2,
        stream_figures.buffer_costs({"a": 1.0}, {"a": [0.5, 0.6]}, best_entropy=2.0): 2,
        stream_figures.rate_bars({"group": {"slow": 10.0, "fast": 1e6}}): 1,
        stream_figures.sweep_panels({"a": sweep, "b": sweep}, {"a": 18, "b": 9}): 2,
    }
    for figure, num_panels in figures.items():
        figure.canvas.draw()
        assert len(figure.axes) == num_panels
