import json

import pytest

from tfcourse.checking import CheckResult, Report, TaskReport
from tfcourse.errors import UserError
from tfcourse.workspace import STATE_NAME, Workspace


def report(sums, **statuses):
    return Report(
        sums.name,
        "fail",
        0,
        tuple(
            TaskReport(task, status, 0, (CheckResult("c", status, "", 0.0),))
            for task, status in statuses.items()
        ),
    )


def test_a_learners_file_is_never_lost(sums, tmp_path):
    workspace = Workspace(tmp_path)
    path, backup = workspace.start(sums)
    assert path.read_text() == sums.path("skeleton.py").read_text()
    assert backup is None
    path.write_text("my work")
    with pytest.raises(UserError, match="--force"):
        workspace.start(sums)
    assert path.read_text() == "my work"
    backups = [workspace.start(sums, force=True)[1] for _ in range(3)]
    assert backups[0].read_text() == "my work"
    assert len(set(backups)) == 3


def test_the_state_grows_from_not_started_to_passed(sums, tmp_path):
    workspace = Workspace(tmp_path)
    assert workspace.progress(sums).state(sums) == "not started"
    workspace.start(sums)
    assert workspace.progress(sums).state(sums) == "started"
    workspace.record_report(sums, report(sums, **{"add": "pass"}))
    assert workspace.progress(sums).state(sums) == "started"
    workspace.record_report(sums, report(sums, **{"Mean.of": "pass"}))
    assert workspace.progress(sums).state(sums) == "passed"
    workspace.record_report(sums, report(sums, **{"add": "fail"}))
    assert workspace.progress(sums).state(sums) == "started"


def test_the_work_folder_is_found_from_below(sums, tmp_path, monkeypatch):
    monkeypatch.delenv("TFCOURSE_HOME", raising=False)
    Workspace(tmp_path).start(sums)
    assert Workspace.find(tmp_path / "work").root == tmp_path
    assert Workspace.find(tmp_path / "logs" / "runs").root == tmp_path


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b"\xff\xfe"])
def test_a_damaged_state_is_kept_aside(sums, tmp_path, content):
    workspace = Workspace(tmp_path)
    workspace.start(sums)
    (tmp_path / "work" / STATE_NAME).write_bytes(content)
    assert workspace.progress(sums).state(sums) == "not started"
    kept = list((tmp_path / "work" / "backups").iterdir())
    assert [path.read_bytes() for path in kept] == [content]


def test_a_newer_state_is_refused_and_stays(sums, tmp_path):
    workspace = Workspace(tmp_path)
    workspace.start(sums)
    path = tmp_path / "work" / STATE_NAME
    path.write_text(json.dumps({"format": 2, "exercises": {}}))
    with pytest.raises(UserError, match="another version"):
        workspace.progress(sums)
    assert json.loads(path.read_text())["format"] == 2


def test_a_work_folder_that_cannot_be_written_is_one_line(sums, tmp_path):
    (tmp_path / "work").write_text("a file in the way")
    with pytest.raises(UserError, match="can't write below"):
        Workspace(tmp_path).start(sums)


def test_a_full_disk_leaves_the_old_file(sums, tmp_path, monkeypatch):
    workspace = Workspace(tmp_path)
    path, _ = workspace.start(sums)
    path.write_text("my work")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(UserError, match="No space left"):
        workspace.start(sums, force=True)
    assert path.read_text() == "my work"
    assert not list((tmp_path / "work").glob("*.partial"))
