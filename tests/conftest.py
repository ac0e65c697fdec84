"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest

# The one switch that TensorFlow reads at import: no C++ chatter between the tests.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture
def real_data_dir() -> Path:
    """Return the folder of original files that TFCOURSE_DATA_DIR names."""
    folder = os.environ.get("TFCOURSE_DATA_DIR")
    if not folder:
        pytest.skip("not run: set TFCOURSE_DATA_DIR to a folder of original files")
    return Path(folder)
