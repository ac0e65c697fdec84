"""What authors run: make an exercise, regenerate its exports, prove its checks."""

from __future__ import annotations

import ast
import dataclasses
import functools
import itertools
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfcourse.catalog import Exercise, load_module
from tfcourse.checking import CheckResult, Report, collect, run, select
from tfcourse.errors import UserError
from tfcourse.notebook import make_notebook, parse_handout
from tfcourse.skeleton import find_regions, make_skeleton, solution_lines
from tfcourse.submission import load_checks

# A shorter line (`return model`) can stand anywhere without telling anything.
MIN_LEAK_CHARACTERS = 16
MIN_MUTANTS = 8
MIN_ALTERNATIVES = 2
BLANK = re.compile(
    r"<<[^<>\n]*>>"
)  # What `tfcourse new` leaves for the author to fill.
EXPORTS = ("skeleton.py", "notebook.ipynb")


@dataclasses.dataclass(frozen=True)
class Variant:
    """The solution with a few texts replaced: a mutant or an alternative."""

    name: str
    edits: tuple[tuple[str, str], ...]
    task: str = ""  # Mutants: the task whose check must fail.
    mistake: str = ""
    message: str = ""  # Mutants: stands in that check's message.

    def apply(self, solution: str) -> str:
        """Return the variant's text.

        Raises:
            UserError: If a text to replace does not occur exactly once.
        """
        for find, replace in self.edits:
            count = solution.count(find)
            if count != 1:
                raise UserError(
                    f"variant {self.name}: {find!r} occurs {count} times in "
                    "solution.py, not once"
                )
            solution = solution.replace(find, replace)
        return solution


def load_variants(exercise: Exercise) -> tuple[list[Variant], list[Variant]]:
    """Return the mutants and the alternatives of `mutants.toml`.

    Raises:
        UserError: If the file is damaged or a key is missing.
    """
    path = exercise.path("mutants.toml")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        mutants = [
            Variant(
                entry["name"],
                _edits(entry),
                entry["task"],
                entry["mistake"],
                entry["message"],
            )
            for entry in table.get("mutant", [])
        ]
        alternatives = [
            Variant(entry["name"], _edits(entry), mistake=entry["why"])
            for entry in table.get("alternative", [])
        ]
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{path}: {error!r}") from None
    return mutants, alternatives


