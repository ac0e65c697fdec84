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
import numpy as np
import tensorflow as tf

from tfcourse.doctor import facts
from tfcourse.doctor.cards import write_cards, write_graphs
from tfcourse.doctor.event_log import EventLog
from tfcourse.doctor.example_images import write_images
from tfcourse.doctor.examples import Examples
from tfcourse.doctor.interception import Interceptor, batch_size, first_replica
from tfcourse.doctor.observation import NotObservable, Observation, Observer, first_line
from tfcourse.doctor.own_loop import is_built, own_loss, own_step
from tfcourse.doctor.probes import Probe
from tfcourse.doctor.run_facts import describe_run
from tfcourse.doctor.sampling import BatchStatistics, Updates
from tfcourse.doctor.schedule import Schedule
from tfcourse.errors import UserError

HISTOGRAM_GROWTH = 2  # Histograms at steps 0, 1, 2, 4, ...: a dozen in 10,000 steps.
VALIDATION_BATCHES = 16
MAX_SKIPPED = 2  # Smaller batches in a row; then that is their size.
DIAGNOSE_EVERY_SECONDS = 60.0


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

    def __init__(self, log_dir: str | os.PathLike[str]):
        super().__init__()
        self.log_dir = Path(log_dir)
        if self.log_dir.exists() and not self.log_dir.is_dir():
            raise UserError(f"{self.log_dir} is a file; give Recorder a folder's name")
        self._train_log = EventLog(self.log_dir)
        self._validation_log = EventLog(self.log_dir / "validation")
        self._schedule = Schedule()
        self._step = 0
        self._epoch = 0
        self._next_histogram = 0
        self._train = Examples()
        self._validation = Examples()
        self._validation_batches = 0
        self._observer: Observer | None = None
        self._updates: Updates | None = None
        self._probe: Probe | None = None
        self._started = False
        self._ended = False
        self._optimizer: Any = None
        self._full_size = self._skipped = 0
        self._not_observed = ""
        self._last_diagnosis = time.monotonic()
        self._training = Interceptor(
            "train_function", self._is_due, self._around_batches, self._after_step
        )
        self._testing = Interceptor(
            "test_function", self._is_test_wanted, self._around_test, lambda *_: None
        )
        self._in_fit = False

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Take hold of the train function, which `fit` has made just before."""
        self._in_fit = True
        self._ended = False
        self._training.install(self.model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Take hold of the train function again if another callback renewed it."""
        self._training.install(self.model)

    def on_test_begin(self, logs: Any = None) -> None:
        """Take hold of the test function."""
        if self._in_fit:
            self._testing.install(self.model)

    def on_test_end(self, logs: Any = None) -> None:
        """Let the test function go."""
        self._testing.remove(self.model)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the epoch's scalars."""
        logs = dict(logs or {})
        validation = {k.removeprefix("val_"): v for k, v in logs.items() if _is_val(k)}
        self.end_epoch({k: v for k, v in logs.items() if not _is_val(k)}, validation)

    def on_train_end(self, logs: Any = None) -> None:
        """Run the last probes, write the findings, let the model go."""
        self._in_fit = False
        self._training.remove(self.model)
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
        self._optimizer = optimizer or getattr(model, "optimizer", None)
        compiled = getattr(model, "_compile_loss", None)
        if loss is not None or compiled is not None:
            function = own_loss(model, loss) if loss is not None else None
            self._probe = Probe(model, function)
            self._observer = Observer(
                model, own_step(model, self._optimizer, function), [self._optimizer]
            )

    @contextlib.contextmanager
    def step(self, batch: Any) -> Iterator[None]:
        """Look at a step: the body runs it on the batch, a pair (inputs, targets)."""
        finish = self._before_step(batch) if self._is_due() else None
        yield
        if finish is not None:
            finish(1)
        self._after_step(None, 1)

    def end_epoch(
        self,
        metrics: Mapping[str, float],
        validation: Mapping[str, float] | None = None,
    ) -> None:
        """Write the means of an epoch: `loss` and metrics, of training and validation."""
        metrics = {"learning_rate": self._learning_rate()} | dict(metrics)
        scalars = {f"epoch_{name}": value for name, value in metrics.items()}
        self._train_log.scalars(_floats(scalars), self._epoch)
        if validation:
            named = {f"epoch_{name}": value for name, value in validation.items()}
            self._validation_log.scalars(_floats(named), self._epoch)
        self._train_log.json(
            "doctor/progress", {"step": self._step, "epoch": self._epoch}, self._epoch
        )
        self._train_log.flush()
        self._validation_log.flush()
        self._epoch += 1
        if time.monotonic() - self._last_diagnosis > DIAGNOSE_EVERY_SECONDS:
            self._write_findings()

    def close(self) -> None:
        """End a recording of a loop of one's own."""
        self._finish()

    # What happens around a step.

    def _is_due(self) -> bool:
        return self._schedule.is_due(self._step)

    def _around_batches(self, batches: list[Any], run: Callable[[], Any]) -> Any:
        finish = self._before_step(first_replica(batches[0]))
        logs = run()
        finish(len(batches))
        return logs

    def _after_step(self, logs: Any, num_steps: int) -> None:
        self._step += num_steps

    def _before_step(self, batch: Any) -> Callable[[int], None]:
        """Look at the batch before its step; return what is to be done after it."""
        step = self._step
        size = batch_size(batch)
        if size < self._full_size and self._skipped < MAX_SKIPPED:
            self._skipped += 1
            return _nothing  # The rest of an epoch: the next one is due.
        self._full_size, self._skipped = size, 0
        unpacked = keras.utils.unpack_x_y_sample_weight(batch)
        if not self._started:
            if not is_built(self.model, batch):
                return _nothing  # The step builds it; the next one is due.
            self._start(batch, unpacked)
        self._schedule.advance(step)
        self._train.add(batch)
        scalars, histograms = BatchStatistics(unpacked).describe()
        observation = self._observe(batch)
        seeds = self._observer.seeds() if self._observer is not None else []
        if observation is not None and self._updates is not None:
            self._updates.before(observation)

        def finish(num_steps: int) -> None:
            if observation is not None:
                scalars.update(self._scalars_of(observation))
                if self._updates is not None:
                    scalars.update(self._updates.after(observation, num_steps))
                again = self._observe(batch, seeds)
                if again is not None and "loss" in again.logs:
                    scalars["step/loss_after"] = again.logs["loss"]
                histograms.update(observation.samples)
            scalars["step/learning_rate"] = self._learning_rate()
            self._train_log.scalars(_floats(scalars), step)
            if step >= self._next_histogram:
                self._next_histogram = max(1, HISTOGRAM_GROWTH * step)
                for tag, values in histograms.items():
                    self._train_log.histogram(tag, values, step)

        return finish

    def _start(self, batch: Any, unpacked: Any) -> None:
        """Write the facts, the graphs and the first probe, before the first step."""
        self._started = True
        model = self.model
        if self._probe is None:
            self._probe = Probe(model)
        if self._observer is None:
            self._observer = Observer(model)
        self._updates = Updates(self._observer.variables)
        optimizer = self._optimizer_in_use()
        record = describe_run(model, optimizer, unpacked, self.params or {})
        self._observe(batch)
        record["without_gradient"] = self._observer.without_gradient
        record["tapped"] = self._observer.layers
        record["not_observed"] = self._not_observed
        self._train_log.json("doctor/facts", record)
        self._train_log.json("doctor/probes", self._probe.start(unpacked))
        write_cards(self._train_log, record)
        write_images(self._train_log, unpacked)
        write_graphs(self._train_log, model)
        self._train_log.flush()

    def _observe(
        self, batch: Any, seeds: list[tf.Tensor] | None = None
    ) -> Observation | None:
        if self._observer is None or self._not_observed:
            return None
        try:
            return self._observer.observe(batch, seeds or self._observer.seeds())
        except NotObservable as error:
            self._not_observed = str(error)
        except tf.errors.OpError as error:
            # The step itself will say what is wrong with this batch.
            self._not_observed = first_line(error)
        return None

    def _scalars_of(self, observation: Observation) -> dict[str, float]:
        scalars = dict(observation.scalars)
        for name, value in observation.logs.items():
            scalars[f"step/{name}"] = value
        if "loss" in observation.logs:
            penalty = observation.logs.get("regularisation", 0.0)
            scalars["step/data_loss"] = observation.logs["loss"] - penalty
        return scalars

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
        if self._probe is not None:
            record = self._probe.end(self._train, self._validation)
            record["step"] = self._step
            self._train_log.json("doctor/probes", record, self._step)
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
        self._train_log.json("doctor/findings", records, self._step)
        self._train_log.flush()

    def _learning_rate(self) -> float | None:
        return facts.learning_rate(self._optimizer_in_use())

    def _optimizer_in_use(self) -> Any:
        return self._optimizer or getattr(self.model, "optimizer", None)


def _is_val(name: str) -> bool:
    return name.startswith("val_")


def _floats(values: Mapping[str, Any]) -> dict[str, float]:
    """Return what is one number each."""
    known = {k: v for k, v in values.items() if v is not None}
    return {k: float(v) for k, v in known.items() if np.size(v) == 1}


def _nothing(num_steps: int) -> None:
    """Do nothing after a step that wasn't looked at."""
