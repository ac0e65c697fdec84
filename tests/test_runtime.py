"""The one place that configures TensorFlow, tested without the devices it chooses."""

import os
import random
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcourse import runtime
from tfcourse.errors import UserError

CPU = {"CPU": 1, "GPU": 0, "TPU": 0}
TWO_GPUS = {"CPU": 1, "GPU": 2, "TPU": 0}
TPU = {"CPU": 1, "GPU": 0, "TPU": 8}
EVERYTHING = {"CPU": 1, "GPU": 2, "TPU": 8}


@pytest.fixture(autouse=True)
def restored_defaults():
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.mark.parametrize(
    ("request_", "available", "expected"),
    [
        ("auto", CPU, ("CPU", None)),
        ("auto", TWO_GPUS, ("GPU", None)),
        ("auto", TPU, ("TPU", None)),
        ("auto", EVERYTHING, ("GPU", None)),
        ("auto", {}, ("CPU", None)),
        ("cpu", EVERYTHING, ("CPU", None)),
        ("gpu", TWO_GPUS, ("GPU", None)),
        (" GPU:1 ", TWO_GPUS, ("GPU", 1)),
        ("tpu", EVERYTHING, ("TPU", None)),
    ],
)
def test_devices_that_are_there(request_, available, expected):
    assert runtime.choose_device(request_, available) == expected


@pytest.mark.parametrize(
    ("request_", "available", "message"),
    [
        ("gpu", CPU, "this machine has no GPU; choose --device auto or cpu"),
        ("tpu", TWO_GPUS, "this machine has no TPU"),
        ("gpu:2", TWO_GPUS, "there is no gpu:2; this machine has 2"),
        ("cuda", TWO_GPUS, "unknown device 'cuda'; choose auto, cpu, gpu"),
        ("cpu:1", TWO_GPUS, "unknown device 'cpu:1'"),
        ("gpu:-1", TWO_GPUS, "unknown device"),
        ("", CPU, "unknown device ''"),
    ],
)
def test_devices_that_are_not_there(request_, available, message):
    with pytest.raises(UserError, match=message):
        runtime.choose_device(request_, available)


@pytest.mark.parametrize(
    ("device", "capability", "expected"),
    [
        ("CPU", (0, 0), "float32"),
        ("GPU", (6, 1), "float32"),
        ("GPU", (7, 5), "mixed_float16"),
        ("GPU", (8, 0), "mixed_bfloat16"),
        ("GPU", (10, 0), "mixed_bfloat16"),
        ("TPU", (0, 0), "mixed_bfloat16"),
    ],
)
def test_automatic_precision(device, capability, expected):
    assert runtime.choose_precision("auto", device, capability) == expected


@pytest.mark.parametrize("name", runtime.PRECISIONS)
def test_16_bits_are_refused_on_a_cpu_and_there_alone(name):
    if "16" in name:
        with pytest.raises(UserError, match="on a CPU is slower than float32"):
            runtime.choose_precision(name, "CPU")
    else:
        assert runtime.choose_precision(name, "CPU") == name
    assert runtime.choose_precision(name, "GPU") == runtime.PRECISIONS[name]


def test_an_unknown_precision_is_refused():
    with pytest.raises(UserError, match="unknown precision 'int8'; choose auto, float"):
        runtime.choose_precision("int8", "GPU")


def test_configure_prints_one_line_and_is_remembered(capsys):
    chosen = runtime.configure(seed=3, device="cpu")
    assert (chosen.seed, chosen.device, chosen.num_devices) == (3, "CPU", 1)
    assert chosen.precision == "float32"
    output = capsys.readouterr().out
    assert output == f"runtime: {chosen.describe()}\n"
    assert "CPU (" in output and "seed 3" in output and tf.__version__ in output
    assert runtime.current() is chosen


