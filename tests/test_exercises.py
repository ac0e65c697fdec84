"""What holds for every exercise."""

import nbformat
import pytest

from tfcourse.authoring import (
    behaviour_problems,
    exported_files,
    structure_problems,
)
from tfcourse.catalog import load_catalog
from tfcourse.results import load_evidence

CATALOG = load_catalog()


def name_of(exercise):
    return exercise.name


@pytest.mark.parametrize("exercise", CATALOG, ids=name_of)
def test_the_files_agree(exercise):
    assert list(structure_problems(exercise)) == []


@pytest.mark.parametrize("exercise", CATALOG, ids=name_of)
def test_the_checks_tell_right_from_wrong(exercise):
    assert list(behaviour_problems(exercise)) == []


@pytest.mark.parametrize("exercise", CATALOG, ids=name_of)
def test_the_notebook_is_valid(exercise):
    notebook = nbformat.reads(exported_files(exercise)["notebook.ipynb"], as_version=4)
    nbformat.validate(notebook)


@pytest.mark.parametrize("exercise", CATALOG, ids=name_of)
def test_what_it_needs_exists(exercise):
    numbers = {other.number for other in CATALOG}
    assert set(exercise.needs) <= numbers
    assert exercise.number not in exercise.needs


@pytest.mark.parametrize("exercise", CATALOG, ids=name_of)
def test_evidence_has_every_promised_metric(exercise):
    for result in load_evidence():
        if result["exercise"] == exercise.name:
            promises = exercise.tiers[result["tier"]].promises
            missing = {entry.metric for entry in promises} - set(result["metrics"])
            assert not missing, (result["tier"], result["seed"])
