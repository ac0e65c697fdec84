"""Solution text to skeleton text: what stands between the markers goes.

Pure functions of text. A region begins with exactly `# BEGIN SOLUTION` and ends with
exactly `# END SOLUTION`, each alone on its line, inside a function, below its docstring,
around whole statements; the function is the task. Everything else is refused with file
and line, since a marker that is passed over would hand the solution to the students.
"""

from __future__ import annotations

import ast
import difflib
import io
import re
import tokenize
from dataclasses import dataclass

from tfcourse.errors import UserError

BEGIN = "# BEGIN SOLUTION"
END = "# END SOLUTION"
# Comments at least this similar to a marker are taken for misspelt ones. The ratio is
# 0.93 for `# BEGIN SOLUTOIN` and 0.55 for "the solution begins here".
MISSPELT_RATIO = 0.8


class SkeletonError(UserError):
    """A marker in a solution that breaks the rules."""

    def __init__(self, filename: str, line: int, rule: str) -> None:
        super().__init__(f"{filename}:{line}: {rule}")


@dataclass(frozen=True)
class Region:
    """One solution region: the task and its marker lines, counted from 1."""

    task: str  # `build_model`, or `Layer.call` for a method.
    begin: int
    end: int


@dataclass(frozen=True)
class _Function:
    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef
    is_nested: bool


def make_skeleton(text: str, number: int, filename: str = "solution.py") -> str:
    """Return the solution's text with each region replaced by one `raise`.

    Args:
        text: Python source of the solution.
        number: Number of the exercise, for the message that the student sees.
        filename: Named in errors.

    Raises:
        SkeletonError: If a marker is nested, unclosed, misspelt or misplaced, or the
            text is not Python; names file and line.
    """
    lines = _lines(text)
    pieces: list[str] = []
    position = 0
    for region in find_regions(text, filename):
        first = lines[region.begin - 1]
        indent = first[: len(first) - len(first.lstrip())]
        newline = first[len(first.rstrip("\r\n")) :] or "\n"
        message = f"exercise {number:02d}: write {region.task}()"
        pieces += lines[position : region.begin - 1]
        pieces.append(f'{indent}raise NotImplementedError("{message}"){newline}')
        position = region.end
    return "".join(pieces + lines[position:])


def solution_lines(text: str, filename: str = "solution.py") -> list[str]:
    """Return the lines that stand inside solution regions, stripped, without blanks."""
    lines = _lines(text)
    inside = []
    for region in find_regions(text, filename):
        inside += [line.strip() for line in lines[region.begin : region.end - 1]]
    return [line for line in inside if line]


def solution_sources(text: str, filename: str = "solution.py") -> dict[str, str]:
    """Return each task's function as the reference writes it, without the markers."""
    lines = _lines(text)
    sources = {}
    nodes = {function.name: function.node for function in _functions(ast.parse(text))}
    for region in find_regions(text, filename):
        node = nodes[region.task]
        last = max(_last_line(node), region.end)
        kept = lines[_first_line(node) - 1 : last]
        sources[region.task] = "".join(
            line for line in kept if line.strip() not in (BEGIN, END)
        )
    return sources


def find_regions(text: str, filename: str = "solution.py") -> list[Region]:
    """Return the solution regions from top to bottom.

    Raises:
        SkeletonError: As for `make_skeleton`.
    """
    markers = _markers(text, filename)
    tree = ast.parse(text)
    functions = list(_functions(tree))
    regions: list[Region] = []
    opened: tuple[int, int] | None = None
    for marker, line, column in markers:
        if marker == BEGIN:
            if opened:
                raise SkeletonError(
                    filename,
                    line,
                    f"nested {BEGIN}: the one in line {opened[0]} is open",
                )
            opened = (line, column)
        elif opened is None:
            raise SkeletonError(filename, line, f"{END} without {BEGIN}")
        else:
            task = _task(tree, functions, opened, (line, column), filename)
            if any(region.task == task for region in regions):
                raise SkeletonError(
                    filename, opened[0], f"second region in {task}(): one per function"
                )
            regions.append(Region(task, opened[0], line))
            opened = None
    if opened:
        raise SkeletonError(filename, opened[0], f"{BEGIN} is never closed by {END}")
    return regions


