"""Training programs, faulty and healthy, on which the doctor is scored.

Importing the package loads no TensorFlow; `load()` imports the programs.
"""

import importlib
import pkgutil

from doctor_programs.registry import PROGRAMS, Entry, Program, build, program, run

__all__ = ["PROGRAMS", "Entry", "Program", "build", "load", "program", "run"]

# Modules that hold no programs.
_PARTS = ("registry", "datasets", "more_datasets", "scoring", "workers")


def load() -> dict[str, Entry]:
    """Return all programs by name."""
    for module in pkgutil.iter_modules(__path__):
        if module.name not in _PARTS:
            importlib.import_module(f"{__name__}.{module.name}")
    return PROGRAMS
