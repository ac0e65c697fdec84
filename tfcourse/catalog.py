"""The exercises, read from `exercises/*/exercise.toml` into frozen records."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from tfcourse.errors import UserError

FORMAT = 1
TIERS = ("smoke", "lab", "full")
FOLDER_PATTERN = re.compile(r"(\d\d)_([a-z][a-z0-9_]*)")
MAX_SUMMARY_CHARACTERS = 100

Direction = Literal["at_least", "at_most"]


@dataclass(frozen=True)
class Promise:
    """One figure that a tier promises, e.g. `test_accuracy` at least 0.985."""

    metric: str
    direction: Direction
    value: float

    def holds(self, measured: float) -> bool:
        """Return whether `measured` keeps the promise; NaN never does."""
        if self.direction == "at_least":
            return measured >= self.value
        return measured <= self.value


@dataclass(frozen=True)
class Tier:
    """One way to run an exercise: its time budget and what it promises."""

    name: str
    seconds: float  # Time budget of the whole run on two CPU cores (full: on one GPU).
    promises: tuple[Promise, ...] = ()


@dataclass(frozen=True)
class Task:
    """One function that the student writes."""

    function: str  # `build_model`, or `Layer.call` for a method.
    minutes: int
    points: int
    hints: tuple[str, ...]  # From a nudge to nearly the answer.


@dataclass(frozen=True)
class Source:
    """A publication that the exercise follows."""

    author: str
    year: int
    identifier: str  # arXiv number, DOI or ISBN.
    section: str = ""


@dataclass(frozen=True)
class Exercise:
    """One folder below `exercises/`."""

    folder: Path
    number: int
    slug: str  # Folder name without the number: `deep_mlp`.
    title: str
    summary: str
    dataset: str
    tasks: tuple[Task, ...]
    tiers: dict[str, Tier]
    needs: tuple[int, ...] = ()  # Numbers of exercises to do first.
    sources: tuple[Source, ...] = field(default=())

    @property
    def id(self) -> str:
        """Two digits, as in the folder's name: `01`."""
        return f"{self.number:02d}"

    @property
    def name(self) -> str:
        """Folder name: `01_deep_mlp`."""
        return f"{self.id}_{self.slug}"

    @property
    def minutes(self) -> int:
        """Expected working time of a student, in minutes."""
        return sum(task.minutes for task in self.tasks)

    @property
    def points(self) -> int:
        """Points for all tasks together."""
        return sum(task.points for task in self.tasks)

    def task(self, function: str) -> Task:
        """Return the task with this function name.

        Raises:
            UserError: If the exercise has no such task.
        """
        for task in self.tasks:
            if task.function == function:
                return task
        names = ", ".join(task.function for task in self.tasks)
        raise UserError(
            f"exercise {self.id} has no task {function!r}; its tasks are: {names}"
        )

    def path(self, filename: str) -> Path:
        """Return the path of one of its files."""
        return self.folder / filename


def exercises_folder() -> Path:
    """Return the folder of exercises: TFCOURSE_EXERCISES_DIR, the wheel's, the checkout's.

    The variable is for teachers with exercises of their own.
    """
    own = os.environ.get("TFCOURSE_EXERCISES_DIR")
    if own:
        return Path(own)
    packaged = Path(__file__).parent / "_exercises"
    if packaged.is_dir():
        return packaged
    return Path(__file__).parents[1] / "exercises"


def load_catalog(folder: Path | None = None) -> tuple[Exercise, ...]:
    """Return all exercises below `folder`, ordered by number.

    Raises:
        UserError: If the folder is missing, a toml file is damaged, or two exercises
            have the same number.
    """
    folder = folder or exercises_folder()
    if not folder.is_dir():
        raise UserError(f"no exercises at {folder}: install tfcourse again")
    exercises = [
        load_exercise(path)
        for path in sorted(folder.iterdir())
        if FOLDER_PATTERN.fullmatch(path.name) and (path / "exercise.toml").is_file()
    ]
    by_number: dict[int, Exercise] = {}
    for exercise in exercises:
        if exercise.number in by_number:
            twin = by_number[exercise.number].name
            raise UserError(f"two exercises have one number: {twin}, {exercise.name}")
        by_number[exercise.number] = exercise
    return tuple(by_number[number] for number in sorted(by_number))


