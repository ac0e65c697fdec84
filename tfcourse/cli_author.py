"""Commands for authors: `new`, `sync`, `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfcourse.catalog import Exercise, exercises_folder, find_exercise, load_catalog

# Options of more than one command.
OnlyArgument = Annotated[
    str | None, typer.Argument(metavar="[EXERCISE]", help="Default: all exercises.")
]


def _chosen(exercise: str | None) -> tuple[Exercise, ...]:
    return (find_exercise(exercise),) if exercise else load_catalog()


def new(
    number: Annotated[int, typer.Argument(help="Free number, 1 to 99.")],
    slug: Annotated[str, typer.Argument(help="Name in lower case: my_topic.")],
) -> None:
    """Make a new exercise's folder with blanks to fill."""
    from tfcourse.authoring import new_exercise

    folder = new_exercise(exercises_folder(), number, slug)
    for path in sorted(folder.iterdir()):
        print(path)
    print(
        f"next: fill the blanks <<...>>, then tfcourse sync && tfcourse verify {number}"
    )


def sync(
    exercise: OnlyArgument = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if stale.")
    ] = False,
) -> None:
    """Regenerate skeletons and notebooks."""
    from tfcourse.authoring import sync as sync_exercise

    stale: list[Path] = []
    for found in _chosen(exercise):
        stale += sync_exercise(found, check_only=check)
    for path in stale:
        print(f"{'stale' if check else 'wrote'}  {path}")
    if not stale:
        print("everything is up to date")
    elif check:
        raise typer.Exit(1)


def verify(
    exercise: OnlyArgument = None,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="Run the checks with seeds 0 to N-1.")
    ] = 1,
) -> None:
    """Prove an exercise's checks: solution, skeleton, mutants, alternatives."""
    from tfcourse.authoring import behaviour_problems, structure_problems
    from tfcourse.processes import silenced

    num_problems = 0
    for found in _chosen(exercise):
        problems = list(structure_problems(found))
        for problem in problems:
            print(f"{found.name}: {problem}")
        num_problems += len(problems)
        for seed in range(seeds):
            with silenced():  # Mutants print, and TensorFlow complains about them.
                problems = list(behaviour_problems(found, seed=seed))
            for problem in problems or ["good"]:
                print(f"{found.name}, seed {seed}: {problem}", flush=True)
            num_problems += len(problems)
    if num_problems:
        print(f"{num_problems} problems")
        raise typer.Exit(1)
