"""Connections that have not asked for an association yet: few, and not for long.

Whoever only connects costs two threads and a socket, before anybody knows who it is. When there
are too many, the oldest of the busiest place is closed: one who asks at once, as a modality does,
comes through while another holds a thousand connections open.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass


@dataclass(slots=True)
class _Wait:
    place: str
    number: int
    until: float


class PendingConnections:
    """At most ``at_most`` of them, each until its time is over. Safe for several threads.

    A connection that is gone is forgotten by itself: nothing here keeps it open.
    """

    def __init__(self, at_most: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._at_most = at_most
        self._monotonic = monotonic
        self._waits: weakref.WeakKeyDictionary[socket.socket, _Wait] = weakref.WeakKeyDictionary()
        self._count = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._open())

    def add(self, connection: socket.socket, address: str, within_s: float) -> str | None:
        """Let a connection wait so many seconds; whose was closed to make room for it, if any."""
        with self._lock:
            self._count += 1
            wait = _Wait(_place(address), self._count, self._monotonic() + within_s)
            self._waits[connection] = wait
            waits = self._open()
            if len(waits) <= self._at_most:
                return None
            busiest = Counter(w.place for w in waits.values()).most_common(1)[0][0]
            of_place = ((w.number, c) for c, w in waits.items() if w.place == busiest)
            _, oldest = min(of_place, key=lambda pair: pair[0])
            self._close(oldest)
            return busiest

    def extend(self, connection: socket.socket, within_s: float) -> None:
        """Let a connection that has come a step further wait so many seconds from now on."""
        with self._lock:
            if wait := self._waits.get(connection):
                wait.until = self._monotonic() + within_s

    def remove(self, connection: socket.socket) -> None:
        """Forget a connection: it has asked for its association."""
        with self._lock:
            self._waits.pop(connection, None)

    def close_overdue(self) -> list[str]:
        """Close what has waited too long; where those came from."""
        now = self._monotonic()
        with self._lock:
            overdue = {c: w for c, w in self._open().items() if w.until <= now}
            for connection in overdue:
                self._close(connection)
        return [wait.place for wait in overdue.values()]

    def close_all(self) -> None:
        """Close them all."""
        with self._lock:
            for connection in self._open():
                self._close(connection)

    def _open(self) -> dict[socket.socket, _Wait]:
        for connection in [c for c in self._waits if c.fileno() < 0]:
            del self._waits[connection]
        return dict(self._waits)

    def _close(self, connection: socket.socket) -> None:
        """End the connection under its owner, who closes the socket: its number is not free yet."""
        del self._waits[connection]
        with suppress(OSError):
            # TCP's own, also under TLS: another thread may be in the middle of the handshake.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _place(address: str) -> str:
    """An address of IPv4, or the network of one of IPv6, where a machine may take any."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
