"""Fixtures for the data tests: no test sees the user's cache or data folder."""

import pytest

from tests.data import tiny_set


@pytest.fixture(autouse=True)
def cache_dir(request, tmp_path, monkeypatch):
    """Give every test an empty cache of its own, and no folder of original files."""
    monkeypatch.setenv("TFCOURSE_CACHE_DIR", str(tmp_path / "cache"))
    if "real_data_dir" not in request.fixturenames:
        monkeypatch.delenv("TFCOURSE_DATA_DIR", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "data"


@pytest.fixture
def tiny(monkeypatch):
    """Put the tiny set into the catalogue and return its record."""
    return tiny_set.install(monkeypatch.setitem)


@pytest.fixture
def originals(tiny, tmp_path):
    """Return a folder that holds the tiny set's original files."""
    return tiny_set.write_originals(tmp_path / "originals")
