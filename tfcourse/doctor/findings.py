"""What the doctor says: one finding names a fault, where it is, and why it thinks so."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Where:
    """The place of a fault; what isn't known stays empty."""

    layer: str = ""  # Path of the layer, as in the tags.
    variable: str = ""  # Path of the variable, as in the tags.
    steps: tuple[int, int] | None = None  # First and last optimizer step, inclusive.


@dataclass(frozen=True)
class Evidence:
    """A rule that held, with the numbers that it saw."""

    rule: str  # A sentence with the threshold in it.
    numbers: dict[str, float] = field(default_factory=dict)
    series: tuple[str, ...] = ()  # Tags of scalars that show it.


@dataclass(frozen=True)
class See:
    """Where TensorBoard shows it."""

    dashboard: str  # scalars, histograms, distributions, images, graphs, text.
    tag: str = ""


@dataclass(frozen=True)
class Finding:
    """One diagnosis.

    Attributes:
        fault: A code of `tfcourse.doctor.faults.FAULTS`.
        severity: error: the run fails by it; warning: it costs much, or may; note: worth
            knowing, nothing is wrong.
        confidence: From 0 to 1: the share of runs with this evidence that have the fault.
        message: One sentence that a student understands.
        remedy: What to change, in code.
    """

    fault: str
    severity: Severity
    confidence: float
    where: Where
    evidence: tuple[Evidence, ...]
    message: str
    remedy: str
    see: tuple[See, ...] = ()


def to_json(finding: Finding) -> dict[str, Any]:
    """Return the finding as dicts, lists, text and numbers."""
    record = asdict(finding)
    record["where"]["steps"] = finding.where.steps and list(finding.where.steps)
    for name in ("evidence", "see"):
        record[name] = list(record[name])
    for evidence in record["evidence"]:
        evidence["series"] = list(evidence["series"])
    return record


def from_json(record: dict[str, Any]) -> Finding:
    """Return the finding that `to_json` wrote.

    Raises:
        ValueError: The record isn't one.
    """
    try:
        where = record["where"]
        if record["severity"] not in SEVERITIES:
            raise ValueError(record["severity"])
        return Finding(
            fault=str(record["fault"]),
            severity=record["severity"],
            confidence=float(record["confidence"]),
            where=Where(
                layer=str(where["layer"]),
                variable=str(where["variable"]),
                steps=where["steps"]
                and (int(where["steps"][0]), int(where["steps"][1])),
            ),
            evidence=tuple(
                Evidence(
                    rule=str(item["rule"]),
                    numbers={str(k): float(v) for k, v in item["numbers"].items()},
                    series=tuple(str(tag) for tag in item["series"]),
                )
                for item in record["evidence"]
            ),
            message=str(record["message"]),
            remedy=str(record["remedy"]),
            see=tuple(See(str(s["dashboard"]), str(s["tag"])) for s in record["see"]),
        )
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise ValueError(f"not a finding of the doctor: {error!r}") from error
