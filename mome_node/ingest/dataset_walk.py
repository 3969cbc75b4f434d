"""The structure of an encoded data set up to its pixel data, checked element by element.

Libraries read what they can and keep silent about the rest: a data set cut in the middle of its
header is "read" without an error, an unterminated one comes back empty. At the door nothing may
pass that a later stage would read differently, so the encoding (PS3.5 section 7) is walked here:
no value is decoded or kept but those that say where the instance belongs, in one pass, with
memory that does not grow with the data set.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from pydicom.datadict import dictionary_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from mome_node.errors import HeaderError

UNDEFINED: Final = 0xFFFFFFFF
PIXEL_DATA_TAGS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_FIRST_PIXEL_TAG: Final = min(PIXEL_DATA_TAGS)
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_FOREIGN_GROUPS: Final = frozenset({0x0000, 0x0002, 0x0004, 0x0006})  # PS3.5 7.1
_LONG_VRS: Final = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)
_MAX_VALUE: Final = 1024  # bytes of a value that is kept
_SKIP_CHUNK: Final = 1 << 16


class HeaderLimitError(HeaderError):
    """The header is deeper or longer than allowed."""


@dataclass(frozen=True, slots=True)
class WalkLimits:
    """How deep sequences may nest, and how many elements and items there may be."""

    max_depth: int = 32
    max_elements: int = 2_000_000


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements are encoded (PS3.5 A.1 to A.5)."""

    is_implicit_vr: bool
    is_little_endian: bool


@dataclass(slots=True)
class WalkedItem:
    """What was wanted of a data set or of one item: raw values, and items of sequences."""

    values: dict[int, bytes] = field(default_factory=dict)
    sequences: dict[int, list[WalkedItem]] = field(default_factory=dict)


@dataclass(slots=True)
class _Level:
    """What surrounds the next element; ``end`` is None where a delimiter ends it.

    ``item`` and ``items`` take what is wanted; None: nothing here is. ``implicit``: whether the
    elements are in Implicit VR; None before the first one has told.
    """

    kind: str  # "data set", "sequence" or "fragments"
    end: int | None
    item: WalkedItem | None = None
    items: list[WalkedItem] | None = None
    implicit: bool | None = None


def walk_header(
    stream: BinaryIO,
    size: int | None,
    encoding: Encoding,
    wanted: frozenset[int],
    limits: WalkLimits | None = None,
    if_sound: frozenset[int] = frozenset(),
) -> dict[int, bytes]:
    """Walk ``stream`` up to its pixel data or its end; the raw values of the ``wanted`` tags.

    Those of ``if_sound``, too, where they have the standard's VR and a bearable length.

    ``size``: bytes of the data set if known; ``stream`` can then seek. Only elements of the
    data set itself are returned, not those in sequences. HeaderError where the structure is
    broken, HeaderLimitError where it exceeds ``limits``.
    """
    return walk_items(stream, size, encoding, wanted, limits, if_sound).values


def walk_items(
    stream: BinaryIO,
    size: int | None,
    encoding: Encoding,
    wanted: frozenset[int],
    limits: WalkLimits | None = None,
    if_sound: frozenset[int] = frozenset(),
) -> WalkedItem:
    """Walk as ``walk_header`` does; what is wanted of the items of wanted sequences, too."""
    walk = _Walk(stream, size, encoding, wanted, limits or WalkLimits(), if_sound)
    walk.run()
    return walk.root


