"""Gradients and activations: do signals get through, forwards and backwards?"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tfcourse.doctor.findings import Finding
from tfcourse.doctor.rules.making import make, severity_of
from tfcourse.doctor.rules.updates import EXPLODING_NORM, HUGE_NORM
from tfcourse.doctor.view import Values, View, as_dict, early, late, number

# AUTOTRAINER (ICSE 2021) takes 1e-3 for the ratio of norms and 1e-4 for the norm.
VANISHING_RATIO = 1e-4
MIN_DEPTH = 4  # Kernels: in a shallower net nothing vanishes by depth.
FORGETTING_RATIO = 1e-5
EXPLODING_RATIO = 1e3
DEAD_SHARE = 0.9
MANY_DEAD_SHARE = 0.6
SATURATED_SHARE = 0.5


def find(view: View) -> Iterator[Finding]:
    """Yield faults of the signals."""
    yield from _dead(view)
    yield from _saturated(view)
    yield from _vanishing(view)
    yield from _forgetting(view)
    yield from _exploding(view)
    yield from _non_finite(view)


def gradient_sizes(view: View, at_the_end: bool = False) -> dict[str, float]:
    """Return the root mean square of each kernel's gradient, over early samples."""
    found = {}
    for path, norms in view.named("gradient_norm").items():
        if path in view.kernels:
            count = float(np.prod(view.variables[path]["shape"]))
            norm = late(norms) if at_the_end else early(norms)
            found[path] = norm / math.sqrt(max(count, 1.0))
    return found


def _dead(view: View) -> Iterator[Finding]:
    units = as_dict(view.end.get("units"))
    tapped = as_dict(view.facts.get("tapped"))
    heads = {str(output.get("layer")) for output in view.outputs}
    for name, record in units.items():
        kind = str(tapped.get(name, ""))
        if kind != "relu" and not name.endswith("/input"):
            continue
        if name.removesuffix("/input").split("/")[-1] in heads and kind == "relu":
            continue
        share = number(as_dict(record), "dead_share")
        at_start = early(view.values(f"dead_units/{name}"), 2)
        if share >= DEAD_SHARE or (share >= MANY_DEAD_SHARE and not view.learns_well):
            severity = severity_of(view)
            if severity == "warning" and share >= DEAD_SHARE:
                severity = "error"
            yield make(
                "dead-relu",
                severity,
                0.9 if share >= DEAD_SHARE else 0.5,
                f"{share:.0%} of the units of {name.removesuffix('/input')} are 0 for "
                "every example: no gradient passes through them, so they stay so.",
                'layers.Dense(units, activation="leaky_relu")  # a smaller learning rate, '
                "zero biases",
                rule=f"at least {MANY_DEAD_SHARE:.0%} of a layer's units give 0 on all "
                "kept examples",
                numbers={"dead at the end": share, "dead at the start": at_start},
                layer=name.removesuffix("/input"),
                series=(f"dead_units/{name}",),
                see=(
                    ("scalars", f"dead_units/{name}"),
                    ("histograms", f"activations/{name}"),
                ),
            )
            return


def _saturated(view: View) -> Iterator[Finding]:
    tapped = as_dict(view.facts.get("tapped"))
    heads = {str(output.get("layer")) for output in view.outputs}
    for name, values in view.named("saturated_units").items():
        if name.split("/")[-1] in heads or name not in tapped:
            continue
        share = max(early(values), late(values))
        overall = view.values(f"saturated_share/{name}")
        whole = max(early(overall), late(overall))
        if share >= SATURATED_SHARE or whole >= 0.7:
            yield make(
                "saturated-activations",
                severity_of(view),
                0.85,
                f"{whole:.0%} of the {_what(name)} lie where its "
                f"{tapped[name] or 'function'} is flat: its slope is under a hundredth, "
                "and so is the gradient.",
                'kernel_initializer="glorot_uniform"  # smaller weights or inputs, or '
                "BatchNormalization before the activation",
                rule="half of the units on the flat parts (slope below 1 % of the "
                "largest) for 95 % of a batch",
                numbers={
                    "units": share,
                    "outputs": whole,
                    "at the start": early(values),
                },
                layer=name,
                series=(f"saturated_units/{name}",),
                see=(
                    ("scalars", f"saturated_units/{name}"),
                    ("histograms", f"activations/{name}"),
                ),
            )
            return


