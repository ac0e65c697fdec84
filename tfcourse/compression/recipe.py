"""The recipe of `tfcourse compress`: a TOML file, read strictly. No TensorFlow."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from tfcourse.compression.methods import Method, Setting, did_you_mean, method
from tfcourse.errors import UserError

SCALES = ("auto", "unit", "signed", "raw")
SEED = Setting(0, 0, 2**31 - 1, "of the fine-tuning")
NUM_TRAIN = Setting(0, 0, 10**9, "training examples that are used; 0 means all")
MAX_BYTES = 1_000_000

EXAMPLE = """\
# A recipe for `tfcourse compress`. Every line but the methods can be left out.
seed = 0              # of the fine-tuning
num_train = 0         # training examples to use; 0 means all

# What the model was trained on: "unit" is [0, 1], "signed" [-1, 1], "raw" 0 to 255.
# "auto": "raw" if the model begins with Rescaling or a normalization, else "unit".
scale = "auto"

[training]            # fine-tuning, of each stage of each method that trains
epochs = 4
batch_size = 32
learning_rate = 0.001

# LiteRT conversions, without training.
[[method]]
name = "litert_dynamic"     # int8 weights, float activations

[[method]]
name = "litert_int8"        # int8 throughout
num_representative = 200    # training examples that set the ranges of the activations

# Others: litert_float16, keras_int8 (Keras 3's own; makes a .keras file).

[[method]]
name = "prune"
sparsity = 0.8              # 80 % of the weights become 0

[[method]]
name = "cluster"
num_clusters = 16           # different values per weight array
epochs = 6                  # a method may have its own training

[[method]]
name = "quantize"           # quantisation-aware training

[[method]]
name = "prune_cluster_quantize"
sparsity = 0.6
num_clusters = 32

# Others: prune_2_4, prune_cluster, prune_quantize, cluster_quantize.
"""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What to do with a model."""

    methods: tuple[Method, ...]
    scale: str = "auto"
    seed: int = 0
    num_train: int = 0


def read_recipe(path: Path) -> Recipe:
    """Return the recipe in a file.

    Raises:
        UserError: If it is missing, not TOML, or has an unknown key or a bad value.
    """
    try:
        with open(path, "rb") as stream:
            text = stream.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise UserError(f"{path}: a recipe has at most {MAX_BYTES:,} bytes")
        return parse_recipe(text.decode("utf-8"), str(path))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(
            f"can't read the recipe {path}: {reason}; "
            "`tfcourse compress --example-recipe` prints one"
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text in UTF-8") from None


def parse_recipe(text: str, where: str = "the recipe") -> Recipe:
    """Return the recipe that a TOML text describes.

    >>> len(parse_recipe(EXAMPLE).methods)
    6

    Raises:
        UserError: As `read_recipe`.
    """
    try:
        stored = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{where} is not TOML: {error}") from None
    try:
        return _recipe(stored)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _recipe(stored: dict[str, Any]) -> Recipe:
    known = {"seed": 0, "num_train": 0, "scale": "", "training": {}, "method": []}
    _refuse_unknown(stored, known)
    scale = stored.get("scale", "auto")
    if scale not in SCALES:
        raise UserError(
            f"scale must be one of {', '.join(SCALES)}; got {str(scale)[:40]!r}"
        )
    training, entries = stored.get("training", {}), stored.get("method", [])
    if not isinstance(training, dict):
        raise UserError("training must be a table: [training]")
    if not isinstance(entries, list) or not entries:
        raise UserError('it names no method: add [[method]] and name = "prune"')
    method("quantize", **training)  # Bad values are found even if no method trains.
    methods = tuple(_method(entry, training) for entry in entries)
    seed = SEED.checked("seed", stored.get("seed", SEED.default))
    count = NUM_TRAIN.checked("num_train", stored.get("num_train", 0))
    return Recipe(methods, scale, int(seed), int(count))


def _method(entry: Any, training: dict[str, Any]) -> Method:
    if not isinstance(entry, dict) or "name" not in entry:
        raise UserError('each [[method]] needs a name, such as name = "prune"')
    own = {key: value for key, value in entry.items() if key != "name"}
    trains = method(entry["name"]).kind.runs_in == "worker"
    return method(entry["name"], **({**training, **own} if trains else own))


def _refuse_unknown(stored: dict[str, Any], known: dict[str, Any]) -> None:
    for key in stored:
        if key not in known:
            raise UserError(
                f"there is no key {key[:40]!r}; {did_you_mean(key, known)}"
                f"keys: {', '.join(known)}"
            )
