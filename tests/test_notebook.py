import json

import nbformat
import pytest

from tfcourse.authoring import exported_files
from tfcourse.errors import UserError
from tfcourse.notebook import parse_handout
from tfcourse.submission import notebook_code


def test_the_notebook_holds_handout_skeleton_and_checks_in_order(sums):
    text = exported_files(sums)["notebook.ipynb"]
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    sources = [cell.source for cell in notebook.cells]
    order = [
        "# Sums",
        "import tfcourse",
        "class Config",
        "### `add`",
        "exercise 90: write add()",
        'task="add")',
        "### `Mean.of`",
        "class Mean",
        'task="Mean.of")',
        "def main",
        "main(SMOKE",
        "## Go further",
    ]
    places = [
        next(i for i, source in enumerate(sources) if text in source) for text in order
    ]
    assert places == sorted(places)
    assert all("outputs" not in cell or not cell.outputs for cell in notebook.cells)
    assert "total_of_both" not in text


def test_regenerating_changes_nothing(sums):
    assert exported_files(sums) == exported_files(sums)


def test_an_untouched_notebook_is_a_submission(sums, tmp_path):
    path = tmp_path / "mine.ipynb"
    path.write_text(exported_files(sums)["notebook.ipynb"])
    namespace: dict = {"__name__": "mine"}
    code = notebook_code(path).replace("import tfcourse", "")
    exec(compile(code, str(path), "exec"), namespace)
    with pytest.raises(NotImplementedError):
        namespace["add"](1, 2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("## Goal", "## Aim"),
        ("## Idea\n", ""),
        ("# Sums", "Sums"),
        ("## Go further", ""),
    ],
)
def test_a_handout_without_its_sections_is_refused(sums, old, new):
    handout = sums.path("handout.md").read_text()
    with pytest.raises(UserError):
        parse_handout(handout.replace(old, new, 1))


def test_headings_inside_code_are_no_sections(sums):
    handout = sums.path("handout.md").read_text()
    parts = parse_handout(handout.replace("a + b.", "```\n## Tasks\n```"))
    assert "## Tasks" in parts["Idea"]


def test_figures_travel_in_the_notebook(sums, tmp_path):
    import shutil

    from tfcourse.catalog import load_exercise

    folder = tmp_path / sums.name
    shutil.copytree(sums.folder, folder)
    (folder / "figures").mkdir()
    (folder / "figures" / "sum.png").write_bytes(b"\x89PNG")
    handout = folder / "handout.md"
    handout.write_text(handout.read_text().replace("a + b.", "![x](figures/sum.png)"))
    notebook = json.loads(exported_files(load_exercise(folder))["notebook.ipynb"])
    assert "sum.png" in notebook["cells"][0]["attachments"]
    (folder / "figures" / "sum.png").unlink()
    with pytest.raises(UserError, match="is missing"):
        exported_files(load_exercise(folder))
