import dataclasses
import json
import types

import pytest

from tfcourse.errors import UserError
from tfcourse.execution import (
    RunRequest,
    execute,
    make_config,
    parse_value,
    request_from_json,
    resumed_request,
)


@dataclasses.dataclass(frozen=True)
class Config:
    learning_rate: float = 0.1
    epochs: int = 1
    name: str = "a"
    is_deep: bool = False
    widths: tuple[int, ...] = (8,)
    seed: int = 0


MODULE = types.SimpleNamespace(SMOKE=Config(), LAB=Config(epochs=3))


def test_settings_and_seed_change_the_tiers_config():
    settings = ("learning_rate=5e-2", "widths=4,2", "is_deep=true", "name=x=y")
    request = RunRequest("90", tier="lab", settings=settings, seed=7)
    config = make_config(MODULE, request)
    assert config == Config(0.05, 3, "x=y", True, (4, 2), 7)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("learning_rat=1", "did you mean learning_rate?"),
        ("learning_rate=fast", "a finite number"),
        ("learning_rate=nan", "a finite number"),
        ("epochs=1.5", "a whole number"),
        ("epochs=", "a whole number"),
        ("is_deep=perhaps", "true or false"),
        ("widths=4,x", "a whole number"),
        ("__class__=1", "no such setting"),
    ],
)
def test_a_wrong_setting_is_named(setting, message):
    with pytest.raises(UserError) as caught:
        make_config(MODULE, RunRequest("90", settings=(setting,)))
    assert message in str(caught.value)


def test_a_tier_without_config_is_named():
    with pytest.raises(UserError, match="no Config FULL"):
        make_config(MODULE, RunRequest("90", tier="full"))


def test_text_of_an_unknown_type_is_refused():
    with pytest.raises(UserError):
        parse_value("x", "1", dict)


def test_a_resumed_run_keeps_its_request(tmp_path):
    import json

    path = tmp_path / "request.json"
    first = RunRequest("90", settings=("epochs=2",), seed=3)
    path.write_text(json.dumps(dataclasses.asdict(first)))
    again = resumed_request(RunRequest("90", resume=True, runs="here"), path)
    assert again == dataclasses.replace(first, resume=True, runs="here")
    same = RunRequest("90", settings=("epochs=2",), resume=True)
    assert resumed_request(same, path).seed == 3
    with pytest.raises(UserError, match="--seed 3"):
        resumed_request(RunRequest("90", seed=4), path)
    path.write_text("{")
    with pytest.raises(UserError, match="missing or damaged"):
        resumed_request(RunRequest("90"), path)


def test_a_damaged_request_is_refused():
    with pytest.raises(ValueError, match="no request"):
        request_from_json("{}")


def test_a_run_ends_with_the_table_and_the_next_command(sums, home, capsys):
    code = execute(RunRequest(sums.name, settings=("count=4",), seed=2))
    out = capsys.readouterr().out
    assert code == 0
    assert "total" in out
    assert "≥ 3" in out
    assert "met" in out
    assert "tfcourse board 90" in out
    assert "smoke-" in out
    (written,) = home.rglob("result.json")
    assert json.loads(written.read_text())["settings"] == ["count=4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("skeleton", "write add() first"),
        ("import sys; sys.exit(0)", "sys.exit(0)"),
        ("def f(:", "SyntaxError"),
        ("SMOKE = 3", "no Config SMOKE"),
        ("", "no Config SMOKE"),
        ("raising", "ZeroDivisionError: division by zero (work/mine.py:"),
    ],
)
def test_a_students_mistake_in_a_run_is_one_line(sums, home, capsys, text, message):
    solution = sums.path("solution.py").read_text()
    text = {
        "skeleton": sums.path("skeleton.py").read_text(),
        "raising": solution.replace("= a + b", "= a / 0"),
    }.get(text, text)
    path = home / "work" / "mine.py"
    path.parent.mkdir()
    path.write_text(text)
    assert execute(RunRequest(sums.name, file=str(path))) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
