"""`tfcourse compress` behind the checks of its arguments: compresses, measures, writes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tfcourse import data
from tfcourse.compression import measuring
from tfcourse.compression.compressing import (
    Compressed,
    OnProgress,
    compress_all,
)
from tfcourse.compression.exchange import (
    Event,
    exchange_folder,
    numbered,
    run_child,
    write_arrays,
)
from tfcourse.compression.fitting import as_inputs, chosen_scale
from tfcourse.compression.litert import LiteRTFile
from tfcourse.compression.measuring import Latency, latency_of_seconds
from tfcourse.compression.methods import method
from tfcourse.compression.moving import save_keras
from tfcourse.errors import UserError
from tfcourse.run_folder import write_bytes, writing

if TYPE_CHECKING:
    from tfcourse.compression.recipe import Recipe

THREADS = (1, 2)
Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table."""

    method: str
    title: str
    file: str
    num_bytes: int  # Of this file on disk.
    ratio: float  # Bytes of the float32 LiteRT file over num_bytes.
    accuracy: float
    interval: tuple[float, float]  # 95 %, Wilson.
    latencies: tuple[Latency, ...]  # One per number of threads.
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Job:
    """What the command was asked for, checked."""

    model_path: Path
    config: dict[str, Any]
    shape: tuple[int, ...]
    recipe: Recipe
    dataset: str
    source: str
    data_dir: Path | None
    output: Path


@dataclasses.dataclass(frozen=True)
class _Arrays:
    train: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test: NDArray[np.float32]
    test_labels: NDArray[np.int64]


def run(job: Job, say: Say, progress: OnProgress) -> list[Row]:
    """Return the table's rows: the model itself, then each method; write the files.

    Raises:
        UserError: If the model or the data can't be used.
    """
    arrays = _load(job, say)
    model = _load_model(job)
    outputs = tuple(model.output_shape)
    num_classes = data_classes(job.dataset)
    if len(model.outputs) != 1 or len(outputs) != 2 or outputs[1] != num_classes:
        raise UserError(
            f"the model does not fit {job.dataset}: it must give {num_classes} numbers "
            f"per example, one per class; its output is {outputs[1:]}"
        )
    methods = [method("litert_float"), *job.recipe.methods]
    results = compress_all(
        model,
        methods,
        arrays.train,
        arrays.train_labels,
        seed=job.recipe.seed,
        progress=progress,
    )
    if results[0].problem:
        raise UserError(f"LiteRT can't convert the model: {results[0].problem}")
    base = len(results[0].content)
    names = _names(results, job.model_path.stem)
    say("measuring accuracy and latency")
    for result, name in zip(results, names, strict=True):
        if not result.problem:
            _write(job.output / name, result)
    keras_rows = _keras_rows(job, model, arrays, results, names, base)
    rows = [keras_rows[0]]
    for number, (result, name) in enumerate(zip(results, names, strict=True)):
        if result.problem:
            rows.append(_problem(result))
        elif number in keras_rows.keys() - {0} and result.suffix == ".keras":
            rows.append(keras_rows[number])
        else:
            rows.append(_litert_row(job, arrays, result, name, base))
    return rows


def data_classes(name: str) -> int:
    """Return how many classes a set has."""
    (spec,) = [spec for spec in data.catalogue() if spec.name == name]
    return int(spec.num_classes)


def _load(job: Job, say: Say) -> _Arrays:
    loaded = {}
    for split in ("train", "test"):
        arrays, info = data.load_arrays(
            job.dataset,
            split,  # type: ignore[arg-type]
            source=job.source,
            data_dir=job.data_dir,
        )
        loaded[split] = arrays
        say(f"{job.dataset} {split}: {info.num_examples:,} examples, {info.origin}")
    scale = chosen_scale(job.recipe.scale, job.config)
    say(f"scale {scale}")
    count = job.recipe.num_train or None
    images, labels = (array[:count] for array in loaded["train"])
    tests, test_labels = loaded["test"]
    return _Arrays(
        as_inputs(images, scale, job.shape),
        labels,
        as_inputs(tests, scale, job.shape),
        test_labels,
    )


