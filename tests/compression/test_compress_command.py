"""`tfcourse compress`: what a user types and sees."""

import gzip
import json
import os
import subprocess
import sys
import zipfile

import keras
import pytest

from tests.compression import models
from tfcourse.cli import main
from tfcourse.compression import LiteRTFile, check_model_file
from tfcourse.compression.moving import save_keras
from tfcourse.errors import UserError

RECIPE = """
num_train = 400
[training]
epochs = 1
[[method]]
name = "keras_int8"
[[method]]
name = "prune"
sparsity = 0.5
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a model file and recipes."""
    folder = tmp_path_factory.mktemp("models")
    layers = keras.layers
    small = [keras.Input((28, 28)), layers.Flatten(), layers.Dense(12, "relu")]
    save_keras(keras.Sequential([*small, layers.Dense(10)]), folder / "small.keras")
    save_keras(keras.Sequential([*small, layers.Dense(7)]), folder / "seven.keras")
    save_keras(models.cnn(), folder / "sizes.keras")
    save_keras(models.two_inputs(), folder / "two.keras")
    code = [keras.Input((28, 28)), layers.Lambda(lambda x: x, name="code")]
    save_keras(keras.Sequential(code), folder / "lambda.keras")
    whole = (folder / "small.keras").read_bytes()
    (folder / "cut.keras").write_bytes(whole[: len(whole) // 2])
    spoiled = bytearray(whole)
    place = whole.index(b"HDF") + 3_000  # Within the weights, which are not packed.
    spoiled[place] ^= 0xFF
    (folder / "spoiled.keras").write_bytes(bytes(spoiled))
    (folder / "text.keras").write_text("not a zip")
    (folder / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with zipfile.ZipFile(folder / "other.keras", "w") as archive:
        archive.writestr("a.txt", "x")
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "misspelt.toml").write_text(RECIPE.replace("sparsity", "sparsty"))
    rewrite(folder / "small.keras", folder / "module.keras", '"keras.layers"', '"os"')
    return folder


def rewrite(source, target, old, new):
    """Copy a .keras file with other words in its config.json."""
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(target, "w") as copy:
        for name in whole.namelist():
            content = whole.read(name)
            if name == "config.json":
                content = content.replace(old.encode(), new.encode())
            copy.writestr(name, content)


@pytest.fixture
def tfcourse(folder, monkeypatch, capsys):
    """Return a function that runs a command in the folder: (code, stdout, stderr)."""
    monkeypatch.chdir(folder)

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return caught.value.code, captured.out, captured.err

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a model"),
        (("none.keras",), "there is no file none.keras"),
        ((".",), "is a folder"),
        (("text.keras",), "damaged"),
        (("model.h5",), "not a .keras file"),
        (("cut.keras",), "damaged"),
        (("spoiled.keras",), "spoiled.keras"),
        (("other.keras",), "not a .keras file"),
        (("lambda.keras",), "Lambda, which holds code"),
        (("module.keras",), "not Keras's own"),
        (("two.keras",), "2 inputs"),
        (("sizes.keras",), "does not fit mnist"),
        (("small.keras", "--data", "mnits"), "there is no dataset 'mnits'"),
        (("small.keras", "--data", "cifar10"), "does not fit cifar10"),
        (("small.keras", "--source", "web"), "--source must be one of"),
        (("small.keras", "--data-dir", "nowhere"), "not a folder"),
        (("small.keras", "--data-dir", "."), "--source real"),
        (("small.keras", "--recipe", "none.toml"), "can't read the recipe"),
        (("small.keras", "--recipe", "misspelt.toml"), "did you mean sparsity?"),
        (("small.keras", "--recipe", "small.keras"), "small.keras"),
        (("small.keras", "--output", "recipe.toml"), "recipe.toml"),
        (("small.keras", "--frobnicate"), "--frobnicate"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tfcourse, arguments, words):
    code, out, err = tfcourse("compress", *arguments)
    assert code == 2
    assert words in err
    assert err.startswith("tfcourse: ")
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="not run: needs a user whom permissions bind",
)
def test_a_read_only_folder_is_found_before_anything_runs(tfcourse, tmp_path):
    tmp_path.chmod(0o500)
    code, _, err = tfcourse("compress", "small.keras", "--output", tmp_path / "x")
    assert code == 2
    assert "permission" in err


def test_an_output_below_a_file_is_found_before_anything_runs(tfcourse, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = tfcourse("compress", "small.keras", "--output", tmp_path / "file/x")
    assert code == 2
    assert err.count("\n") == 1
    assert "file" in err


def test_arguments_are_checked_without_tensorflow(folder):
    program = (
        "import sys\n"
        "from tfcourse.cli import main\n"
        "try: main(['compress', 'sizes.keras'])\n"
        "except SystemExit as end: assert end.code == 2\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, check=False)
    assert done.returncode == 0


def test_a_model_of_other_classes_is_refused_in_one_line(tfcourse):
    code, out, err = tfcourse("compress", "seven.keras", "--output", "unused")
    assert code == 2
    assert "one per class" in err.splitlines()[-1]
    assert out == ""


def test_an_archive_that_would_grow_without_end_is_not_read(tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * 60_000_000)
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(UserError, match="more than"):
        check_model_file(path)


def test_the_example_recipe_is_printed(tfcourse):
    code, out, _ = tfcourse("compress", "--example-recipe")
    assert code == 0
    assert "[[method]]" in out


def test_a_model_becomes_a_table_and_files(tfcourse, folder):
    arguments = ("small.keras", "--recipe", "recipe.toml", "--output", "made", "--json")
    code, out, err = tfcourse("compress", *arguments)
    assert code == 0, err
    rows = {row["method"]: row for row in json.loads(out)}
    assert list(rows) == ["uncompressed", "litert_float", "keras_int8", "prune"]
    for row in rows.values():
        assert os.path.getsize(folder / row["file"]) == row["num_bytes"]
        low, high = row["interval"]
        assert 0 <= low <= row["accuracy"] <= high <= 1
        assert [entry["num_threads"] for entry in row["latencies"]] == [1, 2]
    base = rows["litert_float"]
    assert base["ratio"] == 1
    assert rows["prune"]["ratio"] > 1.2
    assert rows["prune"]["ratio"] == base["num_bytes"] / rows["prune"]["num_bytes"]
    packed = (folder / rows["prune"]["file"]).read_bytes()
    arrays = LiteRTFile(gzip.decompress(packed)).weight_arrays(100).values()
    assert any(0.45 < (array == 0).mean() < 0.55 for array in arrays)
    assert "epoch" in err or "measuring" in err
    assert not list((folder / "made").glob("*.part"))
