"""Looks at a .keras file before Keras does: damage, size, what it is made of.

A .keras file is a zip archive of config.json, model.weights.h5 and metadata.json. Loading
one builds every object that config.json names, so names are checked first: only Keras's own
modules, no Lambda (which holds code). Keras's `safe_mode` is the second guard, not the
only one. No TensorFlow here.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from tfcourse.compression.blueprint import CAN_BE_MOVED
from tfcourse.errors import UserError

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MAX_CONFIG_BYTES = 50_000_000
MAX_WEIGHT_BYTES = 8_000_000_000
# Where Keras keeps what a saved model may name. "keras.utils" and others hold functions
# that write files: they are left out.
MODULES = (
    "keras",
    "keras.layers",
    "keras.initializers",
    "keras.regularizers",
    "keras.constraints",
    "keras.activations",
    "keras.dtype_policies",
    "keras.optimizers",
    "keras.optimizers.schedules",
    "keras.losses",
    "keras.metrics",
    "keras.models",
    "keras.ops",
    "keras.quantizers",
    "keras.random",
    "keras.src.models.functional",
    "keras.src.models.sequential",
    "builtins",  # Strings and numbers that Keras wraps.
)
# Operators (x + y) are saved as these; they are data, but can't be moved to tf_keras.
OPERATION_MODULES = ("keras.src.ops.",)
CODE = ("Lambda", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer")


def check_model_file(path: Path) -> dict[str, Any]:
    """Return the description (config.json) of a .keras file that is whole and safe.

    Raises:
        UserError: If it is missing, no .keras file, damaged, too large, or names code or
            classes that are not Keras's own.
    """
    if not path.exists():
        raise UserError(f"there is no file {path}")
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a .keras file")
    try:
        with zipfile.ZipFile(path) as archive:
            config = _read_config(archive, path)
            _check_weights(archive, path)
    except zipfile.BadZipFile as error:
        known = path.suffix in (".keras", ".zip")
        reason = f"damaged ({error})" if known else "not a .keras file"
        raise UserError(
            f"{path} is {reason}: save the model with model.save('NAME.keras')"
        ) from None
    except (OSError, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise UserError(f"can't read {path}: {error}") from None
    _check_names(config, path)
    return config


def _read_config(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    names = archive.namelist()
    for needed in (CONFIG, WEIGHTS):
        if names.count(needed) != 1:
            raise UserError(
                f"{path} is not a .keras file: {names.count(needed)} entries {needed}"
            )
    if archive.getinfo(CONFIG).file_size > MAX_CONFIG_BYTES:
        raise UserError(
            f"{path}: its {CONFIG} has more than {MAX_CONFIG_BYTES:,} bytes"
        )
    try:
        with archive.open(CONFIG) as stream:
            config = json.loads(stream.read(MAX_CONFIG_BYTES))
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged: its {CONFIG} is not JSON") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise UserError(f"{path} is damaged: its {CONFIG} describes no model")
    return config


def _check_weights(archive: zipfile.ZipFile, path: Path) -> None:
    if archive.getinfo(WEIGHTS).file_size > MAX_WEIGHT_BYTES:
        raise UserError(
            f"{path}: its weights have more than {MAX_WEIGHT_BYTES:,} bytes"
        )
    left = MAX_WEIGHT_BYTES
    with archive.open(WEIGHTS) as stream:  # Reading to the end compares the checksum.
        while left > 0 and (chunk := stream.read(1 << 20)):
            left -= len(chunk)


def _check_names(value: Any, path: Path) -> None:
    """Refuse everything that is not Keras's own data."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        if not isinstance(item, dict):
            continue
        waiting += item.values()
        class_name, module = item.get("class_name"), item.get("module")
        if class_name in CODE:
            raise UserError(
                f"{path}: the layer {_name(item)} is a {class_name}, which holds code; it "
                f"is not loaded. What can be compressed: {CAN_BE_MOVED}"
            )
        custom = item.get("registered_name") not in (None, class_name)
        if custom or (module is not None and not _is_keras(module)):
            raise UserError(
                f"{path}: {_name(item)} is of the class {str(class_name)[:60]}, which is "
                f"not Keras's own; what can be compressed: {CAN_BE_MOVED}"
            )
        if class_name is not None and "module" not in item and "config" in item:
            if class_name not in ("__keras_tensor__", "__tensor__", "__numpy__"):
                if "registered_name" in item:
                    raise UserError(f"{path}: {_name(item)} names no module")


def _is_keras(module: Any) -> bool:
    return isinstance(module, str) and (
        module in MODULES or module.startswith(OPERATION_MODULES)
    )


def _name(item: dict[str, Any]) -> str:
    config = item.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    return str(name or item.get("name") or "an object")[:60]
