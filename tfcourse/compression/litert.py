"""Inference with LiteRT files, and what stands in their weights."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcourse.errors import UserError

Array = NDArray[Any]
IDENTIFIER = b"TFL3"  # Bytes 4 to 8 of each LiteRT file.


class LiteRTFile:
    """A LiteRT model, run by `ai_edge_litert`; floats go in and come out.

    int8 inputs and outputs are quantised and dequantised here, with the file's own scale
    and zero point.

    Args:
        source: A path, or the bytes of a file.
        num_threads: Threads of the interpreter.
        input_names: Names of the Keras model's inputs in its order. Files keep their
            inputs under these names, not always in this order.

    Raises:
        UserError: If the file is missing or is no LiteRT model.
    """

    def __init__(
        self,
        source: Path | bytes,
        *,
        num_threads: int = 1,
        input_names: list[str] | None = None,
    ) -> None:
        from ai_edge_litert.interpreter import Interpreter

        name = "these bytes" if isinstance(source, bytes) else str(source)
        try:
            content = source if isinstance(source, bytes) else source.read_bytes()
        except OSError as error:
            raise UserError(f"can't read {name}: {error.strerror}") from None
        if content[4:8] != IDENTIFIER:
            raise UserError(f"{name}: this is not a LiteRT file")
        try:
            self._interpreter = Interpreter(
                model_content=content, num_threads=num_threads
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{name}: damaged LiteRT file ({reason})") from None
        self._inputs = self._interpreter.get_input_details()
        if input_names and len(input_names) > 1:
            self._inputs = _sorted_by(self._inputs, input_names)
        self._outputs = self._interpreter.get_output_details()

    def predict(self, inputs: Array | list[Array], batch_size: int = 64) -> Array:
        """Return the first output, float32 [n, ...], for float32 inputs [n, ...]."""
        arrays = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        count = len(arrays[0])
        answers = []
        for start in range(0, count, batch_size):
            batch = [array[start : start + batch_size] for array in arrays]
            answers.append(self._run(batch))
        return np.concatenate(answers)

    def seconds_of_calls(
        self, inputs: Array | list[Array], num_calls: int, num_warmup: int
    ) -> list[float]:
        """Return the seconds of single calls with the first example."""
        arrays = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        self._resize([array[:1] for array in arrays])
        given = [
            _quantised(array[:1], details)
            for array, details in zip(arrays, self._inputs, strict=True)
        ]
        seconds = []
        for _ in range(num_warmup + num_calls):
            started = time.perf_counter()
            self._invoke(given)
            seconds.append(time.perf_counter() - started)
        return seconds[num_warmup:]

    def weight_arrays(self, at_least: int = 32) -> dict[str, Array]:
        """Return the constant arrays of `at_least` elements, by name, as stored.

        int8 weights come as int8: zeros and different values can be counted.
        """
        found = {}
        outside = {d["index"] for d in [*self._inputs, *self._outputs]}
        written = set()
        for operation in self._interpreter._get_ops_details():
            written.update(int(index) for index in operation["outputs"])
        for details in self._interpreter.get_tensor_details():
            if details["index"] in outside | written:
                continue
            try:
                value = self._interpreter.get_tensor(details["index"])
            except ValueError:
                continue  # It has no memory of its own.
            if value.size >= at_least:
                found[details["name"]] = value
        return found

    def _run(self, batch: list[Array]) -> Array:
        self._resize(batch)
        return self._invoke(
            [_quantised(a, d) for a, d in zip(batch, self._inputs, strict=True)]
        )

    def _resize(self, batch: list[Array]) -> None:
        wanted = [list(array.shape) for array in batch]
        current = [
            list(self._interpreter.get_input_details()[self._place(d)]["shape"])
            for d in self._inputs
        ]
        if wanted == current:
            return
        for details, shape in zip(self._inputs, wanted, strict=True):
            self._interpreter.resize_tensor_input(details["index"], shape)
        self._interpreter.allocate_tensors()

    def _place(self, details: dict[str, Any]) -> int:
        indices = [d["index"] for d in self._interpreter.get_input_details()]
        return indices.index(details["index"])

    def _invoke(self, given: list[Array]) -> Array:
        for details, array in zip(self._inputs, given, strict=True):
            self._interpreter.set_tensor(details["index"], array)
        self._interpreter.invoke()
        details = self._outputs[0]
        output = self._interpreter.get_tensor(details["index"])
        scale, zero_point = details["quantization"]
        if scale:
            return ((output.astype(np.float32) - zero_point) * scale).astype(np.float32)
        return np.asarray(output)


def _quantised(array: Array, details: dict[str, Any]) -> Array:
    scale, zero_point = details["quantization"]
    dtype = details["dtype"]
    if not scale:
        return np.ascontiguousarray(array, dtype)
    limits = np.iinfo(dtype)
    steps = np.round(array / scale) + zero_point
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def _sorted_by(inputs: list[dict[str, Any]], names: list[str]) -> list[dict[str, Any]]:
    """Return the details in the order of the names that the files' names contain."""
    by_name = {
        d["name"].removeprefix("serving_default_").split(":")[0]: d for d in inputs
    }
    if set(by_name) != set(names):
        return sorted(inputs, key=lambda details: str(details["name"]))
    return [by_name[name] for name in names]
