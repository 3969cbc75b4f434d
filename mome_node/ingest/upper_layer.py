"""The upper layer's state machine, where a peer can bring the library's to a stop (PS3.8 9.2).

pynetdicom takes an event that PS3.8 table 9-10 has no action for as a fault of its caller: the
thread that serves the connection dies, nobody is told that the connection ended, and what was on
its way stays where it is. Two kinds of such events come from outside: an answer of ours (to an
association, a release or a request) that is ready only after the peer has broken the protocol,
and a connection whose end is noticed twice.
"""

from __future__ import annotations

import queue
from contextlib import suppress
from typing import Final

import structlog
from pynetdicom import evt
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import TRANSITION_TABLE, StateMachine

log = structlog.get_logger(__name__)

_FROM_US: Final = frozenset({"Evt7", "Evt8", "Evt9", "Evt11", "Evt14", "Evt15"})
_IDLE: Final = "Sta1"


class AcceptorStateMachine(StateMachine):
    """The state machine of an association that we accept. Every connection has its end told."""

    def __init__(self, provider: DULServiceProvider) -> None:
        super().__init__(provider)

    def do_action(self, event: str) -> None:
        """Act on an event; one that comes too late is forgotten, with what it was to send."""
        if (event, self.current_state) in TRANSITION_TABLE:
            try:
                super().do_action(event)
            except Exception:
                self._end()
                raise
        elif event in _FROM_US:
            with suppress(queue.Empty):
                self.dul.to_provider_queue.get(block=False)

    def _end(self) -> None:
        """Close the connection after a fault of our own, and tell those who wait on its end."""
        association = self.dul.assoc
        self.dul.kill_dul()
        self.current_state = _IDLE
        if self.dul.socket is not None:
            self.dul.socket.close()
        association.dimse.msg_queue.put((None, None))
        address = association.requestor.address_info
        evt.trigger(association, evt.EVT_CONN_CLOSE, {"address": address and address.as_tuple})
