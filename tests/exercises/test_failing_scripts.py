"""Exercise 04's scripts: they run, fail, are recorded, and are copied for learners."""

import ast
import json

import keras
import numpy as np
import pytest

from tfcourse import failing_scripts, recording_figures
from tfcourse.catalog import find_exercise, load_module
from tfcourse.doctor import Recorder, read_run
from tfcourse.failing_scripts import NAMES, load_script, recorded_tags
from tfcourse.workspace import Workspace

EXERCISE = find_exercise("failing_scripts")
TAGS = json.loads(EXERCISE.path("tags.json").read_text(encoding="utf-8"))


def few(num_examples=160):
    return [(x[:num_examples], y[:num_examples]) for x, y in failing_scripts.digits()]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """One model of each kind: Sequential, Functional, tf.data, own train_step."""
    folder = tmp_path_factory.mktemp("recordings")
    for name in ("cedar", "ember", "grove", "heath"):
        keras.utils.set_random_seed(0)
        recorder = Recorder(folder / name / "as_it_is")
        load_script(name).train(*few(), [recorder], epochs=1)
    return folder


def test_there_are_ten_scripts_with_an_answer_each():
    files = sorted(path.stem for path in EXERCISE.path("scripts").glob("*.py"))
    assert files == sorted(NAMES) == sorted(TAGS)
    assert [task.function for task in EXERCISE.tasks] == list(NAMES)


@pytest.mark.parametrize("name", ["cedar", "ember", "grove", "heath"])
def test_the_listed_tags_are_the_recorded_ones(recordings, name):
    assert sorted(recorded_tags(read_run(recordings / name / "as_it_is"))) == TAGS[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_script_records_itself_and_gives_nothing_away(name):
    text = failing_scripts.script_text(name)
    tree = ast.parse(text)
    assert "Recorder(log_folder(" in text and f'log_folder("{name}")' in text
    words = ("wrong", "broken", "bug", "mistake", "vanish", "fail")
    code = text.replace("failing_scripts", "").lower()
    assert not [word for word in words if word in code]
    assert {"train"} <= {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


def test_the_same_digits_for_all_and_none_in_both_parts():
    (train_images, _), (val_images, _) = failing_scripts.digits()
    assert (len(train_images), len(val_images)) == (1150, 287)
    known = {image.tobytes() for image in train_images}
    shared = sum(image.tobytes() in known for image in val_images)
    assert shared <= 2  # Two writers' digits can be alike to the pixel.
    again = failing_scripts.digits()[0][0]
    assert np.array_equal(train_images, again)


@pytest.mark.parametrize("text, count", [("missing", 0), ("layers", 8)])
def test_a_change_must_fit_exactly_once(text, count):
    with pytest.raises(ValueError, match="occurs"):
        load_script("amber", {text: ""})


def test_a_script_without_train_is_refused():
    with pytest.raises(ValueError, match="defines no train"):
        load_script("amber", {"def train(": "def run("})


def test_fit_comes_back_after_a_replacement():
    original = keras.Model.fit
    with pytest.raises(ZeroDivisionError), failing_scripts.fit_replaced(print):
        1 / 0  # noqa: B018
    assert keras.Model.fit is original


def test_figures_are_drawn_where_recordings_allow(recordings):
    losses = {"cedar": [2.3, 2.3], "juniper": [2.3, 0.1]}
    drawn = dict(recording_figures.all_figures(recordings, losses))
    assert set(drawn) == {"one_batch"}
    found = read_run(recordings / "grove" / "as_it_is")
    assert recording_figures.class_shares({"sorted": found}).axes
    assert recording_figures.recorded_inputs(recordings / "grove", "none") is None


def test_the_smoke_promises_are_those_of_one_script_too(tmp_path, monkeypatch):
    solution = load_module(EXERCISE.path("solution.py"), "failing_scripts_tested")
    assert set(solution.ANSWERS) == set(NAMES) == set(solution.SMOKE.scripts)
    promised = {p.metric for tier in EXERCISE.tiers.values() for p in tier.promises}
    result = {"faults": ["healthy"], "doctor": ["healthy"], "tag_exists": True}
    result |= {"as_it_is": 0.9, "mended": 0.9}
    monkeypatch.setattr(solution, "examine", lambda *_: result)
    from tfcourse.runs import Run

    config = solution.dataclasses.replace(solution.SMOKE, scripts=("juniper",))
    metrics = solution.main(config, Run(tmp_path / "run", show_progress=False))
    assert promised <= set(metrics)


def test_start_copies_the_scripts_and_keeps_the_learners(tmp_path):
    workspace = Workspace(tmp_path)
    folder = workspace.copy_scripts(EXERCISE)
    assert sorted(path.stem for path in folder.glob("*.py")) == sorted(NAMES)
    mine = folder / "amber.py"
    mine.write_text("mine", encoding="utf-8")
    workspace.copy_scripts(EXERCISE)
    assert mine.read_text(encoding="utf-8") == "mine"
    workspace.copy_scripts(EXERCISE, force=True)
    assert mine.read_text(encoding="utf-8") == failing_scripts.script_text("amber")
    (backup,) = (workspace.work / "backups").glob("amber-*.py")
    assert backup.read_text(encoding="utf-8") == "mine"


def test_an_exercise_without_scripts_has_none_to_copy(tmp_path):
    assert Workspace(tmp_path).copy_scripts(find_exercise(1)) is None
