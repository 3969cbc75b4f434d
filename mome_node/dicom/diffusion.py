"""Where each maker writes the diffusion b-value of an image, in s/mm².

The standard's element comes first (PS3.3 C.8.13.5.9, since 2019 also allowed in the classic MR
object). Where it is missing the maker's own element is asked: newer GE software writes the
standard one on images with b > 0 only, so that a missing element never means b 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from mome_node.dicom.element_values import Elements, numbers_of, text_values

MAX_B_VALUE = 100_000.0
"""Far above any clinical b-value; what exceeds it is no b-value."""

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


@dataclass(frozen=True, slots=True)
class PrivateBValue:
    """A private b-value. ``offset`` is taken off values that are at least as large."""

    where: PrivateElement
    offset: float = 0.0


PRIVATE_B_VALUES = (
    PrivateBValue(PrivateElement("siemens", "SIEMENS MR HEADER", 0x0019, 0x0C, "IS")),
    # The first of four values; 1000001000 is b 1000 with a flag of the reconstruction.
    PrivateBValue(PrivateElement("ge", "GEMS_PARM_01", 0x0043, 0x39, "IS"), offset=1e9),
    PrivateBValue(PrivateElement("philips", "Philips Imaging DD 001", 0x2001, 0x03, "FL")),
)

IMAGES_IN_MOSAIC = PrivateElement("siemens", "SIEMENS MR HEADER", 0x0019, 0x0A, "US")


def read_b_value(
    sources: tuple[Elements, ...], manufacturer: str
) -> tuple[float | None, str | None]:
    """Return the b-value and the element that told it, from the first data set that tells one.

    The standard's element is looked for in all of ``sources`` before any private one.
    """
    for source in sources:
        value = source.number("DiffusionBValue")
        if _plausible(value):
            return value, "(0018,9087)"
    for source in sources:
        for entry in PRIVATE_B_VALUES:
            value, tag = read_private(source, entry.where, manufacturer)
            if value is not None and entry.offset and value >= entry.offset:
                value -= entry.offset
            if _plausible(value):
                return value, f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    return None, None


def read_private(
    source: Elements, where: PrivateElement, manufacturer: str
) -> tuple[float | None, int]:
    """Return the first number of a private element and its tag (None, 0 if absent).

    Anonymised copies often lack the private creator while its elements stay. Then the first
    block is taken for the maker's, if Manufacturer names the maker and no other creator holds it.
    """
    for tag in source.tags_of(where.group):
        block = tag >> 8 & 0xFF
        if tag != where.tag_in(block) or block < FIRST_BLOCK:
            continue
        creator = _creator(source, where.group, block)
        theirs = manufacturer.lower().startswith(where.maker)
        if creator == where.creator or (not creator and theirs and block == FIRST_BLOCK):
            return _first_number(source, where, block), where.tag_in(block)
    return None, 0


def private_tags() -> frozenset[int]:
    """All tags that ``read_b_value`` and the mosaic check may ask for."""
    places = [*(entry.where for entry in PRIVATE_B_VALUES), IMAGES_IN_MOSAIC]
    blocks = range(FIRST_BLOCK, LAST_BLOCK + 1)
    creators = {place.group << 16 | block for place in places for block in blocks}
    return frozenset(creators | {place.tag_in(block) for place in places for block in blocks})


def _first_number(source: Elements, where: PrivateElement, block: int) -> float | None:
    element = source.raw(where.tag_in(block))
    values = () if element is None else numbers_of(element, where.vr)
    return values[0] if values else None


def _creator(source: Elements, group: int, block: int) -> str:
    element = source.raw(group << 16 | block)
    values = () if element is None else text_values(element.value or b"", ["ascii"])
    return values[0] if values else ""


def _plausible(value: float | None) -> bool:
    return value is not None and 0 <= value <= MAX_B_VALUE
