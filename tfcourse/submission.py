"""A student's file, read as a module: `.py`, or the code cells of a notebook."""

from __future__ import annotations

import ast
import linecache
import re
import sys
import types
from pathlib import Path

from tfcourse.catalog import Exercise, load_module
from tfcourse.errors import UserError

MAX_BYTES = 5_000_000  # A notebook with pictures is large; source never is.
MODULE_NAME = "submission"


def require_file(path: Path) -> Path:
    """Return `path` if it can be a submission.

    Raises:
        UserError: If it is missing, no regular file, of another type or far too large.
    """
    if not path.exists():
        raise UserError(f"{path} is missing: give a .py or .ipynb file with --file")
    if not path.is_file():
        raise UserError(f"{path} is not a file: give a .py or .ipynb file with --file")
    if path.suffix not in (".py", ".ipynb"):
        raise UserError(f"{path} must end in .py or .ipynb")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise UserError(
            f"{path} has {size:,} bytes; at most {MAX_BYTES:,} are read "
            "(clear the notebook's outputs?)"
        )
    return path


def load_submission(path: Path) -> types.ModuleType:
    """Return the student's module, imported under the name `submission`.

    Whatever the file raises passes through.
    """
    # A byte-code file could be older than a source saved twice within a second.
    sys.dont_write_bytecode = True
    if path.suffix == ".py":
        return load_module(path.resolve(), MODULE_NAME)
    code = notebook_code(path)
    module = types.ModuleType(MODULE_NAME)
    module.__file__ = str(path.resolve())
    sys.modules[MODULE_NAME] = module
    linecache.cache[module.__file__] = (
        len(code),
        None,
        code.splitlines(keepends=True),
        module.__file__,
    )
    exec(compile(code, module.__file__, "exec"), module.__dict__)
    return module


def notebook_code(path: Path) -> str:
    """Return the code cells of a notebook that define things, as one text.

    Kept are imports, functions, classes and assignments, as the notebook's own calls
    (training, `tfcourse.check`) have no place in a module. IPython's magics go.

    Raises:
        UserError: If the file is no notebook.
    """
    import nbformat  # Takes 0.2 s, so not at import.

    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises a dozen kinds for damaged files.
        reason = str(error).strip().splitlines()
        raise UserError(
            f"{path} is no notebook: {reason[0][:120] if reason else 'empty'}"
        ) from None
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return "\n\n".join(_definitions(source) for source in cells) + "\n"


def _definitions(source: str) -> str:
    """Return the cell with magics and bare calls as comments, line numbers kept."""
    lines = [
        re.sub(r"^(\s*)(?=[%!?])", r"\1pass  # ", line) for line in source.split("\n")
    ]
    try:
        tree = ast.parse("\n".join(lines))
    except SyntaxError:
        return "\n".join(lines)  # The import will name the line.
    for node in tree.body:
        if isinstance(node, ast.Expr):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = f"# {lines[number]}"
    return "\n".join(lines)


def load_checks(exercise: Exercise) -> types.ModuleType:
    """Return the exercise's module of checks."""
    return load_module(exercise.path("checks.py"), f"tfcourse_checks_{exercise.id}")


def load_solution(exercise: Exercise) -> types.ModuleType:
    """Return the exercise's reference solution as a module."""
    name = f"tfcourse_solution_{exercise.id}"
    return load_module(exercise.path("solution.py"), name)