def test_configure_seeds_every_generator():
    def draw():
        runtime.configure(seed=11)
        dense = keras.layers.Dense(3)
        dense.build((None, 2))
        return (
            random.random(),
            float(np.random.uniform()),
            float(tf.random.uniform(())),
            *dense.kernel.numpy().ravel(),
        )

    assert draw() == draw()


def test_configure_refuses_16_bits_here():
    with pytest.raises(UserError, match="bfloat16 on a CPU"):
        runtime.configure(device="cpu", precision="bfloat16")


def test_without_configure_the_defaults_are_described(monkeypatch):
    monkeypatch.setattr(runtime, "_current", None)
    assert runtime.current().precision == keras.config.dtype_policy().name
    assert runtime.current().device_name()


class FakeConfig:
    """Stands for `tf.config` on a machine with GPUs."""

    def __init__(self, num_gpus, *, is_running=False):
        self.gpus = [SimpleNamespace(name=f"GPU:{i}") for i in range(num_gpus)]
        self.visible = list(self.gpus)
        self.growing = []
        self.is_running = is_running
        self.experimental = self

    def list_physical_devices(self, kind):
        return self.gpus if kind == "GPU" else []

    def get_visible_devices(self, kind):
        return self.visible

    def set_visible_devices(self, devices, kind):
        if self.is_running and devices != self.visible:
            raise RuntimeError("Visible devices cannot be modified after being set")
        self.visible = devices

    def set_memory_growth(self, gpu, enable):
        if self.is_running:
            raise RuntimeError("Physical devices cannot be modified after being set")
        self.growing.append(gpu)

    def get_device_details(self, gpu):
        return {"compute_capability": (8 + int(gpu.name[-1]), 0)}


@pytest.fixture
def fake_config(monkeypatch):
    def install(*args, **options):
        config = FakeConfig(*args, **options)
        fake = SimpleNamespace(
            config=config,
            distribute=SimpleNamespace(
                MirroredStrategy=lambda: "mirrored",
                get_strategy=lambda: "default",
            ),
        )
        monkeypatch.setattr(runtime, "tf", fake)
        return config

    return install


def test_all_gpus_are_mirrored_and_grow(fake_config):
    config = fake_config(2)
    assert runtime.build_strategy("GPU", None) == "mirrored"
    assert config.visible == config.growing == config.gpus
    assert runtime.gpu_capability(None) == (8, 0)


def test_one_of_two_gpus_is_made_the_only_one(fake_config):
    config = fake_config(2)
    assert runtime.build_strategy("GPU", 1) == "default"
    assert config.visible == config.growing == [config.gpus[1]]
    assert runtime.gpu_capability(1) == (9, 0)


def test_the_cpu_hides_the_gpus(fake_config):
    config = fake_config(2)
    assert runtime.build_strategy("CPU", None) == "default"
    assert config.visible == config.growing == []


def test_the_device_can_be_chosen_again_but_not_changed(fake_config):
    fake_config(2, is_running=True)
    assert runtime.build_strategy("GPU", None) == "mirrored"
    with pytest.raises(UserError, match="already runs on other devices"):
        runtime.build_strategy("GPU", 0)


@pytest.mark.parametrize(
    ("device", "count", "text"), [("GPU", 1, "GPU"), ("GPU", 4, "4 x GPU")]
)
def test_names_of_devices(device, count, text):
    chosen = runtime.Runtime(0, device, count, "float32", None, {})
    assert chosen.device_name() == text


def test_importing_runtime_first_keeps_tensorflow_silent():
    code = "from tfcourse import runtime; import tensorflow as tf; tf.constant(1)"
    child = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    assert child.returncode == 0, child.stderr
    assert child.stderr == ""


def test_held_back_output_is_shown_when_something_breaks(capfd):
    with runtime._held_back_stderr():
        os.write(2, b"only a note\n")
    with pytest.raises(RuntimeError), runtime._held_back_stderr():
        os.write(2, b"the reason\n")
        raise RuntimeError
    assert capfd.readouterr().err == "the reason\n"
