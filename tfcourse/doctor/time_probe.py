"""How far back in time the gradient of a recurrent layer reaches."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfcourse.doctor.layers import open_layers

RECURRENT = (keras.layers.SimpleRNN, keras.layers.LSTM, keras.layers.GRU)
MIN_STEPS = 8


def gradient_over_time(probe: Any, batch: tuple[Any, Any, Any]) -> dict[str, Any]:
    """Return the gradient's size at the first and the last steps of a sequence.

    Of the loss with respect to the first recurrent layer's inputs [batch, time, ...]:
    the mean norm over the first and over the last quarter of the time steps. Empty
    without a recurrent layer, or with short sequences.

    Args:
        probe: Has `model` and `loss(batch, training)`.
        batch: (x, y, sample_weight).
    """
    from tfcourse.doctor.probes import beside

    layers = [
        (path, layer)
        for path, layer in open_layers(probe.model).items()
        if isinstance(layer, RECURRENT)
    ]
    if not layers:
        return {}
    path, layer = layers[0]
    call = layer.call
    seen: list[tf.Tensor] = []
    with tf.GradientTape() as tape:

        def watched(sequence: Any, *args: Any, **kwargs: Any) -> Any:
            tape.watch(sequence)
            seen.append(sequence)
            return call(sequence, *args, **kwargs)

        # Past Keras's tracking of attributes: nothing of the layer may change.
        object.__setattr__(layer, "call", watched)
        try:
            with beside(probe.model):
                loss = probe.loss(batch, training=True)
        finally:
            object.__delattr__(layer, "call")
    gradient = tape.gradient(loss, seen[0]) if seen else None
    if gradient is None or gradient.shape[1] < MIN_STEPS:
        return {}
    gradient = tf.cast(gradient, tf.float32)
    by_time = tf.reduce_mean(tf.norm(gradient, axis=-1), axis=0).numpy()  # [time]
    quarter = len(by_time) // 4
    ends = float(by_time[:quarter].mean()), float(by_time[-quarter:].mean())
    backwards = bool(getattr(layer, "go_backwards", False))
    first, last = ends[::-1] if backwards else ends
    return {"layer": path, "steps": len(by_time), "first": first, "last": last}
