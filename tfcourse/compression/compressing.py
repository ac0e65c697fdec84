"""Compresses Keras 3 models: the parent's side, which stays on Keras 3."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfcourse.compression.blueprint import Blueprint
from tfcourse.compression.exchange import (
    Event,
    exchange_folder,
    in_order,
    numbered,
    read_arrays,
    run_child,
    write_arrays,
)
from tfcourse.compression.methods import Method
from tfcourse.compression.moving import (
    Array,
    Inputs,
    as_list,
    blueprint_of,
    check_equal,
    outputs_of,
    save_keras,
    weights_of,
    with_weights,
)
from tfcourse.errors import UserError
from tfcourse.run_folder import writing

NUM_PROBES = 16
LOSSES = (
    "auto",
    "sparse_categorical_crossentropy",
    "binary_crossentropy",
    "mean_squared_error",
)


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far one method is: `done` of `total` epochs of a stage, and its loss."""

    method: str
    stage: str  # Such as "prune 1/2".
    done: float
    total: float
    loss: float | None


OnProgress = Callable[[Progress], None]


@dataclasses.dataclass(frozen=True)
class Compressed:
    """What a method made of a model.

    Attributes:
        method: The method.
        model: The compressed Keras 3 model, not compiled; None after quantisation-aware
            training, whose result is the int8 file, and for LiteRT conversions.
        content: Bytes of the file: LiteRT, or .keras for "keras_int8".
        problem: Why the method could not be applied; then there is no content.
    """

    method: Method
    model: Any = None
    content: bytes = b""
    problem: str = ""

    @property
    def suffix(self) -> str:
        """The ending of the file's name."""
        return ".keras" if self.method.kind.runs_in == "keras" else ".tflite"


def compress(
    model: Any,
    method: Method,
    inputs: Inputs,
    labels: Array | None = None,
    *,
    loss: str = "auto",
    seed: int = 0,
    progress: OnProgress | None = None,
) -> Compressed:
    """Return what a method makes of a Keras 3 model; the model is left as it is.

    Args:
        model: A Functional or Sequential model of Keras's own layers, with weights.
        method: Made by `methods.method`.
        inputs: float32 [n, ...] to fine-tune on, one array per input of the model.
        labels: int [n] for classes, else like the output; LiteRT conversions need none.
        loss: One of `LOSSES`. "auto": cross-entropy for whole-numbered labels (of logits
            unless the model ends in softmax or sigmoid), else the mean squared error.
        seed: Of the fine-tuning.
        progress: Called while it works.

    Raises:
        UserError: If the model can't be moved, the data don't fit it, the method can't
            be applied, or the child dies: one line.
    """
    (result,) = compress_all(
        model, [method], inputs, labels, loss=loss, seed=seed, progress=progress
    )
    if result.problem:
        raise UserError(f"{method.name}: {result.problem}")
    return result


def compress_all(
    model: Any,
    methods: Sequence[Method],
    inputs: Inputs,
    labels: Array | None = None,
    *,
    loss: str = "auto",
    seed: int = 0,
    progress: OnProgress | None = None,
) -> list[Compressed]:
    """Return what each method makes of the model, with one start of each child.

    A method that can't be applied gives a result with a `problem`. Arguments and other
    errors as in `compress`.
    """
    arrays = as_list(inputs)
    _check_shapes(model, arrays)
    trained = [m for m in methods if m.kind.runs_in == "worker"]
    converted = [m for m in methods if m.kind.runs_in != "worker"]
    made: dict[int, Compressed] = {}
    if trained:
        if labels is None or len(labels) != len(arrays[0]):
            count = "no" if labels is None else f"{len(labels):,}"
            raise UserError(
                f"fine-tuning needs a label for each of the {len(arrays[0]):,} examples; "
                f"got {count} labels"
            )
        session = _Worker(model, arrays)
        for method, result in zip(
            trained, session.run(trained, labels, loss, seed, progress), strict=True
        ):
            made[id(method)] = result
    if converted:
        results = _convert(model, converted, arrays, progress)
        made.update(zip(map(id, converted), results, strict=True))
    return [made[id(method)] for method in methods]


def move_and_back(model: Any, inputs: Inputs) -> tuple[Any, list[Array]]:
    """Return (a Keras 3 model whose weights went to tf_keras and back, its outputs there).

    The outputs are those of the tf_keras model for the inputs, float32 [n, ...] each.

    Raises:
        UserError: If the model can't be moved, or its outputs differ after the move.
    """
    session = _Worker(model, as_list(inputs), probes=len(as_list(inputs)[0]))
    session.run([], None, "auto", 0, None)
    return with_weights(model, session.blueprint, session.returned), session.outputs


