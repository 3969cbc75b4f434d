"""What a DICOM peer takes, asked on one association and without storing anything."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pydicom.uid import UID
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from mome_node.delivery.association import Timeouts, association
from mome_node.delivery.destination import Destination
from mome_node.delivery.ping import echo_on
from mome_node.dicom.commitment import COMMITMENT_CLASS
from mome_node.errors import PermanentDeliveryError

PROBE_TIMEOUTS: Final = Timeouts(answer_s=10.0)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a peer has agreed to. ``storage`` holds pairs of SOP class and transfer syntax.

    ``echo_ms``: how soon it answered a C-ECHO, None where it takes none.
    """

    echo_ms: float | None
    storage: frozenset[tuple[UID, UID]]
    commitment: bool
    find: bool

    def takes(self, sop_class: UID, transfer_syntaxes: Iterable[UID]) -> bool:
        """Tell whether instances of a class can be sent in one of the transfer syntaxes."""
        return any((sop_class, syntax) in self.storage for syntax in transfer_syntaxes)


def probe(
    destination: Destination,
    storage: Iterable[tuple[UID, UID]],
    timeouts: Timeouts = PROBE_TIMEOUTS,
) -> Acceptance:
    """Propose storage, one transfer syntax a context, with all that a delivery uses; C-ECHO.

    Raises DeliveryError where the peer cannot be reached, or takes nothing at all.
    """
    if destination.tls is not None:
        _agree_on_tls(destination, destination.tls, timeouts)
    contexts = [
        *map(
            build_context,
            (Verification, COMMITMENT_CLASS, StudyRootQueryRetrieveInformationModelFind),
        ),
        *(build_context(*pair) for pair in dict.fromkeys(storage)),
    ]
    with association(destination, contexts, timeouts) as assoc:
        accepted = {
            (UID(context.abstract_syntax), UID(context.transfer_syntax[0]))
            for context in assoc.accepted_contexts
            if context.abstract_syntax is not None
        }
        classes = {sop_class for sop_class, _ in accepted}
        echo_ms = None
        if Verification in classes:
            started = time.monotonic()
            echo_on(assoc, destination, timeouts)
            echo_ms = 1000 * (time.monotonic() - started)
    return Acceptance(
        echo_ms=echo_ms,
        storage=frozenset(accepted),
        commitment=COMMITMENT_CLASS in classes,
        find=StudyRootQueryRetrieveInformationModelFind in classes,
    )


def _agree_on_tls(destination: Destination, context: ssl.SSLContext, timeouts: Timeouts) -> None:
    """Say what is wrong with TLS, which the association would not."""
    host, port = destination.host, destination.port
    try:
        with (
            socket.create_connection((host, port), timeouts.connect_s) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            pass
    except ssl.SSLCertVerificationError as error:
        raise PermanentDeliveryError(
            f"{destination}: its certificate is not trusted: {error.verify_message}; see ca_file, "
            "and whether the certificate names `host`"
        ) from error
    except ssl.SSLError as error:
        reason = (error.reason or "no reason").lower().replace("_", " ")
        raise PermanentDeliveryError(
            f"{destination}: no agreement on TLS ({reason}); is this its port for TLS?"
        ) from error
    except OSError:
        return  # told by the association
