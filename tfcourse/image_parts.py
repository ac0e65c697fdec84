"""A set of images in three parts: training, validation and test."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

from tfcourse import data
from tfcourse.runs import Run

Part = tuple[
    np.ndarray, np.ndarray
]  # Images, uint8 [n, height, width, ...]; int64 [n].


def load_image_parts(
    run: Run, name: str, source: str, *, val_fraction: float, seed: int
) -> dict[str, Part]:
    """Return the parts "train", "val" and "test", images as they are stored: uint8.

    Args:
        run: Keeps a record of the data.
        name: Of the set, e.g. "mnist".
        source: Where it comes from: "embedded" or "real".
        val_fraction: Of the training images, with the same shares of the classes.
        seed: Of the split.
    """
    (images, labels), info = data.load_arrays(name, "train", source=source)
    test, test_info = data.load_arrays(name, "test", source=source)
    run.record_data(info)
    run.record_data(test_info)
    train_images, val_images, train_labels, val_labels = train_test_split(
        images, labels, test_size=val_fraction, stratify=labels, random_state=seed
    )
    return {
        "train": (train_images, train_labels),
        "val": (val_images, val_labels),
        "test": test,
    }
