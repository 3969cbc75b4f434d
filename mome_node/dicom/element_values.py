"""Values of data elements, read without trusting them: a value that does not parse is absent."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from functools import cache, cached_property

from pydicom.charset import convert_encodings, decode_bytes, default_encoding
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

MAX_VALUE_BYTES = 65_536
"""Longer values are left unread: no element that we use is longer in an honest object."""

MAX_TEXT = 1_024
"""Text is cut here; the longest value representation among our elements, LO, allows 64."""

MAX_VALUES = 64
"""No multi-valued element that we use has more values than this."""

FOREIGN_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pydicom is known to raise on content that is not DICOM. Caught at its edge only."""

_CARET_EQUALS_BACKSLASH = {0x5E, 0x3D, 0x5C}
"""Characters after which a text falls back to its first character set (PS3.5 6.1.2.5.3)."""

_ITEM, _ITEM_BIG_ENDIAN = b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00"
"""The tag that begins an item (PS3.5 7.5.1)."""

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}


class Elements:
    """A data set seen through one promise: asking for a value never raises.

    Text is decoded from the bytes with the Specific Character Set that holds where the element
    stands (PS3.5 6.1), stripped of padding and control characters.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._there = frozenset(dataset.keys())

    def __contains__(self, keyword: str) -> bool:
        return _tag(keyword) in self._there

    def tags_of(self, group: int) -> tuple[int, ...]:
        """Return the tags of one private group that are there, in ascending order."""
        return tuple(tag for tag in self._private_tags if tag >> 16 == group)

    @cached_property
    def _private_tags(self) -> tuple[int, ...]:
        return tuple(sorted(int(tag) for tag in self._there if tag >> 16 & 1))

    @cached_property
    def _encodings(self) -> list[str]:
        return _encodings_of(self._dataset)

    def raw(self, tag: int) -> RawDataElement | None:
        """Return the element with its bytes as they are in the file; None if absent or overlong."""
        if tag not in self._there:
            return None
        element = self._dataset.get_item(tag, keep_deferred=True)
        if not isinstance(element, RawDataElement) or not isinstance(element.value, bytes):
            return None
        return element if len(element.value) <= MAX_VALUE_BYTES else None

    def text(self, keyword: str) -> str:
        """Return the value as one text, several values joined by a backslash; empty if absent."""
        return "\\".join(self.texts(keyword))

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return the values of a text element, inner empty ones kept; () if absent or all empty."""
        element = self.raw(_tag(keyword))
        if element is None or not element.value:
            return ()
        return text_values(element.value, self._encodings)

    def number(self, keyword: str) -> float | None:
        """Return the first value of a numeric element, text or binary; None if it is no number."""
        element = self.raw(_tag(keyword))
        values = () if element is None else numbers_of(element)
        return values[0] if values else None

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Return the values of a numeric element if they are exactly ``count`` finite numbers."""
        element = self.raw(_tag(keyword))
        values = () if element is None else numbers_of(element)
        known = tuple(v for v in values if v is not None)
        return known if len(known) == len(values) == count else None

    def integer(self, keyword: str) -> int | None:
        """Return the first value as an integer that fits 64 bits; None otherwise."""
        value = self.number(keyword)
        return int(value) if value is not None and abs(value) < 2**53 else None

    def pointer(self, keyword: str) -> int | None:
        """Return the tag that an element of VR AT points to; None if it has no such value."""
        element = self.raw(_tag(keyword))
        if element is None or element.value is None or len(element.value) < 4:
            return None
        order = "<HH" if element.is_little_endian else ">HH"
        group, number = struct.unpack_from(order, element.value)
        return int(group) << 16 | int(number)

    def integers(self, keyword: str) -> tuple[int | None, ...]:
        """Return all values of a numeric element as integers, None for each that is none."""
        element = self.raw(_tag(keyword))
        values = () if element is None else numbers_of(element)
        return tuple(int(v) if v is not None and abs(v) < 2**53 else None for v in values)

    def is_empty(self, keyword: str) -> bool:
        """Tell whether an element is there without a value."""
        tag = _tag(keyword)
        element = self._dataset.get_item(tag, keep_deferred=True) if tag in self._there else None
        if isinstance(element, RawDataElement):
            return element.length == 0
        return element is not None and not element.value

    def items(
        self, keyword: str, *, longest: int = MAX_VALUE_BYTES, most: int | None = None
    ) -> tuple[Elements, ...]:
        """Return the items of a sequence; () if it is absent, overlong or not well formed.

        ``most``: with more items in all its levels it is not parsed.
        """
        return self.items_at(_tag(keyword), longest=longest, most=most)

    def private_item(self, group: int, ending: int) -> Elements | None:
        """Return the first item of a private sequence (gggg,xxee), whatever block it stands in.

        The block's creator is not asked: anonymised copies have often lost it.
        """
        tags = (t for t in self.tags_of(group) if t & 0xFF == ending and t & 0xFFFF > 0xFF)
        return next((items[0] for tag in tags if (items := self.items_at(tag))), None)

    def items_at(
        self, tag: int, *, longest: int = MAX_VALUE_BYTES, most: int | None = None
    ) -> tuple[Elements, ...]:
        """Return the items of the sequence with this tag, as ``items`` does."""
        if tag not in self._there:
            return ()
        element = self._dataset.get_item(tag, keep_deferred=True)
        try:
            if isinstance(element, RawDataElement):
                if element.value is None or len(element.value) > longest:
                    return ()
                tag_of_items = _ITEM if element.is_little_endian else _ITEM_BIG_ENDIAN
                if most is not None and element.value.count(tag_of_items) > most:
                    return ()
                element = self._dataset[tag]
            if not isinstance(element, DataElement) or element.VR != "SQ":
                return ()
            return tuple(Elements(item) for item in element.value)
        except FOREIGN_ERRORS:
            return ()

    def item(self, keyword: str) -> Elements | None:
        """Return the first item of a sequence, or None."""
        items = self.items(keyword)
        return items[0] if items else None


def first_text(sources: Iterable[Elements], keyword: str) -> str:
    """Return the first text that is not empty among several data sets."""
    return next((value for source in sources if (value := source.text(keyword))), "")


def first_number(sources: Iterable[Elements], keyword: str) -> float | None:
    """Return the first number among several data sets."""
    numbers = (source.number(keyword) for source in sources)
    return next((value for value in numbers if value is not None), None)


def text_values(value: bytes, encodings: list[str]) -> tuple[str, ...]:
    """Decode the bytes of a text element and split its values; () if all are empty."""
    try:
        text = decode_bytes(value, encodings, _CARET_EQUALS_BACKSLASH)
    except FOREIGN_ERRORS:
        text = value.decode("ascii", errors="replace")
    values = [_cleaned(part) for part in text.split("\\", MAX_VALUES)[:MAX_VALUES]]
    return tuple(values) if any(values) else ()


def numbers_of(element: RawDataElement, vr: str | None = None) -> tuple[float | None, ...]:
    """Return the values of a numeric element, None for each that is not a finite number.

    ``vr`` is what to assume where the file does not tell (UN, implicit VR, private elements).
    """
    value = element.value or b""
    told = element.VR if element.VR not in (None, "UN") else (vr or _dictionary_vr(element.tag))
    code = _BINARY.get(told or "")
    if code is None:
        parts = value[:MAX_TEXT].decode("ascii", errors="replace").split("\\")
        return tuple(_parsed(part) for part in parts[:MAX_VALUES])
    size = struct.calcsize(code)
    if not value or len(value) % size:
        return ()
    order = "<" if element.is_little_endian else ">"
    count = min(len(value) // size, MAX_VALUES)
    values = struct.unpack_from(f"{order}{count}{code}", value)
    return tuple(float(v) if math.isfinite(v) else None for v in values)


@cache
def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is no keyword of PS3.6")
    return tag


def _dictionary_vr(tag: int) -> str | None:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def _encodings_of(dataset: Dataset) -> list[str]:
    declared = dataset.original_character_set
    try:
        return convert_encodings(declared if isinstance(declared, str) else list(declared))
    except FOREIGN_ERRORS:
        return [default_encoding]


def _parsed(text: str) -> float | None:
    try:
        value = float(text.strip(" \0"))
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def _cleaned(text: str) -> str:
    return "".join(c for c in text[:MAX_TEXT] if c >= " " and c != "\x7f").strip()
