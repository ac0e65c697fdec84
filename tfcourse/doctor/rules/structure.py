"""Is anything nonlinear between the layers? Are the weights drawn as they should be?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfcourse.doctor.findings import Finding
from tfcourse.doctor.rules.making import make, severity_of
from tfcourse.doctor.view import View, as_dict, early, number, pairs

WEIGHTED = ("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose")
# Linear maps: a chain of them and of weighted layers is one linear map.
LINEAR = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "Flatten",
    "Reshape",
    "Permute",
    "BatchNormalization",
    "Rescaling",
    "Normalization",
    "AveragePooling1D",
    "AveragePooling2D",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "ZeroPadding2D",
    "UpSampling2D",
    "Add",
    "Concatenate",
    "GaussianNoise",
    "InputLayer",
)
# The greatest of linear functions is not linear, but hardly what anybody had in mind.
POOLING = ("MaxPooling1D", "MaxPooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D")
RECURRENT = ("SimpleRNN", "LSTM", "GRU")
CLASSES = ("classes", "one_hot", "binary")
EQUAL_UNITS = 1e-5
LARGE_SCALE = 6.0  # Times the spread that Glorot and Bengio (2010) give.
LARGE_SCALE_IN_TROUBLE = 3.0
SMALL_SCALE = 0.05
LARGE_BIAS = 3.0
FAR_OUTPUTS = 30.0


def find(view: View) -> Iterator[Finding]:
    """Yield what is wrong before the first step already."""
    yield from _missing_nonlinearity(view)
    yield from _symmetric(view)
    yield from _scale(view)


def _missing_nonlinearity(view: View) -> Iterator[Finding]:
    recurrent = [layer for layer in view.layers if layer["class"] in RECURRENT]
    stateful = [layer["name"] for layer in recurrent if not layer["activation"]]
    if stateful and not view.learns_well:
        yield make(
            "missing-nonlinearity",
            severity_of(view),
            0.5 if view.became_non_finite else 0.8,
            f"{stateful[0]} has no activation: its state is a linear function of all "
            "inputs, and can grow without bound.",
            'layers.SimpleRNN(units, activation="tanh")',
            rule="a recurrent layer whose activation is linear",
            layer=stateful[0],
            see=(("graphs", "keras"), ("text", "cards/model")),
        )
    found = linear_pairs(view)
    if found is None:
        return
    joined, total = found
    if not joined or len(joined) < max(1, math.ceil(total / 2)):
        return
    whole = len(joined) == total
    # Where a linear model explains as much as neighbours do, none is missing.
    agreement = as_dict(as_dict(view.examples.get("agreement")).get("train"))
    linear, neighbours = number(agreement, "linear"), number(agreement, "neighbours")
    is_linear_data = linear >= neighbours - 0.02
    if not whole and view.learns_well:
        return
    confidence = 0.9 if whole else 0.75
    if is_linear_data:
        confidence -= 0.3
    names = " and ".join(joined[0])
    severity = severity_of(view)
    # A linear code is a choice; linear hidden layers before classes are none.
    short = view.outcome.kind in CLASSES and view.outcome.train < 0.9
    if severity == "note" and whole and (short or not is_linear_data):
        severity = "warning"
    yield make(
        "missing-nonlinearity",
        severity,
        confidence,
        f"Between {names} there is no activation: together they are one linear map, "
        "however many layers there are.",
        'layers.Dense(units, activation="relu")  # in the hidden layers',
        rule="layers with weights that follow one another without a nonlinearity",
        numbers={"such pairs": len(joined), "pairs of layers": total},
        layer=joined[0][0],
        see=(("graphs", "keras"), ("text", "cards/model")),
    )


def linear_pairs(view: View) -> tuple[list[tuple[str, str]], int] | None:
    """Return the pairs of weighted layers without a nonlinearity, and all pairs.

    None if the model's structure isn't known.
    """
    links = view.model.get("links")
    if isinstance(links, list) and links:
        return _pairs_of_links(links)
    return _pairs_of_taps(view)


def _pairs_of_links(links: list[Any]) -> tuple[list[tuple[str, str]], int]:
    nodes = {node for link in links for node in link}
    heads = nodes - {source for source, _ in links}
    # Pooling counts as a nonlinearity only beside a true one.
    has_any = any(node.split("|")[2] for node in nodes - heads)
    linear_kinds = LINEAR if has_any else LINEAR + POOLING
    parents: dict[str, list[str]] = {}
    for source, target in links:
        parents.setdefault(target, []).append(source)

    def is_weighted(node: str) -> bool:
        return node.split("|")[1] in WEIGHTED

    def ancestors(node: str, seen: set[str]) -> Iterator[tuple[str, bool]]:
        """Yield the weighted nodes before this one, and whether all between is linear."""
        for parent in parents.get(node, []):
            name, kind, activation = parent.split("|")
            if parent in seen:
                continue
            seen.add(parent)
            if is_weighted(parent):
                yield name, not activation
            elif kind in linear_kinds and not activation:
                yield from ancestors(parent, seen)
            elif kind != "InputLayer":
                yield name, False

    joined: list[tuple[str, str]] = []
    merged: list[tuple[str, str]] = []
    total = 0
    for node in parents:
        if not is_weighted(node):
            continue
        before = list(ancestors(node, set()))
        if before:
            total += 1
            # A nonlinear way beside the linear one (a shortcut) is enough.
            if all(linear for _, linear in before):
                found = joined if len(before) == 1 else merged
                found.append((before[0][0], node.split("|")[0]))
    # Residual blocks add linear outputs up: that is how they are built, unless all are.
    return (joined + merged if len(joined + merged) == total else joined), total


def _pairs_of_taps(view: View) -> tuple[list[tuple[str, str]], int] | None:
    """As the layers were called; `layer/input` says that something stood before it."""
    tapped = as_dict(view.facts.get("tapped"))
    classes = {layer["name"]: layer["class"] for layer in view.layers}
    order = [name for name in tapped if name.removesuffix("/input") in classes]
    if not order:
        return None
    chain: list[tuple[str, bool]] = []  # Weighted layers; linear up to the next?
    for name in order:
        owner = name.removesuffix("/input")
        if name.endswith("/input"):
            if chain and chain[-1][0] != owner:
                chain[-1] = (chain[-1][0], False)
        elif classes[owner] in WEIGHTED:
            chain.append((owner, not tapped[name]))
        elif chain and (classes[owner] not in LINEAR or tapped[name]):
            chain[-1] = (chain[-1][0], False)
    joined = [(one[0], other[0]) for one, other in pairs(chain) if one[1]]
    return joined, max(0, len(chain) - 1)


def _symmetric(view: View) -> Iterator[Finding]:
    after = as_dict(view.end.get("weights"))
    for path in view.kernels[:-1]:
        variable = view.variables[path]
        units = variable["shape"][-1]
        if units < 2 or number(variable, "unit_spread") > EQUAL_UNITS:
            continue
        # A gate that starts at zero, or noise (dropout), parts the units by itself.
        at_the_end = number(as_dict(after.get(path)), "unit_spread")
        if at_the_end > 0.1 and _learns_surely(view):
            continue
        stays = at_the_end < 1e-3
        zero = number(variable, "max_abs") == 0
        yield make(
            "symmetric-initialisation",
            "error"
            if not view.learns_well
            else "warning"
            if stays or not _learns_surely(view)
            else "note",
            0.96,
            f"All {units} units of {variable['layer']} start with the same weights "
            f"({'all zero' if zero else 'one constant'}), get the same gradient, and "
            "stay copies of one another.",
            'kernel_initializer="he_normal"  # or leave Keras\'s default',
            rule="units of a hidden kernel that are equal before the first step",
            numbers={"spread over units": number(variable, "unit_spread")},
            layer=variable["layer"],
            variable=path,
            see=(("histograms", f"weights/{path}"),),
        )
        return


def _learns_surely(view: View) -> bool:
    """Return whether it learns well, by what can be reached or by nearly all there is."""
    known = not math.isnan(view.outcome.attainable)
    return view.learns_well and (known or view.outcome.train > 0.9)


def _scale(view: View) -> Iterator[Finding]:
    worst: tuple[float, str] | None = None
    for path in view.kernels:
        variable = view.variables[path]
        spread = number(variable, "std")
        expected = math.sqrt(2 / max(variable["fan_in"] + variable["fan_out"], 1))
        if not spread > 0 or "depthwise" in variable["name"]:
            continue
        ratio = spread / expected
        # Where fans differ much, He's and LeCun's spreads lie apart from Glorot's.
        ratio_in = spread * math.sqrt(variable["fan_in"])
        large = min(ratio, ratio_in) if ratio > 1 else max(ratio, ratio_in)
        if worst is None or abs(math.log(large)) > abs(math.log(worst[0])):
            worst = large, path
    limit = LARGE_SCALE if view.learns_well else LARGE_SCALE_IN_TROUBLE
    if worst is not None and (worst[0] > limit or worst[0] < SMALL_SCALE):
        yield _scale_finding(view, *worst)
    if worst is None or not (worst[0] > limit or worst[0] < SMALL_SCALE):
        yield from _far_outputs(view)
    for path, variable in view.variables.items():
        is_bias = variable.get("name") == "bias" and variable.get("trainable")
        if is_bias and number(variable, "max_abs") > LARGE_BIAS:
            if not _is_output_bias(view, variable):
                yield make(
                    "initialisation-scale",
                    severity_of(view),
                    0.75,
                    f"The biases of {variable['layer']} start as large as "
                    f"{number(variable, 'max_abs'):.3g}, far beyond what their inputs "
                    "can make up for.",
                    'bias_initializer="zeros"',
                    rule=f"a hidden bias beyond {LARGE_BIAS} before the first step",
                    numbers={"largest bias": number(variable, "max_abs")},
                    layer=variable["layer"],
                    variable=path,
                    see=(("histograms", f"weights/{path}"),),
                )
                return


def _far_outputs(view: View) -> Iterator[Finding]:
    """Predictions of values that start far beyond the targets, of inputs that are not.

    Also where the weights were not seen in layers, or many of them grow a little each.
    """
    outputs = as_dict(view.start.get("outputs"))
    fit, target = as_dict(next(iter(outputs.values()), {})), view.targets()
    size = math.hypot(number(target, "std"), number(target, "mean"))
    sizes = [math.hypot(number(i, "mean"), number(i, "std")) for i in view.inputs()]
    is_values = target.get("kind") in ("values", "large") and size > 0
    if not is_values or view.learns_well or not max(sizes, default=math.inf) < 10:
        return
    times = number(fit, "std") / size
    if times > FAR_OUTPUTS:
        yield make(
            "initialisation-scale",
            severity_of(view),
            0.8,
            f"Before the first step the predictions spread {times:.2g} times as far as "
            "the targets: the weights start too large.",
            'kernel_initializer="glorot_uniform"  # "he_normal" before ReLU',
            rule=f"spread of the first predictions over the size of the targets beyond "
            f"{FAR_OUTPUTS:g}, with inputs of usual size",
            numbers={"predictions over targets": times},
            see=(("scalars", "step/loss"), ("histograms", "predictions/")),
        )


def _is_output_bias(view: View, variable: dict[str, Any]) -> bool:
    heads = {str(output.get("layer")) for output in view.outputs}
    return variable["layer"].split("/")[-1] in heads


def _scale_finding(view: View, ratio: float, path: str) -> Finding:
    variable = view.variables[path]
    first_loss = early(view.data_loss, 1)
    size = "large" if ratio > 1 else "small"
    severity = severity_of(view)
    grows = _growth(view)
    # Guesses that are surely wrong at the start: beyond ten times the loss of chance.
    num_classes = number(view.targets(), "num_classes")
    is_sure = first_loss > 10 * math.log(max(num_classes, 2)) and ratio > LARGE_SCALE
    is_sure = is_sure and view.outcome.kind in CLASSES
    if severity == "note" and (ratio > 2 * LARGE_SCALE or is_sure):
        severity = "warning"
    return make(
        "initialisation-scale",
        severity,
        0.85 if ratio > LARGE_SCALE else 0.8 if ratio < 1 else 0.6,
        f"The weights of {variable['layer']} start {ratio:.2g} times as wide "
        f"as what keeps signals at their size: too {size}.",
        'kernel_initializer="glorot_uniform"  # "he_normal" before ReLU',
        rule=f"spread of a kernel over sqrt(2 / (fan_in + fan_out)) beyond {SMALL_SCALE} "
        f"to {LARGE_SCALE} (Glorot and Bengio 2010)",
        numbers={"ratio": ratio, "first loss": first_loss, "growth of signal": grows},
        layer=variable["layer"],
        variable=path,
        see=(("histograms", f"weights/{path}"), ("scalars", "step/loss")),
    )


def _growth(view: View) -> float:
    """Return the spread of the last layer's output over that of the first's."""
    spreads = [early(v, 1) for v in view.named("activation_std").values()]
    spreads = [spread for spread in spreads if spread > 0]
    return float(spreads[-1] / spreads[0]) if len(spreads) > 1 else float(np.nan)
