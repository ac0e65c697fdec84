import json

import pytest

from tfcourse import results
from tfcourse.catalog import load_catalog
from tfcourse.errors import UserError


def result(seed, total, tier="lab", **changes):
    return {
        "format": 1,
        "status": "complete",
        "exercise": "90_sums",
        "tier": tier,
        "seed": seed,
        "metrics": {"total": total, "seconds": 2.0},
        "seconds": 4.0,
        "device": "CPU",
        "data": [{"name": "digits", "source": "embedded"}],
        "date": "2026-11-20T10:00:00",
        "submission": None,
        **changes,
    }


def test_each_promise_gets_a_row(sums):
    table = results.rows(load_catalog(), [result(0, 3.0), result(1, 4.0)])
    assert [row["status"] for row in table] == ["not run", "met", "missed", "not run"]
    row = table[1]
    assert row["measured"] == 3.5
    assert row["spread"] == pytest.approx(0.7071, abs=1e-4)
    assert (row["seeds"], row["seconds"], row["date"]) == (2, 4.0, "2026-11-20")
    assert row["source"] == "digits (embedded)"
    assert set(row) == set(
        "exercise tier settings metric promised direction measured spread seeds seconds "
        "device source date status".split()
    )


def test_a_part_of_the_real_set_is_called_a_subset():
    info = {"name": "cifar10", "source": "npz", "split": "train"}
    assert results.source_text(info | {"num_examples": 50_000}) == "cifar10 (npz)"
    few = info | {"num_examples": 49_999}
    assert results.source_text(few) == "cifar10 (npz, subset)"
    assert results.source_text(few | {"source": "embedded"}) == "cifar10 (embedded)"
    other = few | {"name": "loan"}  # A table: its loader says what it is.
    assert results.source_text(other) == "loan (npz)"


def test_one_seed_has_no_spread(sums):
    row = results.rows(load_catalog(), [result(0, 3.0)])[1]
    assert (row["measured"], row["spread"]) == (3.0, None)


def test_the_table_says_which_settings_a_run_changed(sums):
    changed = result(1, 4.0, settings=["width=3"])
    row = results.rows(load_catalog(), [result(0, 3.0), changed])[1]
    assert row["settings"] == "width=3"
    assert "| 90_sums | lab, width=3 | total |" in results.markdown_table([row])
    same = results.rows(load_catalog(), [result(0, 3.0, settings=[])])[1]
    assert same["settings"] is None


def test_evidence_is_recorded_only_from_finished_reference_runs(tmp_path):
    def run(name, **changes):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "result.json").write_text(json.dumps(result(3, 1.0, **changes)))
        return folder

    evidence = tmp_path / "evidence"
    path = results.record(run("good"), evidence)
    assert path.name == "90_sums-lab-seed3.json"
    assert results.load_evidence(evidence)[0]["seed"] == 3
    with pytest.raises(UserError, match="is not finished"):
        results.record(run("unfinished", status="running"), evidence)
    with pytest.raises(UserError, match="not from a file"):
        results.record(run("own", submission="mine.py"), evidence)
    with pytest.raises(UserError, match="is missing"):
        results.record(tmp_path / "nothing" / "result.json", evidence)
    with pytest.raises(UserError, match="format 2"):
        results.record(run("newer", format=2), evidence)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}"])
def test_a_damaged_result_is_refused_by_name(tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(UserError, match=r"result\.json is no result"):
        results.record(tmp_path)


def test_the_table_is_put_between_the_markers(sums):
    table = results.rows(load_catalog(), [result(0, 3.0)])
    readme = f"# T\n\n{results.BEGIN}\nold\n{results.END}\n\nrest\n"
    text = results.updated_readme(readme, table)
    assert "old" not in text
    assert text.endswith("\n\nrest\n")
    assert (
        "| 90_sums | lab | total | ≥ 3 | 3 | 1 | 4 | CPU | digits (embedded) |" in text
    )
    assert results.updated_readme(text, table) == text
    with pytest.raises(UserError, match="has no line"):
        results.updated_readme("# T\n", table)
