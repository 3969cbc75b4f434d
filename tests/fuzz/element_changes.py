"""What a broken writer does to the elements of a data set. Each change breaks one thing.

All take a ``Random`` and nothing else that is not told: with the same one they do the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from tests.fuzz.elements import ITEM_END, SEQUENCE_END, Element, Elements, Item

Change = Callable[[Random, Elements, int], Elements]
"""Returns the elements with something done to, or beside, the one at an index."""

IDENTIFYING = frozenset(
    {
        *(0x00080005, 0x00080016, 0x00080018, 0x00080050, 0x00100010),
        *(0x00100020, 0x00100021, 0x00100030, 0x0020000D, 0x0020000E),
    }
)
_VRS = (
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"OB"),
    *(b"OD", b"OF", b"OL", b"OV", b"OW", b"PN", b"SH", b"SL", b"SQ", b"SS", b"ST", b"SV", b"TM"),
    *(b"UC", b"UI", b"UL", b"UN", b"UR", b"US", b"UT", b"UV"),
    *(b"", b"  ", b"\0\0", b"sq", b"ZZ", b"A\xff", b"01", b"??"),
)
_LENGTHS = (0, 1, 2, 3, 7, 8, 64, 0xFE, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
_TAGS = (
    *(0x00000000, 0x00000002, 0x00020000, 0x00020010, 0x00041220, 0x00060001, 0x00080000),
    *(0x00080001, 0x00090010, 0x00091001, 0x00189999, 0x50000010, 0x60003000, 0x7FE00008),
    *(0x7FE00009, 0x7FE00010, 0x7FE00011, 0xFFFCFFFC, 0xFFFE0000, 0xFFFEE000, 0xFFFEE00D),
    *(0xFFFEE0DD, 0xFFFFFFFF),
)
_TEXTS = (
    *(b"", b"\0", b" ", b"\0\0\0\0", b"\\", b"\\\\\\", b"1", b"-1", b"1.2.3", b"1..2", b"1.02"),
    *(b"1.2.3\\4.5.6", b"1.2.3 \0", b"../../etc/passwd", b"a/b", b"\x1b$B\x1b(J", b"\xff\xfe"),
    *(b"\xed\xa0\x80", b"\xf0\x9f\xa6\xb4", b"\x1b", b"\r\n", b"1e999", b"NaN", b"' OR 1=1 --"),
    *(b"1" * 64, b"1." * 32 + b"1", b"1." * 33, b"X" * 1025, b"20261325", b"%s%n", b"A^B^C=D=E"),
)
_CHARACTER_SETS = (
    *(b"", b"ISO_IR 192", b"ISO_IR 6", b"ISO_IR 100", b"ISO 2022 IR 87", b"\\ISO 2022 IR 149"),
    *(b"GB18030", b"GBK", b"ISO_IR 999", b"\\", b"\\\\", b"utf-7", b"idna", b"punycode", b"hex"),
    *(b"ISO 2022 IR 6\\ISO 2022 IR 159", b"ISO_IR 166 ", b"undefined", b"rot13", b"\xff\xff"),
    b"\\".join([b"ISO 2022 IR 87"] * 70),
)
_CHARACTER_SET_TAG = 0x00080005


def change_elements(random: Random, elements: Elements) -> tuple[Elements, str]:
    """Break one thing somewhere in a data set; what it was."""
    name = random.choice(tuple(CHANGES))
    return _somewhere(random, elements, CHANGES[name]), name


def _somewhere(random: Random, elements: Elements, change: Change) -> Elements:
    if not elements:
        return change(random, (Element(0x00080018, b"UI", b"1.2.3 "),), 0)
    named = [i for i, e in enumerate(elements) if e.tag in IDENTIFYING]
    index = random.choice(named) if named and random.random() < 0.2 else _any(random, elements)
    element = elements[index]
    if not isinstance(element.value, bytes) and element.value and random.random() < 0.7:
        inner = random.randrange(len(element.value))
        item = element.value[inner]
        if not isinstance(item.content, bytes):
            item = replace(item, content=_somewhere(random, item.content, change))
            items = (*element.value[:inner], item, *element.value[inner + 1 :])
            return _put(elements, index, replace(element, value=items))
    return change(random, elements, index)


def _any(random: Random, elements: Elements) -> int:
    return random.randrange(len(elements))


def _put(elements: Elements, index: int, *instead: Element) -> Elements:
    return (*elements[:index], *instead, *elements[index + 1 :])


def _lie_about_length(random: Random, elements: Elements, index: int) -> Elements:
    element = elements[index]
    true = len(element.value) if isinstance(element.value, bytes) else 8
    near = (true - 1, true + 1, true + 2, true * 2)
    declared = max(random.choice(random.choice((near, _LENGTHS))), 0)
    return _put(elements, index, replace(element, declared=declared))


def _change_vr(random: Random, elements: Elements, index: int) -> Elements:
    return _put(elements, index, replace(elements[index], vr=random.choice(_VRS)))


def _drop(_random: Random, elements: Elements, index: int) -> Elements:
    return _put(elements, index)


def _double(random: Random, elements: Elements, index: int) -> Elements:
    again = elements[index]
    if isinstance(again.value, bytes) and random.random() < 0.5:
        again = replace(again, value=random.choice(_TEXTS))
    at = random.choice((index, index + 1, len(elements)))
    return (*elements[:at], again, *elements[at:])


def _move(random: Random, elements: Elements, index: int) -> Elements:
    rest = _put(elements, index)
    at = random.randrange(len(rest) + 1)
    return (*rest[:at], elements[index], *rest[at:])


def _change_tag(random: Random, elements: Elements, index: int) -> Elements:
    return _put(elements, index, replace(elements[index], tag=random.choice(_TAGS)))


def _insert(random: Random, elements: Elements, index: int) -> Elements:
    vr, value = random.choice(_VRS), random.choice(_TEXTS)
    new = Element(random.choice(_TAGS), vr, value, undefined=random.random() < 0.3)
    return (*elements[:index], new, *elements[index:])


def _change_value(random: Random, elements: Elements, index: int) -> Elements:
    return _put(elements, index, replace(elements[index], value=random.choice(_TEXTS)))


def _make_huge(random: Random, elements: Elements, index: int) -> Elements:
    size = random.choice((1024, 1025, 65_534, 65_536, 200_000))
    return _put(elements, index, replace(elements[index], value=b"7" * size))


def _many_values(random: Random, elements: Elements, index: int) -> Elements:
    value = b"\\".join([random.choice(_TEXTS)] * random.choice((2, 100, 5000)))
    return _put(elements, index, replace(elements[index], value=value))


def _change_character_set(random: Random, elements: Elements, _index: int) -> Elements:
    told = Element(_CHARACTER_SET_TAG, b"CS", random.choice(_CHARACTER_SETS))
    rest = tuple(e for e in elements if e.tag != _CHARACTER_SET_TAG)
    at = sum(e.tag < _CHARACTER_SET_TAG for e in rest)
    return (*rest[:at], told, *rest[at:])


def _nest(random: Random, elements: Elements, index: int) -> Elements:
    inner: Elements = (elements[index],)
    for _ in range(random.choice((1, 2, 31, 32, 33, 40, 150))):
        undefined = random.random() < 0.5
        inner = (Element(0x00081115, b"SQ", (Item(inner, undefined),), random.random() < 0.5),)
    return _put(elements, index, *inner)


def _make_sequence(random: Random, elements: Elements, index: int) -> Elements:
    items = tuple(Item(b"", random.random() < 0.5) for _ in range(random.choice((0, 1, 3, 500))))
    vr = random.choice((b"SQ", b"UN", b"OB", b"LO"))
    new = replace(elements[index], vr=vr, value=items, undefined=random.random() < 0.7)
    return _put(elements, index, new)


def _break_delimiters(random: Random, elements: Elements, index: int) -> Elements:
    element = elements[index]
    if isinstance(element.value, bytes) or not element.value:
        return _put(elements, index, replace(element, undefined=True, closed=random.random() < 0.5))
    at = random.randrange(len(element.value))
    item = random.choice(
        (
            replace(element.value[at], undefined=True, closed=False),
            replace(element.value[at], undefined=True, closed=True, declared=0),
            replace(element.value[at], tag=random.choice((ITEM_END, SEQUENCE_END, 0x00080018))),
            replace(element.value[at], declared=random.choice(_LENGTHS)),
        )
    )
    items = (*element.value[:at], item, *element.value[at + 1 :])
    closed = random.random() < 0.7
    return _put(elements, index, replace(element, value=items, undefined=True, closed=closed))


def _change_to_implicit(random: Random, elements: Elements, index: int) -> Elements:
    end = random.choice((index + 1, len(elements)))
    changed = tuple(replace(e, vr=b"") for e in elements[index:end])
    return (*elements[:index], *changed, *elements[end:])


def _end_here(random: Random, elements: Elements, index: int) -> Elements:
    tail = (Element(0xFFFCFFFC, b"OB", bytes(random.choice((0, 1, 8, 1000)))),)
    return elements[:index] + random.choice(((), tail))


CHANGES: dict[str, Change] = {
    "a length that lies": _lie_about_length,
    "another VR": _change_vr,
    "an element less": _drop,
    "an element twice": _double,
    "elements out of order": _move,
    "another tag": _change_tag,
    "a foreign element": _insert,
    "another value": _change_value,
    "a huge value": _make_huge,
    "many values": _many_values,
    "another character set": _change_character_set,
    "deep nesting": _nest,
    "a sequence instead": _make_sequence,
    "broken delimiters": _break_delimiters,
    "Implicit VR in the middle": _change_to_implicit,
    "an early end": _end_here,
}
