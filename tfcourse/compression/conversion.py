"""Conversion to LiteRT, and Keras 3's own int8: runs in a child process.

    python -P -m tfcourse.compression.conversion FOLDER

TensorFlow's converter leaks memory at each call (tensorflow/tensorflow#122598), so that a
process which converts should end soon. Here Keras is Keras 3; `to_litert` serves the worker
as well, with a model of tf_keras.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tfcourse.compression.exchange import (
    Reporter,
    in_order,
    one_line,
    read_arrays,
    serve,
)
from tfcourse.errors import UserError
from tfcourse.run_folder import write_bytes

MODES = ("float", "float16", "dynamic", "int8")


def to_litert(
    model: Any, mode: str, representative: list[NDArray[Any]] | None = None
) -> bytes:
    """Return a model as a LiteRT file.

    Args:
        model: Of Keras 3 or tf_keras, Functional or Sequential.
        mode: "float" (float32), "float16" (weights), "dynamic" (int8 weights, float
            activations; a model of quantisation-aware training becomes int8 where it has
            ranges) or "int8" (weights, activations, inputs and outputs).
        representative: For "int8": arrays [n, ...], one per input in the model's order,
            from which the ranges of the activations are taken.

    Raises:
        ValueError: If the mode is unknown, or "int8" has no representative examples.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}; got {mode!r}")
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if mode != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if mode == "int8":
        if not representative or not len(representative[0]):
            raise ValueError("int8 needs representative examples; got none")
        examples = representative

        def one_by_one() -> Iterator[Any]:
            names = [tensor.name.split(":")[0] for tensor in model.inputs]
            for number in range(len(examples[0])):
                given = [array[number : number + 1] for array in examples]
                yield given if len(given) == 1 else dict(zip(names, given, strict=True))

        converter.representative_dataset = one_by_one
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # It warns that quantised models come without statistics, which is as it should be.
        warnings.simplefilter("ignore")
        return bytes(converter.convert())


def quantized_keras(model: Any) -> Any:
    """Return the model with Keras's int8 in the layers that have it (Dense, Embedding).

    The model is changed. Source: keras.Model.quantize.

    Raises:
        UserError: If no layer of the model has it.
    """
    before = [weight.dtype for weight in model.weights]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # One warning for each layer that has it not.
        model.quantize("int8")
    if [weight.dtype for weight in model.weights] == before:
        raise UserError(
            "Keras 3 has int8 for Dense, EinsumDense and Embedding layers alone, and "
            "the model has none"
        )
    return model


def main(folder: Path, request: dict[str, Any], reporter: Reporter) -> None:
    """Convert folder/model.keras in each of the ways that the request lists."""
    import keras

    examples = None
    if (folder / "representative.npz").exists():
        examples = in_order(read_arrays(folder / "representative.npz"))
    for number, job in enumerate(request["jobs"]):
        reporter.emit("progress", job=number, stage="convert", done=0, total=1)
        model = keras.saving.load_model(folder / "model.keras", compile=False)
        try:
            if job["mode"] == "keras_int8":
                quantized_keras(model).save(folder / "quantized.keras")
                content = (folder / "quantized.keras").read_bytes()
            else:
                count = job.get("num_representative")
                chosen = [array[:count] for array in examples] if examples else None
                content = to_litert(model, job["mode"], chosen)
        except UserError as error:
            reporter.emit("failed", job=number, message=str(error))
            continue
        except (ValueError, RuntimeError, TypeError, NotImplementedError) as error:
            # ConverterError is not exported by name; it is an Exception of the converter.
            reporter.emit("failed", job=number, message=one_line(error))
            continue
        write_bytes(folder / f"converted_{number}", content)
        reporter.emit("done", job=number)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(serve(Path(sys.argv[1]), main))
