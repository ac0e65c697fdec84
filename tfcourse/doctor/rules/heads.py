"""Does the head of the model fit its loss, its targets, and its metrics?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tfcourse.doctor.findings import Finding
from tfcourse.doctor.rules.making import make
from tfcourse.doctor.rules.outputs import (
    by_output,
    is_accuracy,
    metrics_of,
    near,
    observed_activation,
    output_width,
)
from tfcourse.doctor.view import View, as_dict, first, number

FAULT = "loss-activation-mismatch"
CATEGORICAL = (
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "categorical_focal_crossentropy",
)
BINARY = ("binary_crossentropy", "binary_focal_crossentropy")
VALUES = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_squared_logarithmic_error",
    "mean_absolute_percentage_error",
    "huber",
    "log_cosh",
    "logcosh",
)
# Output activations that can't leave a range: least and greatest value.
RANGES = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "softplus": (0.0, math.inf),
    "exponential": (0.0, math.inf),
}
PROBABILITIES = ("softmax", "sigmoid")
BENDING = ("relu", "tanh", "relu6", "elu", "leaky_relu", "softplus", "exponential")


def find(view: View) -> Iterator[Finding]:
    """Yield what does not fit at each head of the model."""
    yield from _twice(view)
    for focused in by_output(view):
        yield from _head(focused)


def _head(view: View) -> Iterator[Finding]:
    loss = as_dict(first(view.losses))
    name = str(loss.get("name", ""))
    activation = observed_activation(view)
    if loss.get("built_in"):
        yield from _built_in(view, name, loss, activation)
    elif not view.facts.get("focused"):  # The sum of several losses tells nothing.
        yield from _by_value(view)
    yield from _range(view, name, activation)


def _twice(view: View) -> Iterator[Finding]:
    """A softmax or sigmoid as a layer behind a layer that has one already."""
    links = view.model.get("links") or []
    sources = {source for source, _ in links}
    for source, target in links:
        name, _, before = source.split("|")
        _, kind, after = target.split("|")
        is_bare = kind in ("Softmax", "Activation") and target not in sources
        if is_bare and before in PROBABILITIES and after in PROBABILITIES:
            yield _mismatch(
                view,
                0.9,
                f"{name} already gives probabilities ({before}), and the {after} behind "
                "it squeezes them together: none can come near to 1.",
                f"layers.Dense(num_classes)  # {name} without activation",
                rule=f"a layer of {after} behind a layer with {before}",
            )
            return


def _built_in(
    view: View, name: str, loss: dict[str, Any], activation: str | None
) -> Iterator[Finding]:
    logits = bool(loss.get("from_logits"))
    is_categorical, is_binary = name in CATEGORICAL, name in BINARY
    width = output_width(view)
    if activation in ("softmax", "probabilities") and width == 1:
        yield _mismatch(
            view,
            0.98,
            "The softmax runs over a single unit, so the output is always exactly 1.",
            'layers.Dense(1, activation="sigmoid")  # with binary_crossentropy',
            rule="softmax over an axis of length 1",
        )
    elif (
        (is_categorical or is_binary)
        and logits
        and activation
        in (
            "softmax",
            "sigmoid",
            "probabilities",
        )
    ):
        kind = "sigmoid" if is_binary else "softmax"
        yield _mismatch(
            view,
            0.95,
            f"The head already gives probabilities, and the loss is told to apply a "
            f"{kind} to them once more (TensorFlow's Keras sees that and warns).",
            "layers.Dense(num_classes)  # no activation: from_logits=True stays",
            rule=f"{name} with from_logits=True on an output with {activation}",
        )
    elif (is_categorical or is_binary) and not logits:
        if activation in ("", "unbounded", "relu", "tanh", "leaky_relu", "elu"):
            given = (
                activation if activation not in ("", "unbounded") else "no activation"
            )
            yield _mismatch(
                view,
                0.95,
                "The loss expects probabilities, but the head gives raw scores "
                f"({given}).",
                f"loss=keras.losses.{class_name(name)}(from_logits=True)",
                rule=f"{name} with from_logits=False on an output with {given}",
            )
    yield from _unlike(view, name, logits, activation)
    if name in VALUES:
        yield from _values(view, name, activation, width)


def _unlike(
    view: View, name: str, logits: bool, activation: str | None
) -> Iterator[Finding]:
    """A head of another kind than the loss."""
    is_categorical, is_binary = name in CATEGORICAL, name in BINARY
    width = output_width(view)
    if (is_categorical or is_binary) and logits and activation in BENDING:
        yield _mismatch(
            view,
            0.85,
            f"Logits must be able to go anywhere, but the {activation} at the end bends "
            "or cuts them off.",
            "layers.Dense(num_classes)  # no activation: from_logits=True stays",
            rule=f"{name} with from_logits=True on an output with {activation}",
        )
    if is_categorical and activation in ("sigmoid", "hard_sigmoid") and not logits:
        yield _mismatch(
            view,
            0.85,
            "Each sigmoid gives its own probability, but a categorical loss needs one "
            "distribution over the classes.",
            'layers.Dense(num_classes, activation="softmax")',
            rule=f"{name} on an output with sigmoid",
        )
    if is_binary and activation in ("softmax", "probabilities") and width > 1:
        kind = str(view.targets().get("kind", ""))
        yield _mismatch(
            view,
            0.85 if kind == "multi_label" else 0.6,
            "A softmax shares one probability among the outputs, but binary "
            "cross-entropy judges each output by itself.",
            'loss="categorical_crossentropy"  # or sigmoid outputs, for several labels',
            rule=f"{name} on an output with softmax over {width} units",
        )
    if name in ("poisson", "kl_divergence") and activation in ("", "unbounded", "tanh"):
        yield _mismatch(
            view,
            0.8,
            f"The {name} loss takes logarithms of the predictions, but the head can "
            "give negative ones.",
            'layers.Dense(1, activation="exponential")',
            rule=f"{name} on an output that can be negative",
        )


def _values(
    view: View, name: str, activation: str | None, width: int
) -> Iterator[Finding]:
    target = view.targets()
    kind = target.get("kind")
    if kind == "classes" and width == 1 and number(target, "num_classes") >= 3:
        if any(is_accuracy(metric) for metric in metrics_of(view)):
            yield _mismatch(
                view,
                0.8,
                "The targets are classes, but the model gives one number and the loss "
                "measures distances between class numbers.",
                "layers.Dense(num_classes)  # with SparseCategoricalCrossentropy("
                "from_logits=True)",
                rule=f"{name} of class numbers with an output of one unit",
            )
    if kind == "classes" and width >= 3 and number(target, "num_classes") >= 3:
        yield _mismatch(
            view,
            0.9,
            "The targets are class numbers, and the loss compares each of the "
            f"{width} outputs with that number.",
            'loss="sparse_categorical_crossentropy"',
            rule=f"{name} of class numbers with an output of {width} units",
        )
    if kind == "one_hot" and width > 2 and activation in ("softmax", "sigmoid"):
        yield _mismatch(
            view,
            0.55,
            "The squared error of probabilities has hardly any gradient where the model "
            "is surely wrong; cross-entropy has.",
            'loss="categorical_crossentropy"',
            rule=f"{name} of one-hot classes on an output with {activation}",
        )


def _by_value(view: View) -> Iterator[Finding]:
    """A loss of one's own is known by its value beside those of the usual ones."""
    fit = view.output_fit("train")
    for value, candidates in view.losses_and_candidates():
        for kind, action in (("categorical", "softmax"), ("binary", "sigmoid")):
            logits = number(candidates, f"{kind}_of_logits")
            probabilities = number(candidates, f"{kind}_of_probabilities")
            if math.isnan(logits) or math.isnan(probabilities):
                continue
            as_logits, as_probabilities = (
                near(value, logits),
                near(value, probabilities),
            )
            is_distribution = bool(fit.get("in_unit_interval")) and (
                kind == "binary" or bool(fit.get("sums_to_one"))
            )
            numbers = {"loss": value, "of logits": logits, "of them": probabilities}
            if is_distribution and as_logits and not as_probabilities:
                yield _mismatch(
                    view,
                    0.93,
                    f"The head already gives probabilities, and the loss applies a "
                    f"{action} to them once more: the gradients become small and the "
                    "loss can't reach 0.",
                    "layers.Dense(num_classes)  # no activation before this loss",
                    rule="the loss equals the cross-entropy of the predictions as logits",
                    numbers=numbers,
                )
                return
            if not is_distribution and as_probabilities and not as_logits:
                yield _mismatch(
                    view,
                    0.9,
                    "The loss takes the head's raw scores for probabilities.",
                    f'layers.Dense(num_classes, activation="{action}")',
                    rule="the loss equals the cross-entropy of raw scores as if they "
                    "were probabilities",
                    numbers=numbers,
                )
                return


