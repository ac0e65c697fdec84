"""What holds for every exercise."""

import json
import os
import subprocess
import sys

import nbformat
import pytest

from tfcourse.authoring import (
    behaviour_problems,
    exported_files,
    structure_problems,
)
from tfcourse.catalog import load_catalog
from tfcourse.notebook import make_notebook
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


@pytest.mark.parametrize("exercise", CATALOG, ids=name_of)
def test_the_smoke_tier_keeps_its_promises(exercise, home):
    done = subprocess.run(
        [sys.executable, "-m", "tfcourse.cli", "run", str(exercise.number)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert f"tfcourse board {exercise.number}" in done.stdout
    (folder,) = (home / "logs" / "runs" / exercise.name).iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "complete"
    assert {info["source"] for info in result["data"]} == {"embedded"}
    for promise in exercise.tiers["smoke"].promises:
        measured = result["metrics"][promise.metric]
        assert promise.holds(measured), (promise, measured)
    assert list((folder / "figures").glob("*.png"))
    assert list(folder.rglob("events.out.tfevents.*"))


@pytest.mark.parametrize("exercise", CATALOG, ids=name_of)
def test_a_solved_notebook_runs_from_top_to_bottom(exercise, tmp_path, monkeypatch):
    """The skeleton's cells are replaced by the solution's; training stays away."""
    from nbclient import NotebookClient

    solution = exercise.path("solution.py").read_text(encoding="utf-8")
    handout = exercise.path("handout.md").read_text(encoding="utf-8")
    notebook = nbformat.reads(make_notebook(exercise, solution, handout), as_version=4)
    notebook.cells = [
        cell
        for cell in notebook.cells
        if not cell.source.startswith(("from tfcourse.runs", "%load_ext"))
    ]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=120, resources=resources).execute()
    pages = [
        output["data"]["text/html"]
        for cell in notebook.cells
        if cell.source.startswith("tfcourse.check(")
        for output in cell.outputs
        if "text/html" in output.get("data", {})
    ]
    assert len(pages) == len(exercise.tasks) + 1
    assert all(">pass</b>" in page for page in pages), pages