def _edits(entry: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((edit["find"], edit["replace"]) for edit in entry["edits"])


def exported_files(exercise: Exercise) -> dict[str, str]:
    """Return the text of each generated file, by its name."""
    solution = _read(exercise, "solution.py")
    name = str(exercise.path("solution.py"))
    skeleton = make_skeleton(solution, exercise.number, name)
    notebook = make_notebook(exercise, skeleton, _read(exercise, "handout.md"))
    return dict(zip(EXPORTS, (skeleton, notebook), strict=True))


def sync(exercise: Exercise, *, check_only: bool = False) -> list[Path]:
    """Return the generated files that were stale, after writing them anew.

    With `check_only` nothing is written.
    """
    stale = []
    for name, text in exported_files(exercise).items():
        path = exercise.path(name)
        if not path.is_file() or path.read_bytes() != text.encode():
            stale.append(path)
            if not check_only:
                path.write_bytes(text.encode())
    return stale


def _read(exercise: Exercise, filename: str) -> str:
    try:
        return exercise.path(filename).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{exercise.path(filename)}: {error}") from None


def check_text(
    exercise: Exercise,
    text: str,
    *,
    task: str | None = None,
    seed: int = 0,
    until: Callable[[CheckResult], bool] | None = None,
) -> Report:
    """Return the report of an exercise's checks on a text, run in this process.

    Args:
        exercise: Whose checks run.
        text: Of the submission.
        task: Only this task's checks run; None: all.
        seed: Of all random generators, before each check.
        until: No check runs after a result for which this is true.
    """
    # A file of its own for each text: linecache and inspect read it.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "submission.py"
        path.write_text(text, encoding="utf-8")
        name = f"tfcourse_variant_{next(_counter)}"
        submission = load_module(path, name)
        try:
            checks = select(collect(load_checks(exercise)), exercise, task)
            return run(exercise, checks, submission, seed=seed, until=until)
        finally:
            del sys.modules[name]


_counter = itertools.count()


def structure_problems(exercise: Exercise) -> Iterator[str]:
    """Yield what is wrong with an exercise's files, without running any of them."""
    for name in (
        "exercise.toml",
        "handout.md",
        "solution.py",
        "checks.py",
        "mutants.toml",
    ):
        for number, line in enumerate(_read(exercise, name).splitlines(), 1):
            if BLANK.search(line):
                yield f"{name}:{number}: a blank to fill: {line.strip()[:60]}"
    solution = _read(exercise, "solution.py")
    tasks = [task.function for task in exercise.tasks]
    regions = [
        r.task for r in find_regions(solution, str(exercise.path("solution.py")))
    ]
    if sorted(regions) != sorted(tasks):
        yield f"solution regions are {regions}, tasks in exercise.toml are {tasks}"
        return
    handout = parse_handout(_read(exercise, "handout.md"))
    in_handout = [name[5:] for name in handout if name.startswith("task:")]
    if in_handout != tasks:
        yield f"handout.md has sections for {in_handout}, exercise.toml has {tasks}"
        return
    yield from _promise_problems(exercise)
    try:
        exports = exported_files(exercise)
    except UserError as error:
        yield str(error)
        return
    for name, text in exports.items():
        path = exercise.path(name)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            yield f"{name} is stale: tfcourse sync"
    for line, (name, text) in itertools.product(
        dict.fromkeys(solution_lines(solution)), exports.items()
    ):
        escaped = line.replace("\\", "\\\\").replace('"', '\\"')
        if len(line) >= MIN_LEAK_CHARACTERS and (line in text or escaped in text):
            yield f"{name} shows a line of a solution: {line}"
    if _signatures(solution) != _signatures(exports["skeleton.py"]):
        yield "public signatures or docstrings of the skeleton differ"
    mutants, alternatives = load_variants(exercise)
    if len(mutants) < MIN_MUTANTS or len(alternatives) < MIN_ALTERNATIVES:
        yield (
            f"{len(mutants)} mutants and {len(alternatives)} alternatives; needed are "
            f"{MIN_MUTANTS} and {MIN_ALTERNATIVES}"
        )
    names = [variant.name for variant in (*mutants, *alternatives)]
    yield from (f"two variants: {n}" for n in set(names) if names.count(n) > 1)
    untested = set(tasks) - {mutant.task for mutant in mutants}
    yield from (f"no mutant for task {task}" for task in sorted(untested))
    yield from (
        f"mutant {m.name}: unknown task {m.task}"
        for m in mutants
        if m.task not in tasks
    )


def _promise_problems(exercise: Exercise) -> Iterator[str]:
    for name in ("smoke", "lab", "full"):
        if name not in exercise.tiers:
            yield f"exercise.toml has no tier.{name}"
        elif not exercise.tiers[name].promises:
            yield f"tier.{name} promises nothing"


def _signatures(text: str) -> list[tuple[str, str, str | None]]:
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            arguments = ast.unparse(node.args)
            found.append((node.name, arguments, ast.get_docstring(node)))
        elif isinstance(node, ast.ClassDef):
            found.append((node.name, "", ast.get_docstring(node)))
    # Functions inside a solution region go with it.
    return [entry for entry in found if entry[2] is not None]


def behaviour_problems(exercise: Exercise, *, seed: int = 0) -> Iterator[str]:
    """Yield what the checks get wrong, with all random generators seeded by `seed`."""
    solution = _read(exercise, "solution.py")
    yield from _all_have(
        "the solution", check_text(exercise, solution, seed=seed), "pass"
    )
    skeleton = make_skeleton(solution, exercise.number)
    yield from _all_have(
        "the skeleton", check_text(exercise, skeleton, seed=seed), "todo"
    )
    mutants, alternatives = load_variants(exercise)
    names = {task.function for task in exercise.tasks}
    for variant in (*mutants, *alternatives):
        try:
            text = variant.apply(solution)
        except UserError as error:
            yield str(error)
            continue
        # What matters of a mutant is its own task; all checks would take minutes.
        task = variant.task if variant.task in names else None
        if variant.task:
            # Nor the checks after the one that names the mistake.
            caught = functools.partial(_is_caught, variant) if task else None
            report = check_text(exercise, text, task=task, seed=seed, until=caught)
            yield from mutant_problems(variant, report)
        else:
            report = check_text(exercise, text, seed=seed)
            yield from _all_have(f"alternative {variant.name}", report, "pass")


def _is_caught(mutant: Variant, result: CheckResult) -> bool:
    """Return whether a check has failed with the message that names the mistake."""
    failed = result.status in ("fail", "error")
    return failed and mutant.message.lower() in result.message.lower()


def mutant_problems(mutant: Variant, report: Report) -> Iterator[str]:
    """Yield why a mutant was not caught as it should be."""
    failed = [
        result
        for task in report.tasks
        if task.task == mutant.task
        for result in task.checks
        if result.status in ("fail", "error")
    ]
    if not failed:
        yield (
            f"mutant {mutant.name} passes: no check of {mutant.task} sees that it "
            + (mutant.mistake)
        )
    elif not any(_is_caught(mutant, result) for result in failed):
        messages = [result.message for result in failed]
        yield f"mutant {mutant.name}: {mutant.message!r} stands in none of {messages}"


def _all_have(what: str, report: Report, status: str) -> Iterator[str]:
    for task in report.tasks:
        for result in task.checks:
            if result.status != status:
                yield (
                    f"{what}: {result.name} is {result.status}, not {status}: "
                    f"{result.message}"
                )


def new_exercise(folder: Path, number: int, slug: str) -> Path:
    """Write the folder of a new exercise with blanks to fill; return it.

    Raises:
        UserError: If the name is not fit, the number is taken, or the folder exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", slug):
        raise UserError(f"{slug!r} must be lower-case words joined by _, e.g. my_topic")
    if not 1 <= number <= 99:
        raise UserError(f"an exercise's number is 1 to 99; got {number}")
    taken = sorted(folder.glob(f"{number:02d}_*"))
    if taken:
        raise UserError(f"number {number} is taken by {taken[0].name}")
    target = folder / f"{number:02d}_{slug}"
    target.mkdir(parents=True)
    templates = Path(__file__).parent / "templates"
    title = slug.replace("_", " ").capitalize()
    for template in sorted(templates.glob("*.txt")):
        text = template.read_text(encoding="utf-8")
        for blank, value in (
            ("@NUMBER@", str(number)),
            ("@ID@", f"{number:02d}"),
            ("@NAME@", target.name),
            ("@TITLE@", title),
        ):
            text = text.replace(blank, value)
        (target / template.stem).write_text(text, encoding="utf-8")
    return target
