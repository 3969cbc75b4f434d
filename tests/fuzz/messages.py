"""DIMSE requests in fragments, and what can go wrong with them (PS3.7 section 9, PS3.8 annex E)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

from tests.fuzz import pdus
from tests.fuzz.pdus import COMMAND, LAST, NO_DATA_SET, SOME_DATA_SET, ui, us

Fragment = bytes
"""An encoded PDV."""

Command = list[tuple[int, bytes]]
_MR = "1.2.840.10008.5.1.4.1.1.4"
_FIELDS = (
    *(0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150),
    *(0x8001, 0x8010, 0x8020, 0x8021, 0x8030, 0x8100, 0x8130, 0x8140, 0x0FFF, 0x0000, 0xFFFF),
)
_VALUES = (
    *(b"", b"\0", b"\0\0\0", b"\1\0\2\0", b"1.2.3\\4.5.6 ", b"1." * 40, b"X" * 70, b"\xff" * 8),
    *(b"../../../x", b"\x1b$B", b"7" * 70_000),
)
_CLASSES = ("1.2.840.10008.1.1", "1.2.840.10008.5.1.4.33", "1.2.840.10008.1.20.1", _MR, "1.2.3", "")


def request(
    random: Random,
    kind: str,
    message_id: int,
    uid: str,
    data: bytes,
    made: list[str],
    sop_class: str = _MR,
) -> tuple[bytes, bytes | None]:
    """The command set of a request, one in five broken, and the data set that goes with it."""
    sent: bytes | None = data
    if kind == "store":
        command = store_command(message_id, uid, sop_class)
    elif kind == "echo":
        command, sent = echo_command(message_id), None
    elif kind == "notice":
        command = _other_command(0x0140, _CLASSES[1], message_id, uid)
        sent = random.choice((b"", b"\x08\0\x99\x11SQ\0\0\0\0\0\0", b"\xff" * 40, b"7" * 9000))
    else:
        field, sop_class = random.choice(_FIELDS), random.choice(_CLASSES)
        command = _other_command(field, sop_class, message_id, uid)
        sent = random.choice((None, b"", bytes(20)))
        command[-1] = (0x0800, us(NO_DATA_SET if sent is None else SOME_DATA_SET))
    if random.random() < 0.2:
        name = random.choice(tuple(COMMAND_CHANGES))
        made.append(f"in a command: {name}")
        return COMMAND_CHANGES[name](random, command), sent
    return pdus.command_set(sorted(command)), sent


def store_command(message_id: int, uid: str, sop_class: str = _MR) -> Command:
    """The elements of a C-STORE-RQ (PS3.7 table 9.3-1)."""
    return [
        (0x0002, ui(sop_class)),
        (0x0100, us(0x0001)),
        (0x0110, us(message_id)),
        (0x0700, us(0)),
        (0x0800, us(SOME_DATA_SET)),
        (0x1000, ui(uid)),
    ]


def echo_command(message_id: int) -> Command:
    """The elements of a C-ECHO-RQ (PS3.7 table 9.3-12)."""
    return [
        (0x0002, ui(_CLASSES[0])),
        (0x0100, us(0x0030)),
        (0x0110, us(message_id)),
        (0x0800, us(NO_DATA_SET)),
    ]


def _other_command(field: int, sop_class: str, message_id: int, uid: str) -> Command:
    number = 0x0120 if field & 0x8000 or field == 0x0FFF else 0x0110
    return [
        (0x0002, ui(sop_class)),
        (0x0003, ui(sop_class)),
        (0x0100, us(field)),
        (number, us(message_id)),
        (0x0700, us(1)),
        (0x0900, us(0)),
        (0x1000, ui(uid)),
        (0x1001, ui(uid)),
        (0x1008, us(1)),
        (0x0800, us(SOME_DATA_SET)),
    ]


def fragments_of(
    random: Random, context_id: int, command: bytes, data: bytes | None
) -> list[Fragment]:
    """Cut a message into PDVs."""
    parts = [(COMMAND, command)] if data is None else [(COMMAND, command), (0, data)]
    fragments = []
    for kind, content in parts:
        size = random.choice((1, 13)) if len(content) < 300 and random.random() < 0.1 else 4000
        pieces = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
        last = len(pieces) - 1
        fragments += [
            pdus.pdv(context_id, kind | (LAST if n == last else 0), piece)
            for n, piece in enumerate(pieces)
        ]
    return fragments


def broken_fragments(random: Random, fragments: list[Fragment], made: list[str]) -> list[Fragment]:
    """Send one of the PDVs otherwise than it should be."""
    if not fragments:
        made.append("data before a command")
        return [pdus.pdv(1, random.choice((0, LAST)), bytes(20))]
    at = random.randrange(len(fragments))
    one, rest = fragments[at], fragments[:at] + fragments[at + 1 :]
    context_id, control, data = one[4], one[5], one[6:]
    name, instead = random.choice(
        (
            ("missing", []),
            ("twice", [one, one]),
            ("empty", [pdus.pdv(context_id, control, b"")]),
            ("with other bits", [pdus.pdv(context_id, random.randrange(256), data)]),
            (
                "in another context",
                [pdus.pdv(random.choice((0, 2, 3, 23, 99, 255)), control, data)],
            ),
            ("with a lying length", [pdus.pdv(context_id, control, data, _lie(random, data))]),
            ("after an empty one", [pdus.pdv(context_id, control & COMMAND, b""), one]),
            ("without its last flag", [pdus.pdv(context_id, control & COMMAND, data)]),
            ("ended early", [pdus.pdv(context_id, control | LAST, data)]),
            ("cut", [one[: random.randrange(len(one))]]),
        )
    )
    if random.random() < 0.25:
        made.append("PDVs out of order")
        where = random.randrange(len(rest) + 1)
        return [*rest[:where], one, *rest[where:]]
    made.append(f"a PDV {name}")
    return fragments[:at] + instead + fragments[at + 1 :]


def _lie(random: Random, data: bytes) -> int:
    true = len(data) + 2
    return random.choice((0, 1, 2, max(true - 1, 0), true + 1, true + 6, 0x7FFFFFFF, 0xFFFFFFFF))


def _wrong_group_length(random: Random, command: Command) -> bytes:
    return pdus.command_set(sorted(command), random.choice((0, 1, 13, 0xFFFF, 0xFFFFFFFF)))


def _no_group_length(_random: Random, command: Command) -> bytes:
    return pdus.command_elements(sorted(command))


def _element_missing(random: Random, command: Command) -> bytes:
    gone = random.randrange(len(command))
    return pdus.command_set(sorted(command[:gone] + command[gone + 1 :]))


def _other_value(random: Random, command: Command) -> bytes:
    at = random.randrange(len(command))
    changed = [*command]
    changed[at] = (command[at][0], random.choice(_VALUES))
    return pdus.command_set(sorted(changed))


def _element_twice(random: Random, command: Command) -> bytes:
    number, _ = random.choice(command)
    return pdus.command_set(sorted([*command, (number, random.choice(_VALUES))]))


def _other_field(random: Random, command: Command) -> bytes:
    rest = [pair for pair in command if pair[0] != 0x0100]
    return pdus.command_set(sorted([*rest, (0x0100, us(random.choice(_FIELDS)))]))


def _says_no_data_set(_random: Random, command: Command) -> bytes:
    rest = [pair for pair in command if pair[0] != 0x0800]
    return pdus.command_set(sorted([*rest, (0x0800, us(NO_DATA_SET))]))


def _says_a_data_set(random: Random, command: Command) -> bytes:
    rest = [pair for pair in command if pair[0] != 0x0800]
    return pdus.command_set(sorted([*rest, (0x0800, us(random.choice((0, 1, 0x0102, 0xFFFF))))]))


def _out_of_order(random: Random, command: Command) -> bytes:
    return pdus.command_set(random.sample(command, len(command)))


def _lying_length(random: Random, command: Command) -> bytes:
    encoded = pdus.command_set(sorted(command))
    at = random.randrange(0, len(encoded) - 8)
    return encoded[:at] + struct.pack("<L", random.choice((0, 7, 0xFFFFFFFF))) + encoded[at + 4 :]


def _in_explicit_vr(_random: Random, command: Command) -> bytes:
    return b"".join(
        struct.pack("<HH2sH", 0, number, b"UI", len(value)) + value for number, value in command
    )


def _foreign_elements(random: Random, command: Command) -> bytes:
    foreign = struct.pack("<HHL", random.choice((0, 2, 8, 0xFFFE)), 0x0018, 6) + b"1.2.3\0"
    return pdus.command_set(sorted(command)) + foreign * random.choice((1, 2, 500))


def _not_a_command(random: Random, _command: Command) -> bytes:
    return random.choice((b"", b"\0", bytes(100), b"\xff" * 100, b"GET / HTTP/1.1\r\n\r\n"))


COMMAND_CHANGES: dict[str, Callable[[Random, Command], bytes]] = {
    "a wrong group length": _wrong_group_length,
    "no group length": _no_group_length,
    "an element less": _element_missing,
    "another value": _other_value,
    "an element twice": _element_twice,
    "another command field": _other_field,
    "a data set that is denied": _says_no_data_set,
    "a data set that is claimed": _says_a_data_set,
    "elements out of order": _out_of_order,
    "a length that lies": _lying_length,
    "Explicit VR": _in_explicit_vr,
    "foreign elements": _foreign_elements,
    "something else altogether": _not_a_command,
}
