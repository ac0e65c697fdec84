"""What is measured of a sampled step outside of the graph: its batch, and its update."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse.doctor.example_statistics import as_labels, target_kind
from tfcourse.doctor.examples import as_array
from tfcourse.doctor.observation import Observation
from tfcourse.doctor.tensor_statistics import weight_entries

MAX_CLASSES = 32
MAX_EXAMPLES = 64  # Of a batch with large examples.
MAX_ENTRIES = 200_000


class BatchStatistics:
    """Scalars and histograms of one batch: (x, y, sample_weight)."""

    def __init__(self, batch: tuple[Any, Any, Any]):
        self._inputs = _named_arrays(batch[0], "input")
        self._targets = _named_arrays(batch[1], "target")

    def describe(self) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return scalars and what is to be drawn as histograms, by tag."""
        scalars: dict[str, float] = {}
        histograms: dict[str, np.ndarray] = {}
        for name, array in self._inputs.items():
            values = few(array)
            scalars[f"input_mean/{name}"] = float(values.mean())
            scalars[f"input_std/{name}"] = float(values.std())
            histograms[f"inputs/{name}"] = values
        for name, array in self._targets.items():
            values = few(array)
            scalars[f"target_mean/{name}"] = float(values.mean())
            scalars[f"target_std/{name}"] = float(values.std())
            histograms[f"targets/{name}"] = values
        if self._targets:
            scalars |= label_shares(next(iter(self._targets.values())))
        return scalars, histograms


def _named_arrays(structure: Any, kind: str) -> dict[str, np.ndarray]:
    """Return the arrays of a structure by the keys of a dict, or by their places."""
    found = {}
    for path, value in keras.tree.flatten_with_path(structure):
        array = None if value is None else as_array(value)
        if array is not None and array.size:
            found["/".join(str(part) for part in path) or kind] = array
    return found


def few(array: np.ndarray) -> np.ndarray:
    """Return at most 200,000 entries of a batch, float64, flat."""
    if array.size > MAX_ENTRIES:
        array = array[:MAX_EXAMPLES].ravel()[:MAX_ENTRIES]
    return array.astype(np.float64).ravel()


def label_shares(target: np.ndarray) -> dict[str, float]:
    """Return the share of each class among the targets of a batch, and the largest."""
    flat = target.reshape(len(target), -1).astype(np.float64)
    kind = target_kind(flat, target.dtype)
    if (
        kind == "values"
        and flat.shape[1] == 1
        and np.issubdtype(target.dtype, np.integer)
    ):
        kind = "classes"  # In a small batch each class may come but once.
    labels = as_labels(flat, kind)
    if labels is None or labels.max(initial=0) >= 10_000:
        return {}
    shares = np.bincount(labels) / len(labels)
    scalars = {f"label_share/{i}": float(s) for i, s in enumerate(shares[:MAX_CLASSES])}
    followed = (labels[1:] == labels[:-1]).mean() if len(labels) > 1 else 0.0
    return scalars | {
        "labels/largest_share": float(shares.max()),
        "labels/same_as_previous": float(followed),
        "labels/chance_of_same": float(np.square(shares).sum()),
    }


class Updates:
    """Measures what a step does to the weights, on some entries of each variable."""

    def __init__(self, variables: list[Any], names: dict[int, str]):
        self._variables = variables
        self._names = [names[id(variable)] for variable in variables]
        self._function = tf.function(self._entries, autograph=False)
        self._before: list[np.ndarray] = []
        self._epoch_start = self._now()

    def _entries(self) -> list[tf.Tensor]:
        return [weight_entries(variable.value) for variable in self._variables]

    def _now(self) -> np.ndarray:
        """Return the chosen entries of all variables [n]."""
        parts = [entries.numpy().ravel() for entries in self._function()]
        return np.concatenate(parts) if parts else np.zeros(0)

    def since_last_epoch(self) -> float:
        """Return how far the weights have moved since the last call, over their size.

        Exactly 0 if they are what they were.
        """
        before, self._epoch_start = self._epoch_start, self._now()
        size = np.linalg.norm(before)
        moved = np.linalg.norm((self._epoch_start - before).astype(np.float64))
        return float(moved / size) if size else float(moved)

    def before(self, observation: Observation) -> None:
        """Remember the weights: those that the observation took before the step."""
        self._before = [observation.samples[f"weights/{n}"] for n in self._names]

    def after(self, observation: Observation, num_steps: int) -> dict[str, float]:
        """Return the size of the update for each variable, and its direction.

        update_ratio: root mean square of the change in one step, over that of the
        weights; update_cosine: of the change with the negative gradient, -1 to 1;
        step/predicted_change: of the batch's loss, by its gradient and this change.
        """
        scalars: dict[str, float] = {}
        predicted = 0.0
        for name, variable, old, new in zip(
            self._names, self._variables, self._before, self._function(), strict=True
        ):
            change = (new.numpy().ravel() - old) / num_steps
            size = np.sqrt(np.square(change).mean())
            scale = np.sqrt(np.square(old).mean())
            scalars[f"update_rms/{name}"] = float(size)
            if scale > 0:
                scalars[f"update_ratio/{name}"] = float(size / scale)
            gradient = observation.samples.get(f"gradients/{name}")
            if gradient is not None:
                share = len(gradient) / max(1, int(np.prod(variable.shape)))
                predicted += float(np.dot(change * num_steps, gradient)) / share
                norms = np.linalg.norm(change) * np.linalg.norm(gradient)
                if norms > 0:
                    cosine = -float(np.dot(change, gradient) / norms)
                    scalars[f"update_cosine/{name}"] = cosine
        scalars["step/predicted_change"] = predicted
        return scalars
