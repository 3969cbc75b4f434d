"""What a bad day brings to a receiver: good senders, and peers that come, stall and go."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from random import Random
from typing import Self

from tests.fuzz import pdus
from tests.fuzz.conversations import CONTEXTS, ECHO_CONTEXT, data_set
from tests.fuzz.elements import Coding, encode
from tests.fuzz.messages import echo_command, fragments_of, store_command
from tests.fuzz.peer import Line

SYNTAX = "1.2.840.10008.1.2.1"
_REQUEST = pdus.associate_rq(CONTEXTS)
_PIXELS = 200_000
_ASSOCIATION = 25  # instances a sender stores before it opens another one
_HALF_OPEN = 9
_ALL_AT_ONCE = 1 << 20


class Load:
    """Threads that each do one thing over and over, until the context ends."""

    def __init__(self, port: int, senders: int = 4) -> None:
        self._port = port
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.acknowledged: dict[str, str] = {}  # SOP Instance UID → digest
        self.echo_s: list[float] = []
        self.aborted = 0
        self.failures: list[str] = []
        works: list[Callable[[int], None]] = [self._send] * senders
        works += [self._abort, self._echo, self._echo, self._stay_silent, self._ask_and_go]
        self._threads = [
            threading.Thread(target=self._repeat, args=(work, n), daemon=True)
            for n, work in enumerate(works)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _repeat(self, work: Callable[[int], None], number: int) -> None:
        for turn in itertools.count():
            if self._stop.is_set():
                return
            try:
                work(number * 1_000_000 + turn)
            except (AssertionError, OSError) as error:
                self.failures.append(f"{work.__name__}: {error}")
                self._stop.wait(0.5)

    def _send(self, turn: int) -> None:
        """A sender that does everything right."""
        with _associated(self._port) as line:
            for count in range(_ASSOCIATION):
                uid = f"2.25.{turn}.{count}"
                pieces, digest = store_pdus(uid)
                line.say(b"".join(pieces), _ALL_AT_ONCE)
                line.until_answered(count + 1, surely=True)
                assert not line.heard.ended, "the association ended under a sender"
                assert line.heard.answers[-1].number(0x0900) == 0, "refused"
                with self._lock:
                    self.acknowledged[uid] = digest
                if self._stop.is_set():
                    break
            line.say(pdus.release_rq(), _ALL_AT_ONCE)
            line.until_ended()

    def _abort(self, turn: int) -> None:
        """A sender that gives up in the middle of a data set, one way or the other."""
        with _associated(self._port) as line:
            pieces, _ = store_pdus(f"2.25.{turn}.9")
            line.say(b"".join(pieces[: 2 + turn % 10]), _ALL_AT_ONCE)
            if turn % 2:
                line.reset()
            else:
                line.say(pdus.abort(), _ALL_AT_ONCE)
                line.until_ended()
        self.aborted += 1
        self._stop.wait(0.02)

    def _echo(self, _turn: int) -> None:
        """Verification on an association of its own, as monitoring does."""
        with _associated(self._port) as line:
            for count in range(3):
                command = pdus.command_set(echo_command(count))
                (fragment,) = fragments_of(Random(1), ECHO_CONTEXT, command, None)
                began = time.monotonic()
                line.say(pdus.pdu(pdus.P_DATA, fragment), _ALL_AT_ONCE)
                line.until_answered(count + 1, surely=True)
                took = time.monotonic() - began
                assert line.heard.answers[-1].number(0x0900) == 0
                with self._lock:
                    self.echo_s.append(took)
            line.say(pdus.release_rq(), _ALL_AT_ONCE)
            line.until_ended()
        self._stop.wait(0.01)

    def _stay_silent(self, _turn: int) -> None:
        """Connections that say nothing, half a PDU, or a byte now and then; renewed when gone."""
        begun = (b"", _REQUEST[:40], _REQUEST + b"\4\0\0\0\1")
        lines = [socket.create_connection(("127.0.0.1", self._port)) for _ in range(_HALF_OPEN)]
        try:
            for number, line in enumerate(lines):
                line.sendall(begun[number % 3])
            for at in range(8):
                if self._stop.wait(1.0):
                    return
                for line in lines[1::3]:
                    with suppress(OSError):  # it was closed on us, as it should be
                        line.sendall(_REQUEST[40 + at : 41 + at])
        finally:
            for line in lines:
                line.close()

    def _ask_and_go(self, _turn: int) -> None:
        """Association requests whose answer nobody waits for."""
        with socket.create_connection(("127.0.0.1", self._port)) as line:
            line.sendall(_REQUEST)
        self._stop.wait(0.05)


@contextmanager
def _associated(port: int) -> Iterator[Line]:
    """Open a line with an association."""
    line = Line(port)
    try:
        line.say(_REQUEST, _ALL_AT_ONCE)
        line.until_established(surely=True)
        assert line.heard.established, "no association"
        yield line
    finally:
        line.close()


def store_pdus(uid: str) -> tuple[list[bytes], str]:
    """The PDUs of a C-STORE request, and the digest of what is to be kept."""
    pixels = (sha256(uid.encode()).digest() * (_PIXELS // 32 + 1))[:_PIXELS]
    data = encode(data_set(uid, pixels=pixels), Coding(implicit=False))
    command = pdus.command_set(store_command(1, uid))
    size = 16_000
    parts = [pdus.pdv(1, pdus.COMMAND | pdus.LAST, command)]
    starts = range(0, len(data), size)
    parts += [
        pdus.pdv(1, pdus.LAST if at == starts[-1] else 0, data[at : at + size]) for at in starts
    ]
    return [pdus.pdu(pdus.P_DATA, part) for part in parts], digest_of(data)


def digest_of(data: bytes) -> str:
    """SHA-256 as the store makes it: over the transfer syntax and the data set."""
    return sha256(SYNTAX.encode() + b"\0" + data).hexdigest()
