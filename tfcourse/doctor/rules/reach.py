"""Which weights can learn at all: reached by gradients, and not frozen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfcourse.doctor.findings import Finding
from tfcourse.doctor.rules.making import make
from tfcourse.doctor.rules.steps import no_update
from tfcourse.doctor.view import View, as_dict, late, number

# Of more layers Recorder looks at a choice only: `observation.MAX_LAYERS`, which can't be
# imported without TensorFlow.
MAX_TAPPED = 64


def find(view: View) -> Iterator[Finding]:
    """Yield weights that nothing trains."""
    yield from _disconnected(view)
    yield from _frozen(view)


def _disconnected(view: View) -> Iterator[Finding]:
    without = [str(path) for path in view.facts.get("without_gradient") or []]
    trainable = view.model.get("trainable_variables") or []
    if without and len(without) < len(trainable):
        cut = [path for path in without if is_called(view, path)]
        given = [path for path in trainable if path not in without]
        if not cut:
            yield _unused(view, without)
        elif any(is_called(view, path) for path in given):
            withheld = [str(path) for path in view.facts.get("not_given") or []]
            if set(cut) <= set(withheld):
                yield _withheld(view, cut)
            else:
                yield _no_gradient(
                    view, cut, 0.95, "no path from the loss to a variable"
                )
        else:
            yield _others_updated(view, cut)
        return
    if without and trainable and view.named("gradient_norm") == {}:
        moved = [late(v) for v in view.named("update_rms").values()]
        if not moved or max(moved) == 0:
            yield no_update(view, 0.9)
        return
    zero = []
    for path, values in view.named("gradient_norm").items():
        if path in view.kernels and len(values) and (values == 0).all():
            zero.append(path)
    if zero and len(zero) < len(view.kernels) and not _explained(view, zero):
        yield _no_gradient(
            view, zero, 0.75, "a gradient that is exactly 0 at all samples"
        )


def is_called(view: View, path: str) -> bool:
    """Return whether the step calls the variable's layer, as far as it is known."""
    tapped = list(as_dict(view.facts.get("tapped")))
    layer = view.layer_of(path)
    if not layer or not tapped or len(tapped) >= MAX_TAPPED:
        return True
    names = {name.removesuffix("/input") for name in tapped}
    return any(
        name == layer or name.startswith(f"{layer}/") or layer.startswith(f"{name}/")
        for name in names
    )


def _unused(view: View, paths: list[str]) -> Finding:
    layer = view.layer_of(paths[0])
    return make(
        "disconnected-gradient",
        "note" if view.learns_well else "warning",
        0.7,
        f"The model has {layer or paths[0]}, but the training step never calls it: "
        "nothing trains it.",
        f"x = {layer.split('/')[-1] or 'layer'}(x)  # in call, or remove the layer",
        rule="variables without a gradient, of layers that the step does not call",
        numbers={"variables without": len(paths)},
        layer=layer,
        variable=paths[0],
        see=(("graphs", ""), ("text", "cards/model")),
    )


def _withheld(view: View, paths: list[str]) -> Finding:
    layer = view.layer_of(paths[0])
    return make(
        "frozen-weights",
        "error" if view.fails else "note" if view.outcome.train > 0.85 else "warning",
        0.85,
        f"The training step hands the optimizer no gradient of {layer or paths[0]}: what "
        "is drawn there at the start stays.",
        "self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))",
        rule="variables that the model calls and the step does not give to the optimizer",
        numbers={"variables without an update": len(paths)},
        layer=layer,
        variable=paths[0],
        see=(("graphs", ""), ("histograms", f"weights/{paths[0]}")),
    )


def _others_updated(view: View, paths: list[str]) -> Finding:
    return make(
        "wrong-update",
        "error",
        0.9,
        f"The gradients of {view.layer_of(paths[0])} are applied to the variables of "
        "other layers, which the step does not call.",
        "self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))",
        rule="the optimizer gets gradients for layers that the step does not call alone",
        numbers={"variables without an update": len(paths)},
        layer=view.layer_of(paths[0]),
        variable=paths[0],
        see=(("graphs", ""), ("text", "cards/model")),
    )


