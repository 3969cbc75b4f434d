"""The label that every result carries: what the site says, and what it must say before that."""

from __future__ import annotations

import re
from typing import Final, Literal

from mome_node.results.findings import Findings

Audience = Literal["research", "clinical"]

DEFAULT_LABEL: Final = "research use only, not for diagnosis"
DEMONSTRATION: Final = "DEMONSTRATION"
RESEARCH: Final = "RESEARCH"

LONG_STRING: Final = 64
"""Most characters of a value with VR LO (PS3.5 6.2).

What is fitted into one is held to as many bytes of UTF-8: dciodvfy and archives count bytes.
"""

_LONGEST_ENDING: Final = 32
"""A label's last part is kept whole up to so many bytes."""


def marked_label(findings: Findings, label: str, audience: Audience = "research") -> str:
    """The site's label; before it, that a demonstration model or results for research are meant."""
    return marked(label, demonstration=is_demonstration(findings), audience=audience)


def is_demonstration(findings: Findings) -> bool:
    """Whether a model of these findings was trained on artificial exams."""
    return any(task.model.synthetic for task in findings.tasks)


def marked(label: str, *, demonstration: bool, audience: Audience) -> str:
    """A label in one line without backslash, behind the marks that results like these need.

    A mark with which the label already begins is not said twice: the label's word becomes the
    mark, as in "RESEARCH use only".
    """
    text = _cleaned(label)
    for mark in reversed(_marks(demonstration=demonstration, audience=audience)):
        text, begins = re.subn(rf"^{mark}\b", mark, text, count=1, flags=re.IGNORECASE)
        text = text if begins else f"{mark}, {text}"
    return text


def fitted(what: str, label: str, *, demonstration: bool, audience: Audience, dots: str) -> str:
    """``what`` with the marked label behind it, as short as a value with VR LO must be.

    What does not fit loses the middle: the label's last part ("not for diagnosis") stays, where
    it is no longer than a few words. ``dots`` stand for what is cut out.
    """
    text = f"{what}: {marked(label, demonstration=demonstration, audience=audience)}"
    if _size(text) <= LONG_STRING:
        return text
    ending = re.split(r"[,;.]\s+", _cleaned(label))[-1]
    ending = ending if _size(ending) <= _LONGEST_ENDING else ""
    room = LONG_STRING - _size(dots) - _size(ending)
    beginning = text.encode()[:room].decode(errors="ignore")
    return f"{beginning.rstrip(' ,;')}{dots}{ending}"


def _size(text: str) -> int:
    return len(text.encode())


def _marks(*, demonstration: bool, audience: Audience) -> tuple[str, ...]:
    told = (DEMONSTRATION, demonstration), (RESEARCH, audience == "research")
    return tuple(mark for mark, holds in told if holds)


def _cleaned(label: str) -> str:
    return " ".join(label.replace("\\", "/").split()) or DEFAULT_LABEL
