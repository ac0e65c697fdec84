"""What the command line prints: reports, lists and tables. No TensorFlow."""

from __future__ import annotations

import html
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tfcourse.catalog import Exercise
from tfcourse.check_process import CheckRun
from tfcourse.checking import STATUSES, CheckResult, Report, Status
from tfcourse.results import Row, measured_text, promised_text
from tfcourse.workspace import Workspace

STYLES: dict[Status, str] = {
    "pass": "green",
    "todo": "yellow",
    "fail": "bold red",
    "error": "bold magenta",
}
STATE_STYLES = {"passed": "green", "started": "yellow", "not started": "dim"}
# Dark enough for a white page and bright enough for Colab's dark theme.
HTML_COLOURS: dict[Status, str] = {
    "pass": "#2e8b57",
    "todo": "#b8860b",
    "fail": "#d1242f",
    "error": "#a040a0",
}


class ReportPrinter:
    """Prints results as they come, one line per check, grouped by task."""

    def __init__(self, console: Console, exercise: Exercise) -> None:
        self.console = console
        self.exercise = exercise
        self._task = ""

    def result(self, task: str, result: CheckResult) -> None:
        """Print one result; a message stands below its check."""
        if task != self._task:
            self._task = task
            points = self.exercise.task(task).points
            self.console.print(f"\n[bold]{task}[/]  ({points} points)")
        style = STYLES[result.status]
        name = escape(result.name.replace("_", " "))
        self.console.print(
            f"  [{style}]{result.status:5}[/] {name}  [dim]{result.seconds:.2f} s[/]",
            highlight=False,
        )
        if result.message and result.status != "todo":
            self.console.print(
                f"        {escape(result.message)}",
                highlight=False,
                soft_wrap=not self.console.is_terminal,
            )

    def end(self, run: CheckRun, file: Path) -> None:
        """Print what the code printed if something failed, the sum, and the next step."""
        report = run.report
        if run.output and report.status in ("fail", "error"):
            size = f"{run.num_output_bytes:,} bytes"
            self.console.print(f"\n[dim]your code printed {size}; the end of it:[/]")
            self.console.print(escape(run.output), highlight=False)
        number = self.exercise.number
        total = self.exercise.points
        style = STYLES[report.status]
        self.console.print(
            f"\n[{style}]{report.status}[/]  {report.points} of {total} points  "
            f"[dim]{escape(next_step(report, number, file))}[/]",
            highlight=False,
            soft_wrap=True,
        )


def next_step(report: Report, number: int, file: Path) -> str:
    """Return the command to type next."""
    for task in report.tasks:
        if task.status == "todo":
            return (
                f"next: write {task.task}() (help: tfcourse hint {number} {task.task})"
            )
        if task.status != "pass":
            return (
                f"next: mend {task.task}() (help: tfcourse hint {number} {task.task})"
            )
    return f"next: tfcourse run {number} --file {file}, tfcourse solution {number}"


def print_exercises(
    console: Console, catalog: tuple[Exercise, ...], workspace: Workspace
) -> None:
    """Print the exercises with the learner's state."""
    table = Table(box=None, pad_edge=False)
    for column in ("", "exercise", "state", "minutes", "dataset", "what it is"):
        right = column in ("", "minutes")
        table.add_column(column, justify="right" if right else "left")
    for exercise in catalog:
        state = workspace.progress(exercise).state(exercise)
        table.add_row(
            str(exercise.number),
            exercise.slug,
            f"[{STATE_STYLES[state]}]{state}[/]",
            str(exercise.minutes),
            exercise.dataset,
            exercise.summary,
        )
    console.print(table)


def print_results(console: Console, table_rows: list[Row]) -> None:
    """Print promises and measurements, one table per exercise, 80 columns wide."""
    colours = {"met": "green", "missed": "red", "not run": "dim"}
    for exercise in dict.fromkeys(row["exercise"] for row in table_rows):
        table = Table(box=None, pad_edge=False, title=exercise, title_justify="left")
        for column in ("tier", "metric", "promised", "measured", "status"):
            right = column in ("promised", "measured")
            table.add_column(column, justify="right" if right else "left", no_wrap=True)
        for row in table_rows:
            if row["exercise"] == exercise:
                table.add_row(
                    row["tier"],
                    row["metric"],
                    promised_text(row["direction"], row["promised"]),
                    measured_text(row),
                    f"[{colours[row['status']]}]{row['status']}[/]",
                )
        console.print(table)
        console.print()


def report_html(report: Report) -> str:
    """Return a report as HTML for a notebook; text from submissions is escaped."""
    rows = []
    for task in report.tasks:
        rows.append(
            f"<tr><th colspan='3' style='text-align:left;padding-top:.6em'>"
            f"<code>{html.escape(task.task)}</code> &nbsp; {task.points} points</th></tr>"
        )
        for result in task.checks:
            colour = HTML_COLOURS[result.status]
            message = result.message if result.status != "todo" else ""
            rows.append(
                "<tr style='background:none'>"
                f"<td style='color:{colour};font-weight:bold;vertical-align:top'>"
                f"{result.status}</td>"
                "<td style='text-align:left'>"
                f"{html.escape(result.name.replace('_', ' '))}"
                f"<div style='opacity:.8'>{html.escape(message)}</div></td>"
                f"<td style='opacity:.6;vertical-align:top'>{result.seconds:.2f} s</td>"
                "</tr>"
            )
    counts = [
        f"{count} {status}"
        for status in reversed(STATUSES)
        if (count := sum(c.status == status for t in report.tasks for c in t.checks))
    ]
    colour = HTML_COLOURS[report.status]
    return (
        "<div style='max-width:60em'>"
        f"<b>{html.escape(report.exercise)}</b>: "
        f"<b style='color:{colour}'>{report.status}</b>, {report.points} points "
        f"({', '.join(counts)})"
        f"<table style='width:100%;color:inherit'>{''.join(rows)}</table></div>"
    )
