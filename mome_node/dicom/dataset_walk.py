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
from functools import lru_cache
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
_FOREIGN_GROUPS_END: Final = max(_FOREIGN_GROUPS) + 1
_FIRST_PIXEL_GROUP: Final = _FIRST_PIXEL_TAG >> 16
_MAX_VALUE: Final = 1024  # bytes of a value that is kept
_WINDOW: Final = 1 << 16
_SHORT_VRS: Final = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)
_LONG_PLAIN_VRS: Final = frozenset(b"OB OD OF OL OV OW SV UC UR UT UV".split())
_MAY_BE_SEQUENCE: Final = (b"SQ", None)


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

    ``room`` is the nearest end there is, of this level or of one around it. ``item`` and
    ``items`` take what is wanted; None: nothing here is. ``implicit``: whether elements are in
    Implicit VR; None before the first one of a data set has told.
    """

    kind: str  # "data set", "sequence" or "fragments"
    end: int | None
    room: int | None
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
    """One pass over one data set, through a window on its bytes.

    Nearly all elements are only stepped over; ``_step_over`` does that in one loop without a
    call for each, since headers of some makers have thousands of them.
    """

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
        self._looked_at = wanted | if_sound
        self._limits = limits
        self._window = b""
        self._window_starts = 0  # in the data set
        self._at = 0  # in the window
        self._count = 0
        self._depth = 0
        implicit = encoding.is_implicit_vr or None
        self._levels = [_Level("data set", size, size, self.root, implicit=implicit)]

    def run(self) -> None:
        while self._levels:
            level = self._levels[-1]
            position = self._window_starts + self._at
            if level.end is not None and position >= level.end:
                if position > level.end:
                    raise HeaderError("an element reaches beyond the sequence or item it is in")
                self._leave()
            elif level.kind == "data set":
                if level.implicit is None:
                    level.implicit = self._begins_implicit()
                self._step_over(level)
                if self._at_pixel_data_or_end(level):
                    return
            else:
                self._item(level)

    def _begins_implicit(self) -> bool:
        """Whether the next data set or item is in Implicit VR, though Explicit was agreed.

        Some writers make such, and readers follow them: what begins so is so to its end, as far
        as ``pydicom`` is concerned. After a first element in Explicit VR each is looked at.
        """
        head = self._read(8)
        self._at -= len(head)
        vr = head[4:6]
        return len(head) == 8 and not (vr.isalpha() and vr.isupper())

    def _step_over(self, level: _Level) -> None:
        """Pass the elements of which nothing is wanted and that hold no others.

        Stops before any other, at the end of what holds them, and where the window ends: what
        stands there is taken one by one, with every check.
        """
        window, at, count = self._window, self._at, 0
        unpack = (self._tag_length if level.implicit else self._tag_vr_length).unpack_from
        last = len(window) - 12
        end = len(window)
        if level.room is not None:
            end = min(end, level.room - self._window_starts)
        lowest = _FOREIGN_GROUPS_END if len(self._levels) == 1 else 0
        looked_at, implicit, vr_of = self._looked_at, level.implicit, _dictionary_vr
        while at <= last:
            if implicit:
                group, element, length = unpack(window, at)
                after = at + 8 + length
                tag = group << 16 | element
                plain = vr_of(tag) not in _MAY_BE_SEQUENCE
            else:
                group, element, vr, length = unpack(window, at)
                after = at + 8 + length
                tag = group << 16 | element
                plain = vr in _SHORT_VRS
                if not plain and vr in _LONG_PLAIN_VRS:
                    (length,) = self._length.unpack_from(window, at + 8)
                    after = at + 12 + length
                    plain = True
            if not plain or after > end or group < lowest or group >= _FIRST_PIXEL_GROUP:
                break
            if tag in looked_at:
                break
            at = after
            count += 1
        self._at = at
        self._count += count - 1
        self._count_one()

    def _at_pixel_data_or_end(self, level: _Level) -> bool:
        """Take one element of a data set; tell whether the walk is over."""
        if level.end is not None and self._window_starts + self._at >= level.end:
            return False  # the end is for ``run`` to see
        is_root = len(self._levels) == 1
        head = self._read(8)
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
        vr = head[4:6]
        if level.implicit or not b"AA" <= vr <= b"ZZ":
            return None, length  # a change in the middle: readers follow it
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
            self._enter("sequence", self._window_starts + self._at + length, tag)
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
        item = self._levels[-1].item
        assert item is not None  # asked for only there
        if tag in item.values:
            raise HeaderError(f"element {_name(tag)} stands twice")
        if vr not in (None, b"UN", _dictionary_vr(tag)):
            raise HeaderError(f"element {_name(tag)} has another VR than the standard's")
        if length > _MAX_VALUE:
            raise HeaderError(f"element {_name(tag)} has {length} bytes")
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
            self._enter_item(level, None, level.room)
        else:
            self._check_room(length)
            end = self._window_starts + self._at + length
            self._enter_item(level, end, end)

    def _enter_item(self, sequence: _Level, end: int | None, room: int | None) -> None:
        implicit = sequence.implicit or None  # from Implicit VR nobody changes to Explicit
        item = _next_item(sequence)
        self._levels.append(_Level("data set", end, room, item, implicit=implicit))

    def _enter(self, kind: str, end: int | None, tag: int) -> None:
        self._depth += 1
        if self._depth > self._limits.max_depth:
            raise HeaderLimitError(f"sequences nest deeper than {self._limits.max_depth}")
        around = self._levels[-1]
        item, room = around.item, around.room if end is None else end
        items: list[WalkedItem] | None = None
        if item is not None and tag in self._wanted and _dictionary_vr(tag) == b"SQ":
            if tag in item.sequences:
                raise HeaderError(f"sequence {_name(tag)} stands twice")
            items = item.sequences[tag] = []
        self._levels.append(_Level(kind, end, room, items=items, implicit=around.implicit))

    def _leave(self) -> None:
        if self._levels.pop().kind != "data set":
            self._depth -= 1

    def _count_one(self) -> None:
        self._count += 1
        if self._count > self._limits.max_elements:
            raise HeaderLimitError(f"more than {self._limits.max_elements} elements and items")

    def _check_room(self, length: int) -> None:
        room = self._levels[-1].room
        if room is not None and self._window_starts + self._at + length > room:
            raise HeaderError("an element is longer than what holds it")

    def _read(self, count: int) -> bytes:
        """Up to ``count`` bytes; fewer at the end of the data set only."""
        if self._at + count > len(self._window):
            self._window_starts += self._at
            self._window = self._window[self._at :] + self._stream.read(_WINDOW)
            self._at = 0
        data = self._window[self._at : self._at + count]
        self._at += len(data)
        return data

    def _take(self, count: int) -> bytes:
        data = self._read(count)
        if len(data) < count:
            raise HeaderError("the data set ends in the middle of an element")
        return data

    def _skip(self, length: int) -> None:
        self._check_room(length)
        here = len(self._window) - self._at
        if length <= here:
            self._at += length
            return
        if self._size is not None:
            self._stream.seek(length - here, 1)
            self._window_starts += self._at + length
            self._window, self._at = b"", 0
            return
        while length > 0:
            length -= len(self._take(min(length, _WINDOW)))


def _next_item(sequence: _Level) -> WalkedItem | None:
    """Where the elements of a sequence's next item go."""
    if sequence.items is None:
        return None
    sequence.items.append(WalkedItem())
    return sequence.items[-1]


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@lru_cache(maxsize=4096)
def _dictionary_vr(tag: int) -> bytes | None:
    """Return the VR of a standard element, None if the dictionary does not know the tag."""
    try:
        return dictionary_VR(tag).encode()
    except KeyError:
        return None
