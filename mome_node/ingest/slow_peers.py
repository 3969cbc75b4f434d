"""Reading from a peer that may send a byte a minute."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable


def read_whole(
    connection: socket.socket,
    count: int,
    within_s: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> bytearray:
    """Read so many bytes, fewer if the peer closes before; TimeoutError if that takes too long.

    One wait for the peer is bounded by the socket's own timeout, all of them by ``within_s``.
    """
    until = monotonic() + within_s
    read = bytearray(count)
    view = memoryview(read)
    position = 0
    while position < count:
        received = connection.recv_into(view[position:])
        if not received:
            return read[:position]
        position += received
        if position < count and monotonic() > until:
            raise TimeoutError(f"{position} of {count} bytes came in {within_s:g} s")
    return read
