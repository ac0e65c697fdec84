"""All faults that the doctor names, with what there is to know about each.

>>> FAULTS["dead-relu"].title
'Dead ReLU units'
"""

import difflib

from tfcourse.doctor import (
    faults_of_data,
    faults_of_generalisation,
    faults_of_objectives,
    faults_of_signals,
    faults_of_updates,
)
from tfcourse.doctor.fault import Fault

__all__ = ["FAULTS", "Fault", "near_codes"]

FAULTS: dict[str, Fault] = {
    fault.code: fault
    for family in (
        faults_of_signals,
        faults_of_updates,
        faults_of_objectives,
        faults_of_data,
        faults_of_generalisation,
    )
    for fault in family.FAULTS
}


def near_codes(text: str, num_codes: int = 3) -> list[str]:
    """Return codes that may be meant by `text`, the likeliest first.

    >>> near_codes("dying relu")[0]
    'dead-relu'
    """
    wanted = "-".join(text.lower().replace("_", " ").replace("-", " ").split())[:80]
    words = set(wanted.split("-"))
    by_words = sorted(
        (code for code in FAULTS if words & set(code.split("-"))),
        key=lambda code: -len(words & set(code.split("-"))),
    )
    by_letters = difflib.get_close_matches(wanted, FAULTS, n=num_codes, cutoff=0.5)
    return list(dict.fromkeys([*by_words, *by_letters]))[:num_codes]
