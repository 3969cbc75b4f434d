"""What a strict reader makes of a stream of PDUs (PS3.8 section 9.3 and annex E; PS3.7).

Written apart from the node's own reading, to be compared with it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tests.fuzz.pdus import COMMAND, LAST, NO_DATA_SET, P_DATA

C_STORE_RQ, C_ECHO_RQ, RESPONSE = 0x0001, 0x0030, 0x8000


@dataclass(frozen=True, slots=True)
class Message:
    """A DIMSE message: its presentation context, its command, its data set if it has one."""

    context_id: int
    command: dict[int, bytes]
    data_set: bytes | None

    def number(self, element: int) -> int | None:
        """A value of VR US; None if it is none."""
        value = self.command.get(element, b"")
        return int(struct.unpack("<H", value)[0]) if len(value) == 2 else None

    def text(self, element: int) -> str:
        """A value of VR UI."""
        return self.command.get(element, b"").rstrip(b"\0 ").decode("latin-1")

    @property
    def field(self) -> int | None:
        return self.number(0x0100)


class Violation(Exception):  # noqa: N818
    """What came is not allowed, and all that follows has no meaning."""


def pdus_of(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each PDU; Violation at one that is cut off or of no type."""
    at = 0
    while at < len(stream):
        if at + 6 > len(stream):
            raise Violation("the stream ends in a PDU's head")
        kind, _, length = struct.unpack_from(">BBL", stream, at)
        if not 1 <= kind <= 7:
            raise Violation(f"PDU type {kind}")
        body = stream[at + 6 : at + 6 + length]
        if len(body) < length:
            raise Violation("the stream ends in a PDU")
        yield kind, body
        at += 6 + length


def pdvs_of(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Context, control header and data of each PDV in a P-DATA-TF PDU."""
    if not body:
        raise Violation("a P-DATA-TF without a PDV")
    at = 0
    while at < len(body):
        if at + 6 > len(body):
            raise Violation("the PDU ends in a PDV's head")
        length, context_id, control = struct.unpack_from(">LBB", body, at)
        if length < 2 or at + 4 + length > len(body):
            raise Violation("a PDV is longer than its PDU, or shorter than its head")
        yield context_id, control & 3, body[at + 6 : at + 4 + length]
        at += 4 + length


def command_of(data: bytes) -> dict[int, bytes]:
    """The elements of a command set; Violation if it is not encoded as one."""
    command: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise Violation("the command set ends in an element")
        group, element, length = struct.unpack_from("<HHL", data, at)
        value = data[at + 8 : at + 8 + length]
        if group != 0 or element in command or len(value) < length:
            raise Violation("no command set")
        if command and element <= max(command):
            raise Violation("elements out of order")
        command[element] = value
        at += 8 + length
    if len(data) < 12 or command.get(0) != struct.pack("<L", len(data) - 12):
        raise Violation("a wrong group length")
    return command


class MessageReader:
    """Puts messages together from PDVs, one after the other (PS3.8 annex E)."""

    def __init__(self) -> None:
        self._command_data = b""
        self._context: int | None = None
        self._command: dict[int, bytes] | None = None
        self._data = bytearray()

    @property
    def is_between_messages(self) -> bool:
        return self._context is None

    def take(self, context_id: int, control: int, data: bytes) -> Message | None:
        """Take a PDV; the message that it completes."""
        if self._context not in (None, context_id):
            raise Violation("a message in two presentation contexts")
        self._context = context_id
        if control & COMMAND:
            if self._command is not None:
                raise Violation("a command where data should be")
            self._command_data += data
            if not control & LAST:
                return None
            self._command = command_of(self._command_data)
            kind = Message(context_id, self._command, None).number(0x0800)
            if kind is None:
                raise Violation("no Command Data Set Type")
            return self._complete(None) if kind == NO_DATA_SET else None
        if self._command is None:
            raise Violation("data where a command should be")
        self._data += data
        return self._complete(bytes(self._data)) if control & LAST else None

    def _complete(self, data_set: bytes | None) -> Message:
        assert self._context is not None
        assert self._command is not None
        message = Message(self._context, self._command, data_set)
        self.__init__()  # type: ignore[misc] # as new
        return message


@dataclass(frozen=True, slots=True)
class Reading:
    """The messages of a stream up to its end or its first violation."""

    messages: tuple[Message, ...]
    violation: str
    other_pdus: tuple[int, ...]


def read_stream(stream: bytes) -> Reading:
    """Read what one side says on an association that is established."""
    reader, messages, others = MessageReader(), [], []
    violation = ""
    try:
        for kind, body in pdus_of(stream):
            if kind != P_DATA:
                others.append(kind)
                break
            ended = False
            for part in pdvs_of(body):
                if ended:  # nobody may ask again before the answer (PS3.7 D.3.3.3)
                    raise Violation("a PDU goes on after a message's end")
                message = reader.take(*part)
                if message is not None:
                    messages.append(message)
                    ended = True
        if not others and not reader.is_between_messages:
            violation = "the stream ends in a message"
    except Violation as error:
        violation = str(error)
    return Reading(tuple(messages), violation, tuple(others))
