"""Scores of the doctor on runs whose faults are known: pure functions, no TensorFlow."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Z_95 = 1.959964  # The normal distribution's 97.5 % point.


@dataclass(frozen=True)
class Scored:
    """One run with its findings.

    Attributes:
        faults: The accepted right causes, the intended one first; empty: healthy.
        findings: Fault codes of the findings above note, ranked.
    """

    program: str
    seed: int
    faults: tuple[str, ...]
    split: str
    findings: tuple[str, ...]


@dataclass(frozen=True)
class Share:
    """A share over programs, with its 95 % confidence interval.

    `value` is the mean over programs of the share of their seeds; the interval counts
    programs, since seeds of one program aren't independent.
    """

    value: float
    low: float
    high: float
    programs: int
    runs: int


@dataclass(frozen=True)
class Goal:
    """A measure, what it must reach, and which runs it is taken over."""

    title: str
    limit: float
    at_least: bool
    healthy: bool
    holds: Callable[[Scored], bool]

    def met(self, share: Share) -> bool:
        """Return whether the share reaches the goal."""
        if self.at_least:
            return share.value >= self.limit
        return share.value <= self.limit


def right(run: Scored, first: int) -> bool:
    """Return whether one of the first findings is an accepted cause."""
    return any(code in run.faults for code in run.findings[:first])


GOALS = (
    Goal("failing runs with a finding", 0.95, True, False, lambda r: bool(r.findings)),
    Goal("healthy runs with a finding", 0.05, False, True, lambda r: bool(r.findings)),
    Goal("first finding right", 0.75, True, False, lambda r: right(r, 1)),
    Goal("one of the first three right", 0.90, True, False, lambda r: right(r, 3)),
)


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share; `successes` may be a fraction.

    >>> [round(bound, 3) for bound in wilson(9, 10)]
    [0.596, 0.982]

    Source: Wilson, 1927, doi:10.1080/01621459.1927.10502953.
    """
    if not trials:
        return 0.0, 1.0
    share = successes / trials
    spread = Z_95 * math.sqrt(share * (1 - share) / trials + Z_95**2 / (4 * trials**2))
    middle = share + Z_95**2 / (2 * trials)
    scale = 1 + Z_95**2 / trials
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def share(runs: Iterable[Scored], holds: Callable[[Scored], bool]) -> Share:
    """Return how often it holds, each program counting once."""
    by_program: dict[str, list[bool]] = {}
    for run in runs:
        by_program.setdefault(run.program, []).append(holds(run))
    shares = [sum(held) / len(held) for held in by_program.values()]
    num_runs = sum(len(held) for held in by_program.values())
    low, high = wilson(sum(shares), len(shares))
    value = sum(shares) / len(shares) if shares else math.nan
    return Share(value, low, high, len(shares), num_runs)


def goals(runs: Sequence[Scored]) -> list[tuple[Goal, Share]]:
    """Return each goal that has runs to be measured on, with its share."""
    rows = []
    for goal in GOALS:
        chosen = [run for run in runs if (not run.faults) == goal.healthy]
        if chosen:
            rows.append((goal, share(chosen, goal.holds)))
    return rows


def by_fault(runs: Sequence[Scored]) -> list[tuple[str, Share, Share, Share]]:
    """Return for each intended fault: found at all, first right, first three right."""
    rows = []
    for code in sorted({run.faults[0] for run in runs if run.faults}):
        chosen = [run for run in runs if run.faults[:1] == (code,)]
        rows.append(
            (
                code,
                share(chosen, lambda r: bool(r.findings)),
                share(chosen, lambda r: right(r, 1)),
                share(chosen, lambda r: right(r, 3)),
            )
        )
    return rows


def confusions(runs: Sequence[Scored]) -> list[tuple[str, str, int]]:
    """Return (intended, first finding, runs) where the first isn't right, most first.

    Intended is "healthy" for healthy runs, the first finding "nothing" where there's none.
    """
    pairs: Counter[tuple[str, str]] = Counter()
    for run in runs:
        first = run.findings[0] if run.findings else "nothing"
        if run.faults and not right(run, 1):
            pairs[run.faults[0], first] += 1
        elif not run.faults and run.findings:
            pairs["healthy", first] += 1
    return [(*pair, count) for pair, count in pairs.most_common()]