def _lines(text: str) -> list[str]:
    # Not str.splitlines: form feeds and Unicode separators end no line of Python.
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)


def _markers(text: str, filename: str) -> list[tuple[str, int, int]]:
    """Return (marker, line, column) of all markers; strings that hold one don't count."""
    found = []
    try:
        ast.parse(text)
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type != tokenize.COMMENT:
                continue
            line, column = token.start
            if token.string in (BEGIN, END):
                if token.line[:column].strip():
                    raise SkeletonError(
                        filename,
                        line,
                        f"misplaced {token.string}: not alone on its line",
                    )
                found.append((token.string, line, column))
            elif _looks_like_a_marker(token.string):
                raise SkeletonError(
                    filename,
                    line,
                    f"misspelt marker {token.string[:60]!r}: write {BEGIN} or {END}",
                )
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        line = getattr(error, "lineno", None) or 1
        raise SkeletonError(filename, line, f"this is not Python: {error}") from None
    return found


def _looks_like_a_marker(comment: str) -> bool:
    words = " ".join(re.findall(r"[a-z]+", comment.lower()))
    return any(
        difflib.SequenceMatcher(None, words, marker).ratio() >= MISSPELT_RATIO
        for marker in ("begin solution", "end solution")
    )


def _functions(tree: ast.Module) -> list[_Function]:
    found: list[_Function] = []

    def visit(node: ast.AST, prefix: str, is_nested: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append(_Function(prefix + child.name, child, is_nested))
                visit(child, f"{prefix}{child.name}.", True)
            elif isinstance(child, ast.ClassDef):
                visit(child, f"{prefix}{child.name}.", is_nested)
            else:
                visit(child, prefix, is_nested)

    visit(tree, "", False)
    return found


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(entry.lineno for entry in decorators)])


def _last_line(statement: ast.stmt) -> int:
    return statement.end_lineno or statement.lineno


def _task(
    tree: ast.Module,
    functions: list[_Function],
    begin: tuple[int, int],
    end: tuple[int, int],
    filename: str,
) -> str:
    """Return the name of the function whose body the region is a part of."""

    def refuse(rule: str) -> SkeletonError:
        return SkeletonError(filename, begin[0], f"misplaced {BEGIN}: {rule}")

    def is_inside(statement: ast.stmt) -> bool:
        return begin[0] < _first_line(statement) and _last_line(statement) < end[0]

    def is_touched(statement: ast.stmt) -> bool:
        return begin[0] < _last_line(statement) and _first_line(statement) < end[0]

    for scope in ast.walk(tree):
        if isinstance(scope, ast.Module | ast.ClassDef):
            encloses = isinstance(scope, ast.Module) or scope.lineno < begin[0]
            starts = (_first_line(statement) for statement in scope.body)
            if encloses and any(begin[0] < start < end[0] for start in starts):
                raise refuse("a region stays inside one function")
    holders = [
        function
        for function in functions
        if function.node.lineno < begin[0] and any(map(is_inside, function.node.body))
    ]
    if not holders:
        raise refuse("no whole statement of a function's body stands in the region")
    if len(holders) > 1:
        raise refuse("a region stays inside one function")
    holder = holders[0]
    body = holder.node.body
    if holder.is_nested:
        raise refuse(f"{holder.name}() is a function inside a function")
    if ast.get_docstring(holder.node) is None:
        raise refuse(f"{holder.name}() has no docstring above it")
    if _last_line(body[0]) >= begin[0]:
        raise refuse(f"it stands above the end of the docstring of {holder.name}()")
    if any(is_touched(statement) and not is_inside(statement) for statement in body):
        raise refuse("it cuts through a statement")
    if not begin[1] == end[1] == body[0].col_offset:
        raise refuse("markers are indented like the body of their function")
    return holder.name
