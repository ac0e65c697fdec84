"""What a resume point holds, and its file: an npz, which carries checksums."""

from __future__ import annotations

import inspect
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

FORMAT = 1


class DamagedPointError(Exception):
    """A resume point's file is not whole."""


@dataclass
class Point:
    """The state at the end of an epoch."""

    num_epochs: int  # Epochs done.
    ended: bool  # Whether `fit` has ended, or a callback has told it to end.
    variables: list[np.ndarray]
    history: dict[str, list[float]]
    data_order: dict[str, Any] = field(default_factory=dict)  # Of `shuffle_order`.
    callbacks: list[dict[str, Any]] = field(default_factory=list)


def saved_state(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Return the callback's numbers, texts and arrays: what it counts and remembers.

    Its settings are left out: they are given again, and `EarlyStopping` changes the sign
    of its `min_delta` when it starts. What can't be stored (the model, functions, files)
    is made anew by the callback.
    """
    settings = {"params", "_params", *inspect.signature(type(callback)).parameters}
    return {
        key: value
        for key, value in vars(callback).items()
        if key not in settings and _can_be_stored(value)
    }


def _can_be_stored(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_can_be_stored, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and _can_be_stored(v) for k, v in value.items())
    return value is None or isinstance(
        value, bool | int | float | str | np.generic | np.ndarray
    )


def restore_state(callback: keras.callbacks.Callback, state: Mapping[str, Any]) -> None:
    """Give the callback the state that `saved_state` returned."""
    vars(callback).update(state)


def encode(point: Point) -> bytes:
    """Return the point as the bytes of an npz file, which carries checksums."""
    arrays: dict[str, np.ndarray] = {}

    def store(value: Any) -> Any:
        """Return a JSON value that stands for `value`, arrays by their names."""
        if isinstance(value, np.ndarray):
            key = f"array_{len(arrays)}"
            # bfloat16 and its like are unknown to the file format: bytes and a name.
            raw = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
            arrays[key] = raw
            return {"array": key, "dtype": value.dtype.name, "shape": value.shape}
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, list):
            return [store(item) for item in value]
        if isinstance(value, dict):
            return {key: store(item) for key, item in value.items()}
        return value

    content = {
        "format": FORMAT,
        "num_epochs": point.num_epochs,
        "ended": point.ended,
        "variables": store(point.variables),
        "history": point.history,
        "data_order": point.data_order,
        "callbacks": store(point.callbacks),
    }
    text = np.frombuffer(json.dumps(content).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, content=text, **arrays)
    return buffer.getvalue()


def decode(data: bytes) -> Point:
    """Return the point that `encode` turned into bytes.

    Raises:
        DamagedPointError: If the bytes are not such a point, whole.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return _point(arrays)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        zipfile.BadZipFile,
    ) as e:
        raise DamagedPointError(str(e)) from e


def _point(arrays: Mapping[str, np.ndarray]) -> Point:
    content = json.loads(arrays["content"].tobytes())
    if content.pop("format") != FORMAT:
        raise ValueError("unknown format")

    def load(value: Any) -> Any:
        if isinstance(value, list):
            return [load(item) for item in value]
        if isinstance(value, dict) and set(value) == {"array", "dtype", "shape"}:
            dtype = tf.dtypes.as_dtype(value["dtype"]).as_numpy_dtype
            raw = arrays[value["array"]].tobytes()
            return np.frombuffer(raw, dtype).reshape(value["shape"]).copy()
        if isinstance(value, dict):
            return {key: load(item) for key, item in value.items()}
        return value

    for key in ("variables", "callbacks"):
        content[key] = load(content[key])
    return Point(**content)
