"""Data sets: one call that returns a set and says where it came from.

    (images, labels), info = load_arrays("mnist", "train")  # embedded, no network
    table, info = load_table("loan")  # raw columns by name
    speech, info = load_recordings("speech_commands")  # clips and who speaks
    train_ds, info = load("mnist", "train", source="real", data_dir="originals")

Importing this package imports neither TensorFlow nor numpy; loading does.
"""

from tfcourse.data.loading import load, load_arrays
from tfcourse.data.preparation import prepare, status, verify
from tfcourse.data.recording_specs import RecordingsSpec, recordings_catalogue
from tfcourse.data.recordings import Recordings, RecordingsInfo, load_recordings
from tfcourse.data.records import (
    DatasetInfo,
    DatasetSpec,
    DatasetStatus,
    VerifiedFile,
)
from tfcourse.data.specs import catalogue
from tfcourse.data.table_specs import TableSpec, table_catalogue
from tfcourse.data.tables import Table, TableInfo, as_matrix, load_table

__all__ = [
    "DatasetInfo",
    "DatasetSpec",
    "DatasetStatus",
    "Recordings",
    "RecordingsInfo",
    "RecordingsSpec",
    "Table",
    "TableInfo",
    "TableSpec",
    "VerifiedFile",
    "as_matrix",
    "catalogue",
    "load",
    "load_arrays",
    "load_recordings",
    "load_table",
    "prepare",
    "recordings_catalogue",
    "status",
    "table_catalogue",
    "verify",
]