def _range(view: View, name: str, activation: str | None) -> Iterator[Finding]:
    """Targets that the head can't reach, classes that it has no unit for."""
    target = view.targets()
    low, high = RANGES.get(activation or "", (-math.inf, math.inf))
    # A few values beyond the range are lost, not the whole fit.
    least, greatest = number(target, "low"), number(target, "high")
    spread = max(number(target, "std"), 1e-9)
    sparse = target.get("kind") == "classes" and output_width(view) > 1
    if name in CATEGORICAL or sparse or math.isnan(least):
        width, largest = output_width(view), number(target, "largest_class")
        if target.get("kind") == "classes" and width and largest >= width:
            yield _mismatch(
                view,
                0.9,
                f"There are labels up to {largest:.0f}, but the head has {width} units: "
                f"classes count from 0 to {width - 1}.",
                f"layers.Dense({int(largest) + 1})  # or labels - 1, if they count from 1",
                rule="a class number that is not below the number of units",
                numbers={"largest label": largest, "units": width},
            )
        return
    if least < low - 0.05 * spread or greatest > high + 0.05 * spread:
        yield _mismatch(
            view,
            0.9,
            f"The {activation} at the end gives values from {low:g} to {high:g}, but the "
            f"targets go from {least:.3g} to {greatest:.3g}.",
            "layers.Dense(1)  # no activation; or scale the targets into the range",
            rule="over 2 % of the targets outside of the range of the last activation",
            numbers={"2nd percentile": least, "98th percentile": greatest},
        )


def _mismatch(
    view: View,
    confidence: float,
    message: str,
    remedy: str,
    *,
    rule: str,
    numbers: dict[str, float] | None = None,
) -> Finding:
    layer = str(view.outputs[0].get("layer", "")) if view.outputs else ""
    # What fits badly costs something even in a run that gets along.
    sure = confidence > 0.7 or not view.learns_well
    return make(
        FAULT,
        "error" if view.fails else "warning" if sure else "note",
        confidence,
        message,
        remedy,
        rule=rule,
        numbers=numbers,
        layer=layer,
        series=("step/loss",),
        see=(("text", "cards/loss"), ("graphs", "keras"), ("scalars", "step/loss")),
    )


def class_name(function_name: str) -> str:
    """Return how Keras calls the class of a loss function."""
    return "".join(part.capitalize() for part in function_name.split("_"))
