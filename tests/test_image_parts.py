import json
import math

import numpy as np

from tfcourse.data import load_arrays
from tfcourse.image_parts import load_image_parts
from tfcourse.runs import Run


def test_parts_are_stratified_complete_and_on_record(tmp_path):
    run = Run(tmp_path / "run", show_progress=False)
    options = {"val_fraction": 0.25, "seed": 3}
    parts = load_image_parts(run, "mnist", "embedded", **options)
    (images, labels), _ = load_arrays("mnist", "train")
    train, val = parts["train"], parts["val"]
    assert train[0].dtype == np.uint8
    assert len(val[1]) == math.ceil(0.25 * len(labels))
    joined = np.concatenate([train[0], val[0]])
    flat = [np.sort([image.tobytes() for image in s]) for s in (joined, images)]
    np.testing.assert_array_equal(*flat)
    shares = [np.bincount(part[1]) / len(part[1]) for part in (train, val)]
    np.testing.assert_allclose(*shares, atol=0.01)
    again = load_image_parts(run, "mnist", "embedded", **options)
    np.testing.assert_array_equal(again["val"][0], val[0])
    run.finish({}, {})
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert {info["split"] for info in result["data"]} == {"train", "test"}
