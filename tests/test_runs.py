"""What a run prints, stores and refuses."""

import dataclasses
import json
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.figure import Figure

from tfcourse.errors import UserError
from tfcourse.run_result import plain
from tfcourse.runs import Run


@dataclasses.dataclass(frozen=True)
class Config:
    learning_rate: float = 0.1
    widths: tuple[int, ...] = (64, 32)


@dataclasses.dataclass(frozen=True)
class Info:
    name: str = "mnist"
    split: str = "train"
    source: str = "embedded"
    origin: str = "scikit-learn's digits"
    num_examples: int = 1500
    image_shape: tuple[int, ...] = (28, 28)
    note: str = "small digits, enlarged"


def result_of(run):
    return json.loads((run.directory / "result.json").read_text(encoding="utf-8"))


def test_the_result_of_a_finished_run(tmp_path, capsys):
    run = Run.create("01_deep_mlp", "smoke", seed=4, root=tmp_path, submission="a.py")
    assert run.directory.parent == tmp_path / "01_deep_mlp"
    assert run.directory.name.startswith("smoke-20")
    assert not run.resumed
    assert result_of(run)["status"] == "running"
    run.record_data(Info())
    run.record_data(Info())
    path = run.finish({"test_accuracy": np.float32(0.5)}, Config())
    result = json.loads(path.read_text())
    assert result["status"] == "complete"
    assert result["format"] == 1
    assert (result["exercise"], result["tier"]) == ("01_deep_mlp", "smoke")
    assert result["metrics"] == {"test_accuracy": 0.5}
    assert result["config"] == {"learning_rate": 0.1, "widths": [64, 32]}
    assert result["data"] == [plain(Info())]
    assert (result["seed"], result["submission"]) == (4, "a.py")
    assert result["versions"]["tensorflow"] == tf.__version__
    assert result["device"] and result["seconds"] >= 0 and result["date"][:2] == "20"
    line = capsys.readouterr().out.splitlines()[0]
    assert line == (
        "data: mnist/train, 1500 examples, source embedded: scikit-learn's digits "
        "(small digits, enlarged)"
    )


def test_seconds_add_up_over_restarts(tmp_path):
    run = Run.create("01_deep_mlp", "lab", seed=0, root=tmp_path)
    result = result_of(run)
    stored = json.dumps({**result, "seconds": 1000.0})
    (run.directory / "result.json").write_text(stored)
    again = Run.create("01_deep_mlp", "lab", seed=0, root=tmp_path, resume=True)
    assert again.resumed and again.directory == run.directory
    again.finish({}, {})
    assert result_of(again)["seconds"] >= 1000
    assert result_of(again)["date"] == result["date"]


def test_resume_without_an_unfinished_run_starts_one(tmp_path, capsys):
    Run.create("01_deep_mlp", "lab", seed=0, root=tmp_path).finish({}, {})
    run = Run.create("01_deep_mlp", "lab", seed=0, root=tmp_path, resume=True)
    assert not run.resumed
    assert "nothing to resume" in capsys.readouterr().out


def test_another_seed_is_refused(tmp_path):
    Run.create("01_deep_mlp", "lab", seed=1, root=tmp_path)
    with pytest.raises(UserError, match="has seed 1; resume it with --seed 1"):
        Run.create("01_deep_mlp", "lab", seed=2, root=tmp_path, resume=True)


def test_a_folder_holds_one_run(tmp_path):
    Run(tmp_path)
    with pytest.raises(UserError, match="already holds a run"):
        Run(tmp_path)


def test_an_unwritable_root_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(UserError, match="can't write"):
        Run.create("01_deep_mlp", "lab", seed=0, root=tmp_path / "runs")


def test_once_computes_once(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"score": np.float64(0.5), "shape": (2, 3), 7: [np.int64(1)]}

    expected = {"score": 0.5, "shape": [2, 3], "7": [1]}
    assert Run(tmp_path).once("study/trial_1", compute) == expected
    assert Run(tmp_path, resume=True).once("study/trial_1", compute) == expected
    assert len(calls) == 1


def test_once_leaves_the_same_randomness_whether_it_computed_or_not(tmp_path):
    def draw(resume):
        keras.utils.set_random_seed(int(resume))
        run = Run(tmp_path, resume=resume)
        inside = run.once("draw", lambda: [random.random(), np.random.uniform()])
        return inside, random.random(), np.random.uniform(), float(tf.random.normal(()))

    assert draw(False) == draw(True)


def test_a_damaged_value_is_computed_again(tmp_path):
    Run(tmp_path).once("value", lambda: 1)
    (tmp_path / "resume" / "value" / "value.json").write_text('{"value"')
    assert Run(tmp_path, resume=True).once("value", lambda: 2) == 2


def test_a_stage_has_a_name_of_its_own(tmp_path):
    run = Run(tmp_path)
    run.once("deep", lambda: 1)
    with pytest.raises(ValueError, match="a stage 'deep' already"):
        run.callbacks("deep", epochs=1)


@pytest.mark.parametrize("name", ["", "../up", "a b", "/root", "a//b", "a/", "ä", ".."])
def test_names_that_are_no_folders_are_refused(name, tmp_path):
    run = Run(tmp_path)
    with pytest.raises(ValueError, match="a name must consist of"):
        run.once(name, lambda: 1)


def test_a_figure_is_a_png(tmp_path):
    run = Run(tmp_path)
    path = run.figure("curve", Figure(figsize=(2, 1), dpi=50))
    assert path == tmp_path / "figures" / "curve.png"
    assert tf.io.decode_png(path.read_bytes()).shape[:2] == (50, 100)


def test_plain_takes_what_configurations_hold():
    values = {
        "array": np.ones((2, 1)),
        "set": {1},
        "none": None,
        "flag": np.bool_(True),
    }
    assert plain(values) == {
        "array": [[1.0], [1.0]],
        "set": [1],
        "none": None,
        "flag": 1,
    }
    assert json.dumps(plain({"dtype": np.dtype("float32")})) == '{"dtype": "float32"}'
