"""What dense blocks keep, and the figures that the counts are compared with."""

import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcourse import block_memory
from tfcourse.block_memory import (
    BareBlock,
    kept_by_model,
    kept_channels_of,
    measure_peak,
    megabytes,
    peak_of,
)
from tfcourse.errors import UserError


def counted(num_layers, channels, growth_rate, recompute):
    block = BareBlock(num_layers, channels, growth_rate, recompute=recompute)
    return kept_channels_of(block, (6, 5, channels), block.variables)


def test_concatenations_are_kept_twice():
    # Layers get 5, 8 and 11 channels: twice these, and 2 * 4 * 3 for each second half.
    assert counted(3, 5, 3, recompute=False) == 2 * (5 + 8 + 11) + 3 * 24


def test_recomputation_keeps_each_map_once():
    # The inputs, the maps of the first two layers, and the second halves.
    assert counted(3, 5, 3, recompute=True) == 5 + 2 * 3 + 3 * 24


def test_recomputation_changes_no_gradient():
    maps = tf.constant(np.random.default_rng(1).normal(size=(2, 4, 4, 3)), tf.float32)
    gradients = []
    for recompute in (False, True):
        block = BareBlock(3, 3, 2, recompute=recompute)  # The same weights each time.
        with tf.GradientTape() as tape:
            tape.watch(maps)
            loss = tf.reduce_sum(block(maps) ** 3)
        gradients.append(tape.gradient(loss, [maps, *block.variables]))
    for kept, recomputed in zip(*gradients, strict=True):
        np.testing.assert_allclose(kept, recomputed, rtol=1e-4, atol=1e-4)


def test_a_model_keeps_what_its_gradients_need():
    inputs = keras.Input((4, 6, 2))
    maps = keras.layers.Conv2D(3, 3, padding="same", activation="relu")(inputs)
    maps = keras.layers.AveragePooling2D(2)(maps)
    # The first convolution's inputs, the ReLU's output, and a quarter as many pixels.
    outputs = keras.layers.Conv2D(5, 1)(maps)
    assert kept_by_model(keras.Model(inputs, outputs)) == 2 + 3 + 3 / 4


def test_megabytes_are_those_of_float32():
    maps = np.zeros((8, 32, 32, 100), np.float32)
    assert megabytes(100, batch_size=8, size=32) == maps.nbytes / 1e6


def test_a_block_is_measured():
    options = {"num_layers": 1, "channels": 2, "growth_rate": 2, "recompute": True}
    measured = measure_peak({**options, "batch_size": 2, "size": 4})
    assert measured["megabytes"] >= 0 and measured["seconds"] > 0


def test_the_childs_last_line_is_its_answer(monkeypatch):
    def run(command, **options):
        answer = 'a note\n{"megabytes": 7.5, "seconds": 0.1}\n'
        return subprocess.CompletedProcess(command, 0, answer, "")

    monkeypatch.setattr(block_memory.subprocess, "run", run)
    assert peak_of(num_layers=4) == {"megabytes": 7.5, "seconds": 0.1}


def test_too_little_memory_is_said(monkeypatch):
    def run(command, **options):
        return subprocess.CompletedProcess(command, -9, "", "")

    monkeypatch.setattr(block_memory.subprocess, "run", run)
    with pytest.raises(UserError, match="4 layers could not be measured .killed."):
        peak_of(num_layers=4)
