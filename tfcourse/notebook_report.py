"""`tfcourse.check` in a notebook: the same checks, the same report, as HTML."""

from __future__ import annotations

import io
from typing import Any

from tfcourse.catalog import find_exercise
from tfcourse.checking import Report, collect, run, select
from tfcourse.messages import NotebookSubmission
from tfcourse.submission import load_checks


class NotebookReport:
    """A report that a notebook shows as a table and a terminal as text."""

    def __init__(self, report: Report) -> None:
        self.report = report

    @property
    def status(self) -> str:
        """`pass`, `todo`, `fail` or `error`."""
        return self.report.status

    def _repr_html_(self) -> str:
        from tfcourse.console import report_html

        return report_html(self.report)

    def __repr__(self) -> str:
        from rich.console import Console

        from tfcourse.console import ReportPrinter

        stream = io.StringIO()
        exercise = find_exercise(self.report.exercise)
        # In a notebook Rich would display each line by itself.
        console = Console(file=stream, width=100, force_jupyter=False)
        printer = ReportPrinter(console, exercise)
        for task in self.report.tasks:
            for result in task.checks:
                printer.result(task.task, result)
        return f"{stream.getvalue()}\n{self.report.status}, {self.report.points} points"


def check_namespace(
    exercise: str | int, namespace: dict[str, Any], task: str | None = None
) -> NotebookReport:
    """Return the report on the functions in a notebook's variables."""
    found = find_exercise(exercise)
    checks = select(collect(load_checks(found)), found, task)
    return NotebookReport(run(found, checks, NotebookSubmission(namespace)))