def _what(name: str) -> str:
    layer = name.removesuffix("/input")
    return f"outputs of {name}" if layer == name else f"values that reach {layer}"


def _vanishing(view: View) -> Iterator[Finding]:
    sizes = gradient_sizes(view)
    # Queries and keys of attention that looks everywhere alike have hardly a gradient.
    sizes = {
        path: size
        for path, size in sizes.items()
        if size > 0 and path.split("/")[-2:-1] not in (["query"], ["key"])
    }
    if len(sizes) < MIN_DEPTH:
        return
    paths = list(sizes)
    bottom = max(sizes[path] for path in paths[:2])
    top = max(sizes[path] for path in paths[-2:])
    ratio = bottom / top
    if ratio < VANISHING_RATIO or (ratio < 30 * VANISHING_RATIO and view.fails):
        where = paths[0]
        yield make(
            "vanishing-gradients",
            severity_of(view),
            0.85 if ratio < VANISHING_RATIO else 0.7,
            f"The gradient of {view.layer_of(where)} is {ratio:.1g} times that of the "
            "last layers: what is near the input hardly learns.",
            'activation="relu"  # with he_normal, residual connections or normalisation',
            rule="gradient of the first kernels over that of the last, per weight, below "
            f"{VANISHING_RATIO:g} ({30 * VANISHING_RATIO:g} in a run that fails)",
            numbers={"ratio": ratio, "first": bottom, "last": top},
            layer=view.layer_of(where),
            variable=where,
            series=(f"gradient_norm/{where}", f"gradient_norm/{paths[-1]}"),
        )


def _forgetting(view: View) -> Iterator[Finding]:
    """A recurrent layer through which no gradient gets back to the first steps."""
    record = as_dict(view.start.get("time"))
    first, last = number(record, "first"), number(record, "last")
    if view.learns_well or not last > 0:
        return
    ratio = first / last
    if ratio < FORGETTING_RATIO:
        widths = {layer["name"]: number(layer, "units") for layer in view.layers}
        yield make(
            "vanishing-gradients",
            severity_of(view),
            # One unit can't remember much, whatever its gradient.
            0.55 if widths.get(str(record.get("layer")), 99) <= 2 else 0.75,
            f"Through {record.get('layer')} the gradient of the first time steps is "
            f"{ratio:.1g} times that of the last ones: what came early can't be learned.",
            "layers.LSTM(units)  # or GRU; shorter sequences, attention",
            rule="gradient with respect to the first quarter of a sequence over that of "
            f"the last quarter below {FORGETTING_RATIO:g} (Pascanu et al. 2013)",
            numbers={"first": first, "last": last, "steps": number(record, "steps")},
            layer=str(record.get("layer", "")),
            see=(("histograms", "gradients/"), ("graphs", "keras")),
        )
    elif ratio > 1 / FORGETTING_RATIO:
        yield make(
            "exploding-gradients",
            severity_of(view),
            0.75,
            f"Through {record.get('layer')} the gradient grows {ratio:.1g} times on its "
            "way back to the first time steps.",
            "keras.optimizers.Adam(learning_rate, global_clipnorm=1.0)",
            rule="gradient with respect to the first quarter of a sequence over that of "
            f"the last quarter beyond {1 / FORGETTING_RATIO:g} (Pascanu et al. 2013)",
            numbers={"first": first, "last": last, "steps": number(record, "steps")},
            layer=str(record.get("layer", "")),
            see=(("histograms", "gradients/"), ("graphs", "keras")),
        )


