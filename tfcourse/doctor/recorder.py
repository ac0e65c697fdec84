"""The callback that records a training run for TensorBoard and for the doctor."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from tfcourse.doctor.event_log import EventLog
from tfcourse.doctor.examples import Examples
from tfcourse.doctor.interception import Interceptor, Replay, first_replica
from tfcourse.doctor.observation import Observer, first_line
from tfcourse.doctor.own_loop import own_loss, own_step
from tfcourse.doctor.probes import Probe
from tfcourse.doctor.step_recording import StepRecorder, as_floats
from tfcourse.errors import UserError

VALIDATION_BATCHES = 16
DIAGNOSE_EVERY_SECONDS = 20.0  # At the end of an epoch; takes under 0.1 s.


class Recorder(keras.callbacks.Callback):
    """Records why a model trains, or why it does not.

        model.fit(train_ds, validation_data=val_ds, callbacks=[Recorder("logs/runs/1")])

    Sampled steps, dense at first, then sparse, write ordinary TensorBoard summaries into
    `log_dir` (see CONTRIBUTING.md for the tags), what was measured on validation data
    into `log_dir/validation`. The training is not changed: the same seed gives the same
    weights with and without.

    In a loop of one's own:

        recorder = Recorder("logs/runs/1")
        recorder.watch(model, optimizer, loss)  # loss(targets, predictions)
        for epoch in range(epochs):
            for x, y in train_ds:
                with recorder.step((x, y)):
                    train_step(x, y)
            recorder.end_epoch({"loss": ...}, validation={"loss": ...})
        recorder.close()

    Args:
        log_dir: A folder of this run alone, made if it isn't there. An earlier recording
            in it stays on the disk, and the doctor reads the newest one.

    Raises:
        UserError: At the start, if `log_dir` is no folder that can be written.
    """

    looks_into_batches = True  # `tfcourse.training.fit` leaves the run to `model.fit`.

    def __init__(self, log_dir: str | os.PathLike[str]):
        super().__init__()
        self.log_dir = Path(log_dir)
        if self.log_dir.exists() and not self.log_dir.is_dir():
            raise UserError(f"{self.log_dir} is a file; give Recorder a folder's name")
        self._train_log = EventLog(self.log_dir)
        self._validation_log = EventLog(self.log_dir / "validation")
        self._steps = StepRecorder(self._train_log)
        self._epoch = 0
        self._validation = Examples()
        self._validation_batches = 0
        self._ended = False
        self._last_diagnosis = time.monotonic()
        self._replay = Replay()
        self._training = Interceptor(
            "train_function",
            self._steps.is_due,
            self._steps.around,
            self._steps.after,
            self._replay,
        )
        self._testing = Interceptor(
            "test_function",
            self._is_test_wanted,
            self._around_test,
            lambda *_: None,
            self._replay,
        )
        self._in_fit = False

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Take hold of the train function, which `fit` has made just before."""
        self._in_fit = True
        self._ended = False
        self._steps.watch(self.model, params=self.params)
        self._training.install(self.model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Take hold of the train function again if another callback renewed it."""
        self._training.install(self.model)
        # What the weights are before the epoch: a callback may have put them back.
        moved = {"epoch_weight_change": self._steps.weight_change()}
        self._train_log.scalars(as_floats(moved), self._epoch)

    def on_test_begin(self, logs: Any = None) -> None:
        """Take hold of the test function."""
        if self._in_fit:
            self._testing.install(self.model)

    def on_test_end(self, logs: Any = None) -> None:
        """Let the test function go: one pass shows the validation data."""
        self._testing.remove(self.model)
        if self._in_fit and self._validation:
            self._validation_batches = VALIDATION_BATCHES

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the epoch's scalars."""
        logs = dict(logs or {})
        validation = {k.removeprefix("val_"): v for k, v in logs.items() if _is_val(k)}
        self.end_epoch({k: v for k, v in logs.items() if not _is_val(k)}, validation)

    def on_train_end(self, logs: Any = None) -> None:
        """Run the last probes, write the findings, let the model go."""
        self._in_fit = False
        self._training.remove(self.model)
        self._replay.close()
        self._finish()

    # The explicit side: for a loop of one's own.

    def watch(
        self,
        model: keras.Model,
        optimizer: Any = None,
        loss: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        """Say what a loop of one's own trains.

        Args:
            model: A built model.
            optimizer: A Keras optimizer; default: the compiled one.
            loss: Takes (targets, predictions) and gives the loss of the batch, or of
                each example; default: the compiled one.
        """
        self.set_model(model)
        self._steps.watch(model, optimizer=optimizer)
        optimizer = optimizer or getattr(model, "optimizer", None)
        compiled = getattr(model, "_compile_loss", None)
        if loss is not None or compiled is not None:
            function = own_loss(model, loss) if loss is not None else None
            self._steps.probe = Probe(model, function)
            self._steps.observer = Observer(
                model, own_step(model, optimizer, function), [optimizer]
            )

    @contextlib.contextmanager
    def step(self, batch: Any) -> Iterator[None]:
        """Look at a step: the body runs it on the batch, a pair (inputs, targets)."""
        steps = self._steps
        finish = steps.guarded(lambda: steps.before(batch)) if steps.is_due() else None
        yield
        if finish is not None:
            steps.guarded(lambda: finish(1))
        steps.after(None, 1)

    def end_epoch(
        self,
        metrics: Mapping[str, float | None],
        validation: Mapping[str, float | None] | None = None,
    ) -> None:
        """Write the means of an epoch: `loss` and metrics, of training and validation."""
        metrics = {"learning_rate": self._steps.learning_rate()} | dict(metrics)
        scalars = {f"epoch_{name}": value for name, value in metrics.items()}
        self._train_log.scalars(as_floats(scalars), self._epoch)
        if validation:
            named = {f"epoch_{name}": value for name, value in validation.items()}
            self._validation_log.scalars(as_floats(named), self._epoch)
        self._train_log.flush()
        self._validation_log.flush()
        self._epoch += 1
        if time.monotonic() - self._last_diagnosis > DIAGNOSE_EVERY_SECONDS:
            self._write_findings()

    def close(self) -> None:
        """End a recording of a loop of one's own."""
        self._finish()

    # Validation data.

    def _is_test_wanted(self) -> bool:
        return self._validation_batches < VALIDATION_BATCHES

    def _around_test(self, batches: list[Any], run: Callable[[], Any]) -> Any:
        for batch in batches:
            self._validation_batches += 1
            self._validation.add(first_replica(batch))
        return run()

    # The end.

    def _finish(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._steps.probe is not None:
            record = self._steps.probe.end(self._steps.examples, self._validation)
            record["step"] = self._steps.step
            self._train_log.json("doctor/probes", record, self._steps.step)
        self._write_findings()
        self._train_log.close()
        self._validation_log.close()

    def _write_findings(self) -> None:
        """Diagnose what is on the disk so far, for the tab in TensorBoard."""
        from tfcourse.doctor.diagnosis import diagnose
        from tfcourse.doctor.findings import to_json
        from tfcourse.doctor.reading import read_run

        self._train_log.flush()
        self._validation_log.flush()
        self._last_diagnosis = time.monotonic()
        try:
            findings = diagnose(read_run(self.log_dir))
        except Exception as error:  # A diagnosis must not end a training.
            warnings.warn(
                f"no diagnosis of {self.log_dir}: {first_line(error)}", stacklevel=2
            )
            return
        records = [to_json(finding) for finding in findings]
        self._train_log.json("doctor/findings", records, self._steps.step)
        self._train_log.flush()


def _is_val(name: str) -> bool:
    return name.startswith("val_")
