"""A recorded run as the rules look at it: accessors, and how well the run went."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfcourse.doctor.record import Record

Values = npt.NDArray[np.float64]

EARLY = 8  # Samples: the dense ones.
LATE = 6


@dataclass(frozen=True)
class Outcome:
    """How well a run went, from 0 (a constant guess) to 1 (perfect).

    Attributes:
        train: On kept training examples, in inference mode; NaN if unknown.
        validation: On kept validation examples; NaN if unknown.
        attainable: What neighbours or a linear model reach on the same examples; NaN if
            they could not be tried (images as targets, no targets).
        kind: "classes", "binary", "values" or "".
    """

    train: float = math.nan
    validation: float = math.nan
    attainable: float = math.nan
    kind: str = ""


class View:
    """One run: numbers by name, empty where nothing was recorded."""

    def __init__(self, record: Record):
        self.record = record
        # Of a model with several outputs: the run as each output has it.
        self.parts: list[View] = []
        self.facts: dict[str, Any] = record.facts or {}
        self.model: dict[str, Any] = as_dict(self.facts.get("model"))
        self.optimizer: dict[str, Any] = as_dict(self.facts.get("optimizer"))
        self.data: dict[str, Any] = as_dict(self.facts.get("data"))
        self.start = self._probe("start")
        self.end = self._probe("end")
        self.examples = as_dict(self.end.get("examples"))

    def _probe(self, when: str) -> dict[str, Any]:
        found = [probe for probe in self.record.probes if probe.get("when") == when]
        return found[-1] if found else {}

    # Series.

    def values(self, tag: str, side: str = "train") -> Values:
        """Return a scalar's values, ascending in step; empty if there is none."""
        series = getattr(self.record, side).get(tag)
        return np.empty(0) if series is None else series.values

    def steps(self, tag: str) -> Values:
        """Return the steps of a scalar of the training side."""
        series = self.record.train.get(tag)
        return np.empty(0) if series is None else series.steps.astype(np.float64)

    def named(self, kind: str) -> dict[str, Values]:
        """Return the scalars `kind/name` by name, in the order of the model."""
        prefix = f"{kind}/"
        found = {
            tag.removeprefix(prefix): series.values
            for tag, series in self.record.train.items()
            if tag.startswith(prefix)
        }
        order = {name: i for i, name in enumerate(self._order())}
        return dict(sorted(found.items(), key=lambda item: order.get(item[0], 10**6)))

    def _order(self) -> list[str]:
        names = [str(path) for path in self.model.get("trainable_variables") or []]
        return names + list(as_dict(self.facts.get("tapped")))

    # The model.

    @property
    def layers(self) -> list[dict[str, Any]]:
        """The layers that were described, in order."""
        return [
            item for item in self.model.get("layers") or [] if isinstance(item, dict)
        ]

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """The model's outputs: layer and activation of each."""
        return [
            item for item in self.model.get("outputs") or [] if isinstance(item, dict)
        ]

    @property
    def losses(self) -> list[dict[str, Any]]:
        """The compiled losses."""
        found = self.facts.get("losses") or []
        return [item for item in found if isinstance(item, dict)]

    @functools.cached_property
    def variables(self) -> dict[str, dict[str, Any]]:
        """Each variable's description at the start, by path."""
        return {
            variable["path"]: variable | {"layer": layer["name"]}
            for layer in self.layers
            for variable in layer.get("variables", [])
        }

    def layer_of(self, variable: str) -> str:
        """Return the name of the layer that has the variable."""
        return str(as_dict(self.variables.get(variable)).get("layer", ""))

    @functools.cached_property
    def kernels(self) -> list[str]:
        """Paths of the trainable matrices and filters, from input to output."""
        return [
            path
            for path in self.model.get("trainable_variables") or []
            if "fan_in" in as_dict(self.variables.get(path))
            and self.variables[path]["name"] != "recurrent_kernel"
            # Attention and gated units have biases of two axes.
            and "bias" not in self.variables[path]["name"]
        ]

    @functools.cached_property
    def activation(self) -> str | None:
        """The activation of the first output; None if it isn't known."""
        if not self.outputs:
            return None
        found = self.outputs[0].get("activation")
        return None if found is None else str(found)

    def losses_and_candidates(self) -> list[tuple[float, dict[str, Any]]]:
        """Return losses as reported beside what the usual losses say of the same batch.

        Of the first batch, in the step and out of it, and of kept examples at the end.
        """
        outputs = as_dict(self.start.get("outputs"))
        at_start = as_dict(as_dict(next(iter(outputs.values()), {})).get("losses"))
        at_end = as_dict(self.output_fit("train").get("losses"))
        penalties = self.values("step/regularisation")
        before, after = penalties[[0, -1]] if len(penalties) else (0.0, 0.0)
        found = [
            (number(as_dict(self.start.get("modes")), "inference") - before, at_start),
            (number(as_dict(self.end.get("train_modes")), "inference") - after, at_end),
        ]
        if len(self.values("step/data_loss")):
            found.append((float(self.values("step/data_loss")[0]), at_start))
        return [
            (value, known) for value, known in found if known and np.isfinite(value)
        ]

    def output_fit(self, side: str) -> dict[str, Any]:
        """Return how the first output fits its targets on kept examples."""
        outputs = as_dict(self.end.get(f"{side}_outputs"))
        return as_dict(next(iter(outputs.values()), {}))

    def targets(self, side: str = "train") -> dict[str, Any]:
        """Return how the first target lies."""
        return as_dict(first(self.examples.get(f"{side}_targets")))

    def inputs(self, side: str = "train") -> list[dict[str, Any]]:
        """Return how each input lies."""
        found = self.examples.get(f"{side}_inputs") or []
        return [item for item in found if isinstance(item, dict)]

    # How it went.

    @functools.cached_property
    def outcome(self) -> Outcome:
        """How well the run went."""
        if self.num_outputs > 1:
            return self._outcome_of_all()
        target = self.targets()
        kind = str(target.get("kind", ""))
        values = [self._quality(side) for side in ("train", "validation")]
        return Outcome(values[0], values[1], self._attainable(), kind)

    @property
    def num_outputs(self) -> int:
        """How many outputs the model has, as far as it is known."""
        return max(1, len(self.outputs), len(as_dict(self.end.get("train_outputs"))))

    def _outcome_of_all(self) -> Outcome:
        """With several outputs, the mean of what can be told of each."""
        found = []
        for side in ("train", "validation"):
            outputs = as_dict(self.end.get(f"{side}_outputs"))
            values = [
                self._fit_quality(as_dict(fit), math.nan) for fit in outputs.values()
            ]
            known = [value for value in values if not math.isnan(value)]
            found.append(float(np.mean(known)) if known else math.nan)
        return Outcome(found[0], found[1])

    def _quality(self, side: str) -> float:
        share = number(self.targets(side), "largest_share")
        mean = number(self.targets(side), "mean")
        return self._fit_quality(self.output_fit(side), share, mean)

    @property
    def quality_at_start(self) -> float:
        """What the first output reaches on the first batch, before the first step."""
        outputs = as_dict(self.start.get("outputs"))
        fit = as_dict(next(iter(outputs.values()), {}))
        target = self.targets()
        share, mean = number(target, "largest_share"), number(target, "mean")
        return self._fit_quality(fit, share, mean)

    def _fit_quality(
        self, fit: dict[str, Any], share: float, mean: float = math.nan
    ) -> float:
        best = max(number(fit, "accuracy_at_half"), number(fit, "accuracy_at_zero"))
        if "accuracy" in fit:
            return above_chance(number(fit, "accuracy"), share)
        if "auc" in fit:
            order = 2 * number(fit, "auc") - 1
            if not any(loss.get("built_in") for loss in self.losses):
                order = abs(order)  # Of a distance, less may mean yes.
            return max(above_chance(best, share), order)
        if "accuracy_at_half" in fit:
            return above_chance(best, max(mean, 1 - mean))
        if number(fit, "target_variance") > 0:
            unexplained = number(fit, "mse") / number(fit, "target_variance")
            by_medians = number(fit, "explained_by_medians")
            found = [1 - unexplained, by_medians, -1.0]
            return max(value for value in found if not math.isnan(value))
        return math.nan

    def _attainable(self) -> float:
        agreement = as_dict(self.examples.get("agreement"))
        if agreement.get("reduced"):
            return math.nan  # Neighbours tell a mixture of a picture, not the picture.
        width = math.prod(self.targets().get("shape") or [1])
        if width > 4 and number(as_dict(agreement.get("train")), "linear") > 0.99:
            return math.nan  # The inputs themselves: a narrow code can't have them all.
        found = []
        for side in ("train", "validation"):
            record = as_dict(agreement.get(side))
            if record:
                best = max(record["neighbours"], record["linear"])
                found.append(above_chance(best, record["baseline"]))
        return max(found) if found else math.nan

    @functools.cached_property
    def data_loss(self) -> Values:
        """The loss without penalties, at sampled steps; the epochs' means without."""
        values = self.values("step/data_loss")
        return values if len(values) else self.values("epoch_loss")

    @property
    def improvement(self) -> float:
        """By what share of itself the loss fell, from the first samples to the last."""
        values = self.data_loss
        values = values[np.isfinite(values)]
        if len(values) < 2:
            return math.nan
        start, end = np.median(values[:2]), np.median(values[-LATE:])
        return float((start - end) / max(abs(start), 1e-12))

    @property
    def learns_well(self) -> bool:
        """Whether there is nothing to complain of: it reaches what can be reached."""
        outcome = self.outcome
        if self.parts and not any(math.isnan(v.outcome.attainable) for v in self.parts):
            return all(part.learns_well for part in self.parts)
        if self.num_outputs > 1 and not math.isnan(outcome.train):
            return outcome.train > 0.6
        if math.isnan(outcome.train):
            return self.improvement > 0.5
        if math.isnan(outcome.attainable):
            return outcome.train > 0.7
        if outcome.validation > max(0.9 * outcome.attainable, 0.8):
            return True  # Some training targets may be wild, and were left alone.
        if outcome.attainable < 0.1:
            return outcome.train > 0.1  # Neighbours know nothing: it must know more.
        return outcome.train >= 0.8 * max(outcome.attainable, 0.0) - 0.02

    @property
    def fails(self) -> bool:
        """Whether it reaches less than half of what can be reached."""
        outcome = self.outcome
        if self.became_non_finite:
            return True
        if math.isnan(outcome.train) or self.num_outputs > 1:
            return self.improvement < 0.1
        if math.isnan(outcome.attainable):
            return outcome.train < 0.35
        least = max(0.5 * outcome.attainable, 0.05)
        return outcome.train < least and not self.learns_well

    @functools.cached_property
    def became_non_finite(self) -> bool:
        """Whether a loss was NaN or infinite."""
        sides = (("step/loss", "train"), ("epoch_loss", "train"))
        places = (*sides, ("epoch_loss", "validation"))
        return any(not np.isfinite(self.values(*place)).all() for place in places)

    @property
    def num_steps(self) -> int:
        """How many optimizer steps the run had, as far as it is known."""
        steps = self.steps("step/loss")
        return int(self.end.get("step") or (steps[-1] + 1 if len(steps) else 0))

    def sampled_steps(self) -> tuple[int, int] | None:
        """Return the first and the last sampled step."""
        steps = self.steps("step/loss")
        return (int(steps[0]), int(steps[-1])) if len(steps) else None


def early(values: Values, count: int = EARLY) -> float:
    """Return the median of the first finite values; NaN if there are none."""
    finite = values[:count][np.isfinite(values[:count])]
    return float(np.median(finite)) if len(finite) else math.nan


def late(values: Values, count: int = LATE) -> float:
    """Return the median of the last finite values; NaN if there are none."""
    return early(values[::-1], count)


def above_chance(share: float, chance: float) -> float:
    """Return an accuracy on the scale from a constant guess (0) to perfect (1)."""
    if math.isnan(chance):
        return share
    return (share - chance) / max(1 - chance, 1e-6)


def number(record: dict[str, Any], name: str) -> float:
    """Return a number of a record, also "nan" and "inf"; NaN if it is missing."""
    try:
        return float(record.get(name, math.nan))
    except (TypeError, ValueError):
        return math.nan


def as_dict(value: Any) -> dict[str, Any]:
    """Return the value if it is a dict, else an empty one."""
    return value if isinstance(value, dict) else {}


def first(value: Any) -> Any:
    """Return the first item of a list, None if there is none."""
    return value[0] if isinstance(value, list) and value else None


def pairs(values: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield each item with its successor."""
    yield from zip(values, values[1:], strict=False)
