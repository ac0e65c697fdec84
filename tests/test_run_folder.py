"""A run's folder: no collisions, whole files, one process at a time."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tfcourse import run_folder
from tfcourse.errors import UserError
from tfcourse.run_folder import (
    lock,
    make_run_folder,
    read_json,
    unfinished_run_folder,
    unlock,
    write_bytes,
    write_json,
)

ROOT = Path(__file__).parents[1]


def test_runs_of_one_second_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder.time, "strftime", lambda _: "20260102-030405")
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(make_run_folder(tmp_path, "lab")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 8
    assert tmp_path / "lab-20260102-030405" in found
    assert tmp_path / "lab-20260102-030405-8" in found


def test_json_comes_back(tmp_path):
    path = tmp_path / "new" / "folder" / "value.json"
    write_json(path, {"a": [1, 2.5, None, "é"]})
    assert read_json(path) == {"a": [1, 2.5, None, "é"]}
    assert os.listdir(path.parent) == ["value.json"]


@pytest.mark.parametrize("text", ["", '{"a": 1', "\x80"])
def test_a_damaged_file_is_no_value(text, tmp_path):
    path = tmp_path / "value.json"
    path.write_bytes(text.encode("latin-1"))
    assert read_json(path) is None
    assert read_json(tmp_path / "absent.json") is None


@pytest.mark.parametrize("failing", ["write_bytes", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_part(failing, tmp_path, monkeypatch):
    path = tmp_path / "value.json"
    write_bytes(path, b"old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path if failing == "write_bytes" else os, failing, fail)
        with pytest.raises(UserError, match="no space left on device; make room there"):
            write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["value.json"]


def test_an_unwritable_place_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("a file where a folder should be")
    with pytest.raises(UserError, match="can't write .*runs") as caught:
        make_run_folder(tmp_path / "runs" / "01_deep_mlp", "lab")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="check the folder's permissions"):
        write_bytes(tmp_path / "runs" / "result.json", b"")


def run_with(parent, name, status):
    folder = parent / name
    write_json(folder / "result.json", {"status": status})
    return folder


def test_the_newest_unfinished_run_of_the_tier_is_found(tmp_path):
    run_with(tmp_path, "lab-20260101-000000", "running")
    newest = run_with(tmp_path, "lab-20260102-000000", "running")
    run_with(tmp_path, "lab-20260103-000000", "complete")
    run_with(tmp_path, "smoke-20260104-000000", "running")
    (tmp_path / "lab-20260105-000000").mkdir()  # Killed before its first file.
    assert unfinished_run_folder(tmp_path, "lab") == newest
    unlock(newest)
    assert unfinished_run_folder(tmp_path, "full") is None
    assert unfinished_run_folder(tmp_path / "absent", "lab") is None


HOLDER = """
import sys, time
from pathlib import Path
from tfcourse.run_folder import lock
print(lock(Path(sys.argv[1])), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_that_another_process_works_on_is_left_alone(tmp_path):
    busy = run_with(tmp_path, "lab-20260102-000000", "running")
    idle = run_with(tmp_path, "lab-20260101-000000", "running")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(busy)], cwd=ROOT, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline().strip() == b"True"
        assert not lock(busy)
        assert unfinished_run_folder(tmp_path, "lab") == idle
        holder.send_signal(signal.SIGKILL)
    assert unfinished_run_folder(tmp_path, "lab") == busy


def test_a_process_may_take_up_its_own_run_again(tmp_path):
    """In a notebook: interrupted, then resumed in the same kernel."""
    assert lock(tmp_path)
    assert lock(tmp_path)
    unlock(tmp_path)
    unlock(tmp_path)
    assert os.listdir(tmp_path) == []
