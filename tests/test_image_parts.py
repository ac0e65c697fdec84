import json
import math

import numpy as np

from tfcourse.data import load_arrays
from tfcourse.image_parts import load_image_parts, standardised
from tfcourse.runs import Run


def test_parts_are_stratified_complete_and_on_record(tmp_path):
    run = Run(tmp_path / "run", show_progress=False)
    options = {"val_fraction": 0.25, "seed": 3}
    parts, info = load_image_parts(run, "mnist", "embedded", **options)
    (images, labels), _ = load_arrays("mnist", "train")
    assert info.class_names == tuple("0123456789")
    train, val = parts["train"], parts["val"]
    assert train[0].dtype == np.uint8
    assert len(val[1]) == math.ceil(0.25 * len(labels))
    joined = np.concatenate([train[0], val[0]])
    flat = [np.sort([image.tobytes() for image in s]) for s in (joined, images)]
    np.testing.assert_array_equal(*flat)
    shares = [np.bincount(part[1]) / len(part[1]) for part in (train, val)]
    np.testing.assert_allclose(*shares, atol=0.01)
    again, _ = load_image_parts(run, "mnist", "embedded", **options)
    np.testing.assert_array_equal(again["val"][0], val[0])
    run.finish({}, {})
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert {info["split"] for info in result["data"]} == {"train", "test"}


def test_each_colour_is_standardised_by_the_training_images():
    rng = np.random.default_rng(0)
    scales = np.array([10.0, 20.0, 30.0])
    images = [rng.uniform(0, 4, (n, 5, 6, 3)) * scales for n in (40, 10)]
    parts = {
        name: (some.astype(np.uint8), np.arange(len(some)))
        for name, some in zip(("train", "test"), images, strict=True)
    }
    scaled = standardised(parts)
    train, labels = scaled["train"]
    assert train.dtype == np.float32 and labels is parts["train"][1]
    np.testing.assert_allclose(train.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(train.std(axis=(0, 1, 2)), 1, rtol=1e-4)
    # The test images are moved by as much, whatever their own mean is.
    stored = parts["train"][0].astype(float)
    mean, deviation = stored.mean(axis=(0, 1, 2)), stored.std(axis=(0, 1, 2))
    np.testing.assert_allclose(
        scaled["test"][0], (parts["test"][0] - mean) / deviation, rtol=1e-4, atol=1e-4
    )
