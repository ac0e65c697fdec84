"""Times .keras files in a child process of its own per number of threads.

    python -P -m tfcourse.compression.latencies FOLDER

TensorFlow's numbers of threads can't change once it runs.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tfcourse.compression.exchange import Reporter, in_order, read_arrays, serve


def main(folder: Path, request: dict[str, Any], reporter: Reporter) -> None:
    """Report the seconds of calls with one example, for each file of the request."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(request["num_threads"])
    tf.config.threading.set_inter_op_parallelism_threads(1)
    inputs = in_order(read_arrays(folder / "probe.npz"))
    given = [tf.constant(array[:1]) for array in inputs]
    for number, name in enumerate(request["files"]):
        model = keras.saving.load_model(name, compile=False)
        call = tf.function(lambda values, model=model: model(values, training=False))
        seconds = []
        for _ in range(request["num_warmup"] + request["num_calls"]):
            started = time.perf_counter()
            np.asarray(call(given if len(given) > 1 else given[0]))
            seconds.append(time.perf_counter() - started)
        kept = seconds[request["num_warmup"] :]
        reporter.emit("timed", file=number, seconds=kept)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(serve(Path(sys.argv[1]), main))