def _load_model(job: Job) -> Any:
    import tfcourse.runtime  # noqa: F401  Loads TensorFlow without its notes.

    import keras  # isort: skip

    try:
        # safe_mode refuses layers that hold code, as check_model_file did.
        return keras.saving.load_model(job.model_path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a damaged file.
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"Keras can't load {job.model_path}: {reason}") from None


def _names(results: list[Compressed], stem: str) -> list[str]:
    """Return different file names; a method that comes twice is numbered."""
    names: list[str] = []
    for result in results:
        packed = ".gz" if result.method.kind.counts_gzip else ""
        number = 1
        while True:
            suffix = f"-{number}" if number > 1 else ""
            name = f"{stem}-{result.method.name}{suffix}{result.suffix}{packed}"
            if name not in names:
                break
            number += 1
        names.append(name)
    return names


def _write(path: Path, result: Compressed) -> None:
    packed = result.method.kind.counts_gzip
    write_bytes(path, measuring.gzipped(result.content) if packed else result.content)


def _litert_row(
    job: Job, arrays: _Arrays, result: Compressed, name: str, base: int
) -> Row:
    right = measuring.num_right(
        LiteRTFile(result.content, num_threads=2).predict(arrays.test),
        arrays.test_labels,
    )
    times = tuple(
        measuring.latency_of(result.content, arrays.test[:1], threads)
        for threads in THREADS
    )
    return _row(job, result.method.name, result.method.kind.title, name)(
        right, len(arrays.test), times, base
    )


def _row(
    job: Job, name: str, title: str, file: str
) -> Callable[[int, int, tuple[Latency, ...], int], Row]:
    def finished(right: int, count: int, times: tuple[Latency, ...], base: int) -> Row:
        num_bytes = os.path.getsize(job.output / file)
        return Row(
            method=name,
            title=title,
            file=file,
            num_bytes=num_bytes,
            ratio=base / num_bytes,
            accuracy=right / count,
            interval=measuring.wilson_interval(right, count),
            latencies=times,
        )

    return finished


def _problem(result: Compressed) -> Row:
    kind = result.method.kind
    return Row(result.method.name, kind.title, "-", 0, 0, 0, (0, 0), (), result.problem)


def _keras_rows(
    job: Job,
    model: Any,
    arrays: _Arrays,
    results: list[Compressed],
    names: list[str],
    base: int,
) -> dict[int, Row]:
    """Return the rows of .keras files: the model itself under 0, others by place."""
    import keras

    own_name = f"{job.model_path.stem}-uncompressed.keras"
    with exchange_folder() as folder:
        with writing(folder):
            save_keras(model, folder / own_name)
        # Saved anew: the user's file may hold an optimizer's state as well.
        write_bytes(job.output / own_name, (folder / own_name).read_bytes())
    files = {0: own_name}
    for number, (result, name) in enumerate(zip(results, names, strict=True)):
        if result.suffix == ".keras" and not result.problem:
            files[number] = name
    times = _keras_latencies(job.output, list(files.values()), arrays.test[:1])
    rows = {}
    for place, (number, file) in enumerate(files.items()):
        loaded = keras.saving.load_model(job.output / file, compile=False)
        outputs = loaded.predict(arrays.test, batch_size=256, verbose=0)
        right = measuring.num_right(outputs, arrays.test_labels)
        kind = results[number].method
        title = "the model itself, Keras" if number == 0 else kind.kind.title
        name = "uncompressed" if number == 0 else kind.name
        row = _row(job, name, title, file)
        rows[number] = row(right, len(arrays.test), tuple(times[place]), base)
    return rows


def _keras_latencies(
    output: Path, files: list[str], example: NDArray[np.float32]
) -> list[list[Latency]]:
    """Return the latencies of .keras files, by file, in the order of THREADS."""
    found: list[list[Latency]] = [[] for _ in files]
    for threads in THREADS:

        def on_event(event: Event, threads: int = threads) -> None:
            if event["event"] == "timed":
                latency = latency_of_seconds(event["seconds"], threads)
                found[event["file"]].append(latency)

        with exchange_folder() as folder:
            write_arrays(folder / "probe.npz", numbered([example]))
            request = {
                "files": [str((output / name).resolve()) for name in files],
                "num_threads": threads,
                "num_calls": measuring.NUM_CALLS,
                "num_warmup": measuring.NUM_WARMUP,
            }
            run_child("tfcourse.compression.latencies", folder, request, on_event)
    return found
