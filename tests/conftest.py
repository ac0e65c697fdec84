"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest

# The one switch that TensorFlow reads at import: no C++ chatter between the tests.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# A learner's own settings must not reach the tests.
for name in ("TFCOURSE_HOME", "TFCOURSE_EXERCISES_DIR", "TFCOURSE_CACHE_DIR"):
    os.environ.pop(name, None)

FIXTURE_EXERCISES = Path(__file__).parent / "fixtures" / "exercises"


@pytest.fixture
def real_data_dir() -> Path:
    """Return the folder of original files that TFCOURSE_DATA_DIR names."""
    folder = os.environ.get("TFCOURSE_DATA_DIR")
    if not folder:
        pytest.skip("not run: set TFCOURSE_DATA_DIR to a folder of original files")
    return Path(folder)


@pytest.fixture
def sums(monkeypatch):
    """Return the exercise 90_sums, which needs no TensorFlow, as the only one."""
    from tfcourse.catalog import find_exercise

    monkeypatch.setenv("TFCOURSE_EXERCISES_DIR", str(FIXTURE_EXERCISES))
    return find_exercise(90)


@pytest.fixture
def home(monkeypatch, tmp_path):
    """Return an empty folder that is the learner's."""
    monkeypatch.setenv("TFCOURSE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path