def _explained(view: View, paths: list[str]) -> bool:
    """Return whether dead units or equal weights explain gradients of 0."""
    dead = [late(values) for values in view.named("dead_units").values()]
    if dead and max(dead) > 0.9:
        return True
    spreads = [
        number(view.variables[path], "unit_spread")
        for path in view.kernels
        if view.variables[path]["shape"][-1] > 1  # A single unit is like itself.
    ]
    return any(spread < 1e-6 for spread in spreads)


def _no_gradient(view: View, paths: list[str], confidence: float, rule: str) -> Finding:
    layer = view.layer_of(paths[0])
    return make(
        "disconnected-gradient",
        "error" if not view.learns_well else "warning",
        confidence,
        f"No gradient reaches {layer or paths[0]}: what lies between it and the loss "
        "can't be differentiated, or does not use it.",
        "# remove tf.stop_gradient, argmax, rounding, casts to integers or .numpy() from "
        "the way to the loss",
        rule=rule,
        numbers={"variables without": len(paths)},
        layer=layer,
        variable=paths[0],
        see=(("graphs", ""), ("histograms", f"gradients/{paths[0]}")),
    )


def _frozen(view: View) -> Iterator[Finding]:
    frozen = [layer for layer in view.layers if not layer["trainable"]]
    weighted = [layer for layer in view.layers if layer["variables"]]
    if weighted and view.model.get("trainable_variables") == []:
        yield make(
            "frozen-weights",
            "error",
            0.95,
            "Nothing is left to train: every layer is set to trainable=False.",
            "model.trainable = True  # or the head's layers alone, before compile",
            rule="a model with weights but without trainable variables",
            see=(("text", "cards/model"),),
        )
        return
    fresh = [layer for layer in frozen if looks_fresh(layer)]
    if not fresh:
        return
    sizes = {layer["name"]: num_weights(layer) for layer in view.layers}
    share = sum(sizes[layer["name"]] for layer in fresh) / max(1, sum(sizes.values()))
    name = fresh[0]["name"]
    yield make(
        "frozen-weights",
        "error" if view.fails else "note" if view.learns_well else "warning",
        0.9,
        f"{name} is set to trainable=False, but its weights are random ones as they were "
        "drawn: nothing has ever trained them.",
        f'model.get_layer("{name.split("/")[-1]}").trainable = True  # before compile',
        rule="a frozen kernel that still lies as its initializer draws it",
        numbers={"frozen layers": len(fresh), "share of the weights": share},
        layer=name,
        variable=next(v["path"] for v in fresh[0]["variables"]),
        see=(("text", "cards/model"), ("histograms", "weights/")),
    )


def num_weights(layer: dict[str, Any]) -> int:
    """Return how many numbers a layer's variables hold."""
    return int(sum(np.prod(variable["shape"]) for variable in layer["variables"]))


def looks_fresh(layer: dict[str, Any]) -> bool:
    """Return whether a layer's kernel lies as an initializer of Keras draws it."""
    variables = {variable["name"]: variable for variable in layer["variables"]}
    kernel = variables.get("kernel")
    if kernel is None or "fan_in" not in kernel or np.prod(kernel["shape"]) < 32:
        return False
    bias = variables.get("bias")
    if bias is not None and number(bias, "std") > 0:
        return False
    variance = number(kernel, "std") ** 2
    fan_in, fan_out = kernel["fan_in"], kernel["fan_out"]
    tolerance = 3 / math.sqrt(np.prod(kernel["shape"])) + 0.02
    for expected in (2 / (fan_in + fan_out), 2 / fan_in, 1 / fan_in):
        if abs(variance / expected - 1) < tolerance:
            uniform, normal = math.sqrt(3 * expected), 2.3 * math.sqrt(expected)
            return number(kernel, "max_abs") <= 1.01 * max(uniform, normal)
    return False
