"""The epochs of one training on compiled programs, with Keras's callbacks around them."""

from __future__ import annotations

import logging
import time
from typing import Any

import keras
import tensorflow as tf

from tfcourse.training import arrays, engines
from tfcourse.training.arrays import NotServed
from tfcourse.training.engines import Engine
from tfcourse.training.order import begin_epoch, order_of
from tfcourse.training.programs import program_for
from tfcourse.training.request import Request

logger = logging.getLogger("tfcourse.training")

# One call of the program takes about this long: a bar moves, and Ctrl-C is heard.
SECONDS_PER_CALL = 1.0
FIRST_CALL_STEPS = 512


class EpochLoop:
    """One training: the model's programs, the data in memory, the callbacks.

    Args:
        model: Compiled.
        request: What to train on.
        examples: Arrays to train on.
        validation: Arrays to validate on, or whatever `model.evaluate` takes, or None.
        callbacks: They know the model already.
        engine: auto, xla or graph.

    Raises:
        NotServed: If a step runs Python code.
    """

    def __init__(
        self,
        model: keras.Model,
        request: Request,
        examples: tuple[Any, ...],
        validation: Any,
        callbacks: keras.callbacks.CallbackList,
        engine: str,
    ):
        self.model = model
        self.request = request
        self.callbacks = callbacks
        self.data = arrays.tensors(examples)
        self.num_examples = len(tf.nest.flatten(self.data)[0])
        if not model.built:
            model(tf.nest.map_structure(lambda tensor: tensor[:1], self.data[0]))
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        batch_size = min(request.batch_size, self.num_examples)
        self.program = program_for(model, "train", self.data, batch_size)
        operation = self.program.python_operation()
        if operation is not None:
            raise NotServed(f"a step runs Python code ({operation})")
        self.validation = Validation(model, request, validation, callbacks)
        self.engine = None
        if engine != "auto":
            self.engine = Engine(
                engine, "named", trace_seconds=self.program.trace_seconds
            )
        self._seconds_per_step: float | None = None

    def run(self) -> keras.callbacks.History:
        """Train all epochs and return the history, with `engine` on it."""
        model, callbacks = self.model, self.callbacks
        model.stop_training = False
        # Callbacks that resume set it in `on_train_begin`, as for `model.fit`.
        model._initial_epoch = None
        callbacks.on_train_begin()
        logs: dict[str, Any] | None = None
        first_epoch = model._initial_epoch or self.request.initial_epoch
        for epoch in range(first_epoch, self.request.epochs):
            model.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            begin_epoch(model, epoch)
            self._train(epoch)
            logs = dict(model.get_metrics_result())
            if self.request.validates_after(epoch):
                validation_logs = self.validation.run(self.engine)
                logs |= {f"val_{key}": value for key, value in validation_logs.items()}
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        optimizer = model.optimizer
        if isinstance(optimizer, keras.optimizers.Optimizer) and self.request.epochs:
            optimizer.finalize_variable_values(model.trainable_weights)
        model.history.engine = self.engine or Engine("graph", "nothing was left to do")
        callbacks.on_train_end(logs)
        return model.history

    def _train(self, epoch: int) -> None:
        """Run one epoch of training, in as few calls as keep the machine responsive."""
        order = order_of(
            self.num_examples,
            self.request.seed,
            epoch,
            shuffle=self.request.shuffle,
        )
        start, num_steps = 0, self.program.num_steps(self.data)
        while start < num_steps:
            self.callbacks.on_train_batch_begin(start)
            if self.engine is None:
                start = self._pick(order)
            stop = self._next_stop(start, num_steps)
            started = time.perf_counter()
            xla = self.engine.name == "xla"
            self.program.run(self.data, order, start, stop, xla=xla)
            if stop > start:
                self._seconds_per_step = (time.perf_counter() - started) / (
                    stop - start
                )
            self.callbacks.on_train_batch_end(stop - 1, self.model.get_metrics_result())
            if self.model.stop_training:
                break
            start = stop

    def _pick(self, order: tf.Tensor) -> int:
        """Find the engine in the first steps of the epoch; return how many are done."""
        # Epochs before `initial_epoch` count: a resumed training decides as before.
        num_steps = self.request.epochs * self.program.num_steps(self.data)
        self.engine, done = engines.pick(self.program, self.data, order, num_steps)
        engines.record(self.callbacks.callbacks, self.engine)
        logger.info("%s", self.engine)
        self._seconds_per_step = (
            self.engine.xla_seconds
            if self.engine.name == "xla"
            else self.engine.graph_seconds
        )
        return done

    def _next_stop(self, start: int, num_steps: int) -> int:
        length = FIRST_CALL_STEPS
        if self._seconds_per_step is not None:
            length = int(SECONDS_PER_CALL / max(self._seconds_per_step, 1e-9)) or 1
        # Half a call's rest goes along.
        return num_steps if num_steps - start < 1.5 * length else start + length


class Validation:
    """The validation at epoch ends: a compiled program where the data are arrays."""

    def __init__(
        self,
        model: keras.Model,
        request: Request,
        validation: Any,
        callbacks: keras.callbacks.CallbackList,
    ):
        self.model = model
        self.callbacks = callbacks
        self.given = validation
        self.batch_size = request.validation_batch_size or request.batch_size
        self.num_epochs = request.epochs
        self.program = None
        if isinstance(validation, tuple | list) and 1 < len(validation) < 4:
            x, y, weight = (*validation, None)[:3]
            try:
                self.data = arrays.tensors(arrays.examples(x, y, weight))
            except NotServed:
                return
            num_examples = len(tf.nest.flatten(self.data)[0])
            self.order = tf.range(num_examples, dtype=tf.int64)
            batch_size = min(self.batch_size, num_examples)
            self.program = program_for(model, "test", self.data, batch_size)

    def run(self, engine: Engine) -> dict[str, Any]:
        """Return the metrics on the validation data; nothing where there are none."""
        if self.given is None:
            return {}
        if self.program is None:
            return self._evaluate()
        num_steps = self.program.num_steps(self.data)
        xla = engines.validates_with_xla(
            self.program, engine, self.num_epochs * num_steps
        )
        self.callbacks.on_test_begin()
        self.model.reset_metrics()
        self.callbacks.on_test_batch_begin(0)
        try:
            self.program.run(self.data, self.order, 0, num_steps, xla=xla)
        except tf.errors.OpError:
            if not xla:
                raise
            self.program.measured["xla"] = (
                None  # It did not compile, so it did not run.
            )
            self.program.run(self.data, self.order, 0, num_steps, xla=False)
        logs = self.model.get_metrics_result()
        self.callbacks.on_test_batch_end(num_steps - 1, logs)
        self.callbacks.on_test_end(logs)
        return logs

    def _evaluate(self) -> dict[str, Any]:
        data: dict[str, Any] = {"x": self.given}
        if isinstance(self.given, tuple | list):
            data = dict(zip(("x", "y", "sample_weight"), self.given, strict=False))
            data["batch_size"] = self.batch_size
        return self.model.evaluate(
            **data, callbacks=self.callbacks, return_dict=True, verbose=0
        )
