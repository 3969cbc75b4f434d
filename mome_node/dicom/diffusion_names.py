"""b-values inside names: the sequence name that Siemens writes, comments of Canon, descriptions.

A name is read only where no element tells the b-value, and one that tells several b-values tells
none: the image was made from all of them, or the series holds all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LEAST_NAMED_B = 50
"""Smaller numbers than this behind a "b" in free text are no b-value, but for 0 (B1 maps)."""

_SEQUENCE = re.compile(r"[*a-z0-9_]*_b(\d{1,5}(?:_\d{1,5})*)(t?)(#\d{1,4})?")
_COMMENT = re.compile(r"b=(\d{1,5})\s*(?:\((-?[\d.]{1,12}),(-?[\d.]{1,12}),(-?[\d.]{1,12})\))?")
_IN_TEXT = re.compile(
    r"(?<![a-z0-9])b(?:[ _-]?val(?:ue)?s?)?[ _=:-]{0,3}"
    r"(\d{1,5}(?![a-z0-9.])(?:[ _,;/+&-]{1,3}(?:b[ _=-]?)?\d{1,5}(?![a-z0-9.]))*|\d{1,5}(?=s[/ ]))"
)
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class NamedDiffusion:
    """What a name tells: its b-values in s/mm², and of what kind the image is."""

    b_values: tuple[float, ...] = ()
    trace: bool = False
    directed: bool = False
    direction: tuple[float, float, float] | None = None

    @property
    def b_value(self) -> float | None:
        """The b-value, None where the name tells none or several."""
        return self.b_values[0] if len(self.b_values) == 1 else None


def named_in_sequence(sequence_name: str) -> NamedDiffusion:
    """Read a Siemens sequence name: ``ep_b800t`` trace, ``*ep_b1000#3`` direction 3.

    ``ep_b0_2500`` is of a map that was made from both b-values.
    """
    match = _SEQUENCE.fullmatch(sequence_name.strip().casefold())
    if match is None:
        return NamedDiffusion()
    numbers, trace, direction = match.groups()
    b_values = tuple(float(number) for number in numbers.split("_"))
    return NamedDiffusion(b_values, trace=bool(trace), directed=direction is not None)


def named_in_comment(comment: str) -> NamedDiffusion:
    """Read Image Comments (0020,4000) as Canon writes them: ``b=1500(0.445,0.000,0.895)``."""
    match = _COMMENT.fullmatch(comment.strip().casefold())
    if match is None:
        return NamedDiffusion()
    b_value, *vector = match.groups()
    try:
        x, y, z = (float(v) for v in vector)
    except (TypeError, ValueError):
        return NamedDiffusion((float(b_value),))
    return NamedDiffusion((float(b_value),), direction=(x, y, z))


def named_in_text(description: str) -> NamedDiffusion:
    """Read a description in free text: ``b800``, ``b=800``, ``b 50 400 800`` (several)."""
    found: list[float] = []
    for match in _IN_TEXT.finditer(description.casefold()):
        found += [float(number) for number in _NUMBER.findall(match.group(1))]
    unlikely = any(0 < value < LEAST_NAMED_B for value in found) and len(found) == 1
    return NamedDiffusion() if unlikely else NamedDiffusion(tuple(dict.fromkeys(found)))
