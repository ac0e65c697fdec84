"""Recipes and methods are read strictly; counts are honest."""

import pytest
from scipy.stats import binomtest

from tfcourse.compression import KINDS, gzip_size, method, wilson_interval
from tfcourse.compression.measuring import gzipped, latency_of_seconds
from tfcourse.compression.recipe import EXAMPLE, parse_recipe, read_recipe
from tfcourse.errors import UserError

PRUNE = '[[method]]\nname = "prune"\n'


def test_the_example_says_the_defaults():
    recipe = parse_recipe(EXAMPLE)
    assert recipe.seed == 0
    by_name = {entry.name: entry for entry in recipe.methods}
    assert by_name["prune"].settings == method("prune").settings
    assert by_name["quantize"].settings == method("quantize").settings
    for name in KINDS:
        if name != "litert_float":  # Which is always made: ratios are to it.
            assert name in EXAMPLE


def test_a_method_may_have_its_own_training():
    text = "[training]\nepochs = 7\n" + PRUNE + "epochs = 3\n" + PRUNE
    assert [m.settings["epochs"] for m in parse_recipe(text).methods] == [3, 7]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no method"),
        ("a = [", "not TOML"),
        ("[[method]]\nname = 3", "no method '3'"),
        ('[[method]]\nname = "prun"', "did you mean prune?"),
        ('[[method]]\nsparsity = 0.5\nname = "cluster"', "no setting 'sparsity'"),
        (PRUNE + "sparsty = 0.5", "did you mean sparsity?"),
        (PRUNE + "sparsity = 1.0", "from 0 to 0.999"),
        (PRUNE + "sparsity = nan", "a number"),
        (PRUNE + 'sparsity = "0.5"', "a number"),
        (PRUNE + "epochs = 1.5", "a whole number"),
        (PRUNE + "epochs = true", "a whole number"),
        ('[[method]]\nname = "litert_int8"\nepochs = 2', "no setting 'epochs'"),
        ("sead = 1\n" + PRUNE, "did you mean seed?"),
        ("seed = -1\n" + PRUNE, "seed must be"),
        ('scale = "big"\n' + PRUNE, "scale must be"),
        ("training = 3\n" + PRUNE, "a table"),
        ("[training]\nepoch = 3\n" + PRUNE, "did you mean epochs?"),
        ("method = 3", "names no method"),
        ("method = [3]", "needs a name"),
    ],
)
def test_a_bad_recipe_is_one_line_that_says_what_to_mend(text, words):
    with pytest.raises(UserError) as caught:
        parse_recipe(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_file_that_is_missing_or_no_text_is_refused(tmp_path):
    with pytest.raises(UserError, match="--example-recipe"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(UserError, match="can't read"):
        read_recipe(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="UTF-8"):
        read_recipe(tmp_path / "binary.toml")


@pytest.mark.parametrize(
    ("right", "count"), [(0, 5), (340, 360), (10, 10), (1, 10_000)]
)
def test_the_interval_is_scipys(right, count):
    expected = binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, count) == pytest.approx(
        (expected.low, expected.high), abs=1e-6
    )


def test_counts_that_are_none_have_no_interval():
    for right, count in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="num_right"):
            wilson_interval(right, count)


def test_the_same_content_has_the_same_gzip_file():
    assert gzipped(b"abc" * 100) == gzipped(b"abc" * 100)
    assert gzip_size(b"\0" * 10_000) < 100


def test_the_spread_is_between_the_quartiles():
    latency = latency_of_seconds([0.001, 0.002, 0.003, 0.004, 1.0], 2)
    assert (latency.lower_quartile, latency.median, latency.upper_quartile) == (2, 3, 4)
    assert latency.text() == "3,000 (2,000-4,000)"
