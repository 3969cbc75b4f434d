"""One association with a peer: opened, bounded in time, closed; its failures in our own errors."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from mome_node.delivery.destination import Destination
from mome_node.errors import DeliveryError, PermanentDeliveryError, TransientDeliveryError

_REJECTED_PERMANENT = 1  # A-ASSOCIATE-RJ result, PS3.8 table 9-21
_SERVICE_USER = 1  # A-ASSOCIATE-RJ source
_CALLING_AE_NOT_RECOGNISED = 3
_CALLED_AE_NOT_RECOGNISED = 7
_LEAST_PDU = 8  # of a fragment with its headers, in pynetdicom
_MAX_PDU = 131072  # what DCMTK takes at most; the peer's own maximum bounds what we send


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for a peer, in seconds.

    ``answer_s`` has to cover a PACS that stores slowly: 30 to 60 s are usual.
    """

    connect_s: float = 10.0
    associate_s: float = 20.0
    answer_s: float = 60.0


DEFAULT_TIMEOUTS = Timeouts()


@contextmanager
def association(
    destination: Destination,
    contexts: Sequence[PresentationContext],
    timeouts: Timeouts,
    handlers: Sequence[evt.EventHandlerType] = (),
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
) -> Iterator[Association]:
    """Open an association that proposes ``contexts``; release it after the block, abort on error.

    Raises TransientDeliveryError when the peer is away, silent or busy, PermanentDeliveryError
    when it refuses us for good or takes none of the contexts.
    """
    opened, rejected = _Transport(timeouts.answer_s), _Rejection()
    listening = [(evt.EVT_PDU_RECV, rejected), *handlers]
    assoc = _associate(destination, contexts, timeouts, opened, listening, roles)
    if not assoc.is_established:
        raise _refusal(assoc, destination, timeouts, opened, rejected)
    if _takes_no_fragment(assoc):
        assoc.abort()
        raise TransientDeliveryError(
            f"{destination}: it does not say what length of PDU it takes, or one that nothing "
            "fits in (PS3.8 D.1)"
        )
    _keep_answers_from_the_reactor(assoc)
    try:
        yield assoc
    except BaseException:
        assoc.abort()
        raise
    assoc.release()


class _Transport:
    """Sets the socket's options when the connection opens, and remembers that it did."""

    def __init__(self, send_timeout_s: float) -> None:
        self.connected = False
        self._send_timeout_s = send_timeout_s

    def __call__(self, event: evt.Event) -> None:
        self.connected = True
        wrapper = event.assoc.dul.socket
        transport = wrapper.socket if wrapper else None
        if transport is None:
            return
        # Nagle's algorithm against a peer's delayed ACK costs 40 ms a PDU.
        transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Without it a peer that stops reading blocks the sending thread for ever.
        transport.settimeout(self._send_timeout_s)


class _Rejection:
    """Keeps the peer's A-ASSOCIATE-RJ.

    The association does not always: where it is so fast that the connection is closed again when
    the association first looks, it is told as one that could not be opened.
    """

    def __init__(self) -> None:
        self.answer: A_ASSOCIATE | None = None

    def __call__(self, event: evt.Event) -> None:
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            self.answer = event.pdu.to_primitive()


def _takes_no_fragment(assoc: Association) -> bool:
    """The peer's answer states no maximum length, or one below a fragment's headers; 0: no limit.

    The library would send by it nonetheless, and fail as if the instance were at fault.
    """
    said = assoc.acceptor.maximum_length
    return said is None or 0 < said < _LEAST_PDU


def _keep_answers_from_the_reactor(assoc: Association) -> None:
    """Leave every message that arrives to the thread that asked for it.

    An association's own thread polls for requests of the peer. A ``send_*`` method asks it to
    pause, but it may have passed that point already, take the answer and drop it; the sender then
    waits for its whole time-out. We are never asked anything outside of a ``send_*`` method, which
    waits, so what only looks need find nothing.
    """
    receive = assoc.dimse.get_msg

    def receive_if_waiting(block: bool = False) -> Any:
        return receive(block=True) if block else (None, None)

    # The library has no switch for it.
    assoc.dimse.get_msg = receive_if_waiting  # type: ignore[method-assign]


def _acknowledge_at_once(event: evt.Event) -> None:
    """Ask the kernel not to delay the ACK of what the peer sends next (Linux).

    DCMTK's peers write an answer's header and body apart with Nagle's algorithm on, and so wait
    40 ms an instance for our ACK. The option is not sticky: sending switches it off again.
    """
    wrapper = event.assoc.dul.socket
    if hasattr(socket, "TCP_QUICKACK") and wrapper is not None and wrapper.socket is not None:
        with suppress(OSError):  # the connection may be gone; the sender finds out by itself
            wrapper.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _associate(
    destination: Destination,
    contexts: Sequence[PresentationContext],
    timeouts: Timeouts,
    opened: _Transport,
    handlers: Sequence[evt.EventHandlerType],
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation],
) -> Association:
    entity = AE(ae_title=destination.calling_ae_title)
    entity.connection_timeout = timeouts.connect_s
    entity.acse_timeout = timeouts.associate_s
    entity.dimse_timeout = timeouts.answer_s
    entity.network_timeout = max(timeouts.answer_s, timeouts.associate_s)
    try:
        return entity.associate(
            destination.host,
            destination.port,
            contexts=list(contexts),
            ae_title=destination.ae_title,
            max_pdu=_MAX_PDU,
            ext_neg=list(roles),
            tls_args=(destination.tls, destination.host) if destination.tls else None,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, opened),
                (evt.EVT_DATA_SENT, _acknowledge_at_once),
                *handlers,
            ],
        )
    except OSError as error:
        raise TransientDeliveryError(
            f"{destination}: the host name cannot be resolved ({error.strerror})"
        ) from error


def _refusal(
    assoc: Association,
    destination: Destination,
    timeouts: Timeouts,
    opened: _Transport,
    rejected: _Rejection,
) -> DeliveryError:
    """Tell why ``assoc`` was not established."""
    if not opened.connected:
        in_tls = ", or no agreement on TLS: `mome-node check` tells more" if destination.tls else ""
        return TransientDeliveryError(
            f"{destination}: no connection (refused, unreachable or no answer within "
            f"{timeouts.connect_s:g} s{in_tls}); is the peer running?"
        )
    if rejected.answer is not None:
        return _rejection(rejected.answer, destination)
    if assoc.rejected_contexts:
        return PermanentDeliveryError(
            f"{destination}: it takes none of the SOP classes and transfer syntaxes proposed; "
            "have the peer accept them"
        )
    return TransientDeliveryError(
        f"{destination}: aborted the association or did not answer it within "
        f"{timeouts.associate_s:g} s"
    )


def _rejection(answer: A_ASSOCIATE, destination: Destination) -> DeliveryError:
    reason = f"{answer.source_str}: {answer.reason_str}"
    if answer.result_source == _SERVICE_USER and answer.diagnostic == _CALLED_AE_NOT_RECOGNISED:
        reason = f"it does not answer to the AE title {destination.ae_title}"
    if answer.result_source == _SERVICE_USER and answer.diagnostic == _CALLING_AE_NOT_RECOGNISED:
        reason = f"it does not know our AE title {destination.calling_ae_title}; enter it there"
    kind = (
        PermanentDeliveryError if answer.result == _REJECTED_PERMANENT else TransientDeliveryError
    )
    return kind(f"{destination}: rejected the association: {reason}")
