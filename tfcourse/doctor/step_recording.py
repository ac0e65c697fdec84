"""Records sampled steps: what goes in, what the step does, what it changes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from tfcourse.doctor import facts
from tfcourse.doctor.cards import write_cards, write_graphs
from tfcourse.doctor.event_log import EventLog
from tfcourse.doctor.example_images import write_images
from tfcourse.doctor.examples import Examples
from tfcourse.doctor.interception import batch_size, first_replica
from tfcourse.doctor.observation import NotObservable, Observation, Observer, first_line
from tfcourse.doctor.own_loop import is_built
from tfcourse.doctor.probes import Probe
from tfcourse.doctor.run_facts import describe_run
from tfcourse.doctor.sampling import BatchStatistics, Updates
from tfcourse.doctor.schedule import Schedule
from tfcourse.errors import UserError

HISTOGRAM_GROWTH = 2  # Histograms at steps 0, 1, 2, 4, ...: a dozen in 10,000 steps.
REPEATED_STEPS = 13  # The loss of the same batch after the step: of the early ones.
MAX_SKIPPED = 2  # Smaller batches in a row; then that is their size.


class StepRecorder:
    """Looks at the steps that a schedule picks.

    Attributes:
        step: How many steps were run.
        examples: Batches that were kept.
        observer: Sees a step from beside; made at the first one.
        probe: Runs experiments on the model; made at the first step.
    """

    def __init__(self, log: EventLog):
        self.step = 0
        self.examples = Examples()
        self.observer: Observer | None = None
        self.probe: Probe | None = None
        self._log = log
        self._schedule = Schedule()
        self._updates: Updates | None = None
        self._model: Any = None
        self._optimizer: Any = None
        self._params: Mapping[str, Any] = {}
        self._started = False
        self._next_histogram = 0
        self._full_size = self._skipped = 0
        self._not_observed = ""

    def watch(
        self, model: keras.Model, optimizer: Any = None, params: Any = None
    ) -> None:
        """Say what is trained: the optimizer is the compiled one by default."""
        self._model = model
        self._optimizer = optimizer or getattr(model, "optimizer", None)
        self._params = params or {}

    def learning_rate(self) -> float | None:
        """Return the rate of the next step; None if it isn't known."""
        return facts.learning_rate(self._optimizer)

    def weight_change(self) -> float | None:
        """Return how far the last epoch moved the weights; None before the first."""
        updates = self._updates
        if updates is None:
            return None
        return cast("float | None", self.guarded(updates.since_last_epoch))

    def is_due(self) -> bool:
        """Return whether the next step is to be looked at."""
        return self._schedule.is_due(self.step)

    def around(self, batches: list[Any], run: Callable[[], Any]) -> Any:
        """Look at the first of some batches, run the steps, look again."""
        batch = first_replica(batches[0])
        finish = self.guarded(lambda: self.before(batch))
        logs = run()
        if finish is not None:
            self.guarded(lambda: finish(len(batches)))
        return logs

    def guarded(self, work: Callable[[], Any]) -> Any:
        """Do a part of the recording; its failure ends the recording, not the training.

        Raises:
            UserError: If the folder can't be written.
        """
        try:
            with np.errstate(all="ignore"):  # Weights may be beyond all bounds.
                return work()
        except UserError:
            raise
        except Exception as error:
            self._schedule.stop()
            warnings.warn(
                f"Recorder stopped at step {self.step}: {first_line(error)}; the "
                "training goes on",
                stacklevel=2,
            )
            return None

    def after(self, logs: Any, num_steps: int) -> None:
        """Count the steps that were run."""
        self.step += num_steps

    def before(self, batch: Any) -> Callable[[int], None]:
        """Look at the batch before its step; return what is to be done after it."""
        step = self.step
        size = batch_size(batch)
        if size < self._full_size and self._skipped < MAX_SKIPPED:
            self._skipped += 1
            return _nothing  # The rest of an epoch: the next one is due.
        self._full_size, self._skipped = size, 0
        unpacked = keras.utils.unpack_x_y_sample_weight(batch)
        if not self._started:
            if not is_built(self._model, batch):
                return _nothing  # The step builds it; the next one is due.
            self._start(batch, unpacked)
        self._schedule.advance(step)
        self.examples.add(batch)
        scalars, histograms = BatchStatistics(unpacked).describe()
        observation = self._observe(batch)
        seeds = self.observer.seeds() if self.observer is not None else []
        if observation is not None and self._updates is not None:
            self._updates.before(observation)

        def finish(num_steps: int) -> None:
            if observation is not None:
                scalars.update(self._scalars_of(observation))
                if self._updates is not None:
                    scalars.update(self._updates.after(observation, num_steps))
                again = self._observe(batch, seeds) if step < REPEATED_STEPS else None
                if again is not None and "loss" in again.logs:
                    scalars["step/loss_after"] = again.logs["loss"]
                histograms.update(observation.samples)
            rate = {"step/learning_rate": self.learning_rate()}
            self._log.scalars(as_floats(scalars | rate), step)
            if step >= self._next_histogram:
                self._next_histogram = max(1, HISTOGRAM_GROWTH * step)
                for tag, values in histograms.items():
                    self._log.histogram(tag, values, step)
            self._log.flush_if_due()

        return finish

    def _start(self, batch: Any, unpacked: Any) -> None:
        """Write the facts, the graphs and the first probe, before the first step."""
        self._started = True
        model = self._model
        if self.probe is None:
            self.probe = Probe(model)
        if self.observer is None:
            self.observer = Observer(model)
        self._updates = Updates(self.observer.variables, self.observer.names)
        optimizer = self._optimizer
        record = describe_run(model, optimizer, unpacked, self._params)
        self._observe(batch)
        record["without_gradient"] = self.observer.without_gradient
        record["not_given"] = self.observer.not_given
        record["tapped"] = self.observer.layers
        record["not_observed"] = self._not_observed
        self._log.json("doctor/facts", record)
        self._log.json("doctor/probes", self.probe.start(unpacked))
        write_cards(self._log, record)
        write_images(self._log, unpacked)
        write_graphs(self._log, model)
        self._log.flush()

    def _observe(
        self, batch: Any, seeds: list[tf.Tensor] | None = None
    ) -> Observation | None:
        if self.observer is None or self._not_observed:
            return None
        try:
            return self.observer.observe(batch, seeds or self.observer.seeds())
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


def as_floats(values: Mapping[str, Any]) -> dict[str, float]:
    """Return what is one number each."""
    known = {k: v for k, v in values.items() if v is not None}
    return {k: float(v) for k, v in known.items() if np.size(v) == 1}


def _nothing(num_steps: int) -> None:
    """Do nothing after a step that wasn't looked at."""
