"""The study of exercise 20: splits of speakers, trainings, and what is measured."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse import data
from tfcourse import speaker_figures as figures
from tfcourse.runs import Run
from tfcourse.speaker_baselines import (
    REGIONS,
    clip_statistics,
    discriminant_embeddings,
)
from tfcourse.speaker_inputs import (
    SpeakerCentres,
    log_mel_inputs,
    masked,
    tempo_variants,
    voice_batches,
)
from tfcourse.speaker_whitening import (
    SHRINKAGES,
    whitened_encoder,
    whitened_points,
)

WAYS = (5, 20)
LOSSES = ("contrastive", "triplet", "aam")

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Measures:
    """What the exercise teaches, as the study calls it."""

    make_pairs: Callable[..., Any]
    vary_recordings: Callable[..., tf.Tensor]
    choose_threshold: Callable[..., float]
    equal_error_rate: Callable[..., float]
    one_shot_accuracy: Callable[..., float]


class SpeakerStudy:
    """Recordings, and the results of all splits.

    Args:
        run: Gets curves, figures and what was measured.
        settings: The exercise's config.
        measures: The learner's functions.
    """

    def __init__(self, run: Run, settings: Any, measures: Measures):
        self.run, self.settings, self.measures = run, settings, measures
        speech, info = data.load_recordings("speech_commands", source=settings.source)
        run.record_data(info)
        noise, noise_info = data.load_recordings(
            "speech_commands", "noise", source=settings.source
        )
        run.record_data(noise_info)
        self.sample_rate = speech.sample_rate
        self.clips = speech.fixed(speech.sample_rate)  # One second: [n, samples]
        self.noises = noise.fixed(noise.sample_rate)
        self.noises = self.noises[np.any(self.noises != 0, axis=1)]
        self.speakers, self.words = speech.speakers, speech.labels
        self.word_names = info.class_names
        self.inputs = np.concatenate(
            [
                log_mel_inputs(part, settings, self.sample_rate)
                for part in np.array_split(self.clips, 6)
            ]
        )  # [n, frames, mels]
        self.statistics = clip_statistics(self.clips, self.sample_rate)
        self.results: dict[str, list[dict[str, Any]]] = {}
        self.shown: dict[str, np.ndarray] = {}  # Embeddings of the first split's test.
        self.shown_places = np.zeros(0, np.int64)

    def split(self, number: int, parts: Sequence[np.ndarray]) -> Split:
        """Return the study of one split.

        Args:
            number: Of the split.
            parts: Places of the clips for training, validation and test.
        """
        named = dict(zip(("train", "val", "test"), map(np.asarray, parts), strict=True))
        return Split(self, number, named)

    def report(self) -> dict[str, float]:
        """Draw the figures, write the tables; return mean and spread over the splits."""
        metrics = {}
        for name, rows in self.results.items():
            for key in ("accuracy", "equal_error", "one_shot_5", "one_shot_20"):
                values = [row[key] for row in rows]
                metrics[f"{name}_{key}"] = float(np.mean(values))
                metrics[f"{name}_{key}_deviation"] = float(np.std(values))
        seconds = [row["seconds"] for name in LOSSES for row in self.results[name]]
        metrics["train_seconds_slowest"] = max(seconds)
        # The validation speakers choose the loss, too, and whether to whiten.
        twins = [name for name in self.results if name.split("_")[0] in LOSSES]
        errors = [
            np.mean([row["val_equal_error"] for row in self.results[name]])
            for name in twins
        ]
        chosen = twins[np.argmin(errors)]
        metrics |= {
            f"twin_{key}": metrics[f"{chosen}_{key}"]
            for key in ("accuracy", "equal_error", "one_shot_5", "one_shot_20")
        }
        for gain, bar in (("classical", "classical_all"), ("whitening", "whitened")):
            metrics[f"gain_over_{gain}"] = (
                metrics["twin_accuracy"] - metrics[f"{bar}_accuracy"]
            )
        self._project()
        for name, figure in figures.all_figures(self.results, chosen).items():
            self.run.figure(name, figure)
        table = figures.table(self.results)
        self.run.text("methods", table)
        print(
            f"\nUnseen speakers, mean over {self.settings.num_splits} splits:\n{table}"
        )
        return metrics

    def _project(self) -> None:
        """Write the first split's test clips for the projector, and two to listen to."""
        test = self.shown_places
        labels = [
            f"speaker {speaker}: {self.word_names[word]}"
            for speaker, word in zip(self.speakers[test], self.words[test], strict=True)
        ]
        pictures = np.clip(self.inputs[test] / 6 + 0.5, 0, 1)  # [n, frames, mels]
        pictures = pictures[:, ::2].swapaxes(1, 2)[:, ::-1]
        self.run.projector("embeddings", self.shown, labels, pictures)
        self.run.audio("clips", self.clips[test[:2]], self.sample_rate)