class _Worker:
    """One start of the child that has tf_keras and tfmot."""

    def __init__(
        self, model: Any, inputs: list[Array], probes: int = NUM_PROBES
    ) -> None:
        self.model = model
        self.blueprint = blueprint_of(model)
        self.inputs = inputs
        self.probe = [array[:probes] for array in inputs]
        self.outputs: list[Array] = []
        self.returned: list[Array] = []

    def run(
        self,
        methods: Sequence[Method],
        labels: Array | None,
        loss: str,
        seed: int,
        progress: OnProgress | None,
    ) -> list[Compressed]:
        problems: dict[int, str] = {}

        def on_event(event: Event) -> None:
            if event["event"] == "failed":
                problems[event["job"]] = event["message"]
            elif event["event"] == "progress" and progress:
                progress(_progress(event, methods))

        chosen = {} if labels is None else _loss(loss, labels, self.blueprint)
        jobs = [{"stages": m.stages(), "loss": chosen, "seed": seed} for m in methods]
        request = {"blueprint": dataclasses.asdict(self.blueprint), "jobs": jobs}
        with exchange_folder() as folder:
            weights = weights_of(self.model, self.blueprint)
            write_arrays(folder / "weights.npz", numbered(weights))
            write_arrays(folder / "probe.npz", numbered(self.probe))
            if labels is not None:
                named = {f"input_{i:03}": a for i, a in enumerate(self.inputs)}
                write_arrays(folder / "data.npz", {**named, "labels": labels})
            run_child("tfcourse.compression.worker", folder, request, on_event)
            self.outputs = in_order(read_arrays(folder / "probed.npz"))
            self.returned = in_order(read_arrays(folder / "returned.npz"))
            check_equal(outputs_of(self.model, self.probe), self.outputs)
            return [
                self._result(folder, number, method, problems.get(number, ""))
                for number, method in enumerate(methods)
            ]

    def _result(
        self, folder: Path, number: int, method: Method, problem: str
    ) -> Compressed:
        if problem:
            return Compressed(method, problem=problem)
        model, stored = None, folder / f"weights_{number}.npz"
        if stored.exists():
            arrays = in_order(read_arrays(stored))
            model = with_weights(self.model, self.blueprint, arrays)
        content = (folder / f"model_{number}.tflite").read_bytes()
        return Compressed(method, model, content)


def _convert(
    model: Any,
    methods: Sequence[Method],
    inputs: list[Array],
    progress: OnProgress | None,
) -> list[Compressed]:
    """Return the conversions, made by a child that has Keras 3."""
    problems: dict[int, str] = {}

    def on_event(event: Event) -> None:
        if event["event"] == "failed":
            problems[event["job"]] = event["message"]
        elif event["event"] == "progress" and progress:
            progress(_progress(event, methods))

    jobs = [
        {"mode": m.name.removeprefix("litert_"), **m.settings}
        if m.kind.runs_in == "converter"
        else {"mode": m.name}
        for m in methods
    ]
    with exchange_folder() as folder:
        with writing(folder / "model.keras"):
            save_keras(model, folder / "model.keras")
        count = max(int(m.settings.get("num_representative", 0)) for m in methods)
        if count:
            chosen = [array[:count] for array in inputs]
            write_arrays(folder / "representative.npz", numbered(chosen))
        run_child("tfcourse.compression.conversion", folder, {"jobs": jobs}, on_event)
        return [
            Compressed(method, problem=problems[number])
            if number in problems
            else Compressed(
                method, content=(folder / f"converted_{number}").read_bytes()
            )
            for number, method in enumerate(methods)
        ]


def _check_shapes(model: Any, arrays: list[Array]) -> None:
    shapes = [
        tuple(tensor.shape)[1:] for tensor in getattr(model, "inputs", None) or []
    ]
    if not shapes:
        blueprint_of(model)  # Says that it can't be moved, if it can't.
        return
    given = [array.shape[1:] for array in arrays]
    fits = len(shapes) == len(given) and all(
        len(want) == len(have)
        and all(w in (None, h) for w, h in zip(want, have, strict=True))
        for want, have in zip(shapes, given, strict=True)
    )
    if not fits or not len(arrays[0]) or len({len(array) for array in arrays}) != 1:
        raise UserError(
            f"the data don't fit the model: it takes {shapes} per example, got "
            f"{len(arrays[0]):,} examples of {given}"
        )


def _loss(name: str, labels: Array, blueprint: Blueprint) -> dict[str, Any]:
    """Return a class of tf_keras.losses and its arguments."""
    if name not in LOSSES:
        raise UserError(f"loss must be one of {', '.join(LOSSES)}; got {name!r}")
    if len(blueprint.outputs) != 1:
        raise UserError("a model with several outputs can't be fine-tuned here")
    single = blueprint.ends_in("sigmoid")
    if name == "auto":
        whole = np.issubdtype(labels.dtype, np.integer)
        classes = "binary_crossentropy" if single else LOSSES[1]
        name = classes if whole else "mean_squared_error"
    if name == "mean_squared_error":
        return {"class_name": "MeanSquaredError"}
    if name == "binary_crossentropy":
        return {"class_name": "BinaryCrossentropy", "from_logits": not single}
    softmax = blueprint.ends_in("softmax")
    return {"class_name": "SparseCategoricalCrossentropy", "from_logits": not softmax}


def _progress(event: Event, methods: Sequence[Method]) -> Progress:
    return Progress(
        method=methods[event["job"]].name,
        stage=f"{event['stage']} {event.get('place', '')}".strip(),
        done=event["done"],
        total=event["total"],
        loss=event.get("logs", {}).get("loss"),
    )
