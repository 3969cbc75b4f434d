"""Who may open an association with us."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AllowedPeer:
    """A peer that may send: its AE title and its host, a name or an address.

    ``may_reject``: its rejection notes are applied, too.
    """

    ae_title: str
    host: str
    may_reject: bool = False

    def is_called(self, ae_title: str, address: str) -> bool:
        """Tell whether a caller is this peer."""
        return self.ae_title.strip() == ae_title.strip() and _is_at(self.host, address)


@dataclass(frozen=True, slots=True)
class Admission:
    """The allow-list. Peers on this machine pass with any calling AE title."""

    peers: tuple[AllowedPeer, ...] = ()
    allow_any_peer: bool = False

    def admits(self, ae_title: str, address: str) -> bool:
        """Tell whether a peer with this calling AE title and IP address may come in."""
        if self.allow_any_peer or _parsed(address).is_loopback:
            return True
        return any(peer.is_called(ae_title, address) for peer in self.peers)

    def may_reject(self, ae_title: str, address: str) -> bool:
        """Tell whether a peer's rejection notes are applied.

        Only of one that the settings name for it, wherever it calls from: who is let in without
        being named, as this machine is, may not.
        """
        return any(p.may_reject and p.is_called(ae_title, address) for p in self.peers)


def _is_at(host: str, address: str) -> bool:
    try:
        return _parsed(host) == _parsed(address)
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:  # an unknown name
        return False
    return any(_parsed(str(entry[4][0])) == _parsed(address) for entry in found)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped
    return parsed
