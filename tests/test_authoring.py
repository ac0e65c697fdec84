"""The author's checks themselves: each kind of broken exercise is named."""

import re
import shutil

import pytest

from tfcourse import authoring
from tfcourse.authoring import behaviour_problems, new_exercise, structure_problems
from tfcourse.catalog import load_exercise
from tfcourse.errors import UserError


@pytest.fixture
def copy(sums, tmp_path):
    shutil.copytree(sums.folder, tmp_path / sums.name)
    return load_exercise(tmp_path / sums.name)


def edit(exercise, filename, old, new):
    path = exercise.path(filename)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return load_exercise(exercise.folder)


def problems(exercise):
    try:
        authoring.sync(exercise)
        return "\n".join([*structure_problems(exercise), *behaviour_problems(exercise)])
    except UserError as error:
        return str(error)


def test_the_fixture_is_good_but_for_its_size(copy):
    assert problems(copy) == "2 mutants and 1 alternatives; needed are 8 and 2"


@pytest.mark.parametrize(
    ("filename", "old", "new", "problem"),
    [
        ("solution.py", "= a + b", "= a - b", "the solution: one_and_two"),
        ("mutants.toml", "a + b\\n", "a * b\\n", "occurs 0 times"),
        ("checks.py", "assert received == 3", "assert True", "mutant subtracts passes"),
        ("checks.py", "1 + 2 is wrong", "wrong", "stands in none of"),
        ("mutants.toml", '"b + a', '"b - a', "alternative swapped: one_and_two"),
        ("checks.py", "submission.add(1, 2)", "3", "the skeleton: one_and_two"),
        ("mutants.toml", 'task = "add"', 'task = "ad"', "unknown task ad"),
        ("mutants.toml", 'task = "add"', 'task = "Mean.of"', "no mutant for task add"),
        ("mutants.toml", 'find = "a + b\\n    return"', 'find = "a"', "times in"),
        ("mutants.toml", '"swapped"', '"subtracts"', "two variants: subtracts"),
        ("exercise.toml", '"add"', '"ad"', "no cell defines ad"),
        ("handout.md", "`add`", "`ad`", "has no section ### `add`"),
        ("handout.md", "Add.", "Write `total_of_both = a + b`.", "shows a line of a"),
        ("handout.md", "Add.", "<<fill>>", "handout.md:5: a blank to fill"),
    ],
)
def test_a_broken_exercise_is_named(copy, filename, old, new, problem):
    found = problems(edit(copy, filename, old, new))
    assert problem in found, found


def test_stale_exports_are_named_and_mended(copy):
    changed = edit(copy, "solution.py", '"""Sums."""', '"""More sums."""')
    assert "skeleton.py is stale" in "\n".join(structure_problems(changed))
    assert len(authoring.sync(changed, check_only=True)) == 2
    assert len(authoring.sync(changed)) == 2
    assert authoring.sync(changed) == []


def test_a_new_exercise_passes_once_its_blanks_are_filled(tmp_path):
    folder = new_exercise(tmp_path, 32, "my_topic")
    exercise = load_exercise(folder)
    assert "a blank to fill" in "\n".join(structure_problems(exercise))
    for path in folder.iterdir():
        path.write_text(re.sub(r"<<[^>]*>>", "filled", path.read_text()))
    exercise = load_exercise(folder)
    authoring.sync(exercise)
    assert [*structure_problems(exercise), *behaviour_problems(exercise)] == []


@pytest.mark.parametrize(
    ("number", "slug"),
    [(0, "x"), (100, "x"), (3, "My"), (3, "a/b"), (3, ""), (90, "x")],
)
def test_a_bad_name_or_number_is_refused(tmp_path, number, slug):
    (tmp_path / "90_sums").mkdir()
    with pytest.raises(UserError):
        new_exercise(tmp_path, number, slug)
    assert [path.name for path in tmp_path.iterdir()] == ["90_sums"]
