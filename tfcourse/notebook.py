"""Skeleton and handout to a notebook that opens in Colab.

The notebook is the handout with the skeleton's cells in their places: the introduction,
then each task's section before the cell that holds its function, with a cell that checks
it behind. It has no outputs and comes out the same each time. No TensorFlow.
"""

from __future__ import annotations

import ast
import base64
import re
from pathlib import Path
from typing import Any

from tfcourse.catalog import Exercise
from tfcourse.errors import UserError

# What Colab installs; a path or an address of a wheel serves as well.
REQUIREMENT = "tfcourse"
HANDOUT_SECTIONS = (
    "Goal",
    "Idea",
    "Tasks",
    "What you should see",
    "If it does not work",
    "Go further",
)
# Shown before the code; the others follow it.
INTRODUCTION = ("Goal", "Idea")

SETUP = f"""\
# Colab does not bring tfcourse; a notebook on your own machine does.
import importlib.util

if importlib.util.find_spec("tfcourse") is None:
    %pip install --quiet {REQUIREMENT}

import tfcourse
"""
RUN = """\
from tfcourse.runs import Run

main(SMOKE, Run.create("{name}", "smoke", seed=SMOKE.seed))
"""
BOARD = """\
%load_ext tensorboard
%tensorboard --logdir logs/runs/{name}
"""


def parse_handout(text: str, filename: str = "handout.md") -> dict[str, str]:
    """Return the handout's parts: `title`, each section, and each task's section.

    A task's section has the key `task:FUNCTION`; the text under "## Tasks" before the
    first of them has the key `Tasks`.

    Raises:
        UserError: If a section is missing, unknown or out of order.
    """
    parts: dict[str, str] = {}
    key = "title"
    in_code = False
    for line in text.splitlines():
        if line.startswith("```"):
            in_code = not in_code
        section = None if in_code else re.match(r"## +(.*?) *$", line)
        task = None if in_code else re.match(r"### +`([\w.]+)`", line)
        if section:
            key = section[1]
            if key not in HANDOUT_SECTIONS or key in parts:
                raise UserError(f"{filename}: unknown or repeated section {key!r}")
        elif task and (key == "Tasks" or key.startswith("task:")):
            key = f"task:{task[1]}"
        parts[key] = parts.get(key, "") + line + "\n"
    found = [name for name in parts if name in HANDOUT_SECTIONS]
    if tuple(found) != HANDOUT_SECTIONS or not parts["title"].startswith("# "):
        raise UserError(
            f"{filename} needs a title and the sections {', '.join(HANDOUT_SECTIONS)}, "
            f"in this order; found {', '.join(found)}"
        )
    return {name: part.strip() for name, part in parts.items()}


def make_notebook(exercise: Exercise, skeleton: str, handout: str) -> str:
    """Return the notebook as JSON text that ends in a newline."""
    import jupytext
    import nbformat

    parts = parse_handout(handout, str(exercise.path("handout.md")))
    cells: list[Any] = []

    def markdown(*names: str) -> None:
        text = "\n\n".join(parts[name] for name in names)
        cell = nbformat.v4.new_markdown_cell(text)
        _attach_figures(cell, exercise.folder)
        cells.append(cell)

    def code(text: str) -> None:
        cells.append(nbformat.v4.new_code_cell(text.strip()))

    markdown("title", *INTRODUCTION)
    code(SETUP)
    waiting = {task.function for task in exercise.tasks}
    for cell in jupytext.reads(skeleton, fmt="py:percent").cells:
        tasks = _tasks_in(cell.source, waiting) if cell.cell_type == "code" else []
        for task in tasks:
            waiting.remove(task)
            if f"task:{task}" not in parts:
                raise UserError(
                    f"{exercise.path('handout.md')} has no section ### `{task}`"
                )
            markdown(f"task:{task}")
        cells.append(cell)
        for task in tasks:
            code(f'tfcourse.check("{exercise.id}", globals(), task="{task}")')
    if waiting:
        raise UserError(f"{exercise.folder}: no cell defines {', '.join(waiting)}")
    code(f'tfcourse.check("{exercise.id}", globals())')
    code(RUN.format(name=exercise.name))
    code(BOARD.format(name=exercise.name))
    markdown("What you should see", "If it does not work", "Go further")
    for index, cell in enumerate(cells):
        cell["id"] = f"cell-{index:03d}"  # nbformat's own are random.
        cell["metadata"] = {}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)) + "\n"


METADATA = {
    "colab": {"provenance": [], "toc_visible": True},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def _tasks_in(source: str, waiting: set[str]) -> list[str]:
    """Return the tasks that a cell defines, in their order; methods as `Class.method`."""
    names = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.ClassDef):
            names += [
                f"{node.name}.{entry.name}"
                for entry in node.body
                if isinstance(entry, ast.FunctionDef)
            ]
    return [name for name in names if name in waiting]


def _attach_figures(cell: Any, folder: Path) -> None:
    """Put the handout's figures into the cell: a copied notebook has no folder."""
    attachments = {}

    def attach(match: re.Match[str]) -> str:
        path = folder / match[2]
        if not path.is_file():
            raise UserError(
                f"{folder / 'handout.md'} shows {match[2]}, which is missing"
            )
        content = base64.b64encode(path.read_bytes()).decode()
        attachments[path.name] = {"image/png": content}
        return f"![{match[1]}](attachment:{path.name})"

    cell["source"] = re.sub(
        r"!\[([^\]]*)\]\((figures/[\w.-]+\.png)\)", attach, cell["source"]
    )
    if attachments:
        cell["attachments"] = attachments
