"""Runs an exercise's `main` in this process: the child's side of `tfcourse run`."""

from __future__ import annotations

import dataclasses
import difflib
import errno
import json
import math
import os
import sys
import typing
from pathlib import Path
from typing import Any

from tfcourse import checking, messages
from tfcourse.catalog import Exercise, find_exercise
from tfcourse.errors import UserError
from tfcourse.submission import load_solution, load_submission

REQUEST_NAME = "request.json"
MAX_FIGURES = 8


@dataclasses.dataclass(frozen=True)
class RunRequest:
    """What `tfcourse run` was asked for."""

    exercise: str
    tier: str = "smoke"
    file: str | None = None  # A student's file instead of the reference.
    data_dir: str | None = None
    settings: tuple[str, ...] = ()  # `name=value`, fields of the exercise's Config.
    seed: int | None = None
    resume: bool = False
    runs: str = "logs/runs"


def request_from_json(text: str) -> RunRequest:
    """Return the request that a JSON object describes.

    Raises:
        ValueError: If the text is no such object.
    """
    try:
        stored = json.loads(text)
        return RunRequest(**{**stored, "settings": tuple(stored["settings"])})
    except (KeyError, TypeError) as error:
        raise ValueError(f"no request for a run: {error}") from None


def execute(request: RunRequest) -> int:
    """Run an exercise; print what was measured and promised. Return the exit code."""
    try:
        return _execute(request)
    except UserError as error:
        print(f"tfcourse: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        reason = f"{error.strerror}: {error.filename or request.runs}"
        print(f"tfcourse: {reason}; make room, then --resume", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        number = find_exercise(request.exercise).number
        print(
            f"\nstopped; go on with: tfcourse run {number} --tier {request.tier} --resume",
            file=sys.stderr,
        )
        return 130


def _execute(request: RunRequest) -> int:
    if request.data_dir:
        os.environ["TFCOURSE_DATA_DIR"] = request.data_dir
    exercise = find_exercise(request.exercise)
    from tfcourse import runtime
    from tfcourse.run_folder import unfinished_run_folder, write_json
    from tfcourse.runs import Run

    if request.resume:
        parent = Path(request.runs) / exercise.name
        folder = unfinished_run_folder(parent, request.tier)
        if folder:
            request = resumed_request(request, folder / REQUEST_NAME)
    module = _load(exercise, request)
    config = make_config(module, request)
    runtime.configure(seed=config.seed)
    run = Run.create(
        exercise.name,
        request.tier,
        seed=config.seed,
        resume=request.resume,
        root=request.runs,
        submission=request.file,
    )
    if not run.resumed:
        write_json(run.directory / REQUEST_NAME, dataclasses.asdict(request))
    print(f"run: {run.directory}", flush=True)
    metrics = _run_main(module, config, run, request)
    run.finish(metrics, config, request.settings)
    _print_outcome(exercise, request, run.directory, metrics)
    return 0


def resumed_request(request: RunRequest, path: Path) -> RunRequest:
    """Return the request of the run that is resumed.

    Raises:
        UserError: If the new request contradicts it, or it can't be read.
    """
    try:
        first = request_from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{path} is missing or damaged: start a new run") from None
    for name in ("file", "settings", "seed", "data_dir"):
        new, old = getattr(request, name), getattr(first, name)
        if new not in (None, (), old):
            option = "set" if name == "settings" else name.replace("_", "-")
            raise UserError(
                f"--resume goes on with what the run began with (--{option} {old}); "
                f"leave --{option} out, or start a new run"
            )
    if first.data_dir:
        os.environ["TFCOURSE_DATA_DIR"] = first.data_dir
    return dataclasses.replace(first, resume=True, runs=request.runs)


def _load(exercise: Exercise, request: RunRequest) -> Any:
    if not request.file:
        return load_solution(exercise)
    path = Path(request.file)
    sys.path.append(str(path.resolve().parent))
    try:
        return load_submission(path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = messages.import_message(error, str(path.resolve()))
        raise UserError(f"{path} fails {reason}") from None


def _run_main(module: Any, config: Any, run: Any, request: RunRequest) -> Any:
    if not callable(getattr(module, "main", None)):
        raise UserError(
            f"{request.file or 'the solution'} defines no main(config, run)"
        )
    if not request.file:
        return module.main(config, run)
    try:
        return module.main(config, run)
    except (KeyboardInterrupt, UserError):
        raise
    except BaseException as error:
        todo = checking.TODO_PATTERN.search(str(error))
        if todo and isinstance(error, NotImplementedError):
            raise UserError(f"{request.file}: write {todo[1]}() first") from None
        where = messages.student_line(error, module)
        raise UserError(
            f"{request.file}: {messages.error_summary(error)}{where}"
        ) from None


def make_config(module: Any, request: RunRequest) -> Any:
    """Return the tier's Config with the seed and the settings of the request.

    Raises:
        UserError: If the tier, a name or a value does not fit.
    """
    config: Any = getattr(module, request.tier.upper(), None)
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise UserError(
            f"{request.file or request.exercise} defines no Config "
            f"{request.tier.upper()} for the tier {request.tier}"
        )
    changes: dict[str, Any] = {}
    types = typing.get_type_hints(type(config))
    for setting in request.settings:
        name, separator, text = setting.partition("=")
        if not separator:
            raise UserError(f"--set takes name=value; got {setting[:60]!r}")
        if name not in types:
            close = difflib.get_close_matches(name, types, 1)
            meant = f"did you mean {close[0]}? " if close else ""
            raise UserError(
                f"--set {name[:40]}: there is no such setting; {meant}"
                f"settings: {', '.join(types)}"
            )
        changes[name] = parse_value(name, text, types[name])
    if request.seed is not None:
        changes["seed"] = request.seed
    try:
        return dataclasses.replace(config, **changes)
    except ValueError as error:
        raise UserError(f"--set: {error}") from None


def parse_value(name: str, text: str, kind: Any) -> Any:
    """Return a setting's text as the type of its field.

    Raises:
        UserError: If it is not of that type.

    >>> parse_value("learning_rate", "0.05", float)
    0.05
    >>> parse_value("widths", "64,32", tuple[int, ...])
    (64, 32)
    >>> parse_value("epochs", "none", int | None) is None
    True
    """
    if type(None) in typing.get_args(kind):
        if text.lower() == "none":
            return None
        (kind,) = (k for k in typing.get_args(kind) if k is not type(None))
    try:
        if kind is bool:
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        if kind is int:
            return int(text)
        if kind is float:
            value = float(text)
            if not math.isfinite(value):
                raise ValueError
            return value
        if typing.get_origin(kind) is tuple:
            element = typing.get_args(kind)[0]
            parts = [part for part in text.split(",") if part]
            return tuple(parse_value(name, part, element) for part in parts)
        if kind is str:
            return text
    except (ValueError, KeyError):
        pass
    words = {int: "a whole number", float: "a finite number", bool: "true or false"}
    word = words.get(kind, "a list such as 64,32")
    raise UserError(f"--set {name}={text[:40]}: {name} takes {word}")


def _print_outcome(
    exercise: Exercise, request: RunRequest, directory: Path, metrics: dict[str, float]
) -> None:
    from rich.console import Console
    from rich.table import Table

    from tfcourse.results import format_figure, promised_text

    console = Console()
    table = Table(title=f"{exercise.name}, {request.tier} tier")
    for column in ("metric", "measured", "promised", ""):
        table.add_column(column, justify="left" if column == "metric" else "right")
    promises = {entry.metric: entry for entry in exercise.tiers[request.tier].promises}
    order = [name for name in promises if name in metrics]
    for metric in order + sorted(set(metrics) - set(order)):
        promise = promises.get(metric)
        promised = status = ""
        if promise:
            promised = promised_text(promise.direction, promise.value)
            kept = promise.holds(metrics[metric])
            status = "[green]met[/]" if kept else "[red]missed[/]"
        table.add_row(metric, format_figure(metrics[metric]), promised, status)
    for promise in promises.values():
        if promise.metric not in metrics:
            promised = promised_text(promise.direction, promise.value)
            table.add_row(promise.metric, "-", promised, "[red]not measured[/]")
    console.print(table)
    figures = sorted((directory / "figures").glob("*.png"), key=os.path.getmtime)
    console.print(f"TensorBoard run  {directory}", soft_wrap=True, highlight=False)
    for figure in figures[:MAX_FIGURES]:
        console.print(f"figure           {figure}", soft_wrap=True, highlight=False)
    if len(figures) > MAX_FIGURES:
        console.print(
            f"                 and {len(figures) - MAX_FIGURES} more beside it"
        )
    console.print(
        f"next             tfcourse board {exercise.number}   "
        f"(TensorBoard), then tfcourse start {exercise.number}",
        soft_wrap=True,
        highlight=False,
    )
