"""Who may open an association with us, and how many at a time."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mome_node.ingest.host_names import HostNames

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class AllowedPeer:
    """A peer that may send: its AE title and its host, an address, a network or a name.

    ``may_reject``: its rejection notes are applied, too.
    """

    ae_title: str
    host: str
    may_reject: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """The allow-list. Peers on this machine pass with any calling AE title."""

    peers: tuple[AllowedPeer, ...] = ()
    allow_any_peer: bool = False
    names: HostNames = field(default_factory=HostNames)

    def admits(self, ae_title: str, address: str) -> bool:
        """Tell whether a peer with this calling AE title and IP address may come in.

        Waits two seconds at most, for a name service.
        """
        if self.allow_any_peer or _parsed(address).is_loopback:
            return True
        return any(self._is_called(peer, ae_title, address) for peer in self.peers)

    def may_reject(self, ae_title: str, address: str) -> bool:
        """Tell whether a peer's rejection notes are applied.

        Only of one that the settings name for it, wherever it calls from: who is let in without
        being named, as this machine is, may not.
        """
        return any(p.may_reject and self._is_called(p, ae_title, address) for p in self.peers)

    def named(self, ae_title: str, address: str) -> AllowedPeer | None:
        """Return the entry that names a caller, if any does."""
        return next((p for p in self.peers if self._is_called(p, ae_title, address)), None)

    def _is_called(self, peer: AllowedPeer, ae_title: str, address: str) -> bool:
        if peer.ae_title.strip() != ae_title.strip():
            return False
        caller = _parsed(address)
        if network := _network(peer.host):
            return caller in network
        return any(_parsed(found) == caller for found in self.names.addresses(peer.host))


class Association(Protocol):
    """What is asked of an association to know whether it still takes a place."""

    is_released: bool
    is_aborted: bool

    def is_alive(self) -> bool:
        """Tell whether its thread runs."""


class Places:
    """The associations that are served at a time: of all peers, and of one. For several threads.

    ``of_peer`` counts by calling AE title, from wherever it calls. A place is free again when its
    association has ended; nobody has to give it back.
    """

    def __init__(self, total: int, of_peer: Mapping[str, int] | None = None) -> None:
        self._total = total
        self._of_peer = dict(of_peer or {})
        self._taken: list[tuple[str, Association]] = []
        self._lock = threading.Lock()

    def take(self, ae_title: str, association: Association) -> str | None:
        """Take a place for an association that is asked for; or say why there is none."""
        title = ae_title.strip()
        with self._lock:
            self._taken = [(t, a) for t, a in self._taken if _goes_on(a)]
            if len(self._taken) >= self._total:
                return "dicom.max_associations are open"
            of_this = sum(t == title for t, _ in self._taken)
            if of_this >= self._of_peer.get(title, self._total):
                return "the peer has max_associations of its own open"
            self._taken.append((title, association))
            return None


def _goes_on(association: Association) -> bool:
    ended = association.is_released or association.is_aborted
    return not ended and association.is_alive()


def _network(host: str) -> _Network | None:
    """An address, as a network of one, or a network; None for a name."""
    try:
        network = ipaddress.ip_network(host.partition("%")[0], strict=False)
    except ValueError:
        return None
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    return ipaddress.ip_network((mapped, network.prefixlen - 96)) if mapped else network


def _parsed(address: str) -> _Address:
    """An address without its zone (RFC 4007); one of IPv4 that came by IPv6 as what it is."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped
    return parsed
