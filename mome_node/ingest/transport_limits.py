"""How long and how large what comes over an accepted connection may be."""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Final

WAIT_S: Final = 0.2
"""How long a wait for bytes keeps the library's reactor from what it has to send."""


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """How long and how large: seconds and bytes."""

    idle_s: float = 3600.0  # between two messages
    message_s: float = 60.0  # between two PDUs of a message
    pdu_s: float = 30.0  # from a PDU's first byte to its last
    answer_s: float = 60.0  # a peer that does not read our answers
    max_pdu_bytes: int = 1 << 20


def prepare(connection: socket.socket, limits: TransportLimits) -> None:
    """Set the options of an accepted socket: no Nagle delay, and no wait without an end."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if isinstance(connection, ssl.SSLSocket):
        connection.settimeout(WAIT_S)
        return
    # The kernel's own time-outs: Python's cost a system call more for each receive.
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(WAIT_S))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(limits.answer_s))


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("@ll", whole, int((seconds - whole) * 1e6))
