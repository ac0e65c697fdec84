"""Why does it not train: records a run, reads it back, and names what is wrong.

    model.fit(train_ds, callbacks=[Recorder("logs/runs/mine")])
    findings = diagnose(read_run("logs/runs/mine"))

Importing this package imports no TensorFlow; `Recorder` does, on its first use.
"""

from typing import Any

from tfcourse.doctor.findings import Evidence, Finding, See, Where

__all__ = [
    "Evidence",
    "Finding",
    "Recorder",
    "See",
    "Where",
    "diagnose",
    "read_run",
]

_HOMES = {
    "Recorder": "tfcourse.doctor.recorder",
    "diagnose": "tfcourse.doctor.diagnosis",
    "read_run": "tfcourse.doctor.reading",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for on its first use, since some of it needs TensorFlow."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
