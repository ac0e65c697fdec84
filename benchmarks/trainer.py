"""The whole-epoch trainer against `model.fit` on the same arrays.

    python benchmarks/trainer.py                  the two MLPs, then the agreement
    python benchmarks/trainer.py --all            and the kinds of models of the course
    python benchmarks/trainer.py --cases gru cnn --repeats 9

Each model is first trained from scratch by both, tracing, compiling and measuring
included; then both take turns of three epochs, and the medians are compared. With
TFCOURSE_DATA_DIR set the MLPs learn the real MNIST, otherwise synthetic images of its
shape. Run it on a machine that does nothing else: it prints what others took.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from tfcourse import data, training

NUM_CLASSES = 10
MNIST_EXAMPLES = 60_000
COLD_EPOCHS = 3
TURN_EPOCHS = 3  # The copy of the data that both make is a part of each turn.
TARGETS = {"mlp": 5.0, "wider": 2.0}


@dataclass(frozen=True)
class Case:
    """A model, its batch size and its data."""

    hidden: Callable[[keras.KerasTensor], keras.KerasTensor]
    shape: tuple[int, ...]
    batch_size: int
    num_batches: int

    def build(self) -> keras.Model:
        """Return the model, compiled as `fit` would be used."""
        inputs = keras.Input(self.shape)
        outputs = layers.Dense(NUM_CLASSES)(self.hidden(inputs))
        model = keras.Model(inputs, outputs)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(), loss, metrics=["accuracy"])
        return model


def mlp(*widths):
    """Return the hidden layers of an MLP."""

    def hidden(x):
        for width in widths:
            x = layers.Dense(width, "relu")(x)
        return x

    return hidden


def cnn(x):
    """Two convolutions with pooling, and dropout."""
    for filters in (16, 32):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    return layers.Dropout(0.3)(layers.Flatten()(x))


def residual(x):
    """Three residual blocks with batch normalisation."""
    for filters in (16, 32, 64):
        shortcut = layers.Conv2D(filters, 1, strides=2)(x)
        for strides in (2, 1):
            x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Add()([x, shortcut])
    return layers.GlobalAveragePooling2D()(x)


def lstm(x):
    """Two LSTM layers."""
    return layers.LSTM(64)(layers.LSTM(64, return_sequences=True)(x))


def decoder(num_blocks, num_heads):
    """Return pre-norm decoder blocks of the inputs' width."""

    def hidden(x):
        width = x.shape[-1]
        for _ in range(num_blocks):
            h = layers.LayerNormalization()(x)
            attention = layers.MultiHeadAttention(num_heads, width // num_heads)
            x = layers.Add()([x, attention(h, h, use_causal_mask=True)])
            h = layers.Dense(4 * width, "gelu")(layers.LayerNormalization()(x))
            x = layers.Add()([x, layers.Dense(width)(h)])
        return layers.GlobalAveragePooling1D()(x)

    return hidden


CASES = {
    "mlp": Case(mlp(128), (784,), 32, 1875),
    "wider": Case(mlp(512, 256), (784,), 128, 469),
    "linear": Case(mlp(), (784,), 128, 469),
    "huge": Case(mlp(2048, 2048, 2048), (784,), 128, 24),
    "cnn": Case(cnn, (28, 28, 1), 64, 100),
    "residual": Case(residual, (32, 32, 3), 128, 24),
    "gru": Case(layers.GRU(64), (28, 28), 64, 200),
    "lstm": Case(lstm, (10, 64), 64, 200),
    "decoder": Case(decoder(2, 4), (64, 64), 16, 150),
    "decoder10m": Case(decoder(6, 6), (256, 384), 4, 8),
}


def examples(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 inputs and integer labels that can be learned from them."""
    if case.shape == (784,) and os.environ.get("TFCOURSE_DATA_DIR"):
        (images, labels), _ = data.load_arrays("mnist", "train", source="real")
        x, y = images.reshape(-1, 784).astype("float32") / 255, labels
    else:
        rng = np.random.default_rng(0)
        num_examples = min(MNIST_EXAMPLES, case.batch_size * case.num_batches)
        y = rng.integers(0, NUM_CLASSES, num_examples)
        # Overlapping classes, so that losses stay away from zero.
        means = rng.normal(size=(NUM_CLASSES, *case.shape)).astype("float32")
        noise = rng.standard_normal((num_examples, *case.shape), dtype="float32")
        x = 0.15 * means[y] + noise
    limit = case.batch_size * case.num_batches
    return x[:limit], y[:limit]


class Load:
    """How many cores other processes used since it was made, where Linux tells."""

    def __init__(self):
        self.began = self._now()

    def _now(self):
        try:
            with open("/proc/stat", encoding="ascii") as lines:
                ticks = [int(n) for n in lines.readline().split()[1:9]]
        except OSError:
            return None
        busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
        return busy, time.process_time(), time.perf_counter()

    def others(self) -> str:
        """Return the cores that others used, as text."""
        now = self._now()
        if now is None or self.began is None:
            return "unknown"
        busy, own, wall = (b - a for a, b in zip(self.began, now, strict=True))
        return f"{max(0.0, busy - own) / wall:.2f}"


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of the call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(name: str, repeats: int) -> float:
    """Print one row, cold and warm, and return the warm ratio."""
    case = CASES[name]
    x, y = examples(case)
    options = {"batch_size": case.batch_size, "verbose": 0, "epochs": COLD_EPOCHS}
    load = Load()
    keras_model, model = case.build(), case.build()
    cold_fit = seconds(lambda: keras_model.fit(x, y, **options))
    cold = seconds(lambda: training.fit(model, x, y, **options))
    engine = model.history.engine
    options["epochs"] = TURN_EPOCHS
    several = case.build()
    several.compile(
        several.optimizer, several.loss, metrics=["accuracy"], steps_per_execution=32
    )
    sides = {
        "fit": lambda: keras_model.fit(x, y, **options),
        "fit, 32 steps": lambda: several.fit(x, y, **options),
        "trainer": lambda: training.fit(model, x, y, **options),
    }
    several.fit(x, y, **options)
    times = {side: [] for side in sides}
    for _ in range(repeats):
        for side, work in sides.items():
            times[side].append(seconds(work))
    rates = {
        side: TURN_EPOCHS * len(x) / statistics.median(t) for side, t in times.items()
    }
    ratio = rates["trainer"] / rates["fit"]
    pairs = sorted(a / b for a, b in zip(times["fit"], times["trainer"], strict=True))
    print(
        f"{name:11}{case.batch_size:5}  {engine.name:6}"
        f"{rates['fit']:10,.0f}{rates['fit, 32 steps']:10,.0f}{rates['trainer']:10,.0f}"
        f"{ratio:7.2f}  ({pairs[0]:.2f} to {pairs[-1]:.2f}){cold_fit:8.1f}{cold:8.1f}"
        f"{cold_fit / cold:7.2f}{load.others():>7}",
        flush=True,
    )
    return ratio


def agreement(name: str, num_seeds: int, epochs: int) -> None:
    """Print final loss and accuracy of both, over seeds of weights and order."""
    case = CASES[name]
    x, y = examples(case)
    x, y, held_out = x[:-5000], y[:-5000], (x[-5000:], y[-5000:])
    ends = {"fit": [], "trainer": []}
    for seed in range(num_seeds):
        for side, results in ends.items():
            keras.utils.set_random_seed(seed)
            model = case.build()
            options = {"batch_size": case.batch_size, "epochs": epochs, "verbose": 0}
            if side == "fit":
                model.fit(x, y, **options)
            else:
                training.fit(model, x, y, seed=seed, **options)
            loss = model.evaluate(x, y, 1000, verbose=0)[0]
            results.append((loss, *model.evaluate(*held_out, 1000, verbose=0)))
    print(f"\n{name}: {epochs} epochs, {num_seeds} seeds: mean (standard deviation)")
    for side, results in ends.items():
        columns = zip(*results, strict=True)
        cells = [f"{np.mean(c):.4f} ({np.std(c, ddof=1):.4f})" for c in columns]
        print(
            f"{side:8} training loss {cells[0]}  held-out loss {cells[1]}  "
            f"accuracy {cells[2]}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="*", choices=CASES, default=["mlp", "wider"])
    parser.add_argument("--all", action="store_true", help="all cases")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5, help="0: no agreement")
    parser.add_argument("--epochs", type=int, default=3, help="for the agreement")
    arguments = parser.parse_args()
    print(
        f"Examples per second, medians of {arguments.repeats} turns; cold: "
        f"seconds of {COLD_EPOCHS} epochs from scratch; others: cores used by others\n"
        f"{'model':11}{'batch':>5}  {'engine':6}{'fit':>10}{'fit x32':>10}"
        f"{'trainer':>10}{'ratio':>7}  {'(range)':14}{'cold':>8}{'trainer':>8}"
        f"{'ratio':>7}{'others':>7}"
    )
    names = list(CASES) if arguments.all else arguments.cases
    ratios = {name: compare(name, arguments.repeats) for name in names}
    for name, target in TARGETS.items():
        if name in ratios:
            verdict = "met" if ratios[name] >= target else "missed"
            print(f"{name}: {ratios[name]:.1f} times fit, at least {target}: {verdict}")
    for name in TARGETS:
        if name in names and arguments.seeds > 1:
            agreement(name, arguments.seeds, arguments.epochs)


if __name__ == "__main__":
    main()
