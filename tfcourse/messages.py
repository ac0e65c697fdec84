"""What a student reads when something is wrong: values, errors and their own line.

Everything here gets its input from a submission, so nothing raises and nothing is long.
"""

from __future__ import annotations

import ast
import linecache
import re
import traceback
from typing import Any

from tfcourse.errors import UserError

MAX_VALUE_CHARACTERS = 120


class NotebookSubmission:
    """A notebook's variables, looked up as attributes, as checks read a module's."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace

    def __getattr__(self, name: str) -> Any:
        try:
            return self.namespace[name]
        except KeyError:
            raise AttributeError(f"the notebook defines no {name}") from None


def explain(mistake: str, *, expected: object, received: object) -> str:
    """Return an assertion message: the mistake, what was expected, what was received.

    >>> explain("the head must give logits", expected="a sum other than 1", received=1.0)
    'the head must give logits: expected a sum other than 1, got 1.0'
    """
    return f"{mistake}: expected {describe(expected)}, got {describe(received)}"


def describe(value: object) -> str:
    """Return a short text for any value, arrays and models by shape and dtype.

    Never raises and never returns more than a line: the value comes from a submission.
    """
    try:
        text = value if isinstance(value, str) else _describe(value)
    except Exception as error:
        text = f"a {type(value).__name__} whose repr raises {type(error).__name__}"
    text = " ".join(text.split())
    if len(text) > MAX_VALUE_CHARACTERS:
        text = text[: MAX_VALUE_CHARACTERS - 1] + "…"
    return text


def _describe(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if not value.is_integer() else repr(value)
    if hasattr(value, "output_shape") and hasattr(value, "input_shape"):
        return (
            f"{type(value).__name__} model {value.input_shape} → {value.output_shape}"
        )
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        dtype = getattr(value.dtype, "name", value.dtype)
        shape = tuple(value.shape)
        size = 1
        for length in shape:
            size *= length if isinstance(length, int) else 0
        if 0 < size <= 8 and hasattr(value, "__array__"):
            return f"{dtype} {list(shape)} {value.__array__().tolist()}"
        return f"{dtype} {list(shape)} array"
    return repr(value)


def error_summary(error: BaseException) -> str:
    """Return an exception as one line: its type and the line that says most.

    Errors from traced code repeat their stack as text below "in user code:"; there the
    last line is the message.
    """
    try:
        text = str(error)
    except Exception:
        text = ""
    if isinstance(error, SystemExit):
        return f"your code calls sys.exit({error.code!r}), which ends the program"
    if isinstance(error, SyntaxError):
        source = (error.text or "").strip()
        return f"SyntaxError: {error.msg}, line {error.lineno}: `{source[:100]}`"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    line = lines[-1] if lines[0].startswith("in user code") else lines[0]
    if line.startswith(f"{type(error).__name__}:"):
        line = line.split(":", 1)[1].strip()
    return f"{type(error).__name__}: {line[:300]}"


def import_message(error: BaseException, filename: str) -> str:
    """Return why a submission can't be imported, with the student's own line."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, SyntaxError):
        return error_summary(error)
    numbers = [
        number
        for frame, number in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == filename
    ]
    where = _location(filename, numbers[-1]) if numbers else ""
    return f"when it is imported: {error_summary(error)}{where}"


def student_line(error: BaseException, submission: Any) -> str:
    """Return ` (FILE:LINE: code)` for the deepest frame of the submission, or ``."""
    namespace = _namespace(submission)
    found: tuple[str, int] | None = None
    for frame, number in traceback.walk_tb(error.__traceback__):
        if frame.f_globals is namespace:
            found = frame.f_code.co_filename, number
    filename = namespace.get("__file__")
    if filename:
        # Errors from traced code name the student's lines in their text alone.
        pattern = rf'File "{re.escape(str(filename))}", line (\d+)'
        traced = re.findall(pattern, _text(error))
        if traced:
            found = str(filename), int(traced[-1])
    return _location(*found) if found else ""


def returned_line(function: Any, submission: Any) -> str:
    """Return ` (FILE:LINE: code)` for the last return statement of a task's function."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    function = getattr(function, "python_function", function)  # tf.function
    code = getattr(function, "__code__", None)
    if code is None or function.__globals__ is not _namespace(submission):
        return ""
    last = code.co_firstlineno
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except (SyntaxError, ValueError):
        return _location(code.co_filename, last)
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or node.name != code.co_name:
            continue
        if _first_line(node) == code.co_firstlineno:
            returns = [n.lineno for n in ast.walk(node) if isinstance(n, ast.Return)]
            last = max(returns, default=node.lineno)
    return _location(code.co_filename, last)


def _namespace(submission: Any) -> dict[str, Any]:
    if isinstance(submission, NotebookSubmission):
        return submission.namespace
    return getattr(submission, "__dict__", {})


def _first_line(node: ast.FunctionDef) -> int:
    return min([node.lineno, *(entry.lineno for entry in node.decorator_list)])


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def _location(filename: str, number: int) -> str:
    code = linecache.getline(filename, number).strip()
    if "ipython-input" in filename or "ipykernel_" in filename:
        return f" (line {number} of its cell: `{code[:100]}`)"
    short = "/".join(filename.replace("\\", "/").split("/")[-2:])
    return f" ({short}:{number}: `{code[:100]}`)"
