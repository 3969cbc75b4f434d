"""Checks of the scanner and the field of view against what a package states."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from mome_node.dicom.header import InstanceFacts
from mome_node.fitness.accepts import Accepts
from mome_node.fitness.checks import FIELD_STRENGTH, LATERALITY, VENDOR, Failure

FIELD_TOLERANCE: Final = 0.05
"""A scanner sold as 3 T may tell 2.89 T in its headers, one sold as 1.5 T may tell 1.494 T."""

VENDORS: Final = {
    "siemens": "Siemens",
    "ge": "GE",
    "philips": "Philips",
    "canon": "Canon",
    "toshiba": "Toshiba",
    "hitachi": "Hitachi",
    "fujifilm": "Fujifilm",
    "uih": "United Imaging",
    "united imaging": "United Imaging",
}
"""Manufacturers that a reason may name: it goes into the log, where no other header text may go."""


def scanner_failures(
    accepts: Accepts, read: Sequence[InstanceFacts], laterality: str
) -> Iterator[Failure]:
    """What of the instances that are read is none that the package was validated for.

    What is unknown is never taken for good: a package that names vendors does not take an exam
    that names none.
    """
    vendors = {i.manufacturer.casefold() for i in read} or {""}
    if not all(_vendor_is_taken(accepts, v) for v in vendors):
        taken = " or ".join(VENDORS.get(v, v) for v in accepts.vendors)
        found = _listed(map(_vendor, vendors))
        yield Failure(VENDOR, f"not validated for {found}: the package takes {taken}")
    strengths = {i.field_strength_t for i in read} or {None}
    if not all(_strength_is_taken(accepts, s) for s in strengths):
        assert accepts.field_strengths_t is not None
        low, high = accepts.field_strengths_t
        taken = f"{low:g} T" if low == high else f"{low:g} to {high:g} T"
        found = _listed(map(_strength, strengths))
        yield Failure(FIELD_STRENGTH, f"not validated for {found}: the package takes {taken}")
    if laterality not in accepts.laterality:
        taken = " or ".join(accepts.laterality)
        text = f"not validated for a {laterality} exam: the package takes {taken} ones"
        yield Failure(LATERALITY, text)


def _vendor_is_taken(accepts: Accepts, manufacturer: str) -> bool:
    return not accepts.vendors or any(_stands_in(v, manufacturer) for v in accepts.vendors)


def _stands_in(word: str, text: str) -> bool:
    """As a word of its own: "ge" does not stand in "agfa-gevaert"."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _strength_is_taken(accepts: Accepts, strength_t: float | None) -> bool:
    if accepts.field_strengths_t is None:
        return True
    low, high = accepts.field_strengths_t
    return strength_t is not None and (
        low * (1 - FIELD_TOLERANCE) <= strength_t <= high * (1 + FIELD_TOLERANCE)
    )


def _vendor(manufacturer: str) -> str:
    named = (name for word, name in VENDORS.items() if _stands_in(word, manufacturer))
    return next(named, "another vendor" if manufacturer.strip() else "an unknown vendor")


def _strength(strength_t: float | None) -> str:
    return "an unknown field strength" if strength_t is None else f"{strength_t:.2g} T"


def _listed(words: Iterable[str]) -> str:
    return " and ".join(sorted(set(words)))
