"""Addresses of host names, remembered: no caller waits long for a name service that is slow."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

log = structlog.get_logger(__name__)

GOOD_FOR_S: Final = 300.0
FAILURE_GOOD_FOR_S: Final = 15.0
WAIT_S: Final = 2.0


def _resolved(name: str) -> frozenset[str]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return frozenset(str(entry[4][0]) for entry in found)


@dataclass(slots=True)
class _Known:
    addresses: frozenset[str] = frozenset()
    until: float = float("-inf")
    asking: threading.Event | None = None


class HostNames:
    """Resolves the names of the settings, each in a thread of its own. Safe for several threads.

    An answer is good for five minutes. While the name service fails, the last answer stays: its
    outage closes the door to nobody who had been let in.
    """

    def __init__(
        self,
        resolve: Callable[[str], frozenset[str]] = _resolved,
        monotonic: Callable[[], float] = time.monotonic,
        wait_s: float = WAIT_S,
    ) -> None:
        self._resolve = resolve
        self._monotonic = monotonic
        self._wait_s = wait_s
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def addresses(self, name: str) -> frozenset[str]:
        """Return the name's addresses, after two seconds at most; none if nobody knows any."""
        with self._lock:
            known = self._known.setdefault(name, _Known())
            if self._monotonic() < known.until:
                return known.addresses
            if known.asking is None:
                known.asking = threading.Event()
                threading.Thread(
                    target=self._ask, args=(name, known, known.asking), daemon=True
                ).start()
            asking = known.asking
        asking.wait(self._wait_s)
        return known.addresses

    def _ask(self, name: str, known: _Known, asking: threading.Event) -> None:
        try:
            found = self._resolve(name)
            good_for = GOOD_FOR_S
        except (OSError, UnicodeError):
            log.warning("a peer's host name is not known", name=name)
            found, good_for = known.addresses, FAILURE_GOOD_FOR_S
        with self._lock:
            known.addresses = found
            known.until = self._monotonic() + good_for
            known.asking = None
        asking.set()
