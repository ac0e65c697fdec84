"""The methods: their names, settings with limits, and stages. No TensorFlow."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from typing import Any

from tfcourse.errors import UserError


@dataclasses.dataclass(frozen=True)
class Setting:
    """A number that a method takes: its default and limits, both allowed."""

    default: float | int
    at_least: float
    at_most: float
    meaning: str

    def checked(self, name: str, value: Any) -> float | int:
        """Return the value if it is a number of the default's type within the limits.

        Raises:
            UserError: If it isn't.
        """
        whole = isinstance(self.default, int)
        right_type = isinstance(value, int if whole else (int, float))
        if (
            isinstance(value, bool)
            or not right_type
            or not math.isfinite(value)
            or not self.at_least <= value <= self.at_most
        ):
            kind = "a whole number" if whole else "a number"
            raise UserError(
                f"{name} must be {kind} from {self.at_least:g} to {self.at_most:g} "
                f"({self.meaning}); got {str(value)[:40]!r}"
            )
        return int(value) if whole else float(value)


SPARSITY = Setting(0.8, 0.0, 0.999, "share of the weights that become 0")
NUM_CLUSTERS = Setting(16, 2, 256, "different values per weight array")
NUM_REPRESENTATIVE = Setting(200, 1, 100_000, "examples that set the int8 ranges")
TRAINING = {
    "epochs": Setting(4, 1, 1_000, "passes over the training data per stage"),
    "batch_size": Setting(32, 1, 65_536, "examples per step"),
    "learning_rate": Setting(1e-3, 1e-8, 10.0, "of Adam"),
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a method is: where it runs, its settings, its stages, which size counts.

    Stages run one after another in the worker, each with fine-tuning. `counts_gzip`:
    zeros and repeated values save bytes only in a file that is packed, so there the gzip
    file is what counts, as in tfmot's own guides.
    """

    title: str
    runs_in: str  # "worker", "converter" or "keras".
    settings: Mapping[str, Setting] = dataclasses.field(default_factory=dict)
    stages: tuple[Mapping[str, Any], ...] = ()
    counts_gzip: bool = False


def _prune() -> dict[str, Any]:
    return {"kind": "prune"}


def _cluster(preserve_sparsity: bool = False) -> dict[str, Any]:
    return {"kind": "cluster", "preserve_sparsity": preserve_sparsity}


def _quantize(preserve: str = "nothing") -> dict[str, Any]:
    return {"kind": "quantize", "preserve": preserve}


_BOTH = {"sparsity": SPARSITY, "num_clusters": NUM_CLUSTERS}
KINDS: dict[str, Kind] = {
    "litert_float": Kind("LiteRT, float32", "converter"),
    "litert_float16": Kind("LiteRT, float16 weights", "converter"),
    "litert_dynamic": Kind("LiteRT, int8 weights, float activations", "converter"),
    "litert_int8": Kind(
        "LiteRT, int8 throughout",
        "converter",
        {"num_representative": NUM_REPRESENTATIVE},
    ),
    "keras_int8": Kind("Keras 3's own int8", "keras"),
    "prune": Kind(
        "magnitude pruning", "worker", {"sparsity": SPARSITY}, (_prune(),), True
    ),
    "prune_2_4": Kind(
        "2 zeros of each 4 weights", "worker", {}, ({"kind": "prune_2_4"},), True
    ),
    "cluster": Kind(
        "weight clustering",
        "worker",
        {"num_clusters": NUM_CLUSTERS},
        (_cluster(),),
        True,
    ),
    "quantize": Kind("quantisation-aware training", "worker", {}, (_quantize(),)),
    "prune_cluster": Kind(
        "sparsity-preserving clustering",
        "worker",
        _BOTH,
        (_prune(), _cluster(True)),
        True,
    ),
    "prune_quantize": Kind(
        "pruning-preserving quantisation (PQAT)",
        "worker",
        {"sparsity": SPARSITY},
        (_prune(), _quantize("sparsity")),
        True,
    ),
    "cluster_quantize": Kind(
        "cluster-preserving quantisation (CQAT)",
        "worker",
        {"num_clusters": NUM_CLUSTERS},
        (_cluster(), _quantize("clusters")),
        True,
    ),
    "prune_cluster_quantize": Kind(
        "sparsity- and cluster-preserving quantisation (PCQAT)",
        "worker",
        _BOTH,
        (_prune(), _cluster(True), _quantize("both")),
        True,
    ),
}


@dataclasses.dataclass(frozen=True)
class Method:
    """A method with all its settings; make it with `method`."""

    name: str
    settings: Mapping[str, float | int]

    @property
    def kind(self) -> Kind:
        """What the method is."""
        return KINDS[self.name]

    def stages(self) -> list[dict[str, Any]]:
        """Return the worker's stages with the settings in them."""
        return [{**stage, **self.settings} for stage in self.kind.stages]


def method(name: str, **settings: Any) -> Method:
    """Return a method; settings that are not given have their defaults.

    >>> method("prune", sparsity=0.9).settings["sparsity"]
    0.9

    Args:
        name: A key of `KINDS`.
        **settings: Those of the kind and, for methods that train, of `TRAINING`.

    Raises:
        UserError: If the name or a setting is unknown, or a value is out of its limits.
    """
    if not isinstance(name, str) or name not in KINDS:
        meant = did_you_mean(name, KINDS)
        raise UserError(
            f"there is no method {str(name)[:40]!r}; {meant}methods: {', '.join(KINDS)}"
        )
    kind = KINDS[name]
    allowed = {**kind.settings, **(TRAINING if kind.runs_in == "worker" else {})}
    values: dict[str, float | int] = {k: s.default for k, s in allowed.items()}
    for key, value in settings.items():
        if key not in allowed:
            listed = ", ".join(allowed) or "it takes none"
            raise UserError(
                f"{name} has no setting {key[:40]!r}; {did_you_mean(key, allowed)}"
                f"settings: {listed}"
            )
        values[key] = allowed[key].checked(f"{name}: {key}", value)
    return Method(name, values)


def did_you_mean(word: Any, known: Mapping[str, Any]) -> str:
    """Return `did you mean X? ` or an empty string."""
    close = difflib.get_close_matches(str(word), known, 1)
    return f"did you mean {close[0]}? " if close else ""
