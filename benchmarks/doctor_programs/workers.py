"""Trains and diagnoses in a few processes that outlive a program's crash or hang.

Each worker imports TensorFlow once and trains one program after the other. A worker that
dies or doesn't answer in time is replaced; its program is reported as failed.
"""

import multiprocessing
import os
import queue
import shutil
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 180  # A program takes about 4 s; this one hangs.
# One thread each: the workers share the cores, and results are the same every time.
_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
}


@dataclass(frozen=True)
class Task:
    """What a worker is asked for.

    Attributes:
        kind: train (record, then diagnose), diagnose (the log that is there), or effect
            (plain fit, no recorder: the last values of the history).
    """

    name: str
    seed: int
    kind: str
    folder: str


@dataclass(frozen=True)
class Outcome:
    """What came of a task: findings as JSON, history for effects, or an error."""

    name: str
    seed: int
    findings: tuple[dict[str, Any], ...] = ()
    history: dict[str, list[float]] | None = None
    seconds: float = 0.0
    error: str = ""


def perform(
    tasks: Iterable[Task],
    jobs: int,
    report: Callable[[Outcome], None] = lambda outcome: None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    answer: Callable[[Task], Outcome] | None = None,
) -> list[Outcome]:
    """Return the outcomes of all tasks, in the order in which they came.

    Args:
        tasks: What is to be done.
        jobs: Number of processes.
        report: Called with each outcome as it comes.
        timeout_seconds: After this time without an answer a worker is replaced.
        answer: What a worker does with a task; a function of a module, so that a new
            process finds it. None: train and diagnose.
    """
    os.environ.update(_ENVIRONMENT)  # Inherited by the workers, before their imports.
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    outcomes: list[Outcome] = []
    lock = threading.Lock()

    def done(outcome: Outcome) -> None:
        with lock:
            outcomes.append(outcome)
            report(outcome)

    threads = [
        threading.Thread(target=_serve, args=(waiting, done, timeout_seconds, answer))
        for _ in range(jobs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def _serve(
    waiting: "queue.SimpleQueue[Task]",
    done: Callable[[Outcome], None],
    timeout_seconds: float,
    answer: Callable[[Task], Outcome] | None,
) -> None:
    """Hand tasks to one worker, replacing it where it fails."""
    context = multiprocessing.get_context("spawn")
    log = tempfile.mkstemp(suffix=".txt")[1]
    worker: Any = None
    while True:
        try:
            task = waiting.get_nowait()
        except queue.Empty:
            break
        if worker is None:
            here, there = context.Pipe()
            worker = context.Process(
                target=_work, args=(there, log, answer or _answer), daemon=True
            )
            worker.start()
            there.close()
        here.send(task)
        try:
            if here.poll(timeout_seconds):
                done(here.recv())
                continue
            error = f"no answer for {timeout_seconds:.0f} s"
        except EOFError:
            worker.join()
            said = Path(log).read_text(encoding="utf-8", errors="replace")[-1500:]
            error = f"the process died (exit code {worker.exitcode})\n{said}"
        worker.kill()
        worker = None
        done(Outcome(task.name, task.seed, error=error))
    if worker is not None:
        here.close()
        worker.join(10)
    Path(log).unlink(missing_ok=True)


def _work(connection: Connection, log: str, answer: Callable[[Task], Outcome]) -> None:
    """Answer tasks until the other end closes; TensorFlow's chatter goes to `log`."""
    with Path(log).open("wb") as file:
        os.dup2(file.fileno(), 2)
    warnings.simplefilter("ignore")
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            outcome = answer(task)
        except Exception:
            outcome = Outcome(task.name, task.seed, error=traceback.format_exc())
        connection.send(outcome)


def _answer(task: Task) -> Outcome:
    """Return the outcome of one task; errors of the program or the doctor propagate."""
    started = time.perf_counter()
    history = None
    if task.kind != "diagnose":
        history = _train(task)
    findings: tuple[dict[str, Any], ...] = ()
    if task.kind != "effect":
        from tfcourse.doctor import diagnose, read_run
        from tfcourse.doctor.findings import to_json

        findings = tuple(to_json(f) for f in diagnose(read_run(Path(task.folder))))
    seconds = time.perf_counter() - started
    return Outcome(task.name, task.seed, findings, history, seconds)


def _train(task: Task) -> dict[str, list[float]]:
    """Return the history of one run; a name ending in "-mended" takes the fault out."""
    import keras

    import doctor_programs

    entry = doctor_programs.load()[task.name]
    recorder = None
    if task.kind == "train":
        from tfcourse.doctor import Recorder

        shutil.rmtree(task.folder, ignore_errors=True)
        recorder = Recorder(task.folder)
    keras.backend.clear_session()
    # A program that asked for float16 must not pass it on to the next.
    keras.config.set_dtype_policy("float32")
    history = doctor_programs.run(entry, task.seed, recorder)
    return {key: [float(v) for v in values] for key, values in history.history.items()}