class Split:
    """One split of the speakers: pairs, baselines, trainings."""

    def __init__(
        self, study: SpeakerStudy, number: int, parts: Mapping[str, np.ndarray]
    ):
        self.study, self.number, self.parts = study, number, parts
        self.name = f"split_{number}"
        self.pairs = {}
        for part in ("val", "test"):
            places = parts[part]
            pairs, same = study.measures.make_pairs(study.speakers[places], number)
            self.pairs[part] = places[np.asarray(pairs)], np.asarray(same)

    def measure_classical(self) -> None:
        """Measure MFCC statistics with LDA by region, and whitened input statistics."""

        def val(points: np.ndarray) -> float:
            return -self._equal_error("val", self._cosines("val", points))

        for region in REGIONS:
            embeddings = discriminant_embeddings(
                self.study.statistics[region], self.study.speakers, self.parts, val
            )
            score = functools.partial(self._cosines, embeddings=embeddings)
            self._keep(f"classical_{region}", score, embeddings, 0.0)
        inputs = self.study.inputs
        pooled = np.concatenate([inputs.mean(axis=1), inputs.std(axis=1)], axis=1)
        fitted = self.study.speakers, self.parts["train"]
        whitened = (whitened_points(pooled, *fitted, value) for value in SHRINKAGES)
        embeddings = max(whitened, key=val)
        score = functools.partial(self._cosines, embeddings=embeddings)
        self._keep("whitened", score, embeddings, 0.0)

    def train(self, name: str, encoder: keras.Model, loss: Loss) -> float:
        """Train the encoder on the training speakers; return the seconds it took.

        Args:
            name: Of the loss; "aam" trains on cosines with a centre for each voice.
            encoder: From spectrograms to embeddings of length 1.
            loss: Of voices [batch] and embeddings, or cosines with centres.
        """
        study, settings = self.study, self.study.settings
        samples, voices = self._voices
        train_ds = voice_batches(
            samples,
            voices,
            self._varied_inputs,
            voices_per_batch=min(settings.speakers_per_batch, int(voices.max()) + 1),
            clips_per_voice=settings.clips_per_speaker,
            num_batches=settings.steps_per_epoch,
            seed=settings.seed + self.number,
        )
        outputs = encoder.output
        if name == "aam":
            outputs = SpeakerCentres(int(voices.max()) + 1)(outputs)
        model = keras.Model(encoder.input, outputs)
        schedule = keras.optimizers.schedules.CosineDecay(
            settings.learning_rate, settings.steps_per_epoch * settings.epochs
        )
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay)

        def speaker_loss(voices: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
            return loss(voices, outputs)  # A function with a name can be written down.

        model.compile(optimizer, speaker_loss, jit_compile=False)
        stage = f"{self.name}/{name}"
        callbacks = study.run.callbacks(
            stage, epochs=settings.epochs, train_ds=train_ds, histograms=False
        )
        watch = _Validation(self, encoder, stage)
        started = time.perf_counter()
        model.fit(
            train_ds,
            epochs=settings.epochs,
            callbacks=[watch, *callbacks],
            shuffle=False,
            verbose=0,
        )
        return time.perf_counter() - started

    def whiten(self, encoder: keras.Model) -> keras.Model:
        """Return the encoder with a whitening for its last layer, by training speakers.

        Args:
            encoder: From spectrograms to embeddings of length 1.
        """
        train = self.parts["train"]
        return whitened_encoder(
            encoder, self.study.inputs[train], self.study.speakers[train]
        )

    def measure_twin(
        self, name: str, encoder: keras.Model, twin: keras.Model, seconds: float
    ) -> None:
        """Measure a twin network on the unseen speakers.

        Args:
            name: Of the loss.
            encoder: Gives the embeddings for one-shot identification.
            twin: Gives the scores of the pairs.
            seconds: That the training took.
        """
        embeddings = encoder.predict(self.study.inputs, batch_size=100, verbose=0)

        def score(part: str) -> np.ndarray:
            pairs, _ = self.pairs[part]
            first, second = (self.study.inputs[column] for column in pairs.T)
            cosines = twin.predict([first, second], batch_size=200, verbose=0)
            return np.ravel(cosines)

        self._keep(name, score, embeddings, seconds)
        if self.number == 0:
            self.study.shown[name] = embeddings[self.parts["test"]]
            self.study.shown_places = self.parts["test"]

    @functools.cached_property  # Three losses train on the same voices.
    def _voices(self) -> tuple[np.ndarray, np.ndarray]:
        train = self.parts["train"]
        return tempo_variants(
            self.study.clips[train],
            self.study.speakers[train],
            self.study.settings.tempos,
        )

    def _varied_inputs(self, samples: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        study = self.study
        first, second = tf.unstack(tf.random.split(seed, 2))
        varied = study.measures.vary_recordings(samples, study.noises, first)
        inputs = log_mel_inputs(varied, study.settings, study.sample_rate)
        return masked(inputs, second, width=study.settings.num_mels // 8)

    def _cosines(self, part: str, embeddings: np.ndarray) -> np.ndarray:
        first, second = self.pairs[part][0].T
        return np.sum(embeddings[first] * embeddings[second], axis=1)

    def _equal_error(self, part: str, scores: np.ndarray) -> float:
        return float(self.study.measures.equal_error_rate(self.pairs[part][1], scores))

    def _keep(
        self,
        name: str,
        score: Callable[[str], np.ndarray],
        embeddings: np.ndarray,
        seconds: float,
    ) -> None:
        study = self.study

        def measure() -> dict[str, Any]:
            measures, scores = study.measures, score("test")
            same = self.pairs["test"][1]
            val_scores = score("val")
            threshold = measures.choose_threshold(self.pairs["val"][1], val_scores)
            row = {
                "accuracy": np.mean((scores >= threshold) == same),
                "equal_error": self._equal_error("test", scores),
                "val_equal_error": self._equal_error("val", val_scores),
                "threshold": float(threshold),
                "seconds": seconds,
                "scores": [np.round(scores[same == flag], 4) for flag in (False, True)],
            }
            # More ways than there are test speakers: those of validation join in.
            unseen = np.concatenate([self.parts["test"], self.parts["val"]])
            for ways in WAYS:
                count = min(ways, len(np.unique(study.speakers[unseen])))
                row[f"one_shot_{ways}"] = measures.one_shot_accuracy(
                    embeddings[unseen],
                    study.speakers[unseen],
                    count,
                    study.settings.num_trials,
                    self.number,
                )
            return row

        row = study.run.once(f"{self.name}/measured_{name}", measure)
        study.results.setdefault(name, []).append(row)
        kept = {key: row[key] for key in ("accuracy", "equal_error", "one_shot_5")}
        study.run.hparams(
            f"{name}_{self.number}", {"method": name, "split": self.number}, kept
        )


class _Validation(keras.callbacks.Callback):
    """Writes the equal error rate of validation speakers at every epoch's end."""

    few_batch_calls_are_enough = True

    def __init__(self, split: Split, encoder: keras.Model, stage: str):
        super().__init__()
        self.split, self.encoder, self.stage = split, encoder, stage

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        places = self.split.parts["val"]
        inputs = self.split.study.inputs
        embeddings = np.zeros((len(inputs), self.encoder.output_shape[1]), np.float32)
        embeddings[places] = self.encoder(inputs[places], training=False)
        scores = self.split._cosines("val", embeddings)
        error = self.split._equal_error("val", scores)
        self.split.study.run.scalars(
            f"{self.stage}/validation", {"epoch_equal_error": error}, epoch
        )