def _exploding(view: View) -> Iterator[Finding]:
    sizes = gradient_sizes(view)
    norms = total_norm(view)
    if not len(norms):
        return
    finite = norms[np.isfinite(norms)]
    if not len(finite):
        return  # What was never finite has not grown.
    start = early(norms, 3)
    largest, usual = float(finite.max()), float(np.median(finite))
    paths = list(sizes)
    ratio = sizes[paths[0]] / max(sizes[paths[-1]], 1e-30) if len(paths) > 2 else 0.0
    grows = largest > EXPLODING_NORM and largest > 100 * max(usual, 1e-9)
    if ratio > EXPLODING_RATIO or start > EXPLODING_NORM or grows:
        severity = severity_of(view)
        if severity == "note":
            return
        yield make(
            "exploding-gradients",
            severity,
            0.75 if ratio > EXPLODING_RATIO or start > HUGE_NORM else 0.6,
            f"The gradient's norm reaches {largest:.2g}: one such step throws the "
            "weights far away.",
            "keras.optimizers.Adam(learning_rate, global_clipnorm=1.0)",
            rule=f"norm beyond {EXPLODING_NORM:g}, or first kernel over last beyond "
            f"{EXPLODING_RATIO:g}",
            numbers={
                "largest": largest,
                "at the start": start,
                "first over last": ratio,
            },
            layer=view.layer_of(paths[0]) if paths else "",
            series=tuple(f"gradient_norm/{path}" for path in paths[:2]),
        )


def total_norm(view: View) -> Values:
    """Return the norm of the whole gradient at the sampled steps."""
    norms = [v for v in view.named("gradient_norm").values() if len(v)]
    if not norms:
        return np.empty(0)
    length = min(len(v) for v in norms)
    squares: Values = np.sum([np.square(v[:length]) for v in norms], axis=0)
    return np.sqrt(squares)


def _non_finite(view: View) -> Iterator[Finding]:
    for kind in ("inputs", "targets"):
        for record in view.examples.get(f"train_{kind}") or []:
            share = number(as_dict(record), "non_finite_share")
            if share > 0:
                yield _in_data(kind, share)
                return
        for name, values in view.named(f"{kind[:-1]}_mean").items():
            if not np.isfinite(values).all():
                yield _in_data(f"{kind} ({name})", float(np.mean(~np.isfinite(values))))
                return
    if not view.became_non_finite:
        return
    losses = view.values("step/loss")
    steps = view.steps("step/loss")
    bad = np.flatnonzero(~np.isfinite(losses))
    step = int(steps[bad[0]]) if len(bad) else view.num_steps
    ratios = [v[np.isfinite(v)] for v in view.named("update_ratio").values()]
    largest = max(
        (float(v[: max(len(bad), 1)].max()) for v in ratios if len(v)), default=0
    )
    sudden = largest < 0.2 and early(losses) < 1e4
    yield make(
        "non-finite-values",
        "error",
        0.8 if sudden or step == 0 else 0.5,
        f"The loss is not a number from step {step} on"
        + (
            "; nothing grew before, so it is a logarithm, a root or a division of 0."
            if sudden
            else "."
        ),
        "tf.math.log(x + 1e-7)  # or from_logits=True, divide_no_nan; find the place with "
        "tf.debugging.enable_check_numerics()",
        rule="a loss that is NaN or infinite",
        numbers={"first step": step, "largest update ratio before": largest},
        steps=(step, view.num_steps),
        series=("step/loss", "epoch_loss"),
    )


def _in_data(kind: str, share: float) -> Finding:
    return make(
        "non-finite-values",
        "error",
        0.97,
        f"The {kind} hold values that are not finite (NaN or infinite): one of them "
        "makes the loss NaN, and with it every weight.",
        "x = np.nan_to_num(x)  # or drop these rows: x[np.isfinite(x).all(axis=1)]",
        rule="NaN or infinity in the batches",
        numbers={"share": share},
        series=("step/loss",),
        see=(("histograms", "inputs/input"), ("scalars", "step/loss")),
    )