def find_exercise(
    reference: str | int, catalog: tuple[Exercise, ...] | None = None
) -> Exercise:
    """Return the exercise that `1`, `01`, `deep_mlp` or `01_deep_mlp` names.

    Raises:
        UserError: If there is none.
    """
    catalog = load_catalog() if catalog is None else catalog
    wanted = str(reference).strip()
    for exercise in catalog:
        if wanted in (exercise.slug, exercise.name):
            return exercise
        if wanted.isascii() and wanted.isdigit() and len(wanted) < 5:
            if int(wanted) == exercise.number:
                return exercise
    numbers = ", ".join(str(exercise.number) for exercise in catalog)
    raise UserError(f"there is no exercise {wanted[:40]!r}; there are {numbers}")


def load_exercise(folder: Path) -> Exercise:
    """Return the record of one exercise folder.

    Raises:
        UserError: If `exercise.toml` is missing or breaks a rule; names file and rule.
    """
    path = folder / "exercise.toml"
    match = FOLDER_PATTERN.fullmatch(folder.name)
    if not match:
        raise UserError(f"{folder}: the folder's name must look like 07_some_topic")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} can't be read: {error}") from None
    try:
        return _exercise_from_table(folder, match, table)
    except KeyError as error:
        raise UserError(f"{path}: the key {error} is missing") from None
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None


def _exercise_from_table(
    folder: Path, match: re.Match[str], table: dict[str, Any]
) -> Exercise:
    _refuse_unknown(table, _EXERCISE_KEYS, "the file")
    if table["format"] != FORMAT:
        raise ValueError(
            f"format must be {FORMAT}; got {table['format']!r} (update tfcourse?)"
        )
    if table["number"] != int(match[1]):
        raise ValueError(f"number {table['number']} differs from the folder's name")
    summary = str(table["summary"])
    if not 0 < len(summary) <= MAX_SUMMARY_CHARACTERS:
        raise ValueError(
            f"summary must have 1 to {MAX_SUMMARY_CHARACTERS} characters; "
            f"got {len(summary)}"
        )
    tasks = tuple(_task_from_table(entry) for entry in table["task"])
    functions = [task.function for task in tasks]
    if len(set(functions)) != len(functions):
        raise ValueError("two tasks have the same function")
    unknown = set(table["tier"]) - set(TIERS)
    if unknown:
        raise ValueError(f"tiers are {', '.join(TIERS)}; got {sorted(unknown)}")
    return Exercise(
        folder=folder,
        number=table["number"],
        slug=match[2],
        title=str(table["title"]),
        summary=summary,
        dataset=str(table["dataset"]),
        tasks=tasks,
        tiers={
            name: _tier_from_table(name, table["tier"][name])
            for name in TIERS
            if name in table["tier"]
        },
        needs=tuple(int(number) for number in table.get("needs", ())),
        sources=tuple(Source(**entry) for entry in table.get("sources", ())),
    )


_EXERCISE_KEYS = frozenset(
    "format number title summary dataset task tier needs sources".split()
)


def _refuse_unknown(table: dict[str, Any], known: frozenset[str], where: str) -> None:
    unknown = set(table) - known
    if unknown:
        raise ValueError(f"unknown keys in {where}: {', '.join(sorted(unknown))}")


def _task_from_table(table: dict[str, Any]) -> Task:
    _refuse_unknown(
        table, frozenset({"function", "minutes", "points", "hints"}), "task"
    )
    if not table["hints"]:
        raise ValueError(f"task {table['function']} has no hints")
    return Task(
        function=str(table["function"]),
        minutes=int(table["minutes"]),
        points=int(table["points"]),
        hints=tuple(str(hint).strip() for hint in table["hints"]),
    )


def _tier_from_table(name: str, table: dict[str, Any]) -> Tier:
    _refuse_unknown(table, frozenset({"seconds", "expect"}), f"tier.{name}")
    promises = []
    for entry in table.get("expect", ()):
        _refuse_unknown(entry, frozenset({"metric", "at_least", "at_most"}), "expect")
        directions = [key for key in ("at_least", "at_most") if key in entry]
        if len(directions) != 1:
            raise ValueError(f"expect needs one of at_least, at_most; got {entry}")
        direction: Direction = "at_least" if "at_least" in entry else "at_most"
        promises.append(Promise(entry["metric"], direction, float(entry[direction])))
    return Tier(name=name, seconds=float(table["seconds"]), promises=tuple(promises))


def load_module(path: Path, name: str) -> ModuleType:
    """Return the module at `path`, imported under the unique name `name`.

    It stays in `sys.modules`, where dataclasses look themselves up.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module
