import pytest

from tfcourse.catalog import Promise, find_exercise, load_catalog, load_exercise
from tfcourse.errors import UserError

GOOD = """
format = 1
number = 7
title = "Title"
summary = "A sentence."
dataset = "mnist"
task = [{ function = "f", minutes = 5, points = 2, hints = ["nudge"] }]
[tier.smoke]
seconds = 45
expect = [{ metric = "accuracy", at_least = 0.5 }]
"""


def write(tmp_path, text, name="07_topic"):
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    (folder / "exercise.toml").write_text(text)
    return folder


def test_a_record_has_what_the_file_says(tmp_path):
    exercise = load_exercise(write(tmp_path, GOOD))
    assert (exercise.id, exercise.name, exercise.slug) == ("07", "07_topic", "topic")
    assert exercise.tiers["smoke"].promises == (Promise("accuracy", "at_least", 0.5),)
    assert (exercise.minutes, exercise.points) == (5, 2)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("format = 1", "format = 2", "format must be 1"),
        ("number = 7", "number = 8", "differs from the folder"),
        ('title = "Title"', "", "'title' is missing"),
        ('"A sentence."', '"' + "x" * 101 + '"', "1 to 100 characters"),
        ("points = 2, ", "", "'points' is missing"),
        ('["nudge"]', "[]", "no hints"),
        (", at_least = 0.5", "", "at_least, at_most"),
        ("at_least = 0.5", "at_least = 0.5, at_most = 1", "at_least, at_most"),
        ("[tier.smoke]", "[tier.smok]", "tiers are smoke, lab, full"),
        ("dataset", "datset", "unknown keys"),
        ("seconds = 45", "seconds = 'long'", "could not convert"),
        ("format = 1", "format = ", "can't be read"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, old, new, rule):
    folder = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(UserError) as caught:
        load_exercise(folder)
    assert rule in str(caught.value)
    assert "07_topic" in str(caught.value)
    assert "\n" not in str(caught.value).strip()


def test_two_exercises_with_one_number_are_refused(tmp_path):
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "07_other")
    with pytest.raises(UserError, match="07_other, 07_topic"):
        load_catalog(tmp_path)


@pytest.mark.parametrize("reference", ["1", "01", 1, "deep_mlp", "01_deep_mlp"])
def test_an_exercise_has_many_names(reference):
    assert find_exercise(reference).name == "01_deep_mlp"


@pytest.mark.parametrize(
    "reference", ["0", "99", "", "../01_deep_mlp", "١", "1e0", "-1"]
)
def test_an_unknown_exercise_is_refused_with_the_known_ones(reference):
    known = ", ".join(str(exercise.number) for exercise in load_catalog())
    with pytest.raises(UserError, match=f"there is no exercise .* there are {known}"):
        find_exercise(reference)


def test_nan_keeps_no_promise():
    assert not Promise("loss", "at_most", 1.0).holds(float("nan"))
    assert not Promise("accuracy", "at_least", 0.0).holds(float("nan"))
