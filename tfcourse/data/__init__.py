"""Data sets: one call that returns a set and says where it came from.

    (images, labels), info = load_arrays("mnist", "train")  # embedded, no network
    train_ds, info = load("mnist", "train", source="real", data_dir="originals")

Importing this package imports neither TensorFlow nor numpy; loading does.
"""

from tfcourse.data.loading import load, load_arrays
from tfcourse.data.preparation import prepare, status, verify
from tfcourse.data.records import (
    DatasetInfo,
    DatasetSpec,
    DatasetStatus,
    VerifiedFile,
)
from tfcourse.data.specs import catalogue

__all__ = [
    "DatasetInfo",
    "DatasetSpec",
    "DatasetStatus",
    "VerifiedFile",
    "catalogue",
    "load",
    "load_arrays",
    "prepare",
    "status",
    "verify",
]
