"""What recording costs: the time of `fit` with `Recorder` over the time without.

    python benchmarks/recorder.py                     an MLP and a CNN, each with XLA too
    python benchmarks/recorder.py --cases mlp --repeats 9 --epochs 5

Both take turns, each a whole `fit` of a new model (tracing, probes and diagnosis
included); the median of the paired ratios counts. The ratio of the processor's time stands
beside it: other programs disturb it less. Prints the size of the recording too.
With TFCOURSE_DATA_DIR set the models learn the real MNIST, otherwise synthetic images of
its shape. Run it on a machine that does nothing else.
"""

import argparse
import gc
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from keras import layers

from tfcourse import data
from tfcourse.doctor import Recorder
from tfcourse.errors import UserError

NUM_CLASSES = 10
GOAL = 1.05


def mlp():
    """Return 784-128-10 and its batch size."""
    return [layers.Flatten(), layers.Dense(128, "relu")], 32


def cnn():
    """Return a small CNN and its batch size."""
    hidden = [
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
    ]
    return hidden, 64


CASES = {"mlp": mlp, "cnn": cnn}


def examples(num_examples):
    """Return images float32 [n, 28, 28, 1] in [0, 1] and labels [n]; print which."""
    try:
        (images, labels), info = data.load_arrays("mnist", "train", source="real")
        print(f"data: {info.origin}")
    except UserError as error:  # No originals and no network: any images serve.
        print(f"data: random images ({error})")
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (60_000, 28, 28)).astype(np.uint8)
        labels = rng.integers(0, NUM_CLASSES, 60_000)
    images = images[:num_examples, ..., None].astype(np.float32) / 255
    return images, labels[:num_examples]


def seconds_of_fit(case, jit_compile, x, y, epochs, folder):
    """Return the seconds of one `fit`, on the clock and of the processor.

    With a recording if there is a folder.
    """
    keras.utils.set_random_seed(0)
    hidden, batch_size = CASES[case]()
    model = keras.Sequential(
        [keras.Input(x.shape[1:]), *hidden, layers.Dense(NUM_CLASSES)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=jit_compile)
    callbacks = [Recorder(folder)] if folder else []
    validation = x[:2000], y[:2000]
    gc.collect()
    start, start_of_work = time.perf_counter(), time.process_time()
    model.fit(
        x,
        y,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=validation,
        callbacks=callbacks,
        verbose=0,
    )
    return time.perf_counter() - start, time.process_time() - start_of_work


def measure(case, jit_compile, arguments, x, y):
    """Print one row."""
    ratios, work_ratios, plain_seconds, size = [], [], [], 0
    for repeat in range(arguments.repeats + 1):
        with tempfile.TemporaryDirectory() as folder:
            order = (None, folder) if repeat % 2 else (folder, None)
            took = {
                bool(where): seconds_of_fit(
                    case, jit_compile, x, y, arguments.epochs, where
                )
                for where in order
            }
            size = sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file())
            shutil.rmtree(folder, ignore_errors=True)
            Path(folder).mkdir()
        if repeat:  # The first turn pays for imports and caches.
            ratios.append(took[True][0] / took[False][0])
            work_ratios.append(took[True][1] / took[False][1])
            plain_seconds.append(took[False][0])
    ratio = statistics.median(ratios)
    name = case + (" xla" if jit_compile else "")
    print(
        f"{name:<10}{statistics.median(plain_seconds):9.1f}{ratio:9.3f}  "
        f"({min(ratios):.3f} to {max(ratios):.3f})"
        f"{statistics.median(work_ratios):9.3f}{size / 1e6:8.2f} MB  "
        f"{'met' if ratio <= GOAL else 'missed'}",
        flush=True,
    )
    return ratio


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--examples", type=int, default=60_000)
    arguments = parser.parse_args()
    x, y = examples(arguments.examples)
    print(f"{len(x):,} examples, {arguments.epochs} epochs; at most {GOAL}")
    print("model       seconds    ratio  (range)         of processor      log")
    for case in arguments.cases:
        for jit_compile in (False, True):
            measure(case, jit_compile, arguments, x, y)


if __name__ == "__main__":
    main()
