"""The other end of a fuzzed connection: says a conversation, and hears what is answered."""

from __future__ import annotations

import select
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field

from tests.fuzz import pdus
from tests.fuzz.conversations import Conversation, Ending
from tests.fuzz.stream_reading import (
    Message,
    MessageReader,
    Reading,
    pdus_of,
    pdvs_of,
    read_stream,
)

END_S = 30.0
"""Within this every connection has ended. Far more than it takes: machines are loaded."""

_QUIET_S = 0.15
"""A peer that broke the protocol waits so long for answers that may never come."""


@dataclass
class Heard:
    """What was answered."""

    established: bool = False
    rejected: bool = False
    answers: list[Message] = field(default_factory=list)
    other_pdus: list[int] = field(default_factory=list)
    abort_sources: list[int] = field(default_factory=list)  # PS3.8 9.3.8
    ended: bool = False  # by the other side
    was_read: bool = True  # all of it was read


class Line:
    """A connection on which nothing blocks for longer than END_S."""

    def __init__(self, port: int) -> None:
        self.heard = Heard()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=END_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._deadline = time.monotonic() + END_S
        self._received = bytearray()
        self._reader = MessageReader()

    def close(self) -> None:
        """Close, if it is not closed."""
        self._socket.close()

    def say(self, data: bytes, pieces: int) -> None:
        """Write, in pieces, and take in what is answered meanwhile."""
        for at in range(0, len(data), pieces):
            if self.heard.ended:
                return
            try:
                self._socket.sendall(data[at : at + pieces])
            except OSError:
                self.listen(0)
                return
            self.listen(0)

    def listen(self, seconds: float) -> bool:
        """Take in what comes within this time; whether anything came."""
        if self.heard.ended or not select.select([self._socket], [], [], seconds)[0]:
            return False
        try:
            data = self._socket.recv(1 << 16)
        except OSError:
            data = b""
        self.heard.ended = not data
        self._received += data
        self._take_whole_pdus()
        return bool(data)

    def until_answered(self, count: int, *, surely: bool) -> None:
        """Wait for so many answers, or the end. ``surely``: they have to come."""
        while len(self.heard.answers) < count and not self.heard.ended:
            if not self.listen(END_S if surely else _QUIET_S):
                assert not surely or self.heard.ended, "no answer"
                return

    def until_established(self, *, surely: bool) -> None:
        """Wait for the answer to an association request, or the end."""
        while not (self.heard.established or self.heard.rejected or self.heard.ended):
            if not self.listen(END_S if surely else _QUIET_S):
                assert not surely or self.heard.ended, "no answer to an association request"
                return

    def until_ended(self) -> None:
        """Wait until the other side has closed."""
        while not self.heard.ended:
            left = self._deadline + END_S - time.monotonic()
            assert left > 0, "the connection stays open"
            self.listen(min(left, 1.0))

    def finish_writing(self) -> None:
        """Close our direction."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break off with a TCP RST."""
        linger = struct.pack("ii", 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()
        self.heard.was_read = False

    def _take_whole_pdus(self) -> None:
        while len(self._received) >= 6:
            length = struct.unpack_from(">L", self._received, 2)[0]
            assert length <= 1 << 20, "an answer of impossible size"
            if len(self._received) < 6 + length:
                return
            ((kind, body),) = pdus_of(bytes(self._received[: 6 + length]))
            del self._received[: 6 + length]
            self._take(kind, body)

    def _take(self, kind: int, body: bytes) -> None:
        """What the node says has to stand up to a strict reader."""
        if kind == pdus.P_DATA:
            for part in pdvs_of(body):
                message = self._reader.take(*part)
                if message is not None:
                    self.heard.answers.append(message)
            return
        self.heard.established |= kind == pdus.ASSOCIATE_AC
        self.heard.rejected |= kind == pdus.ASSOCIATE_RJ
        self.heard.other_pdus.append(kind)
        if kind == pdus.ABORT:
            self.heard.abort_sources.append(body[2])


def converse(port: int, said: Conversation) -> Heard:
    """Hold a conversation to its end; AssertionError if the other side does not end it in time."""
    reading = read_stream(said.stream)
    sound = is_sound(said, reading)
    line = Line(port)
    try:
        line.say(said.request, said.pieces)
        if not said.at_once:
            line.until_established(surely=said.is_sound_request)
        line.say(said.stream, said.pieces)
        if said.ending is Ending.RESET:
            line.reset()
            return line.heard
        if said.ending is Ending.SILENCE:
            line.until_ended()
            return line.heard
        if line.heard.established or said.at_once:
            expected = len(reading.messages)
            line.until_answered(expected, surely=sound)
            if sound and len(line.heard.answers) < expected:
                raise AssertionError(f"ended without an answer: {line.heard}")
        if said.ending is Ending.RELEASE:
            line.say(pdus.release_rq(), said.pieces)
        elif said.ending is Ending.ABORT:
            line.say(pdus.abort(), said.pieces)
        if said.ending is not Ending.RELEASE or not sound:
            line.finish_writing()  # else what was said may be waited on until a timeout
        line.until_ended()
        return line.heard
    finally:
        line.close()


def is_sound(said: Conversation, reading: Reading) -> bool:
    """Whether all of it keeps to the rules, so that every request in it has to be answered."""
    keeps_rules = not reading.violation and not reading.other_pdus
    starts_well = said.is_sound_request and not said.at_once
    return keeps_rules and starts_well and all(map(_is_sound_request, reading.messages))


def _is_sound_request(message: Message) -> bool:
    if message.field == 0x0030:
        is_verification = message.text(0x0002) == "1.2.840.10008.1.1"
        has_id = message.number(0x0110) is not None
        return is_verification and has_id and message.context_id == 21
    return (
        message.field == 0x0001
        and message.context_id < 21
        and message.number(0x0110) is not None
        and message.data_set is not None
        and 0 < len(message.text(0x0002)) <= 64
        and 0 < len(message.text(0x1000)) <= 64
    )
