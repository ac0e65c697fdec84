"""Exercise 23's metrics, from its points."""

from __future__ import annotations

from collections.abc import Sequence

from tfcourse.compression_study import Point, Study


def metrics_of(
    study: Study, network: str, prefix: str, rivals: Sequence[str]
) -> dict[str, float]:
    """Return one network's metrics; every choice among files is made on validation.

    Args:
        study: With all points.
        network: Its name.
        prefix: Of the metrics' names.
        rivals: Methods of the small networks that it is compared with.
    """
    mine = [point for point in study.points if point.network == network]
    (base,) = (point for point in mine if point.method == "float32")
    files = [point for point in mine if point.method == "all in sequence"]
    share, count = base.val_accuracy, len(study.examples.val[1])
    standard_error = (share * (1 - share) / count) ** 0.5
    kept = [p for p in files if p.val_accuracy >= share - standard_error] or files[:1]
    best, last = min(kept, key=lambda point: point.num_bytes), files[-1]
    thin = [
        point
        for point in mine
        if point.method == "low rank, tuned" and point.num_bytes <= 0.1 * base.num_bytes
    ]
    rank = max(thin, key=lambda point: point.num_bytes, default=base)
    (int8,) = (point for point in mine if point.method == "tfmot litert_int8")
    small = [p for p in study.points if p.method in rivals]
    equal = [p for p in small if p.num_bytes <= best.num_bytes]
    rival = max(equal, key=lambda p: p.val_accuracy, default=None)

    def points_lost(point: Point) -> float:
        return 100 * (base.test_accuracy - point.test_accuracy)

    values = {
        "accuracy": base.test_accuracy,
        "ratio": base.num_bytes / best.num_bytes,
        "points_lost": points_lost(best),
        "smallest_ratio": base.num_bytes / last.num_bytes,
        "smallest_error_percent": 100 * (1 - last.test_accuracy),
        "smallest_points_lost": points_lost(last),
        "low_rank_fewer_percent": 100 * (1 - rank.num_bytes / base.num_bytes),
        "low_rank_points_lost": points_lost(rank),
        "int8_points_lost": points_lost(int8),
        "train_seconds": study.seconds[network],
    }
    if rival is not None:
        values["points_over_rival"] = 100 * (best.test_accuracy - rival.test_accuracy)
    return {f"{prefix}_{name}": value for name, value in values.items()}
