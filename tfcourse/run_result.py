"""The `result.json` of a run: what was measured, on what, in how many seconds."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfcourse import runtime
from tfcourse.errors import UserError
from tfcourse.run_folder import write_json

FORMAT = 1


class Result:
    """A result that grows with its run; the file says `running` until it is complete.

    Args:
        path: Of `result.json`.
        exercise: Name of the exercise.
        tier: smoke, lab or full.
        seed: Seed of the run.
        submission: The learner's file that is trained, None for the reference.
    """

    def __init__(
        self,
        path: Path,
        *,
        exercise: str,
        tier: str,
        seed: int,
        submission: str | None,
    ):
        self.path = path
        self._started = time.perf_counter()
        self._seconds_before = 0.0  # In processes before this one.
        now = datetime.datetime.now().astimezone()
        machine = runtime.current()
        self._record: dict[str, Any] = {
            "format": FORMAT,
            "status": "running",
            "exercise": exercise,
            "tier": tier,
            "metrics": {},
            "seconds": 0.0,
            "device": machine.device_name(),
            "precision": machine.precision,
            "versions": dict(machine.versions),
            "data": [],
            "seed": seed,
            "config": {},
            "date": now.isoformat(timespec="seconds"),
            "submission": submission,
        }

    def take_up(self, earlier: Mapping[str, Any]) -> None:
        """Go on with the result of an unfinished run.

        Raises:
            UserError: If it has another seed.
        """
        seed = earlier.get("seed")
        if seed != self._record["seed"]:
            raise UserError(
                f"the unfinished run {self.path.parent} has seed {seed}; "
                f"resume it with --seed {seed}, or start a new run"
            )
        self._seconds_before = float(earlier.get("seconds", 0.0))
        for key in ("data", "date", "submission"):
            self._record[key] = earlier.get(key, self._record[key])

    def add_data(self, info: dict[str, Any]) -> None:
        """Add a data set that the run uses."""
        if info not in self._record["data"]:
            self._record["data"].append(info)
            self.write()

    def complete(
        self, metrics: Mapping[str, float], config: Any, settings: Sequence[str]
    ) -> None:
        """Add what was measured, and with which settings; write the file."""
        self._record["metrics"] = {key: float(value) for key, value in metrics.items()}
        self._record["config"] = plain(config)
        self._record["settings"] = list(settings)
        self._record["status"] = "complete"
        self.write()

    def write(self) -> None:
        """Write the file, with the seconds so far.

        Raises:
            UserError: If the disk is full or the folder is not writable.
        """
        elapsed = time.perf_counter() - self._started
        self._record["seconds"] = round(self._seconds_before + elapsed, 2)
        write_json(self.path, self._record)


def plain(value: Any) -> Any:
    """Return the value as plain data that JSON can hold.

    >>> plain({"shape": (28, 28), "mean": np.float32(0.5), "path": Path("a")})
    {'shape': [28, 28], 'mean': 0.5, 'path': 'a'}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
