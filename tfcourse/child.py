"""What runs in the child process: exercise code, never the command line's own.

    python -P -m tfcourse.child check EXERCISE FILE EVENTS [options]
    python -P -m tfcourse.child run REQUEST

`check` appends one JSON object a line to the file EVENTS: the checks that there are, the
phase it enters, the check it begins, each result, the end. The parent reads them while
they come, so that it knows which check never ended.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from tfcourse import checking, messages
from tfcourse.catalog import find_exercise
from tfcourse.processes import silenced
from tfcourse.submission import load_checks, load_submission


def run_checks(
    exercise_name: str, file: Path, events: TextIO, task: str | None, skip: set[str]
) -> None:
    """Run an exercise's checks on a file, except those in `skip`; write the events."""

    def emit(**event: Any) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    exercise = find_exercise(exercise_name)
    with silenced():  # TensorFlow's start-up messages are nobody's concern here.
        checks_module = load_checks(exercise)
    checks = checking.select(checking.collect(checks_module), exercise, task)
    emit(
        event="checks",
        checks=[(entry.name, entry.task, entry.timeout_seconds) for entry in checks],
    )
    emit(event="import")
    sys.path.append(str(file.resolve().parent))
    try:
        submission = load_submission(file)
    except BaseException as error:
        message = messages.import_message(error, str(file.resolve()))
        emit(event="broken", message=message)
        return
    for entry in checks:
        if entry.name not in skip:
            emit(event="begin", name=entry.name)
            result = checking.run_check(entry, submission)
            emit(event="result", result=dataclasses.asdict(result))
    emit(event="end")
    # The submission may have left threads or exit handlers; nothing of it runs any more.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def main(arguments: list[str] | None = None) -> None:
    """Run what the parent asks for."""
    parser = argparse.ArgumentParser(prog="tfcourse.child")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check")
    check.add_argument("exercise")
    check.add_argument("file", type=Path)
    check.add_argument("events", type=Path)
    check.add_argument("--task")
    check.add_argument("--skip", default="[]")
    run = commands.add_parser("run")
    run.add_argument("request", help="a RunRequest as JSON")
    options = parser.parse_args(arguments)
    if options.command == "run":
        from tfcourse.execution import execute, request_from_json

        sys.exit(execute(request_from_json(options.request)))
    with open(options.events, "a", encoding="utf-8") as events:
        run_checks(
            options.exercise,
            options.file,
            events,
            options.task,
            set(json.loads(options.skip)),
        )


if __name__ == "__main__":
    main()
