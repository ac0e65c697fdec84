"""The experiments on the speed of input pipelines: compare, tune, draw, log."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfcourse import stream_figures
from tfcourse.pipelines import Pipelines
from tfcourse.runs import Run
from tfcourse.throughput import (
    images_per_second,
    median_ratio,
    medians,
    rates_in_turns,
    with_busy_accelerator,
    write_png_files,
)

Metrics = dict[str, float]
PLAIN_GATHER = "numpy, no pipeline"  # No pipeline: what there is to reach.
RECOMMENDED = "training_pipeline"
PREFETCH = "prefetch"  # Measured beside an accelerator as busy as the processor.
# Several passes through the slow files must fit: they wait at the start of each.
WINDOW_FACTORS = {"interleave": 4}
PARALLEL_CALLS = (1, 2, 4, 8)
BATCHES_AHEAD = (1, 8)
SWEEP_ROUNDS = 4


def study_speed(
    run: Run,
    pipelines: Pipelines,
    recommended: Callable[..., tf.data.Dataset],
    comparisons: Mapping[str, Sequence[str]],
    tuned: Mapping[str, str],
    *,
    batch_size: int,
    num_file_images: int,
    window_seconds: float,
    num_rounds: int,
) -> Metrics:
    """Return how fast the pipelines of some comparisons are, against one another.

    Args:
        run: Gets the figures `speed` and `autotune`.
        pipelines: Over images in memory.
        recommended: Returns the pipeline called "training_pipeline" from images, labels,
            batch_size and seed.
        comparisons: By name, chains from the slow way to the fast one; the metric is
            called `<name>_speedup`: the last one's speed over the first one's.
        tuned: By name of the metric, the chains for AUTOTUNE.
        batch_size: Examples per batch; with files an eighth of it.
        num_file_images: Images that are written to files as PNG.
        window_seconds: Length of each timed window.
        num_rounds: Turns that each candidate gets.
    """
    images, labels, seed = pipelines.images, pipelines.labels, pipelines.seed
    reference = plain_gather(images, labels, batch_size=batch_size, seed=seed)
    timing = (window_seconds, num_rounds)
    with tempfile.TemporaryDirectory() as folder:
        files = write_png_files(
            Path(folder), images[:num_file_images], labels[:num_file_images]
        )
        from_files = dataclasses.replace(pipelines, files=files)

        def make(
            chain: str, calls: int = tf.data.AUTOTUNE, ahead: int = tf.data.AUTOTUNE
        ) -> tf.data.Dataset:
            if chain == RECOMMENDED:
                return recommended(images, labels, batch_size=batch_size, seed=seed)
            on_disk = chain.startswith(("files", "records"))
            size = max(1, batch_size // 8) if on_disk else batch_size
            return from_files.build(
                chain, batch_size=size, parallel_calls=calls, batches_ahead=ahead
            )

        return {
            **_compare(run, make, comparisons, reference, *timing),
            **_autotune(run, make, tuned, *timing),
        }


def _compare(
    run: Run,
    make_pipeline: Callable[[str], tf.data.Dataset],
    comparisons: Mapping[str, Sequence[str]],
    reference: Iterable[Any],
    window_seconds: float,
    num_rounds: int,
) -> Metrics:
    """Return for each comparison how much faster its last pipeline is than its first."""

    def compute() -> dict[str, dict[str, list[float]]]:
        found = {}
        for name, chains in run.progress(list(comparisons.items()), "comparisons"):
            measure = functools.partial(
                images_per_second,
                window_seconds=window_seconds * WINDOW_FACTORS.get(name, 1),
            )
            candidates = {
                chain: _endless(make_pipeline(chain), chain) for chain in chains
            }
            if name == PREFETCH:
                candidates = _beside_an_accelerator(candidates, measure)
            if RECOMMENDED in chains:
                candidates[PLAIN_GATHER] = reference
            found[name] = rates_in_turns(candidates, measure, num_rounds=num_rounds)
        return found

    found = run.once("speed", compute)
    groups = {name.replace("_", " "): medians(rates) for name, rates in found.items()}
    run.figure("speed", stream_figures.rate_bars(groups))
    run.text("speed", _rate_table(groups))
    metrics = {
        f"{name}_speedup": median_ratio(found[name][chains[-1]], found[name][chains[0]])
        for name, chains in comparisons.items()
    }
    for rates in found.values():
        if PLAIN_GATHER in rates:
            ours = rates[RECOMMENDED]
            metrics["recommended_images_per_second"] = float(np.median(ours))
            metrics["recommended_over_gather"] = median_ratio(ours, rates[PLAIN_GATHER])
    return metrics


def _endless(dataset: tf.data.Dataset, chain: str) -> tf.data.Dataset:
    if "cache" in chain:
        for _ in dataset:
            pass
    return dataset.repeat()


def _beside_an_accelerator(
    candidates: Mapping[str, Iterable[Any]], measure: Callable[[Iterable[Any]], float]
) -> dict[str, Iterable[Any]]:
    """Return the candidates with a training step as long as a batch takes to make."""
    first = next(iter(candidates.values()))
    batch_size = len(next(iter(first))[0])
    seconds = batch_size / measure(first)
    return {
        name: with_busy_accelerator(dataset, seconds)
        for name, dataset in candidates.items()
    }


def _rate_table(groups: Mapping[str, Mapping[str, float]]) -> str:
    lines = [
        "| comparison | pipeline | images/s | times the first |",
        "|---|---|---|---|",
    ]
    for title, rates in groups.items():
        first = next(iter(rates.values()))
        for name, rate in rates.items():
            lines.append(f"| {title} | {name} | {rate:,.0f} | {rate / first:.2f} |")
    return "\n".join(lines)


def _autotune(
    run: Run,
    make_pipeline: Callable[..., tf.data.Dataset],
    chains: Mapping[str, str],
    window_seconds: float,
    num_rounds: int,
) -> Metrics:
    """Return AUTOTUNE's speed as a share of that of the best setting by hand.

    The best of a sweep was also lucky in it. So it is measured again, in turns with
    AUTOTUNE alone, and these rounds count.
    """
    measure = functools.partial(
        images_per_second,
        window_seconds=window_seconds,
        warmup_seconds=2 * window_seconds,  # AUTOTUNE begins anew with each iterator.
    )
    settings = {
        f"{calls} calls, {ahead} ahead": (calls, ahead)
        for ahead in BATCHES_AHEAD
        for calls in PARALLEL_CALLS
    }

    def compute() -> dict[str, Any]:
        found = {}
        for name, chain in run.progress(list(chains.items()), "AUTOTUNE"):
            tuned = make_pipeline(chain).repeat()
            by_hand = {
                setting: make_pipeline(chain, calls, ahead).repeat()
                for setting, (calls, ahead) in settings.items()
            }
            sweep = rates_in_turns(
                {"AUTOTUNE": tuned, **by_hand},
                measure,
                num_rounds=min(SWEEP_ROUNDS, num_rounds),
            )
            best = max(by_hand, key=medians(sweep).__getitem__)
            duel = rates_in_turns(
                {"AUTOTUNE": tuned, "best": by_hand[best]},
                measure,
                num_rounds=2 * num_rounds,
            )
            found[name] = {"sweep": medians(sweep), "best": best, "duel": duel}
        return found

    found = run.once("autotune", compute)
    _draw_sweeps(run, chains, settings, found)
    return {
        name: median_ratio(entry["duel"]["AUTOTUNE"], entry["duel"]["best"])
        for name, entry in found.items()
    }


def _draw_sweeps(
    run: Run,
    chains: Mapping[str, str],
    settings: Mapping[str, tuple[int, int]],
    found: Mapping[str, Any],
) -> None:
    panels, tuned = {}, {}
    for name, entry in found.items():
        lines: dict[str, dict[int, float]] = {}
        for setting, (calls, ahead) in settings.items():
            rate = entry["sweep"][setting]
            lines.setdefault(f"{ahead} ahead", {})[calls] = rate
            run.scalars(f"{name}/{ahead}_ahead", {"images_per_second": rate}, calls)
        title = f"{chains[name]}\nbest by hand: {entry['best']}"
        panels[title], tuned[title] = lines, entry["sweep"]["AUTOTUNE"]
    run.figure("autotune", stream_figures.sweep_panels(panels, tuned))


def plain_gather(
    images: np.ndarray, labels: np.ndarray, *, batch_size: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield shuffled, normalised batches without end, by numpy alone.

    The most that one processor reaches without any pipeline: each batch is written over
    the one before, so that no memory is asked for. (A pipeline can't do that: the model
    may still be reading the last batch.)
    """
    generator = np.random.default_rng(seed)
    bytes_buffer = np.empty((batch_size, *images.shape[1:]), np.uint8)
    floats_buffer = np.empty(bytes_buffer.shape, np.float32)
    while True:
        order = generator.permutation(len(labels))
        for start in range(0, len(labels), batch_size):
            chosen = order[start : start + batch_size]
            gathered, batch = bytes_buffer[: len(chosen)], floats_buffer[: len(chosen)]
            # With the default mode, numpy would gather into a copy first.
            np.take(images, chosen, axis=0, out=gathered, mode="clip")
            batch[:] = gathered
            batch *= np.float32(1 / 255)
            yield batch, labels[chosen]
