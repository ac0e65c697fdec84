"""All that is known of a run before its first step, as one record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tfcourse import __version__
from tfcourse.doctor import facts
from tfcourse.doctor.examples import num_examples
from tfcourse.doctor.probes import guarded

FORMAT = 1


def describe_run(
    model: keras.Model,
    optimizer: Any,
    batch: tuple[Any, Any, Any],
    params: Mapping[str, Any],
) -> dict[str, Any]:
    """Return versions, model, optimizer, losses, metrics and data of a run.

    Args:
        model: A built model.
        optimizer: A Keras optimizer or None.
        batch: (x, y, sample_weight): the first batch.
        params: What `fit` says of itself: epochs, and steps of an epoch.
    """
    record: dict[str, Any] = {
        "format": FORMAT,
        "tfcourse": __version__,
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        "data": {
            "batch_size": num_examples(batch[0]),
            "epochs": params.get("epochs"),
            "steps_per_epoch": params.get("steps"),
            "inputs": [_spec(value) for value in keras.tree.flatten(batch[0])],
            "targets": [_spec(value) for value in keras.tree.flatten(batch[1])],
            # Keras goes by the keys where targets come in a dict.
            "target_names": sorted(batch[1]) if isinstance(batch[1], dict) else None,
            "has_sample_weight": batch[2] is not None,
        },
    }
    record |= guarded("model", lambda: facts.describe_model(model))
    record |= guarded("optimizer", lambda: facts.describe_optimizer(optimizer))
    record |= guarded("losses", lambda: facts.describe_losses(model))
    record |= guarded("metrics", lambda: facts.describe_metrics(model))
    return record


def _spec(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    dtype = getattr(value, "dtype", None)
    name = getattr(dtype, "name", None) or str(dtype)
    return {"shape": [int(s) for s in getattr(value, "shape", ())], "dtype": name}
