"""The upper layer of an association that we accept, where a peer can bring the library's to a stop.

pynetdicom follows PS3.8 9.2, but an exception in one of its threads ends that thread without a
word: the peer waits, nobody is told that the connection ended, and what was on its way stays
where it is. From outside such exceptions come by

- a PDU that can be decoded and has no meaning (an even presentation context ID, an A-ABORT of
  nobody): it is an invalid PDU here (Evt19) and ends in an A-ABORT;
- an answer of ours (to an association, a release or a request) that is ready only after the peer
  has broken the protocol: it is forgotten;
- an association request that cannot be negotiated, a presentation context without a transfer
  syntax say: the association is aborted.
"""

from __future__ import annotations

import queue
from contextlib import suppress
from typing import Final

import structlog
from pynetdicom import evt
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import ACTIONS, TRANSITION_TABLE, StateMachine
from pynetdicom.pdu import A_ABORT_RQ

from mome_node.dicom.element_values import FOREIGN_ERRORS

log = structlog.get_logger(__name__)

_FROM_US: Final = frozenset({"Evt7", "Evt8", "Evt9", "Evt11", "Evt14", "Evt15"})
_ENDINGS: Final = frozenset({"AA-2", "AA-3", "AA-4", "AA-5"})  # after which nothing is sent
_IDLE: Final = "Sta1"
_SERVICE_PROVIDER: Final = 0x02  # source of an A-ABORT, PS3.8 9.3.8
_INVALID_PARAMETER: Final = 0x06


def guard_upper_layer(association: Association) -> None:
    """Let an association that was just accepted end as it should, whatever its peer says."""
    association.dul.state_machine = AcceptorStateMachine(association.dul)
    association.acse = AcceptorNegotiation(association)


class AcceptorStateMachine(StateMachine):
    """The state machine of an acceptor (PS3.8 table 9-10). Every connection has its end told."""

    def __init__(self, provider: DULServiceProvider) -> None:
        super().__init__(provider)
        self._has_aborted = False

    def do_action(self, event: str) -> None:
        """Act on an event; one that comes too late is forgotten, with what it was to send."""
        name = TRANSITION_TABLE.get((event, self.current_state))
        if name is None:
            if event in _FROM_US:
                with suppress(queue.Empty):
                    self.dul.to_provider_queue.get(block=False)
            return
        if name == "AA-7" and self._has_aborted:
            name = "AA-2"  # one who goes on after two A-ABORTs listens to no third
        self._has_aborted |= name == "AA-7"
        try:
            following = ACTIONS[name][1](self.dul)
        except FOREIGN_ERRORS as error:
            log.warning("a PDU has no meaning", action=name, why=type(error).__name__)
            self._give_up(name)
            return
        transition = {
            "action": name,
            "current_state": self.current_state,
            "fsm_event": event,
            "next_state": following,
        }
        evt.trigger(self.dul.assoc, evt.EVT_FSM_TRANSITION, transition)
        self.transition(following)

    def _give_up(self, action: str) -> None:
        """Abort, close, and tell those who wait for the end of the connection."""
        association, connection = self.dul.assoc, self.dul.socket
        if connection is not None:
            if action not in _ENDINGS:
                abort = A_ABORT_RQ()
                abort.source, abort.reason_diagnostic = _SERVICE_PROVIDER, _INVALID_PARAMETER
                self.dul._send(abort)
            connection.close()
        self.dul.kill_dul()
        self.current_state = _IDLE
        association.dimse.msg_queue.put((None, None))
        address = association.requestor.address_info
        evt.trigger(association, evt.EVT_CONN_CLOSE, {"address": address and address.as_tuple})


class AcceptorNegotiation(ACSE):
    """The association control service of an acceptor (PS3.7 annex D)."""

    def negotiate_association(self) -> None:
        """Answer the association request; abort where it makes no sense."""
        try:
            super().negotiate_association()
        except FOREIGN_ERRORS as error:
            log.warning("an association request makes no sense", why=type(error).__name__)
            self.assoc.abort()
