"""Encoded data sets as trees that can also say what the standard forbids (PS3.5 section 7).

A library's data set cannot hold a length that lies or a delimiter that is missing. These trees
can: they are read from sound data sets, changed, and encoded again.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache

from pydicom.datadict import dictionary_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
LONG_VRS = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a sequence or a fragment of pixel data."""

    content: Elements | bytes
    undefined: bool = False
    declared: int | None = None  # a length that need not be true
    closed: bool = True  # False: its delimiter is missing
    tag: int = ITEM


@dataclass(frozen=True, slots=True)
class Element:
    """A data element; without a ``vr`` it is written as in Implicit VR, whatever surrounds it."""

    tag: int
    vr: bytes
    value: bytes | tuple[Item, ...]
    undefined: bool = False
    declared: int | None = None
    closed: bool = True


Elements = tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class Coding:
    """How elements are encoded (PS3.5 annex A)."""

    implicit: bool
    little: bool = True

    @property
    def order(self) -> str:
        return "<" if self.little else ">"


def parse(data: bytes, coding: Coding) -> Elements:
    """Read a sound data set; ValueError or struct.error from one that is not."""
    elements, position = _elements(data, 0, len(data), coding)
    if position != len(data):
        raise ValueError("the data set does not end where its elements do")
    return elements


def encode(elements: Elements, coding: Coding) -> bytes:
    """Write a data set, with all that is wrong with it; one call a level: some nest deep."""
    out = bytearray()
    for element in elements:
        if isinstance(element.value, bytes):
            value = element.value
        else:
            parts = bytearray()
            for item in element.value:
                within = item.content
                content = within if isinstance(within, bytes) else encode(within, coding)
                parts += _written_item(item, content, coding)
            value = bytes(parts)
        out += _written(element, value, coding)
    return bytes(out)


def depth(elements: Elements) -> int:
    """How deep sequences nest."""
    inner = [
        depth(item.content)
        for element in elements
        if not isinstance(element.value, bytes)
        for item in element.value
        if not isinstance(item.content, bytes)
    ]
    return 1 + max(inner) if inner else 0


@cache
def vr_of(tag: int) -> bytes:
    """The standard's VR of a tag, UN where there is none."""
    try:
        return dictionary_VR(tag)[:2].encode()
    except KeyError:
        return b"UN"


def _elements(data: bytes, at: int, end: int | None, coding: Coding) -> tuple[Elements, int]:
    found: list[Element] = []
    while at != end:
        group, number, length = struct.unpack_from(f"{coding.order}HHL", data, at)
        tag = group << 16 | number
        if end is None and tag == ITEM_END:
            return tuple(found), at + 8
        vr = vr_of(tag)
        at += 8
        if not coding.implicit:
            vr, length = struct.unpack_from(f"{coding.order}2sH", data, at - 4)
            if vr in LONG_VRS:
                (length,) = struct.unpack_from(f"{coding.order}L", data, at)
                at += 4
        element, at = _element(data, at, tag, vr, length, coding)
        found.append(element)
        if end is not None and at > end:
            raise ValueError("an element is longer than what holds it")
    return tuple(found), at


def _element(
    data: bytes, at: int, tag: int, vr: bytes, length: int, coding: Coding
) -> tuple[Element, int]:
    if length == UNDEFINED or vr == b"SQ":
        end = None if length == UNDEFINED else at + length
        fragments = end is None and vr not in (b"SQ", b"UN")
        items, at = _items(data, at, end, coding, fragments=fragments)
        return Element(tag, vr, items, undefined=end is None), at
    value = data[at : at + length]
    if len(value) < length:
        raise ValueError("the data set ends in the middle of an element")
    return Element(tag, vr, value), at + length


def _items(
    data: bytes, at: int, end: int | None, coding: Coding, *, fragments: bool
) -> tuple[tuple[Item, ...], int]:
    items: list[Item] = []
    while at != end:
        group, number, length = struct.unpack_from(f"{coding.order}HHL", data, at)
        tag = group << 16 | number
        at += 8
        if end is None and tag == SEQUENCE_END:
            return tuple(items), at
        if tag != ITEM:
            raise ValueError("something else than an item stands in a sequence")
        if fragments:
            items.append(Item(data[at : at + length]))
            at += length
        else:
            inner_end = None if length == UNDEFINED else at + length
            content, at = _elements(data, at, inner_end, coding)
            items.append(Item(content, undefined=inner_end is None))
    return tuple(items), at


def _written(element: Element, value: bytes, coding: Coding) -> bytes:
    length = UNDEFINED if element.undefined else len(value)
    length = length if element.declared is None else element.declared
    order, vr = coding.order, b"" if coding.implicit else element.vr
    head = struct.pack(f"{order}HH", element.tag >> 16, element.tag & 0xFFFF)
    if not vr:
        head += struct.pack(f"{order}L", length)
    elif vr in LONG_VRS:
        head += struct.pack(f"{order}2sHL", vr, 0, length)
    else:
        head += struct.pack(f"{order}2sH", vr, length & 0xFFFF)
    closing = struct.pack(f"{order}HHL", 0xFFFE, 0xE0DD, 0)
    return head + value + (closing if element.undefined and element.closed else b"")


def _written_item(item: Item, content: bytes, coding: Coding) -> bytes:
    length = UNDEFINED if item.undefined else len(content)
    length = length if item.declared is None else item.declared
    order = coding.order
    head = struct.pack(f"{order}HHL", item.tag >> 16, item.tag & 0xFFFF, length)
    closing = struct.pack(f"{order}HHL", 0xFFFE, 0xE00D, 0)
    return head + content + (closing if item.undefined and item.closed else b"")
