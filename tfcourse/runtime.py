"""The one place that configures TensorFlow: seed, device, precision and strategy.

Import it before TensorFlow where you can: it turns the start-up chatter down.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tfcourse import __version__
from tfcourse.errors import UserError


@contextmanager
def _held_back_stderr() -> Iterator[None]:
    """Keep back what C++ code writes to the error stream, unless an exception comes.

    TensorFlow writes notes (oneDNN, absent GPU libraries) before its log level counts.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        saved = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


# TensorFlow's C++ side reads this once: 2 hides notes and warnings and leaves errors.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
with _held_back_stderr():
    import keras
    import numpy as np
    import tensorflow as tf

    # The first look for GPUs writes one more note. It starts no device.
    tf.config.list_physical_devices()

PRECISIONS = {
    "float32": "float32",
    "float64": "float64",
    "bfloat16": "mixed_bfloat16",
    "mixed_bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
    "mixed_float16": "mixed_float16",
}


@dataclass(frozen=True)
class Runtime:
    """What `configure` chose."""

    seed: int
    device: str  # CPU, GPU or TPU.
    num_devices: int
    precision: str  # Name of the Keras dtype policy.
    strategy: tf.distribute.Strategy
    versions: Mapping[str, str]

    def describe(self) -> str:
        """Return one line: device, precision, seed and versions."""
        return (
            f"{self.device_name()}, {self.precision}, seed {self.seed}, "
            f"TensorFlow {self.versions['tensorflow']}, Keras {self.versions['keras']}"
        )

    def device_name(self) -> str:
        """Return the device in words, such as `CPU (2 cores)` or `2 x GPU`."""
        if self.device == "CPU":
            return f"CPU ({num_cores()} cores)"
        return (
            self.device
            if self.num_devices == 1
            else f"{self.num_devices} x {self.device}"
        )


_current: Runtime | None = None


def configure(
    *, seed: int = 0, device: str = "auto", precision: str = "auto"
) -> Runtime:
    """Set TensorFlow and Keras up, print the choice in one line and return it.

    Args:
        seed: Seeds Python, NumPy, TensorFlow and Keras.
        device: `auto` (all GPUs, else a TPU, else the CPU), `cpu`, `gpu` (all of
            them), `gpu:1` (one of them) or `tpu`.
        precision: `auto`, `float32`, `float64`, `bfloat16` or `float16`; the 16-bit
            ones keep float32 variables (Keras's mixed policies).

    Raises:
        UserError: If the device is unknown or absent, the precision is unknown, 16-bit
            floats are asked for on a CPU, or TensorFlow already runs on other devices.
    """
    global _current
    kind, index = choose_device(device, available_devices())
    policy = choose_precision(precision, kind, gpu_capability(index))
    strategy = build_strategy(kind, index)
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(seed)
    _current = Runtime(
        seed=seed,
        device=kind,
        num_devices=strategy.num_replicas_in_sync,
        precision=policy,
        strategy=strategy,
        versions=versions(),
    )
    print(f"runtime: {_current.describe()}")
    return _current


def current() -> Runtime:
    """Return what `configure` chose last, else TensorFlow's defaults."""
    if _current is not None:
        return _current
    counts = available_devices()
    return Runtime(
        seed=0,
        device="GPU" if counts["GPU"] else "CPU",
        num_devices=1,
        precision=keras.config.dtype_policy().name,
        strategy=tf.distribute.get_strategy(),
        versions=versions(),
    )


def available_devices() -> dict[str, int]:
    """Return the number of CPUs, GPUs and TPU cores that TensorFlow sees."""
    return {
        kind: len(tf.config.list_physical_devices(kind))
        for kind in ("CPU", "GPU", "TPU")
    }


def choose_device(request: str, available: Mapping[str, int]) -> tuple[str, int | None]:
    """Return the kind of device and its index; no index means all of that kind.

    >>> choose_device("auto", {"CPU": 1, "GPU": 2, "TPU": 0})
    ('GPU', None)
    >>> choose_device("gpu:1", {"CPU": 1, "GPU": 2, "TPU": 0})
    ('GPU', 1)

    Raises:
        UserError: If the request is unknown, or this machine lacks the device.
    """
    request = request.strip().lower()
    if request == "auto":
        return next(
            (kind, None)
            for kind in ("GPU", "TPU", "CPU")
            if available.get(kind) or kind == "CPU"
        )
    match = re.fullmatch(r"(cpu|gpu|tpu)(?::(\d+))?", request)
    if not match or (match[2] and match[1] != "gpu"):
        raise UserError(
            f"unknown device {request!r}; choose auto, cpu, gpu, gpu:0 or tpu"
        )
    kind = match[1].upper()
    index = int(match[2]) if match[2] else None
    count = available.get(kind, 0)
    if kind == "CPU":
        return kind, None
    if not count:
        raise UserError(f"this machine has no {kind}; choose --device auto or cpu")
    if index is not None and index >= count:
        raise UserError(
            f"there is no gpu:{index}; this machine has {count} (from gpu:0)"
        )
    return kind, index


def choose_precision(
    request: str, device: str, capability: tuple[int, int] = (0, 0)
) -> str:
    """Return the name of the Keras dtype policy.

    On a CPU it is float32 unless float64 is asked for: 16-bit floats were slower there.

    Args:
        request: `auto` or a key of `PRECISIONS`.
        device: CPU, GPU or TPU.
        capability: Compute capability of the GPU. Tensor cores come with 7.0, and
            bfloat16 with 8.0.

    Raises:
        UserError: If the request is unknown, or is 16-bit on a CPU.
    """
    request = request.strip().lower()
    if request == "auto":
        if device == "TPU" or (device == "GPU" and capability >= (8, 0)):
            return "mixed_bfloat16"
        if device == "GPU" and capability >= (7, 0):
            return "mixed_float16"
        return "float32"
    if request not in PRECISIONS:
        raise UserError(
            f"unknown precision {request!r}; choose auto, {', '.join(PRECISIONS)}"
        )
    policy = PRECISIONS[request]
    if device == "CPU" and policy.startswith("mixed"):
        raise UserError(
            f"{request} on a CPU is slower than float32 and less exact; "
            "choose float32, or a GPU or TPU"
        )
    return policy


def gpu_capability(index: int | None) -> tuple[int, int]:
    """Return the compute capability of the weakest chosen GPU; (0, 0) without one."""
    gpus = tf.config.list_physical_devices("GPU")
    chosen = gpus if index is None else gpus[index : index + 1]
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
        for gpu in chosen
    ]
    return min(capabilities, default=(0, 0))


def build_strategy(kind: str, index: int | None) -> tf.distribute.Strategy:
    """Return the strategy for the device, having made it the only visible one.

    Raises:
        UserError: If TensorFlow already runs on other devices in this process.
    """
    if kind == "TPU":
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
        return tf.distribute.TPUStrategy(resolver)
    gpus = tf.config.list_physical_devices("GPU")
    chosen: list[Any] = []
    if kind == "GPU":
        chosen = gpus if index is None else gpus[index : index + 1]
    try:
        if gpus:
            tf.config.set_visible_devices(chosen, "GPU")
        for gpu in chosen:
            # Else the first process takes the whole of the GPU's memory.
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:
        if tf.config.get_visible_devices("GPU") != chosen:
            raise UserError(
                "TensorFlow already runs on other devices in this process; "
                "choose the device first (in a notebook: restart the kernel)"
            ) from None
    if len(chosen) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "tfcourse": __version__,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
    }


def num_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
