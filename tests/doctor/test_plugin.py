"""The tab's Python side, over real event files and TensorBoard's own server code."""

import argparse
import configparser
import importlib
import logging
import math
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend import application
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import (
    EventMultiplexer,
)
from tensorboard.plugins.base_plugin import BasicLoader, TBPlugin
from werkzeug.test import Client

from tests.doctor.event_files import EventFile, finding, write_run
from tfcourse.doctor import tab_diagnosis
from tfcourse.doctor.plugin import STATIC_FOLDER, DoctorPlugin
from tfcourse.doctor.reading import find_runs
from tfcourse.doctor.tab_diagnosis import BackgroundDiagnosis
from tfcourse.doctor.tab_runs import MAX_FINDINGS, MAX_TEXT, sides_of
from tfcourse.doctor.tab_series import MAX_POINTS, thinned

ROOT = Path(__file__).parents[2]
HOME = "/data/plugin/doctor/"


class Board:
    """TensorBoard's WSGI application over a logdir, without its reloading thread."""

    def __init__(self, logdir):
        self.logdir = logdir
        self._multiplexer = EventMultiplexer()
        provider = MultiplexerDataProvider(self._multiplexer, str(logdir))
        flags = argparse.Namespace(
            logdir=str(logdir), path_prefix="", samples_per_plugin={}, window_title=""
        )
        self.application = application.TensorBoardWSGIApp(
            flags, [BasicLoader(DoctorPlugin)], data_provider=provider
        )
        self.reload()

    def reload(self):
        self._multiplexer.AddRunsFromDirectory(str(self.logdir))
        self._multiplexer.Reload()

    def get(self, route, **parameters):
        return Client(self.application).get(HOME + route, query_string=parameters)

    def json(self, route, **parameters):
        answer = self.get(route, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json

    def runs(self):
        return {run["name"]: run for run in self.json("runs")["runs"]}


@pytest.fixture
def logdir(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def no_children(monkeypatch):
    """Let no test but those that want it start a child that diagnoses."""

    def refuse(*_):
        raise AssertionError("a child was started")

    monkeypatch.setattr(tab_diagnosis, "_new_child", refuse)


def test_tensorboard_finds_the_plugin_by_the_entry_point():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    line = config["options.entry_points"]["tensorboard_plugins"].strip()
    module, name = line.partition("=")[2].strip().split(":")
    plugin = getattr(importlib.import_module(module), name)
    assert issubclass(plugin, TBPlugin)


def test_the_wheel_brings_the_tabs_files():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["options.package_data"]["tfcourse.doctor"] == "static/*"
    assert (STATIC_FOLDER / "index.js").is_file()


def test_runs_have_the_state_of_their_worst_finding(logdir):
    write_run(logdir / "bad", [finding(severity="warning"), finding()])
    write_run(logdir / "fine", [])
    write_run(logdir / "noted", [finding(severity="note")])
    with EventFile(logdir / "begun") as file:
        file.doctor("facts", 0, {"model": {}})
    runs = Board(logdir).runs()
    states = {name: run["state"] for name, run in runs.items()}
    expected = {"bad": "error", "fine": "healthy", "noted": "healthy"}
    assert states == expected | {"begun": "waiting"}
    assert runs["bad"]["counts"] == {"error": 1, "warning": 1, "note": 0}
    assert runs["bad"]["finished"] and not runs["begun"]["finished"]
    assert runs["bad"]["step"] == 190


def test_a_run_that_writes_is_going_on(logdir):
    write_run(logdir / "now", [], finished=False)
    write_run(logdir / "long_ago", [], finished=False, wall_time=time.time() - 3600)
    write_run(logdir / "ended", [])
    runs = Board(logdir).runs()
    assert {name for name, run in runs.items() if run["running"]} == {"now"}


def test_a_finding_arrives_as_it_was_written(logdir):
    written = finding()
    write_run(logdir / "mine", [written])
    (received,) = Board(logdir).json("run", name="mine")["findings"]
    assert received == written


def test_numbers_that_are_not_finite_arrive_as_text(logdir):
    numbers = {"loss": math.nan, "norm": math.inf}
    evidence = [{"rule": "r", "numbers": numbers, "series": []}]
    write_run(logdir / "mine", [finding(evidence=evidence, confidence=math.nan)])
    (received,) = Board(logdir).json("run", name="mine")["findings"]
    assert received["evidence"][0]["numbers"] == {"loss": "NaN", "norm": "Infinity"}
    assert received["confidence"] == 0


@pytest.mark.parametrize(
    "text", ["{", "null", '{"findings": 1}', "[" * 100_000, "", '"\\ud800"']
)
def test_damaged_findings_are_no_verdict(logdir, text):
    write_run(logdir / "mine", text)
    board = Board(logdir)
    run = board.json("run", name="mine")
    assert run["state"] == "unreadable"
    assert "can't be read" in run["problems"][0]


def test_one_damaged_finding_does_not_hide_the_others(logdir):
    write_run(logdir / "mine", [{"fault": "x"}, 7, finding(), finding(severity="bad")])
    run = Board(logdir).json("run", name="mine")
    assert len(run["findings"]) == 1
    assert len(run["problems"]) == 3


def test_too_much_is_cut(logdir):
    long = finding(message="m" * (MAX_TEXT + 1))
    write_run(logdir / "mine", [long] * (MAX_FINDINGS + 1))
    run = Board(logdir).json("run", name="mine")
    assert len(run["findings"]) == MAX_FINDINGS
    assert len(run["findings"][0]["message"]) < MAX_TEXT + 10
    assert f"first {MAX_FINDINGS}" in run["problems"][0]


def test_the_newest_of_two_runs_in_one_folder_counts(logdir):
    now = time.time()
    write_run(logdir / "mine", [finding()], num_steps=900, wall_time=now - 1000)
    write_run(logdir / "mine", [], num_steps=100, wall_time=now)
    assert Board(logdir).runs()["mine"]["state"] == "healthy"
    with EventFile(logdir / "mine", wall_time=now + 1) as file:
        file.doctor("facts", 0, {"model": {}})
    run = Board(logdir).runs()["mine"]
    assert run["state"] == "waiting" and not run["finished"]


def test_an_unchanged_list_is_not_sent_again(logdir):
    write_run(logdir / "mine", [])
    board = Board(logdir)
    version = board.json("runs")["version"]
    assert board.json("runs", known=version) == {"version": version, "unchanged": True}
    write_run(logdir / "other", [finding()])
    board.reload()
    assert len(board.json("runs", known=version)["runs"]) == 2


def test_series_come_from_both_sides_of_a_run(logdir):
    write_run(logdir / "mine", [])
    board = Board(logdir)
    series = board.json("series", run="mine", tag=["epoch_loss", "step/loss", "none"])
    found = [(one["tag"], one["side"]) for one in series["series"]]
    both = [("epoch_loss", "train"), ("epoch_loss", "validation")]
    assert found == [*both, ("step/loss", "train")]
    np.testing.assert_allclose(
        series["series"][1]["values"], [2.32, 2, 1.9, 1.95, 2.05]
    )
    (one,) = board.json("series", run="mine", tag="validation/epoch_loss")["series"]
    assert one["side"] == "validation"
    assert board.json("series", run="mine")["series"] == []


def test_series_hold_what_is_not_finite(logdir):
    with EventFile(logdir / "mine") as file:
        file.scalars("epoch_loss", [1.0, math.nan, -math.inf])
        file.doctor("findings", 0, [])
    (one,) = Board(logdir).json("series", run="mine", tag="epoch_loss")["series"]
    assert one["values"] == [1.0, "NaN", "-Infinity"]


def test_thinning_keeps_every_extreme():
    values = list(np.sin(np.arange(5000) / 40))
    values[1234], values[4000], values[777] = 50.0, -9.0, math.nan
    steps, thin = thinned(list(range(5000)), values)
    assert len(thin) <= MAX_POINTS + 1
    assert {50.0, -9.0} <= set(thin) and 777 in steps
    assert steps[0] == 0 and steps[-1] == 4999 and steps == sorted(set(steps))
    assert thinned([1, 2], [3.0, 4.0]) == ([1, 2], [3.0, 4.0])


@pytest.mark.parametrize("name", ["other", "../logs/mine", "mine/validation", "/", ""])
def test_only_runs_of_the_list_are_answered(logdir, name):
    write_run(logdir / "mine", [])
    board = Board(logdir)
    assert board.get("run", name=name).status_code == 404
    assert board.get("series", run=name, tag="epoch_loss").status_code == 404


def test_bad_requests_are_refused(logdir):
    board = Board(logdir)
    tags = [f"tag{number}" for number in range(99)]
    assert board.get("series", run="mine", tag=tags).status_code == 400
    assert Client(board.application).post(HOME + "runs").status_code == 405
    assert board.get("../plugin.py").status_code == 404
    assert board.get("explanation", fault="no-such-fault").status_code == 404


def test_a_fault_is_explained(logdir):
    answer = Board(logdir).json("explanation", fault="dead-relu")
    assert answer["title"] and answer["what"] and answer["helps"]


def test_every_response_holds_tensorboards_security_rules(logdir, caplog):
    write_run(logdir / "mine", [finding()])
    board = Board(logdir)
    files = [path.name for path in STATIC_FOLDER.iterdir()]
    answers = [board.get(name) for name in files]
    answers += [board.get("runs"), board.get("run", name="mine"), board.get("run")]
    answers += [board.get("series", run="mine", tag="epoch_loss")]
    with caplog.at_level(logging.WARNING):
        entry = Client(board.application).get("/data/plugin_entry.html?name=doctor")
    for answer in [*answers, entry]:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.status_code in (200, 404)
    for name, answer in zip(files, answers, strict=False):
        kind = {".js": "text/javascript", ".css": "text/css"}[Path(name).suffix]
        assert answer.content_type == f"{kind}; charset=utf-8"
    assert "default-src 'self'" in entry.headers["Content-Security-Policy"]
    assert not caplog.records


def test_the_tabs_files_need_no_network_and_make_no_html_of_text():
    unsafe = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|\w\.style\b"
    )
    for path in STATIC_FOLDER.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(unsafe, text), path.name
        addresses = set(re.findall(r"https?://[^\s\"']+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path.name
        assert "@import" not in text and "url(" not in text, path.name


def brightness(color):
    """Return the relative luminance of "#rrggbb" (WCAG 2.2, section 3)."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_text_has_enough_contrast_in_both_themes():
    sheet = (STATIC_FOLDER / "doctor.css").read_text(encoding="utf-8")
    themes = re.findall(r":root[^{]*\{([^}]*)\}", sheet)
    assert len(themes) == 2
    for theme in themes:
        colors = dict(re.findall(r"--(\w+): (#\w{6});", theme))
        for ground in ("page", "panel", "selected"):
            for name in ("text", "muted", "accent", "error", "warning", "healthy"):
                values = sorted(brightness(colors[key]) for key in (ground, name))
                assert (values[1] + 0.05) / (values[0] + 0.05) >= 4.5, (ground, name)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["mine", "mine/validation"], {"mine": ["mine", "mine/validation"]}),
        (["a/train", "a/validation"], {"a": ["a/train", "a/validation"]}),
        (["train", "validation"], {".": ["train", "validation"]}),
        ([".", "validation"], {".": [".", "validation"]}),
        (["a/validation"], {"a/validation": ["a/validation"]}),
        (["a", "a/Val"], {"a": ["a", "a/Val"]}),
        (
            ["s/train", "s/train/train", "s/train/validation"],
            {"s/train": ["s/train", "s/train/train", "s/train/validation"]},
        ),
        (
            ["x", "x/1/train", "x/2"],
            {"x": ["x"], "x/1": ["x/1/train"], "x/2": ["x/2"]},
        ),
    ],
)
def test_sides_make_runs_as_in_the_reader(logdir, folders, expected):
    for name in folders:
        with EventFile(logdir / name) as file:
            file.scalars("epoch_loss", [1, 2])
    runs = sides_of(folders, [])
    assert {name: list(run.sides) for name, run in runs.items()} == expected
    names = {str(path.relative_to(logdir)) for path in find_runs(logdir)}
    assert names == set(expected)


def test_a_recorded_run_is_never_a_side_of_another():
    runs = sides_of(["a/train", "a/train/validation", "a/validation"], ["a/train"])
    assert list(runs) == ["a/train", "a/validation"]


class TestRunsNotRecorded:
    """Diagnosed in the background from their event files."""

    @pytest.fixture
    def asked(self, monkeypatch):
        """Return the folders that the child was asked about; it answers one finding."""
        folders = []

        def ask(_, folder, __):
            folders.append(folder)
            return {"findings": [finding()], "problems": [], "missing": ["gradients"]}

        monkeypatch.setattr(tab_diagnosis, "_new_child", _Child)
        monkeypatch.setattr(tab_diagnosis, "_ask", ask)
        return folders

    @staticmethod
    def plain(folder):
        with EventFile(folder / "train") as file:
            file.scalars("epoch_loss", [3.0, 2.0, 1.0, 0.5])

    @staticmethod
    def until(condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.02)

    def test_are_shown_as_such(self, logdir, asked):
        self.plain(logdir / "plain")
        board = Board(logdir)
        assert board.runs()["plain"]["state"] == "waiting"
        self.until(lambda: board.runs()["plain"]["state"] == "error")
        run = board.json("run", name="plain")
        assert not run["recorded"] and run["missing"] == ["gradients"]
        assert asked == [logdir / "plain"]  # Once, however often the tab asks.

    def test_are_read_again_when_they_have_grown(self, logdir, asked, monkeypatch):
        monkeypatch.setattr(tab_diagnosis, "PAUSE_SECONDS", 0.0)
        self.plain(logdir / "plain")
        diagnosis = BackgroundDiagnosis(str(logdir))
        self.until(lambda: diagnosis.answer("plain").get("findings"))
        self.plain(logdir / "plain")
        self.until(lambda: diagnosis.answer("plain") and len(asked) == 2)

    def test_outside_the_logdir_are_not_read(self, logdir, tmp_path, asked):
        self.plain(tmp_path / "elsewhere")
        (logdir / "link").symlink_to(tmp_path / "elsewhere")
        (logdir / "files" / "train").mkdir(parents=True)
        (path,) = (tmp_path / "elsewhere" / "train").iterdir()
        (logdir / "files" / "train" / path.name).symlink_to(path)
        diagnosis = BackgroundDiagnosis(str(logdir))
        for name in ("link", "files", "../elsewhere", str(tmp_path / "elsewhere")):
            assert "outside the logdir" in diagnosis.answer(name)["problems"][0]
        assert not asked

    @pytest.mark.parametrize("logdir", ["", "gs://bucket/logs"])
    def test_are_read_from_a_local_logdir_alone(self, logdir):
        (problem,) = BackgroundDiagnosis(logdir).answer("plain")["problems"]
        assert "local --logdir" in problem

    def test_are_read_by_a_child_in_time(self, logdir, monkeypatch):
        monkeypatch.undo()
        self.plain(logdir / "plain")
        with EventFile(logdir / "texts") as file:
            file.text("note", 0, "nothing was trained")
        diagnosis = BackgroundDiagnosis(str(logdir))
        before = time.monotonic()
        diagnosis.answer("plain")
        diagnosis.answer("texts")
        assert time.monotonic() - before < 0.5
        self.until(lambda: "is_training" in diagnosis.answer("texts"))
        assert diagnosis.answer("plain")["findings"] is not None
        assert diagnosis.answer("texts") == {"is_training": False}

    def test_that_take_too_long_are_given_up(self, logdir, monkeypatch):
        monkeypatch.undo()
        self.plain(logdir / "plain")
        diagnosis = BackgroundDiagnosis(str(logdir), limit_seconds=0.01)
        self.until(lambda: diagnosis.answer("plain").get("problems"))
        assert "within" in diagnosis.answer("plain")["problems"][0]

    def test_curves_of_other_names_are_drawn_and_linked(self, logdir, monkeypatch):
        see = [{"dashboard": "scalars", "tag": "epoch_loss"}]
        answer = {
            "findings": [finding(see=see)],
            "aliases": {"train/epoch_loss": "Loss/train"},
        }
        monkeypatch.setattr(tab_diagnosis, "_new_child", _Child)
        monkeypatch.setattr(tab_diagnosis, "_ask", lambda *_: answer)
        with EventFile(logdir / "torch") as file:
            file.scalars("Loss/train", [3.0, 2.0])
        board = Board(logdir)
        self.until(lambda: board.runs()["torch"]["state"] == "error")
        (one,) = board.json("series", run="torch", tag="epoch_loss")["series"]
        assert one["values"] == [3.0, 2.0]
        (found,) = board.json("run", name="torch")["findings"]
        assert found["see"][0]["tag"] == "Loss/train"


class _Child:
    """Stands for the process that diagnoses."""

    def poll(self):
        return None

    def kill(self):
        return None

    def communicate(self):
        return None


def test_a_child_answers_whatever_a_log_holds(tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "events.out.tfevents.1.host").write_bytes(os.urandom(200))
    answer = tab_diagnosis.diagnosed(folder)
    assert answer == {"is_training": False} or answer["problems"]