class _Walk:
    """One pass over one data set."""

    def __init__(
        self,
        stream: BinaryIO,
        size: int | None,
        encoding: Encoding,
        wanted: frozenset[int],
        limits: WalkLimits,
        if_sound: frozenset[int],
    ) -> None:
        self.root = WalkedItem()
        self._stream = stream
        self._size = size
        order = "<" if encoding.is_little_endian else ">"
        self._tag_length = struct.Struct(f"{order}HHL")
        self._tag_vr_length = struct.Struct(f"{order}HH2sH")
        self._length = struct.Struct(f"{order}L")
        self._wanted = wanted
        self._if_sound = if_sound
        self._limits = limits
        self._position = 0
        self._count = 0
        self._depth = 0
        is_implicit = encoding.is_implicit_vr
        self._levels = [_Level("data set", size, self.root, implicit=is_implicit or None)]

    def run(self) -> None:
        while self._levels:
            level = self._levels[-1]
            if level.end is not None and self._position >= level.end:
                if self._position > level.end:
                    raise HeaderError("an element reaches beyond the sequence or item it is in")
                self._leave()
                continue
            if level.kind == "data set":
                if self._at_pixel_data_or_end(level):
                    return
            else:
                self._item(level)

    def _at_pixel_data_or_end(self, level: _Level) -> bool:
        """Take one element of a data set; tell whether the walk is over."""
        is_root = len(self._levels) == 1
        head = self._stream.read(8)
        self._position += len(head)
        if len(head) < 8:
            if is_root and not any(head):  # the end, or a padding of zeros
                return True
            raise HeaderError("the data set ends in the middle of an element")
        group, element, length = self._tag_length.unpack(head)
        tag = group << 16 | element
        if tag == _ITEM_END and level.end is None and not is_root:
            self._leave()
            return False
        if group == 0xFFFE:
            raise HeaderError("an item or delimiter stands where an element should")
        if is_root and tag >= _FIRST_PIXEL_TAG and tag in PIXEL_DATA_TAGS:
            self._vr_and_length(level, head, length)  # has to be there, whatever it says
            return True
        if is_root and group in _FOREIGN_GROUPS:
            raise HeaderError(f"group {group:04X} is not allowed in a data set")
        vr, length = self._vr_and_length(level, head, length)
        self._count_one()
        self._value(tag, vr, length)
        return False

    def _vr_and_length(self, level: _Level, head: bytes, length: int) -> tuple[bytes | None, int]:
        """Read as readers do: some writers change to Implicit VR in the middle.

        A data set or an item whose first element is in Implicit VR is so to its end; after one
        in Explicit VR each element is looked at.
        """
        vr = head[4:6]
        if level.implicit is None:
            level.implicit = not _looks_like_vr(vr)
        if level.implicit or not b"AA" <= vr <= b"ZZ":
            return None, length
        if vr in _LONG_VRS:
            return vr, int(self._length.unpack(self._take(4))[0])
        return vr, int(self._tag_vr_length.unpack(head)[3])

    def _value(self, tag: int, vr: bytes | None, length: int) -> None:
        is_sequence = length == UNDEFINED or vr == b"SQ"
        if is_sequence and self._is_wanted(tag) and _dictionary_vr(tag) != b"SQ":
            raise HeaderError(f"element {_name(tag)} is a sequence, or without a length")
        if length == UNDEFINED:
            may_be_sequence = vr in (b"SQ", b"UN") or (
                vr is None and _dictionary_vr(tag) in (b"SQ", None)
            )
            self._enter("sequence" if may_be_sequence else "fragments", None, tag)
        elif vr == b"SQ" or (vr is None and _dictionary_vr(tag) == b"SQ"):
            self._check_room(length)
            self._enter("sequence", self._position + length, tag)
        elif self._is_wanted(tag) or self._is_sound(tag, vr, length):
            self._keep(tag, vr, length)
        else:
            self._skip(length)

    def _is_wanted(self, tag: int) -> bool:
        return self._levels[-1].item is not None and tag in self._wanted

    def _is_sound(self, tag: int, vr: bytes | None, length: int) -> bool:
        item = self._levels[-1].item
        told = vr in (None, b"UN", _dictionary_vr(tag))
        wanted = tag in self._if_sound and item is not None and tag not in item.values
        return wanted and told and length <= _MAX_VALUE

    def _keep(self, tag: int, vr: bytes | None, length: int) -> None:
        name = f"element {_name(tag)}"
        item = self._levels[-1].item
        assert item is not None  # asked for only there
        if tag in item.values:
            raise HeaderError(f"{name} stands twice")
        if vr not in (None, b"UN", _dictionary_vr(tag)):
            raise HeaderError(f"{name} has another VR than the standard's")
        if length > _MAX_VALUE:
            raise HeaderError(f"{name} has {length} bytes")
        self._check_room(length)
        item.values[tag] = self._take(length)

    def _item(self, level: _Level) -> None:
        group, element, length = self._tag_length.unpack(self._take(8))
        tag = group << 16 | element
        self._count_one()
        if tag == _SEQUENCE_END and level.end is None:
            self._leave()
        elif tag != _ITEM:
            raise HeaderError("something else than an item stands in a sequence")
        elif level.kind == "fragments":
            self._skip(length)
        elif length == UNDEFINED:
            self._enter_item(level, None)
        else:
            self._check_room(length)
            self._enter_item(level, self._position + length)

    def _enter_item(self, sequence: _Level, end: int | None) -> None:
        around = self._levels[-2]
        inner = _Level("data set", end, _next_item(sequence), implicit=around.implicit or None)
        self._levels.append(inner)

    def _enter(self, kind: str, end: int | None, tag: int) -> None:
        self._depth += 1
        if self._depth > self._limits.max_depth:
            raise HeaderLimitError(f"sequences nest deeper than {self._limits.max_depth}")
        item = self._levels[-1].item
        items: list[WalkedItem] | None = None
        if item is not None and tag in self._wanted and _dictionary_vr(tag) == b"SQ":
            if tag in item.sequences:
                raise HeaderError(f"sequence {_name(tag)} stands twice")
            items = item.sequences[tag] = []
        self._levels.append(_Level(kind, end, items=items))

    def _leave(self) -> None:
        if self._levels.pop().kind != "data set":
            self._depth -= 1

    def _count_one(self) -> None:
        self._count += 1
        if self._count > self._limits.max_elements:
            raise HeaderLimitError(f"more than {self._limits.max_elements} elements and items")

    def _check_room(self, length: int) -> None:
        end = next((level.end for level in reversed(self._levels) if level.end is not None), None)
        if end is not None and self._position + length > end:
            raise HeaderError("an element is longer than what holds it")

    def _take(self, count: int) -> bytes:
        data = self._stream.read(count)
        self._position += len(data)
        if len(data) < count:
            raise HeaderError("the data set ends in the middle of an element")
        return data

    def _skip(self, length: int) -> None:
        self._check_room(length)
        if self._size is not None:
            self._stream.seek(length, 1)
            self._position += length
            return
        while length > 0:
            length -= len(self._take(min(length, _SKIP_CHUNK)))


def _next_item(sequence: _Level) -> WalkedItem | None:
    """Where the elements of a sequence's next item go."""
    if sequence.items is None:
        return None
    sequence.items.append(WalkedItem())
    return sequence.items[-1]


def _looks_like_vr(vr: bytes) -> bool:
    return vr.isalpha() and vr.isupper()


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _dictionary_vr(tag: int) -> bytes | None:
    """Return the VR of a standard element, None if the dictionary does not know the tag."""
    try:
        return dictionary_VR(tag).encode()
    except KeyError:
        return None
