"""A TensorFlow-native deep-learning course that runs."""

from typing import Any

__version__ = "0.1.0"


def check(
    exercise: str | int, namespace: dict[str, Any], task: str | None = None
) -> Any:
    """Return the report on a notebook's functions; Jupyter shows it as a table.

    Args:
        exercise: Number or name, `"01"`.
        namespace: The notebook's variables: `globals()`.
        task: Only this task's checks.

    Raises:
        UserError: If there is no such exercise or task.
    """
    from tfcourse.notebook_report import check_namespace

    return check_namespace(exercise, namespace, task)
