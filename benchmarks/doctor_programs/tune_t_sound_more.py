"""More runs that are sound (letter t): noise on purpose, and a short run."""

import keras
from keras import layers, ops

from doctor_programs import datasets
from doctor_programs import more_datasets_t as data
from doctor_programs.registry import Program, program


@program(architecture="autoencoder", split="tune")
def t_noise_on_purpose(seed: int, mended: bool = False) -> Program:
    """Training is worse than validation: noise and dropout act in training alone."""
    x = datasets.sensors(seed, n=1400, features=20, factors=3)
    inputs = keras.Input((20,))
    hidden = layers.GaussianNoise(0.3)(inputs)
    hidden = layers.Dense(32, activation="tanh")(hidden)
    hidden = layers.Dropout(0.1)(hidden)
    code = layers.Dense(5)(hidden)
    hidden = layers.Dense(32, activation="tanh")(code)
    model = keras.Model(inputs, layers.Dense(20)(hidden))
    model.compile(keras.optimizers.Adam(4e-3), "huber", jit_compile=False)
    val = (x[1200:], x[1200:])
    return Program(model, x[:1200], x[:1200], val, epochs=25, batch_size=30)


@program(architecture="transformer", split="tune")
def t_four_epochs_will_do(seed: int, mended: bool = False) -> Program:
    """Four epochs are enough: the run is short, sound, and far above chance."""
    x, y = data.machines(seed, n=2400)
    inputs = keras.Input((48, 1))
    hidden = layers.Conv1D(24, 4, strides=4)(inputs)
    hidden = hidden + layers.Embedding(12, 24)(ops.arange(12))
    normal = layers.LayerNormalization()(hidden)
    hidden = hidden + layers.MultiHeadAttention(3, 8)(normal, normal)
    normal = layers.LayerNormalization()(hidden)
    hidden = hidden + layers.Dense(24)(layers.Dense(48, activation="silu")(normal))
    pooled = layers.GlobalMaxPooling1D()(layers.LayerNormalization()(hidden))
    model = keras.Model(inputs, layers.Dense(3)(pooled))
    model.compile(
        keras.optimizers.AdamW(3e-3, weight_decay=0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=5,
    )
    val = (x[2000:], y[2000:])
    return Program(model, x[:2000], y[:2000], val, epochs=4, batch_size=20)
