"""Wall times of the commands that a learner waits for: python benchmarks/commands.py.

Each command runs as a process of its own in an empty folder, with the reference as the
learner's file. Prints the median of the repeats beside the budget; exits with 1 if one is
over it. A figure for this machine and moment, so no test asks for it.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tfcourse.catalog import load_catalog

LIST_SECONDS = 0.3
CHECK_SECONDS = 12.0


def seconds(arguments: list[str], home: Path, repeats: int) -> float:
    """Return the median wall time of one command, in seconds."""
    environment = os.environ | {"TFCOURSE_HOME": str(home)}
    command = [sys.executable, "-m", "tfcourse.cli", *arguments]
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        subprocess.run(command, env=environment, capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "work").mkdir()
        rows.append(("tfcourse list", seconds(["list"], home, 5), LIST_SECONDS))
        for exercise in load_catalog():
            target = home / "work" / f"{exercise.name}.py"
            shutil.copy(exercise.path("solution.py"), target)
            number = str(exercise.number)
            check = seconds(["check", number], home, 3)
            rows.append((f"tfcourse check {number}", check, CHECK_SECONDS))
            budget = exercise.tiers["smoke"].seconds
            run = seconds(["run", number], home, 1)
            rows.append((f"tfcourse run {number} (smoke)", run, budget))
    for name, measured, budget in rows:
        verdict = "met" if measured <= budget else "missed"
        print(f"{name:28} {measured:7.2f} s   at most {budget:5.1f} s   {verdict}")
    sys.exit(any(measured > budget for _, measured, budget in rows))


if __name__ == "__main__":
    main()
