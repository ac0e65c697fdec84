"""A set of images in three parts: training, validation and test."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

from tfcourse import data
from tfcourse.runs import Run

# Images, uint8 or float32 [n, height, width, ...], and labels, int64 [n].
Part = tuple[np.ndarray, np.ndarray]


def load_image_parts(
    run: Run, name: str, source: str, *, val_fraction: float, seed: int
) -> tuple[dict[str, Part], data.DatasetInfo]:
    """Return the parts "train", "val" and "test", and what is known of the set.

    Images are as they are stored: uint8.

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
    parts = {
        "train": (train_images, train_labels),
        "val": (val_images, val_labels),
        "test": test,
    }
    return parts, info


def standardised(parts: dict[str, Part]) -> dict[str, Part]:
    """Return float32 images; each colour has mean 0 and deviation 1 in the training part.

    Args:
        parts: Images, [n, height, width, channels].
    """
    images = parts["train"][0]
    mean = images.mean(axis=(0, 1, 2), dtype=np.float64).astype(np.float32)
    deviation = images.std(axis=(0, 1, 2), dtype=np.float64).astype(np.float32)
    return {
        name: ((some - mean) / deviation, labels)
        for name, (some, labels) in parts.items()
    }
