"""The transfer syntax that a profile asks for (PS3.5 annex A)."""

from __future__ import annotations

from typing import Final

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from mome_node.results.profile import Encoding, ResultProfile

_OF_PICTURES: Final[dict[Encoding, UID]] = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "rle": RLELossless,
}


def picture_syntax(profile: ResultProfile) -> UID:
    """Transfer syntax of pictures for people: compressed where the profile says so."""
    return _OF_PICTURES[profile.encoding]


def object_syntax(profile: ResultProfile) -> UID:
    """Transfer syntax of every other object: never compressed."""
    return ImplicitVRLittleEndian if profile.encoding == "implicit" else ExplicitVRLittleEndian
