"""The learner's folder: copies of skeletons in `work/`, and what was passed so far.

Nothing here overwrites a learner's file without a backup. No TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfcourse.catalog import Exercise
from tfcourse.checking import Report
from tfcourse.errors import UserError

STATE_FORMAT = 1
STATE_NAME = ".tfcourse.json"


@dataclasses.dataclass
class Progress:
    """What the learner did in one exercise."""

    started: str = ""  # ISO time of the first `start`.
    tasks: dict[str, str] = dataclasses.field(default_factory=dict)  # Last status.
    hints: dict[str, int] = dataclasses.field(default_factory=dict)  # Shown so far.
    revealed: str = ""  # ISO time at which the solution was shown before it was earned.

    def state(self, exercise: Exercise) -> str:
        """Return `not started`, `started` or `passed`."""
        if all(self.tasks.get(task.function) == "pass" for task in exercise.tasks):
            return "passed"
        return "started" if self.started or self.tasks else "not started"


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The folder that holds `work/`, `logs/runs/` and the learner's progress."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Workspace:
        """Return TFCOURSE_HOME, else the nearest folder upwards that has a `work/`.

        If there is none, the current folder.
        """
        home = os.environ.get("TFCOURSE_HOME")
        if home:
            return cls(Path(home))
        start = start or Path.cwd()
        for folder in (start, *start.parents):
            if (folder / "work" / STATE_NAME).is_file():
                return cls(folder)
        return cls(start)

    @property
    def work(self) -> Path:
        """Folder of the learner's files."""
        return self.root / "work"

    @property
    def runs(self) -> Path:
        """Folder of TensorBoard runs."""
        return self.root / "logs" / "runs"

    def file(self, exercise: Exercise) -> Path | None:
        """Return the learner's file, the newer one if there is a notebook as well."""
        found = [
            path
            for suffix in (".py", ".ipynb")
            if (path := self.work / f"{exercise.name}{suffix}").is_file()
        ]
        return max(found, key=lambda path: path.stat().st_mtime, default=None)

    def require_file(self, exercise: Exercise) -> Path:
        """Return the learner's file.

        Raises:
            UserError: If the exercise was not started here.
        """
        path = self.file(exercise)
        if path is None:
            raise UserError(
                f"{self.work / exercise.name}.py is missing: "
                f"type `tfcourse start {exercise.number}` first, or give --file"
            )
        return path

    def start(
        self, exercise: Exercise, *, notebook: bool = False, force: bool = False
    ) -> tuple[Path, Path | None]:
        """Copy the skeleton (or notebook) to `work/`; return it and the backup, if any.

        Raises:
            UserError: If the learner's file exists and `force` is not set, or the folder
                can't be written.
        """
        suffix = ".ipynb" if notebook else ".py"
        source = exercise.path("notebook.ipynb" if notebook else "skeleton.py")
        target = self.work / f"{exercise.name}{suffix}"
        backup = None
        with _writing(self.work):
            self.work.mkdir(parents=True, exist_ok=True)
            if target.exists():
                if not force:
                    raise UserError(
                        f"{target} exists and was left as it is: --force replaces it "
                        "and keeps a backup"
                    )
                backup = _backup(target, self.work / "backups")
            _replace(target, source.read_bytes())
        progress = self.progress(exercise)
        progress.started = progress.started or now()
        self.save(exercise, progress)
        return target, backup

    def copy_scripts(self, exercise: Exercise, *, force: bool = False) -> Path | None:
        """Copy the scripts that an exercise brings to `work/<exercise>/`, if it has any.

        A script that is there already is the learner's and stays; with `force` it is
        replaced, and a backup kept. Returns the folder.

        Raises:
            UserError: If the folder can't be written.
        """
        scripts = sorted(exercise.path("scripts").glob("*.py"))
        if not scripts:
            return None
        folder = self.work / exercise.name
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for source in scripts:
                target, content = folder / source.name, source.read_bytes()
                if target.exists() and target.read_bytes() != content:
                    if not force:
                        continue
                    _backup(target, self.work / "backups")
                _replace(target, content)
        return folder

    def progress(self, exercise: Exercise) -> Progress:
        """Return the stored progress; an empty one if there is none."""
        stored = self._load().get(exercise.name, {})
        try:
            return Progress(**stored)
        except TypeError:
            return Progress()

    def save(self, exercise: Exercise, progress: Progress) -> None:
        """Store the progress.

        Raises:
            UserError: If the folder can't be written.
        """
        state = self._load()
        state[exercise.name] = dataclasses.asdict(progress)
        text = json.dumps({"format": STATE_FORMAT, "exercises": state}, indent=1)
        with _writing(self.work):
            self.work.mkdir(parents=True, exist_ok=True)
            _replace(self.work / STATE_NAME, text.encode())

    def record_report(self, exercise: Exercise, report: Report) -> None:
        """Store the tasks' statuses of a check."""
        progress = self.progress(exercise)
        progress.started = progress.started or now()
        progress.tasks.update({task.task: task.status for task in report.tasks})
        self.save(exercise, progress)

    def _load(self) -> dict[str, Any]:
        path = self.work / STATE_NAME
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:
            return {}
        except UnicodeDecodeError:
            text = ""
        try:
            state = json.loads(text)
            if state["format"] != STATE_FORMAT:
                raise UserError(
                    f"{path} was written by another version of tfcourse: update "
                    "tfcourse, or move the file away to start anew"
                )
            return dict(state["exercises"])
        except (ValueError, KeyError, TypeError):
            # Kept for its owner; the learner's files are not touched.
            with _writing(self.work):
                _backup(path, self.work / "backups", move=True)
            return {}


def now() -> str:
    """Return the local time in ISO format, to the second."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"can't write below {folder} ({reason}): make it writable, or set "
            "TFCOURSE_HOME to another folder"
        ) from None


def _backup(path: Path, folder: Path, *, move: bool = False) -> Path:
    """Return the copy of `path` below `folder`, under a name that was free."""
    folder.mkdir(parents=True, exist_ok=True)
    time = datetime.datetime.now().strftime("%Y%m%dT%H%M%S")
    count = 0
    while True:
        number = f"-{count}" if count else ""
        target = folder / f"{path.stem.lstrip('.')}-{time}{number}{path.suffix}"
        if not target.exists():
            break
        count += 1
    (shutil.move if move else shutil.copy2)(path, target)
    return target


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one, whole."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
