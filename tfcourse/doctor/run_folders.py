"""Where runs lie below a folder, and which files are of one run. No TensorFlow."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from tfcourse.doctor.event_files import EventFile
from tfcourse.errors import UserError

EVENT_FILE_MARK = "tfevents"  # TensorBoard reads any file with this in its name.
# Folders that hold one side of the run that their parent is, the likelier name first.
TRAIN_FOLDERS = ("train", "training")
VALIDATION_FOLDERS = ("validation", "val", "valid", "eval", "dev", "test")
# A network drive or a whole home folder: better to be told than to wait.
MAX_FOLDERS = 50_000
MAX_FOLDERS_DEEP = 20
NUM_PEEKED_EVENTS = 50
# Folders with nothing else hold no training: texts, figures, trials of a study.
NOT_TRAINING = ("text", "images", "audio", "hparams", "pr_curves", "mesh", "projector")


@dataclass
class RunFiles:
    """The event files of one run, oldest first."""

    folder: Path
    train: list[Path] = field(default_factory=list)
    validation: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass
class _Listing:
    """What a folder holds: its event files and folders, in natural order."""

    files: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)


def run_files(folder: Path) -> RunFiles:
    """Return the files of the run that lies in `folder`.

    Raises:
        UserError: The folder is missing, unreadable, no folder, or holds no run.
    """
    top = _listed_or_refused(folder)
    found = RunFiles(folder, train=list(top.files))
    train, validation = _sides(top)
    for side, files in ((train, found.train), (validation, found.validation)):
        if side is not None:
            try:
                files += _listed(side).files
            except OSError as error:
                reason = (error.strerror or "error").lower()
                found.problems.append(f"{side.name} can't be read: {reason}")
    found.train.sort(key=lambda path: _natural(path.name))
    if not found.train and not found.validation and not found.problems:
        inner = find_runs(folder)
        if inner:
            raise UserError(f"{folder} holds {len(inner)} runs: name one, {inner[0]}")
        raise UserError(f"no event files in {folder}: nothing was recorded there")
    return found


def find_runs(folder: str | Path) -> list[Path]:
    """Return the folders of all runs in and below `folder`, in natural order.

    Folders with nothing but texts, images or trials of a study are no runs.

    Raises:
        UserError: The folder is missing, unreadable or no folder, or holds too many
            folders to look through.
    """
    runs: list[Path] = []
    _listed_or_refused(Path(folder))
    waiting = [(Path(folder), 0)]
    seen: set[tuple[int, int]] = set()  # A link may lead into its own parent.
    while waiting:
        path, depth = waiting.pop()
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            listing = _listed(path)
        except OSError:
            continue
        if len(seen) > MAX_FOLDERS:
            raise UserError(
                f"{folder} holds more than {MAX_FOLDERS:,} folders: "
                "name a folder nearer to the runs"
            )
        sides = [side for side in _sides(listing) if side is not None]
        if sides or (listing.files and _may_be_training(listing.files)):
            runs.append(path)
        if depth < MAX_FOLDERS_DEEP:
            inner = [path for path in listing.folders if path not in sides]
            waiting += [(path, depth + 1) for path in reversed(inner)]
    return runs


def _sides(listing: _Listing) -> tuple[Path | None, Path | None]:
    """Return the folders of the training and the validation side, where there are any.

    A folder `validation` belongs to its parent only if that has a training side.
    """
    train = _side(listing, TRAIN_FOLDERS)
    if train is None and not listing.files:
        return None, None
    return train, _side(listing, VALIDATION_FOLDERS)


def _side(listing: _Listing, names: tuple[str, ...]) -> Path | None:
    by_name = {path.name.lower(): path for path in listing.folders}
    for name in names:
        path = by_name.get(name)
        if path is None:
            continue
        try:
            inner = _listed(path)
        except OSError:
            return path  # That it can't be read is said when it is.
        is_run_itself = any(
            child.name.lower() in TRAIN_FOLDERS + VALIDATION_FOLDERS
            for child in inner.folders
        )
        if inner.files and not is_run_itself:
            return path
    return None


def _listed_or_refused(folder: Path) -> _Listing:
    try:
        return _listed(folder)
    except FileNotFoundError:
        raise UserError(f"there is no folder {folder}") from None
    except NotADirectoryError:
        raise UserError(
            f"{folder} is a file: name the folder of a run, such as logs/runs/mine"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise UserError(f"can't read {folder}: {reason.lower()}") from error


def _listed(folder: Path) -> _Listing:
    listing = _Listing()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                listing.folders.append(folder / entry.name)
            elif EVENT_FILE_MARK in entry.name:
                listing.files.append(folder / entry.name)
    listing.files.sort(key=lambda path: _natural(path.name))
    listing.folders.sort(key=lambda path: _natural(path.name))
    return listing


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names by their size.

    Names of event files begin with the time; files of one second are numbered.
    """
    parts = re.split(r"([0-9]+)", name)
    return [(int(p[:300]), "") if p.isdecimal() else (-1, p) for p in parts]


def _may_be_training(files: list[Path]) -> bool:
    """Return False if the first events show that nothing here was trained."""
    is_other, scalar_steps = False, set()
    for path in files:
        for place, event in enumerate(EventFile(path).events()):
            for value in event.summary.value:
                plugin = value.metadata.plugin_data.plugin_name
                if plugin in NOT_TRAINING or value.WhichOneof("value") == "image":
                    is_other = True
                else:
                    scalar_steps.add(event.step)
            if len(scalar_steps) > 1 or place >= NUM_PEEKED_EVENTS:
                return True
    return not is_other or bool(scalar_steps - {0})
