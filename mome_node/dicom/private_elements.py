"""Elements of private blocks (PS3.5 7.8.1), found also where a copy lost the creator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataelem import RawDataElement

from mome_node.dicom.element_values import Elements, numbers_of, text_values

FIRST_BLOCK, LAST_BLOCK = 0x10, 0xFF
"""Private blocks of a group (PS3.5 7.8.1)."""


@dataclass(frozen=True, slots=True)
class PrivateElement:
    """An element of a maker's private block, which may lie at any block number of its group.

    ``vr`` is what its bytes mean where the file says UN or nothing.
    """

    maker: str  # how Manufacturer (0008,0070) begins, in lower case
    creator: str
    group: int
    element: int
    vr: str

    def tag_in(self, block: int) -> int:
        """Return the element's tag when the private block has this number."""
        return self.group << 16 | block << 8 | self.element


def tag_name(tag: int) -> str:
    """A tag as people write it: (0019,100C)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def find_private(source: Elements, where: PrivateElement, manufacturer: str) -> int | None:
    """Return the tag at which the data set has a private element, None if it has none.

    Anonymised copies often lack the private creator while its elements stay. Then the first
    block is taken for the maker's, if Manufacturer names the maker and no other creator holds it.
    """
    theirs = manufacturer.lower().startswith(where.maker)
    for tag in source.tags_of(where.group):
        block = tag >> 8 & 0xFF
        if tag != where.tag_in(block) or block < FIRST_BLOCK:
            continue
        creator = _creator(source, where.group, block)
        if creator == where.creator or (not creator and theirs and block == FIRST_BLOCK):
            return tag
    return None


def private_element(
    source: Elements, where: PrivateElement, manufacturer: str
) -> RawDataElement | None:
    """Return the element itself, its bytes as they are; None if it is absent or overlong."""
    tag = find_private(source, where, manufacturer)
    return None if tag is None else source.raw(tag)


def private_numbers(
    source: Elements, where: PrivateElement, manufacturer: str
) -> tuple[float | None, ...]:
    """Return its values as numbers, None for each that is none; () if it is absent."""
    element = private_element(source, where, manufacturer)
    return () if element is None else numbers_of(element, where.vr)


def private_number(source: Elements, where: PrivateElement, manufacturer: str) -> float | None:
    """Return its first value as a number; None if it is absent or no number."""
    values = private_numbers(source, where, manufacturer)
    return values[0] if values else None


def private_text(source: Elements, where: PrivateElement, manufacturer: str) -> str:
    """Return its first value as text in upper case; empty if it is absent."""
    element = private_element(source, where, manufacturer)
    values = () if element is None else text_values(element.value or b"", ["ascii"])
    return values[0].upper() if values else ""


def tags_to_read(places: Iterable[PrivateElement]) -> frozenset[int]:
    """All tags at which these elements and their creators may lie."""
    blocks = range(FIRST_BLOCK, LAST_BLOCK + 1)
    return frozenset(
        tag
        for place in places
        for block in blocks
        for tag in (place.group << 16 | block, place.tag_in(block))
    )


def _creator(source: Elements, group: int, block: int) -> str:
    element = source.raw(group << 16 | block)
    values = () if element is None else text_values(element.value or b"", ["ascii"])
    return values[0] if values else ""
