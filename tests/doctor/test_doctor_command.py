"""`tfcourse doctor`: what it says, what it refuses, and how it exits."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.doctor.test_reading import LOSSES, curve, encoded, event, value, write
from tfcourse import cli
from tfcourse.doctor import coverage, report
from tfcourse.doctor.faults import FAULTS
from tfcourse.doctor.findings import Evidence, Finding, See, Where
from tfcourse.doctor.reading import read_run

FINDING = Finding(
    fault="dead-relu",
    severity="error",
    confidence=0.93,
    where=Where(layer="dense_1", steps=(40, 160)),
    evidence=(
        Evidence("More than 50 % of the units gave 0.", {"dead_units": 0.8125}),
        Evidence("The loss stays.", {"loss": math.nan}, ("epoch_loss",)),
    ),
    message="Most units of dense_1 give 0 for every image.",
    remedy="optimizer = keras.optimizers.SGD(0.05)\nmodel.compile(optimizer)",
    see=(See("scalars", "dead_units/dense_1"), See("scalars", "epoch_loss")),
)


def finding(**changes):
    import dataclasses

    return dataclasses.replace(FINDING, **changes)


@pytest.fixture
def found(monkeypatch):
    """Return a dict of run name -> findings, which stands for the diagnosis."""
    findings = {}
    monkeypatch.setattr(
        "tfcourse.doctor.diagnosis.diagnose",
        lambda record: findings.get(record.name, []),
    )
    monkeypatch.setenv("COLUMNS", "100")
    return findings


@pytest.fixture
def runs(tmp_path):
    write(tmp_path / "good", *curve("epoch_loss", LOSSES))
    write(tmp_path / "bad", *curve("epoch_loss", LOSSES))
    return tmp_path


def doctor(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", *map(str, arguments)])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def test_one_run(found, runs, capsys):
    found["bad"] = [FINDING]
    code, out, err = doctor(capsys, runs / "bad")
    assert (code, err) == (0, "")
    for text in (
        "bad: 1 finding\n",
        "error  dead-relu  dense_1, steps 40 to 160",
        "Most units of dense_1 give 0",
        "More than 50 % of the units gave 0. [dead_units = 0.8125]",
        "\n      optimizer = keras.optimizers.SGD(0.05)\n",
        "Scalars: dead_units/dense_1\n",
        "tfcourse doctor --explain dead-relu\n",
        f"tensorboard --logdir {runs}\n",
        "not recorded: the validation loss",
        "callbacks=[Recorder(",
    ):
        assert text in out


def test_a_healthy_run_says_so(found, runs, capsys):
    found["good"] = [finding(severity="note")]
    code, out, _ = doctor(capsys, runs / "good")
    assert code == 0 and "good: healthy: no fault was found in what was recorded" in out


def test_a_run_with_nothing_to_judge_is_not_called_healthy(found, tmp_path, capsys):
    write(tmp_path, event(0, value("reward", 1.0)), event(1, value("reward", 2.0)))
    code, out, _ = doctor(capsys, tmp_path)
    assert code == 0 and "nothing that could be judged" in out
    _, out, _ = doctor(capsys, tmp_path, "--json")
    assert json.loads(out)["healthy"] is False


def test_later_findings_are_short_unless_all_are_asked_for(found, runs, capsys):
    found["bad"] = [finding(message=f"Number {i}.") for i in range(5)]
    _, out, _ = doctor(capsys, runs / "bad")
    assert out.count("Number") == 5 and out.count("SGD(0.05)") == 3
    _, out, _ = doctor(capsys, runs / "bad", "--all")
    assert out.count("SGD(0.05)") == 5


def test_several_runs(found, runs, capsys):
    found["bad"] = [FINDING, finding(severity="warning")]
    code, out, _ = doctor(capsys, runs)
    lines = out.splitlines()
    assert code == 0
    assert lines[1].split()[:3] == ["bad", "error", "dead-relu"]
    assert "dead-relu (+1)  dense_1" in lines[1]
    assert lines[2].split() == ["good", "healthy"]
    assert "2 runs, 1 of them healthy" in out
    assert f"tfcourse doctor {runs / 'bad'}" in out
    _, out, _ = doctor(capsys, runs, "--all")
    assert "bad: 2 findings" in out and "good: healthy" in out


def test_names_of_runs_stay_whole(found, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    name = "a_run_whose_name_is_forty_letters_long_x"
    write(tmp_path / name, *curve("epoch_loss", LOSSES))
    write(tmp_path / "other", *curve("epoch_loss", LOSSES))
    found[name] = [FINDING, FINDING]
    _, out, _ = doctor(capsys, tmp_path)
    assert f"{name}  error" in out and "(+1)" in out


def test_json(found, runs, capsys):
    found["bad"] = [FINDING]
    _, out, _ = doctor(capsys, runs / "bad", "--json")
    record = json.loads(out, parse_constant=pytest.fail)
    assert list(record) == ["run", "healthy", "findings", "missing", "problems"]
    assert (record["run"], record["healthy"]) == ("bad", False)
    assert record["findings"][0]["evidence"][1]["numbers"] == {"loss": None}
    _, out, _ = doctor(capsys, runs, "--json")
    assert [run["run"] for run in json.loads(out)["runs"]] == ["bad", "good"]


def test_tags_are_those_of_the_files(found, tmp_path, capsys):
    write(tmp_path, *curve("Loss/train", LOSSES), *curve("Loss/val", LOSSES))
    found[tmp_path.name] = [FINDING]
    _, out, _ = doctor(capsys, tmp_path, "--json")
    (record,) = json.loads(out)["findings"]
    tags = [see["tag"] for see in record["see"]]
    assert tags == ["dead_units/dense_1", "Loss/train", "Loss/val"]
    assert record["evidence"][1]["series"] == ["Loss/train", "Loss/val"]


def test_text_from_logs_is_only_text(found, tmp_path, capsys):
    hostile = "[bold red]x[/] \x1b[2J\x07 \u202etxet \ud800"
    folder = tmp_path / "a [link=x]b[/] \x1b[31m"
    write(folder, *curve("epoch_loss", LOSSES))
    found[folder.name] = [
        finding(
            message=hostile,
            remedy=hostile,
            where=Where(layer=hostile),
            see=(See("scalars", hostile),),
            evidence=(Evidence(hostile, {hostile: 1.0}),),
        )
    ]
    for arguments in ([folder], [tmp_path], [folder, "--all"], [folder, "--json"]):
        code, out, _ = doctor(capsys, *arguments)
        assert code == 0
        assert not {"\x1b", "\x07", "\u202e", "\ud800"} & set(out)
        assert "[bold red]x[/]" in out or arguments == [tmp_path]


@pytest.mark.parametrize("as_json", [True, False])
def test_explain(capsys, as_json):
    options = ["--json"] if as_json else []
    code, out, _ = doctor(capsys, "--explain", "dead-relu", *options)
    assert code == 0
    fault = FAULTS["dead-relu"]
    assert fault.title in out and fault.sources[0] in out
    if as_json:
        assert json.loads(out)["example"] == fault.example
    else:
        assert all(line in out for line in fault.example.splitlines())


def test_explain_beside_a_run(found, runs, capsys):
    _, out, _ = doctor(capsys, runs / "good", "--explain", "overfitting")
    assert "good: healthy" in out and "Overfitting" in out
    _, out, _ = doctor(capsys, runs / "good", "--explain", "overfitting", "--json")
    assert json.loads(out)["explained"]["code"] == "overfitting"


def test_explain_of_an_unknown_code(capsys):
    code, out, err = doctor(capsys, "--explain", "dying-relu")
    assert (code, out) == (2, "")
    assert "did you mean dead-relu" in err and err.count("\n") == 1
    code, _, err = doctor(capsys, "--explain", "qqqq")
    assert code == 2 and "the codes are" in err and err.count("\n") == 1


def test_wrong_folders_are_one_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        ([], "name the folder of a run"),
        ([tmp_path / "absent"], "there is no folder"),
        ([tmp_path / "file"], "is a file: name the folder of a run"),
        ([tmp_path / "empty"], "no event files in"),
    ):
        code, out, err = doctor(capsys, *arguments)
        assert (code, out) == (2, "")
        assert message in err and err.count("\n") == 1

    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    code, _, err = doctor(capsys, tmp_path)
    assert code == 2 and "permission denied" in err and err.count("\n") == 1


def test_damage_is_told_and_the_rest_diagnosed(found, runs, capsys):
    path = write(runs / "bad", *curve("epoch_loss", LOSSES), time=2)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    code, out, _ = doctor(capsys, runs / "bad")
    assert code == 0 and "is damaged at byte" in out


def test_facts_that_are_none_are_left_out(tmp_path, capsys, monkeypatch):
    write(tmp_path, *curve("epoch_loss", LOSSES))
    path = write(tmp_path, time=2)
    array = np.array(b'{"model": 5}', dtype=object)
    facts = event(0, value("doctor/facts", array, "doctor"))
    path.write_bytes(path.read_bytes() + encoded(facts)[len(encoded()) :])

    def diagnose(record):
        return [FINDING] if record.facts is None else record.facts["model"]["layers"]

    monkeypatch.setattr("tfcourse.doctor.diagnosis.diagnose", diagnose)
    code, out, _ = doctor(capsys, tmp_path)
    assert code == 0 and "dead-relu" in out
    assert "doctor/facts and doctor/probes are left out" in out


def test_hundreds_of_runs(found, tmp_path, capsys):
    for number in range(200):
        write(tmp_path / f"run_{number}", *curve("epoch_loss", LOSSES))
    _, out, _ = doctor(capsys, tmp_path)
    assert "200 runs, 200 of them healthy" in out


def test_help_tells_the_exit_codes(capsys):
    code, out, _ = doctor(capsys, "--help")
    text = " ".join(out.split())
    assert code == 0
    assert "Exit code 0: diagnosed, whatever was found; 2:" in text
    assert "Example: tfcourse doctor logs/runs/mine --json" in text


def test_no_tensorflow_is_loaded(runs):
    program = (
        "import sys; from tfcourse import cli\n"
        "try: cli.main(['doctor', sys.argv[1]])\n"
        "except SystemExit as end: code = end.code\n"
        "print(code, {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(runs)],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert done.stdout.splitlines()[-1] == "0 set()", done.stderr


def test_what_is_missing_depends_on_who_recorded(tmp_path):
    plain = write(tmp_path / "plain", *curve("epoch_loss", LOSSES)).parent
    sentences = coverage.missing(read_run(plain))
    assert sentences[0].startswith("not recorded: the validation loss; so can't")
    assert "gradients" in sentences[1] and len(sentences) == 2
    record = read_run(plain)
    record.recorded, record.finished = True, False
    sentences = coverage.missing(record)
    assert any(s.startswith("not recorded: gradients; so can't") for s in sentences)
    assert "the run's end is not recorded" in sentences[-1]


def test_every_fault_that_can_be_missed_is_one():
    assert {fault for part in coverage.PARTS for fault in part.faults} <= set(FAULTS)


def test_a_long_text_is_cut():
    assert len(report.safe("x" * 10_000)) == report.MAX_CHARACTERS
