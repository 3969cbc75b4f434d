"""What one connection may ask of the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How long a peer may take, in seconds, and how large a request's header may be, in bytes."""

    header_s: float = 10.0
    """From the connection, or a request's first byte, to the end of its header. TLS alike."""
    idle_s: float = 60.0
    """Between two requests."""
    body_window_s: float = 30.0
    min_body_bytes_per_s: float = 1024.0
    """Averaged over each window of waiting; a pause of one window is too long."""
    answer_s: float = 30.0
    """For the peer to take an answer off our hands."""
    linger_s: float = 10.0
    """What a peer still sends after an early answer is read for so long, so that it sees it."""
    max_header_bytes: int = 16 << 10
