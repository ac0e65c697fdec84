"""The scalars that the TensorBoard tab draws, thinned to what a small chart can show."""

import math
from collections.abc import Sequence
from typing import Any

from tensorboard.data import provider

from tfcourse.doctor.tab_runs import TRAIN, VALIDATION, Run, Source

MAX_POINTS = 240  # Of one series: the charts have fewer pixels.
MAX_READ_POINTS = 2000  # TensorBoard keeps 1000 of a series unless told otherwise.


def read_series(source: Source, run: Run, tags: Sequence[str]) -> list[dict[str, Any]]:
    """Return the scalars of a training run, of both its sides.

    A tag that starts with "validation/" is that of the validation side as well.

    Returns:
        A dict for each series: tag (as asked for), side, steps int [n], values
        float [n], with n at most about `MAX_POINTS`.
    """
    if not tags:
        return []
    wanted = {
        (tag, side): run.aliases.get(f"{side}/{tag}", tag)
        for tag in tags
        for side in (TRAIN, VALIDATION)
    }
    short = {tag: tag.removeprefix(f"{VALIDATION}/") for tag in tags}
    data = source.provider.read_scalars(
        source.context,
        experiment_id=source.experiment_id,
        plugin_name="scalars",
        downsample=MAX_READ_POINTS,
        run_tag_filter=provider.RunTagFilter(
            runs=list(run.sides), tags=sorted({*wanted.values(), *short.values()})
        ),
    )
    series = []
    for (tag, side), real in wanted.items():
        places = [(name, real) for name in run.sides if run.sides[name] == side]
        if real != tag:  # Other writers put both sides into one folder.
            places += [(name, real) for name in run.sides]
        if side == VALIDATION:
            places += [(name, short[tag]) for name, _ in places]
        found = (data.get(name, {}).get(there) for name, there in places)
        points = next(filter(None, found), None)
        if points:
            steps, values = thinned(
                [point.step for point in points], [point.value for point in points]
            )
            series.append({"tag": tag, "side": side, "steps": steps, "values": values})
    return series


def thinned(
    steps: list[int], values: list[float], max_points: int = MAX_POINTS
) -> tuple[list[int], list[float]]:
    """Return a series of few points that looks the same.

    Of each stretch the first, the least, the greatest and the first non-finite value
    stay, so that no spike is lost; the last of all stays too.
    """
    count = len(values)
    if count <= max_points:
        return steps, values
    length = math.ceil(count / (max_points // 4))
    kept = {count - 1}
    for start in range(0, count, length):
        stretch = range(start, min(start + length, count))
        finite = [index for index in stretch if math.isfinite(values[index])]
        kept.add(start)
        if finite:
            kept |= {min(finite, key=values.__getitem__)}
            kept |= {max(finite, key=values.__getitem__)}
        kept |= set([index for index in stretch if index not in finite][:1])
    order = sorted(kept)
    return [steps[index] for index in order], [values[index] for index in order]
