"""PDUs and command sets built byte by byte (PS3.8 section 9.3, PS3.7 section 6.3).

Every length can be told otherwise than it is: ``declared``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
COMMAND, LAST = 1, 2  # bits of the message control header (PS3.8 E.2)
NO_DATA_SET, SOME_DATA_SET = 0x0101, 0x0001


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context that is proposed."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


def pdu(kind: int, body: bytes, declared: int | None = None) -> bytes:
    """A PDU of any type."""
    return struct.pack(">BBL", kind, 0, len(body) if declared is None else declared) + body


def item(kind: int, body: bytes, declared: int | None = None) -> bytes:
    """An item or sub-item of an A-ASSOCIATE PDU."""
    length = len(body) if declared is None else declared
    return struct.pack(">BBH", kind, 0, length & 0xFFFF) + body


def title(text: str) -> bytes:
    """An AE title of 16 bytes."""
    return text.encode("latin-1").ljust(16)[:16]


def associate_head(version: int = 1, called: str = "MOME", calling: str = "FUZZER") -> bytes:
    """What precedes the items of an A-ASSOCIATE-RQ."""
    return struct.pack(">HH", version, 0) + title(called) + title(calling) + bytes(32)


def context_item(context: Context) -> bytes:
    """A presentation context item of an A-ASSOCIATE-RQ."""
    syntaxes = b"".join(item(0x40, s.encode()) for s in context.transfer_syntaxes)
    body = bytes((context.context_id, 0, 0, 0)) + item(0x30, context.abstract_syntax.encode())
    return item(0x20, body + syntaxes)


def user_items(max_length: int | None = 16_384) -> tuple[bytes, ...]:
    """The sub-items of a user information item that everybody sends (PS3.7 annex D.3.3).

    Without a maximum length, which is no option, its item is left out.
    """
    return (
        *([] if max_length is None else [item(0x51, struct.pack(">L", max_length))]),
        item(0x52, b"1.2.3.4"),
        item(0x55, b"FUZZER"),
    )


def associate_rq(contexts: Iterable[Context], max_length: int | None = 16_384) -> bytes:
    """An A-ASSOCIATE-RQ, sound but for the maximum length, if that is not."""
    items = [item(0x10, APPLICATION_CONTEXT), *map(context_item, contexts)]
    items.append(item(0x50, b"".join(user_items(max_length))))
    return pdu(ASSOCIATE_RQ, associate_head() + b"".join(items))


def pdv(context_id: int, control: int, data: bytes, declared: int | None = None) -> bytes:
    """A presentation data value item."""
    length = len(data) + 2 if declared is None else declared
    return struct.pack(">LBB", length & 0xFFFFFFFF, context_id & 0xFF, control) + data


def release_rq() -> bytes:
    """An A-RELEASE-RQ."""
    return pdu(RELEASE_RQ, bytes(4))


def abort(source: int = 0, reason: int = 0) -> bytes:
    """An A-ABORT."""
    return pdu(ABORT, bytes((0, 0, source, reason)))


def us(value: int) -> bytes:
    """A value of VR US."""
    return struct.pack("<H", value & 0xFFFF)


def ui(text: str) -> bytes:
    """A value of VR UI."""
    encoded = text.encode("latin-1")
    return encoded + b"\0" * (len(encoded) % 2)


def command_elements(elements: Iterable[tuple[int, bytes]]) -> bytes:
    """Elements of group 0000, in Implicit VR Little Endian."""
    return b"".join(struct.pack("<HHL", 0, number, len(v)) + v for number, v in elements)


def command_set(elements: Iterable[tuple[int, bytes]], group_length: int | None = None) -> bytes:
    """A command set with its group length, true unless told."""
    body = command_elements(elements)
    length = len(body) if group_length is None else group_length
    return command_elements([(0x0000, struct.pack("<L", length))]) + body
