"""How rules put a finding together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tfcourse.doctor.findings import Evidence, Finding, See, Severity, Where
from tfcourse.doctor.view import View


def severity_of(view: View) -> Severity:
    """Return how much a fault costs this run: by what the run reaches."""
    if view.fails:
        return "error"
    return "note" if view.learns_well else "warning"


def make(
    fault: str,
    severity: Severity,
    confidence: float,
    message: str,
    remedy: str,
    *,
    rule: str,
    numbers: Mapping[str, float] | None = None,
    layer: str = "",
    variable: str = "",
    steps: tuple[int, int] | None = None,
    series: Sequence[str] = (),
    see: Sequence[tuple[str, str]] = (),
) -> Finding:
    """Return a finding with one piece of evidence."""
    kept = {k: float(v) for k, v in (numbers or {}).items() if not math.isnan(float(v))}
    return Finding(
        fault=fault,
        severity=severity,
        confidence=round(min(max(confidence, 0.0), 1.0), 2),
        where=Where(layer, variable, steps),
        evidence=(Evidence(rule, kept, tuple(series)),),
        message=message,
        remedy=remedy,
        see=tuple(See(dashboard, tag) for dashboard, tag in see)
        or tuple(See("scalars", tag) for tag in series),
    )
