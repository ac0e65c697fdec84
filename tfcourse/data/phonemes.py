"""What the synthesiser knows of English: phonemes as targets, words as their sequences.

Formants of vowels are the means of 33 men (Peterson and Barney, 1952, table II), those of
consonants near Klatt, 1980, tables II and III; a stop's are the loci from which its
neighbours' formants start (Delattre, Liberman and Cooper, 1955). Durations and levels were
chosen by looking at spectrograms.
"""

from __future__ import annotations

from typing import NamedTuple

TRACT_CM = 17.5  # Length of the vocal tract that the targets belong to.


class Phoneme(NamedTuple):
    """Targets that are held for a while; tracks glide from one to the next."""

    milliseconds: float
    formants: tuple[float, float, float]  # F1 to F3, Hz.
    voicing: float = 1.0  # Level of the glottal pulses, like all levels linear.
    aspiration: float = 0.0  # Level of the noise that the formants shape.
    frication: float = 0.0  # Level of the noise that they don't.
    noise_hz: float = 5000.0  # Centre of the frication,
    noise_width: float = 2000.0  # and its bandwidth, Hz.


_HUSH = 1e-3  # The mouth is closed, and the cords rest.

PHONEMES = {
    "iy": Phoneme(150, (270, 2290, 3010)),
    "ih": Phoneme(110, (390, 1990, 2550)),
    "eh": Phoneme(140, (530, 1840, 2480)),
    "ae": Phoneme(160, (660, 1720, 2410)),
    "ah": Phoneme(130, (640, 1190, 2390)),
    "aa": Phoneme(170, (730, 1090, 2440)),
    "ao": Phoneme(170, (570, 840, 2410)),
    "uh": Phoneme(100, (440, 1020, 2240)),
    "uw": Phoneme(170, (300, 870, 2240)),
    "ax": Phoneme(80, (500, 1400, 2400)),
    # Semivowels and nasals: voiced, lower.
    "w": Phoneme(80, (290, 610, 2150), 0.6),
    "y": Phoneme(70, (260, 2070, 3020), 0.6),
    "r": Phoneme(80, (310, 1060, 1380), 0.6),
    "l": Phoneme(80, (310, 1050, 2880), 0.6),
    "m": Phoneme(90, (250, 1000, 2200), 0.3),
    "n": Phoneme(110, (250, 1600, 2600), 0.3),
    # Fricatives.
    "s": Phoneme(130, (320, 1390, 2530), _HUSH, 0.0, 0.40, 5600, 1800),
    "z": Phoneme(110, (240, 1390, 2530), 0.25, 0.0, 0.20, 5600, 1800),
    "f": Phoneme(100, (340, 1100, 2080), _HUSH, 0.0, 0.06, 4500, 6000),
    "v": Phoneme(70, (220, 1100, 2080), 0.35, 0.0, 0.03, 4500, 6000),
    "th": Phoneme(100, (320, 1290, 2540), _HUSH, 0.0, 0.06, 6200, 4000),
    # Stops: silence, then a burst, then breath if the cords don't sound yet.
    "closed_p": Phoneme(60, (350, 900, 2100), _HUSH),
    "burst_p": Phoneme(12, (350, 900, 2100), _HUSH, 0.2, 0.15, 1000, 1500),
    "closed_t": Phoneme(60, (350, 1750, 2600), _HUSH),
    "burst_t": Phoneme(15, (350, 1750, 2600), _HUSH, 0.1, 0.40, 4500, 2500),
    "closed_d": Phoneme(50, (250, 1750, 2600), 0.08),
    "burst_d": Phoneme(10, (300, 1750, 2600), 0.2, 0.0, 0.25, 4000, 2500),
    "closed_k": Phoneme(60, (350, 1900, 2300), _HUSH),
    "burst_k": Phoneme(20, (350, 1900, 2300), _HUSH, 0.15, 0.30, 2000, 900),
    "closed_g": Phoneme(50, (250, 1500, 2100), 0.08),
    "burst_g": Phoneme(15, (300, 1500, 2100), 0.2, 0.0, 0.25, 1700, 900),
    "breath": Phoneme(40, (500, 1500, 2500), _HUSH, 0.25),
}

_P, _T, _K = ("closed_p burst_p", "closed_t burst_t breath", "closed_k burst_k")

WORDS = {
    "zero": "z ih r ao uh",
    "one": "w ah n",
    "two": f"{_T} uw",
    "three": "th r iy",
    "four": "f ao r",
    "five": "f aa ih v",
    "six": f"s ih {_K} s",
    "seven": "s eh v ax n",
    "eight": f"eh iy {_T}",
    "nine": "n aa ih n",
    "down": "closed_d burst_d aa uh n",
    "go": "closed_g burst_g ao uh",
    "left": f"l eh f {_T}",
    "no": "n ao uh",
    "off": "ao f",
    "on": "aa n",
    "right": f"r aa ih {_T}",
    "stop": f"s closed_t burst_t aa {_P}",
    "up": f"ah {_P}",
    "yes": "y eh s",
}
