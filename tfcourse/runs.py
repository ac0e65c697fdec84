"""One run of an exercise: its folder, TensorBoard logs, figures, progress, result.

logs/runs/01_deep_mlp/lab-20261120-153000/
    result.json       metrics, seconds, device, versions, data, seed, config
    figures/*.png
    <name>/train/     event files, and so on: ordinary TensorBoard logs
    resume/           until the run is finished: what `--resume` goes on from
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from tfcourse.embedding_projector import write_projector_files
from tfcourse.errors import UserError
from tfcourse.progress import FitProgress, LiveProgress
from tfcourse.resume import ResumePoints, seed_everything
from tfcourse.run_folder import (
    RESULT_NAME,
    lock,
    make_run_folder,
    read_json,
    unfinished_run_folder,
    unlock,
    write_bytes,
    write_json,
    writing,
)
from tfcourse.run_result import Result, plain
from tfcourse.tensorboard_logs import EventFiles, TrainingLog

# Parts of a path that never lead out of the run's folder.
PART = r"[A-Za-z0-9_=+-][A-Za-z0-9_.=+-]*"
NAME_PATTERN = re.compile(rf"{PART}(/{PART})*")

Item = TypeVar("Item")


class Run:
    """One run's folder and everything that is written into it.

    Args:
        directory: The run's folder.
        exercise: Name of the exercise, such as `01_deep_mlp`.
        tier: smoke, lab or full.
        seed: Seed of the run.
        resume: Whether to go on with the run that lies in `directory`.
        show_progress: Whether to print progress.
        submission: The learner's file that is trained, if not the reference.

    Raises:
        UserError: If the folder can't be written, holds another run, or another process
            works on it.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        exercise: str = "",
        tier: str = "",
        seed: int = 0,
        resume: bool = False,
        show_progress: bool = True,
        submission: str | None = None,
    ):
        self.directory = Path(directory)
        self.exercise = exercise
        self.tier = tier
        self.seed = seed
        self._live = LiveProgress(show=show_progress)
        self._events = EventFiles(self.directory)
        with writing(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
        if not lock(self.directory):
            raise UserError(f"another process works on {self.directory}")
        earlier = read_json(self.directory / RESULT_NAME)
        if earlier is not None and not resume:
            raise UserError(
                f"{self.directory} already holds a run; "
                "resume it or choose another folder"
            )
        self.resumed = isinstance(earlier, dict)
        self._stages: set[str] = set()
        self._result = Result(
            self.directory / RESULT_NAME,
            exercise=exercise,
            tier=tier,
            seed=seed,
            submission=submission,
        )
        if self.resumed:
            self._result.take_up(earlier)
            self._live.line(f"resumes {self.directory}")
        self._result.write()

    @classmethod
    def create(
        cls,
        exercise_name: str,
        tier: str,
        *,
        seed: int,
        resume: bool = False,
        root: str | Path = "logs/runs",
        **options: Any,
    ) -> Run:
        """Return a new run below `root`, or with `resume` the newest unfinished one.

        Raises:
            UserError: If the folder can't be written, or the unfinished run has another
                seed.
        """
        parent = Path(root) / exercise_name
        folder = unfinished_run_folder(parent, tier) if resume else None
        if resume and folder is None:
            print(f"nothing to resume in {parent} for tier {tier}: starts a new run")
        resume = folder is not None
        if folder is None:
            folder = make_run_folder(parent, tier)
        return cls(
            folder,
            exercise=exercise_name,
            tier=tier,
            seed=seed,
            resume=resume,
            **options,
        )

    def callbacks(
        self,
        name: str,
        *,
        epochs: int,
        train_ds: tf.data.Dataset | None = None,
        histograms: bool = True,
        others: Sequence[keras.callbacks.Callback] = (),
    ) -> list[keras.callbacks.Callback]:
        """Return the callbacks of one `fit`: logs below `name`, progress, resume points.

        Args:
            name: Name of the stage, unique in the run: `linear`, `deep`.
            epochs: As given to `fit`.
            train_ds: The shuffled `tf.data` set that is given to `fit`, so that a
                resumed run goes on in the same order. Arrays given to
                `tfcourse.training.fit` need nothing.
            histograms: Whether to write histograms of the weights.
            others: Callbacks with a state of their own, such as `EarlyStopping`: they
                are put into the list, and their state goes into the resume points.
        """
        points = ResumePoints(
            self._stage_folder(name),
            seed=self.seed,
            name=name,
            resume=self.resumed,
            train_ds=train_ds,
            others=others,
            say=self._live.line,
            saved=self._result.write,
        )
        return [
            FitProgress(self._live, name, epochs),
            TrainingLog(self._events, name, histograms=histograms),
            *others,
            # Last, so that a point is written when the others have seen the epoch.
            points,
        ]

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return `compute()`, stored under `name`; a resumed run reads what was stored.

        The result must be plain data (JSON); it comes back as JSON has it: tuples as
        lists, keys as texts.
        """
        path = self._stage_folder(name) / "value.json"
        stored = read_json(path) if self.resumed else None
        if isinstance(stored, dict) and "value" in stored:
            value = stored["value"]
        else:
            seed_everything(self.seed, name)
            value = json.loads(json.dumps(plain(compute())))
            write_json(path, {"value": value})
            self._result.write()
        seed_everything(self.seed, name, "end")
        return value

    def progress(self, iterable: Iterable[Item], label: str) -> Iterator[Item]:
        """Return the items one by one, with a live bar."""
        return self._live.track(iterable, label)

    def scalars(self, name: str, values: Mapping[str, float], step: int) -> None:
        """Write scalars for TensorBoard, below `name`."""
        self._events.scalars(name, values, step)

    def text(self, name: str, markdown: str) -> None:
        """Write a text in Markdown for TensorBoard."""
        self._events.text(name, markdown)

    def image(self, name: str, images: np.ndarray, step: int = 0) -> None:
        """Write images for TensorBoard.

        Args:
            name: Tag.
            images: uint8, or float in [0, 1], [n, height, width] or
                [n, height, width, channels].
            step: Step.
        """
        self._events.image(name, images, step)

    def audio(
        self, name: str, clips: np.ndarray, sample_rate: int, step: int = 0
    ) -> None:
        """Write sounds that TensorBoard plays.

        Args:
            name: Tag.
            clips: float [n, samples], or one [samples]. Louder than 1, all are made
                quieter by one factor rather than clipped.
            sample_rate: In Hz.
            step: Step.
        """
        self._events.audio(name, clips, sample_rate, step)

    def figure(self, name: str, matplotlib_figure: Figure) -> Path:
        """Write `figures/<name>.png` and the same as an image for TensorBoard."""
        buffer = io.BytesIO()
        matplotlib_figure.savefig(buffer, format="png")
        path = self.directory / "figures" / f"{_checked(name)}.png"
        write_bytes(path, buffer.getvalue())
        self._events.png(name, buffer.getvalue())
        return path

    def file(self, name: str, content: bytes) -> Path:
        """Write `content` to the file `name` in the run's folder; return its path."""
        path = self.directory / _checked(name)
        write_bytes(path, content)
        return path

    def hparams(
        self, trial_name: str, hparams: Mapping[str, Any], metrics: Mapping[str, float]
    ) -> None:
        """Record one trial for TensorBoard's HParams, below `study/<trial_name>`."""
        self._events.hparams(_checked(trial_name), hparams, metrics)

    def projector(
        self,
        name: str,
        vectors: np.ndarray | Mapping[str, np.ndarray],
        labels: Sequence[object],
        images: np.ndarray | None = None,
        *,
        write: Callable[..., None] = write_projector_files,
    ) -> None:
        """Write files for TensorBoard's embedding projector, below `name`.

        Args:
            name: Name of the embedding.
            vectors: float [n, dimensions], or several such arrays by name.
            labels: One per vector.
            images: One thumbnail per vector: uint8, or float in [0, 1],
                [n, height, width] or [n, height, width, channels].
            write: Writes the files: called with the folder and the last three arguments.
        """
        write(self.directory / _checked(name), vectors, labels, images)
        # TensorBoard takes a folder for a run if it has an event file.
        self._events.text("about", f"{len(labels)} points for the projector", name)

    def record_data(self, info: Any) -> None:
        """Print which data the run uses, and keep it for the result."""
        record = plain(info)
        note = f" ({record['note']})" if record.get("note") else ""
        self._live.line(
            f"data: {record['name']}/{record['split']}, {record['num_examples']} "
            f"examples, source {record['source']}: {record['origin']}{note}"
        )
        self._result.add_data(record)

    def finish(
        self, metrics: Mapping[str, float], config: Any, settings: Sequence[str] = ()
    ) -> Path:
        """Write the complete `result.json` and return its path.

        Args:
            metrics: What was measured.
            config: With which settings.
            settings: `name=value`: what differs from the tier's.
        """
        self._result.complete(metrics, config, settings)
        self._events.close()
        shutil.rmtree(self.directory / "resume", ignore_errors=True)
        unlock(self.directory)
        return self.directory / RESULT_NAME

    def _stage_folder(self, name: str) -> Path:
        """Return where the stage's resume points lie; a name is for one stage."""
        if name in self._stages:
            raise ValueError(
                f"this run has a stage {name!r} already; give each fit and each "
                "once() a name of its own, or start a new run"
            )
        self._stages.add(name)
        return self.directory / "resume" / _checked(name)


def _checked(name: str) -> str:
    if not NAME_PATTERN.fullmatch(name):
        raise ValueError(
            "a name must consist of letters, digits, _ . = + - and / between parts; "
            f"got {name!r}"
        )
    return name
