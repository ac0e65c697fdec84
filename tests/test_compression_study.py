"""Exercise 23's bookkeeping and comparisons, on tiny networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.weights.coder import CODER
from tfcourse import lenets
from tfcourse.compression_comparisons import (
    affine_arrays,
    copy_of,
)
from tfcourse.compression_metrics import metrics_of
from tfcourse.compression_study import Examples, Point, Study, pareto_front
from tfcourse.runs import Run
from tfcourse.taught_images import TaughtImages
from tfcourse.weights.packing import Sparse, unpack

SHAPE = (8, 8)


def point(num_bytes, test, val=0.0, method="all in sequence", network="n"):
    return Point(network, method, "", num_bytes, 0, val, test)


def test_the_front_is_what_no_other_point_beats():
    rng = np.random.default_rng(0)
    points = [
        point(int(b), a)
        for b, a in zip(rng.integers(1, 50, 60), rng.integers(0, 20, 60), strict=True)
    ]
    front = pareto_front(points)
    for candidate in points:
        beaten = any(
            (
                p.num_bytes <= candidate.num_bytes
                and p.test_accuracy > candidate.test_accuracy
            )
            or (
                p.num_bytes < candidate.num_bytes
                and p.test_accuracy == candidate.test_accuracy
            )
            for p in points
        )
        values = [(p.num_bytes, p.test_accuracy) for p in front]
        is_there = (candidate.num_bytes, candidate.test_accuracy) in values
        assert is_there == (not beaten)
    assert front == sorted(front, key=lambda p: p.num_bytes)


@pytest.fixture
def study(tmp_path):
    rng = np.random.default_rng(0)

    def part(count):
        return rng.random((count, *SHAPE), dtype=np.float32), rng.integers(0, 4, count)

    examples = Examples(part(64), part(32), part(32))
    run = Run(tmp_path / "run", show_progress=False)
    return Study(
        run,
        examples,
        CODER,
        batch_size=16,
        learning_rate=0.01,
        max_shift=1.0,
        seed=0,
    )


def tiny(name="tiny"):
    keras.utils.set_random_seed(1)
    return lenets.mlp((10, 6), image_shape=SHAPE, num_classes=4, name=name)


def test_a_file_is_as_long_as_is_said_and_gives_the_model(study):
    model = tiny()
    arrays = [Sparse(weights) for weights in model.get_weights()]
    twin = copy_of(model)
    measured = study.measure_file(twin, arrays, "as it is", "a setting")
    (path,) = (study.run.directory / "files").iterdir()
    assert path.stat().st_size == measured.num_bytes
    for restored, weights in zip(
        unpack(path.read_bytes(), CODER), model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(restored, weights)
    images, labels = study.examples.test
    right = np.mean(np.argmax(model(images), -1) == labels)
    assert measured.test_accuracy == pytest.approx(right)
    assert "| tiny | as it is | a setting |" in study.table()


def test_a_coder_that_loses_weights_is_noticed(study):
    import dataclasses

    def one_less(symbols, lengths, count):
        values = CODER.decode(symbols, lengths, count)
        return np.roll(values, 1)

    study.coder = dataclasses.replace(CODER, decode=one_less)
    rng = np.random.default_rng(0)
    weights = [w * (rng.random(w.shape) < 0.3) for w in tiny().get_weights()]
    arrays = [Sparse(w.astype(np.float32)) for w in weights]
    with pytest.raises(ValueError, match=r"other weights|outside|leads to no"):
        study.measure_file(tiny(), arrays, "as it is")


def test_a_student_gets_labels_and_the_teachers_logits(study):
    student = tiny("student")
    images, labels = study.examples.train
    logits = np.tile(np.arange(4, dtype=np.float32), (len(labels), 1))
    targets = np.concatenate([labels[:, None], logits], axis=1).astype(np.float32)
    seen = []

    def loss(student_logits, teacher_logits, given):
        seen.append((student_logits.shape[1:], given.dtype))
        wrong = teacher_logits - tf.range(4, dtype=tf.float32)  # Must be 0.
        out_of_range = tf.cast((given < 0) | (given > 3), tf.float32)
        error = tf.reduce_mean((student_logits - teacher_logits) ** 2, axis=-1)
        return error + 1e6 * (tf.reduce_sum(tf.abs(wrong), -1) + out_of_range)

    taught = TaughtImages(images.astype(np.float16), targets)
    study.distil("tiny/taught", student, taught, loss, learning_rate=0.1, epochs=60)
    assert seen[0] == ((4,), tf.int32)
    answers = np.asarray(student(images))
    np.testing.assert_allclose(answers, logits, atol=0.5)
    assert study.seconds["tiny"] > 0


def test_affine_arrays_keep_biases_as_they_are():
    def quantise(weights, num_bits, axis):
        assert weights.ndim > 1 and (num_bits, axis) == (4, -1)
        lines = np.ones((1,) * weights.ndim, np.float32)
        return np.zeros(weights.shape, np.uint8), lines, np.zeros_like(lines, int)

    kinds = [type(array).__name__ for array in affine_arrays(tiny(), quantise, 4, -1)]
    assert kinds == ["Affine", "Raw"] * 3


def test_the_files_that_metrics_speak_of_are_chosen_on_validation(study):
    study.points = [
        point(1000, 0.90, 0.90, "float32"),
        point(100, 0.95, 0.90),
        point(50, 0.80, 0.89),  # Within a standard error of 0.05 on 32 images.
        point(20, 0.99, 0.50),
        point(90, 0.85, 0.9, "low rank, tuned"),
        point(110, 0.89, 0.9, "low rank, tuned"),
        point(300, 0.895, 0.9, "tfmot litert_int8"),
        point(40, 0.7, 0.9, "small CNN", "rivals"),
        point(45, 0.9, 0.8, "small CNN", "rivals"),
        point(400, 1.0, 1.0, "small CNN", "rivals"),
    ]
    study.seconds = {"n": 12.5}
    metrics = metrics_of(study, "n", "mlp", ("small CNN",))
    expected = {
        "mlp_accuracy": 0.9,
        "mlp_ratio": 20.0,
        "mlp_points_lost": 10.0,
        "mlp_smallest_ratio": 50.0,
        "mlp_smallest_error_percent": 1.0,
        "mlp_smallest_points_lost": -9.0,
        "mlp_low_rank_fewer_percent": 91.0,
        "mlp_low_rank_points_lost": 5.0,
        "mlp_int8_points_lost": 0.5,
        "mlp_train_seconds": 12.5,
        "mlp_points_over_rival": 10.0,
    }
    assert metrics == pytest.approx(expected)
