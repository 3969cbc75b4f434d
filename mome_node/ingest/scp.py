"""The DIMSE door: Verification, Storage, Storage Commitment and availability notices.

PS3.4 annexes A, B, J and R.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import structlog
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE, evt
from pynetdicom._handlers import standard_dimse_recv_handler
from pynetdicom.association import Association
from pynetdicom.pdu import A_ABORT_RQ, A_RELEASE_RQ
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import register_uid, uid_to_service_class
from pynetdicom.transport import AssociationSocket

from mome_node.dicom.classes import (
    PRIVATE_STORAGE_CLASSES,
    decodable_transfer_syntaxes,
    storage_classes,
)
from mome_node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from mome_node.errors import SettingsError
from mome_node.ingest.availability import (
    NOTICE_CLASS,
    NoticeReception,
)
from mome_node.ingest.commitment import CommitmentReception
from mome_node.ingest.commitment_results import CommitmentResults
from mome_node.ingest.dimse import (
    IndicationQueue,
    StreamingProvider,
)
from mome_node.ingest.log_rate import LogRate
from mome_node.ingest.negotiation import (
    VERIFICATION,
    accept_as_scp,
    accept_commitment,
    answer_extended,
    offer_reporting_only,
)
from mome_node.ingest.open_files import allow_open_files, needed_files
from mome_node.ingest.peers import Admission, Places
from mome_node.ingest.pending import PendingConnections
from mome_node.ingest.receipt import Reception
from mome_node.ingest.server import ConnectionTimes, ReceivingServer
from mome_node.ingest.services import Services, on_echo, on_message, provider_of
from mome_node.ingest.storage_service import StorageService
from mome_node.ingest.transport import StoreTransport
from mome_node.ingest.transport_limits import TransportLimits
from mome_node.ingest.upper_layer import guard_upper_layer

log = structlog.get_logger(__name__)

# A-ASSOCIATE-RJ (PS3.8 9.3.4): rejected-permanent, by the service user, because of ...
_CALLING_AE_NOT_RECOGNISED: Final = (0x01, 0x01, 0x03)
_CALLED_AE_NOT_RECOGNISED: Final = (0x01, 0x01, 0x07)
# ... and rejected-transient, by the service provider: local-limit-exceeded.
_LOCAL_LIMIT_EXCEEDED: Final = (0x02, 0x03, 0x02)
_MORE_PENDING: Final = 16  # connections that may wait beside a whole set of new associations
_ALL_THAT_COME: Final = 1 << 20  # the library's own limit counts those, too, that only connect
_MAX_OTHER_PDU_BYTES: Final = 1 << 20  # an A-ASSOCIATE-RQ with all its contexts stays below
NOTICE_TRANSFER_SYNTAXES: Final = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
)


@dataclass(frozen=True, slots=True)
class ScpSettings:
    """How the receiver is reached and what it bears. Port 0 takes any free port.

    ``peer_associations``: those that a calling AE title may have at a time, where it has a limit.
    """

    ae_title: str = "MOME"
    host: str = "0.0.0.0"  # noqa: S104 (a receiver; who may send is for Admission)
    port: int = 11112
    max_associations: int = 25
    max_pdu_bytes: int = 131_072
    acse_timeout_s: float = 30.0
    dimse_timeout_s: float = 60.0
    network_timeout_s: float = 3600.0  # PACS keep idle associations open for long
    handshake_timeout_s: float = 10.0
    pdu_timeout_s: float = 30.0
    plain: bool = True
    tls_port: int = 2762
    also_called: tuple[str, ...] = ()
    peer_associations: Mapping[str, int] = field(default_factory=dict)

    @property
    def max_pending(self) -> int:
        """How many connections may wait that have not asked for an association yet."""
        return self.max_associations + _MORE_PENDING

    @property
    def times(self) -> ConnectionTimes:
        """How long a connection may take for each of its first steps."""
        return ConnectionTimes(self.handshake_timeout_s, self.acse_timeout_s, self.pdu_timeout_s)


class StorageScp:
    """Receives C-ECHO and C-STORE and hands every instance to the one receipt.

    With ``notices`` it takes availability notices, with ``commitment`` requests for commitment,
    with ``results`` reports on commitment that we asked for.
    """

    def __init__(
        self,
        settings: ScpSettings,
        reception: Reception,
        admission: Admission,
        tls: ssl.SSLContext | None = None,
        notices: NoticeReception | None = None,
        commitment: CommitmentReception | None = None,
        results: CommitmentResults | None = None,
    ) -> None:
        self._settings = settings
        self._storage = StorageService(reception, admission, frozenset(storage_classes()))
        self._admission = admission
        self._tls = tls
        self._results = results
        self._services = Services(self._storage, notices, commitment, results)
        self._limits = TransportLimits(
            idle_s=settings.network_timeout_s,
            message_s=settings.dimse_timeout_s,
            pdu_s=settings.pdu_timeout_s,
            answer_s=settings.dimse_timeout_s,
            max_pdu_bytes=max(settings.max_pdu_bytes, _MAX_OTHER_PDU_BYTES),
        )
        self._ae = _application_entity(settings, takes_notices=notices is not None)
        accept_commitment(
            self._ae,
            NOTICE_TRANSFER_SYNTAXES,
            may_ask=commitment is not None,
            may_report=results is not None,
        )
        self._places = Places(settings.max_associations, settings.peer_associations)
        self._titles = frozenset({settings.ae_title, *settings.also_called})
        self._pending = PendingConnections(settings.max_pending)
        self._log_rate = LogRate()
        self._servers: dict[str, ReceivingServer] = {}

    @property
    def port(self) -> int:
        """The port that is listened on without TLS; SettingsError if there is none."""
        return self._port("plain")

    @property
    def tls_port(self) -> int:
        """The port that is listened on with TLS; SettingsError if there is none."""
        return self._port("tls")

    def start(self) -> None:
        """Listen; returns at once. SettingsError if an address cannot be used."""
        settings = self._settings
        allow_open_files(needed_files(settings.max_associations, settings.max_pending))
        if settings.plain:
            self._servers["plain"] = self._listening(settings.port, None)
        if self._tls is not None:
            self._servers["tls"] = self._listening(settings.tls_port, self._tls)
        for kind, server in self._servers.items():
            server.accept_connections()
            log.info("receiving", ae_title=settings.ae_title, port=self._port(kind), kind=kind)

    def stop(self) -> None:
        """Stop listening and abort what is open."""
        for server in self._servers.values():
            server.shutdown()
        self._ae.shutdown()
        self._servers = {}

    def _port(self, kind: str) -> int:
        if kind not in self._servers:
            raise SettingsError(f"the receiver does not listen ({kind})")
        return int(self._servers[kind].server_address[1])

    def _listening(self, port: int, tls: ssl.SSLContext | None) -> ReceivingServer:
        address = (self._settings.host, port)
        try:
            server = self._ae.make_server(
                address,
                ssl_context=tls,
                evt_handlers=[
                    (evt.EVT_CONN_OPEN, self._on_connection),
                    (evt.EVT_REQUESTED, self._on_request),
                    (evt.EVT_SOP_EXTENDED, answer_extended),
                    (evt.EVT_DIMSE_RECV, on_message),
                    (evt.EVT_C_ECHO, on_echo),
                    (evt.EVT_C_STORE, self._services.on_store),
                    (evt.EVT_N_CREATE, self._services.on_notice),
                    (evt.EVT_N_ACTION, self._services.on_action),
                    (evt.EVT_N_EVENT_REPORT, self._services.on_report),
                    (evt.EVT_PDU_RECV, _on_pdu_received),
                    (evt.EVT_PDU_SENT, _on_pdu_sent),
                    (evt.EVT_CONN_CLOSE, _on_connection_closed),
                ],
                server_class=ReceivingServer,
                pending=self._pending,
                times=self._settings.times,
                log_rate=self._log_rate,
            )
        except OSError as error:
            self.stop()
            raise SettingsError(
                f"cannot listen on {address[0]} port {address[1]}: {error.strerror}"
            ) from error
        assert isinstance(server, ReceivingServer)
        return server

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _on_connection(self, event: evt.Event) -> None:
        association = event.assoc
        # The library's debug log fails on a command that lacks something, and with it _on_message.
        association.unbind(evt.EVT_DIMSE_RECV, standard_dimse_recv_handler)
        provider = StreamingProvider(association, self._storage)
        association.dimse = provider
        guard_upper_layer(association)
        association.dul.to_user_queue = IndicationQueue(provider)
        accepted = association.dul.socket
        if isinstance(accepted, AssociationSocket):
            association.dul.socket = StoreTransport(accepted, self._storage, self._limits)

    def _on_request(self, event: evt.Event) -> None:
        association = event.assoc
        calling, called = _titles(association)
        address = association.requestor.address
        if called not in self._titles:
            _reject(association, _CALLED_AE_NOT_RECOGNISED, "called AE title is not ours")
            return
        may_send = self._admission.admits(calling, address)
        if not may_send and not self._may_report(calling, address):
            _reject(association, _CALLING_AE_NOT_RECOGNISED, "peer is not in dicom.allowed_peers")
        elif why := self._places.take(calling, association):
            _reject(association, _LOCAL_LIMIT_EXCEEDED, why)
        elif not may_send:
            offer_reporting_only(association)

    def _may_report(self, calling: str, address: str) -> bool:
        """Tell whether the caller is a destination, whose reports are taken wherever it stands."""
        return self._results is not None and bool(self._results.speaks(calling, address))


def _application_entity(settings: ScpSettings, *, takes_notices: bool) -> AE:
    for uid, keyword in PRIVATE_STORAGE_CLASSES.items():
        if uid_to_service_class(uid) is not StorageServiceClass:
            register_uid(uid, keyword, StorageServiceClass)
    try:
        entity = AE(ae_title=settings.ae_title)
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"{settings.ae_title!r} is no AE title: up to 16 ASCII characters without backslash"
        ) from error
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_associations = _ALL_THAT_COME
    entity.maximum_pdu_size = settings.max_pdu_bytes
    entity.acse_timeout = settings.acse_timeout_s
    entity.dimse_timeout = settings.dimse_timeout_s
    entity.network_timeout = None  # the transport's: the library sees no C-STORE
    accept_as_scp(entity, VERIFICATION)
    for sop_class in storage_classes():
        accept_as_scp(entity, sop_class, decodable_transfer_syntaxes())
    if takes_notices:
        accept_as_scp(entity, NOTICE_CLASS, NOTICE_TRANSFER_SYNTAXES)
    return entity


def _titles(association: Association) -> tuple[str, str]:
    """Return the calling and the called AE title of the request."""
    request = association.requestor.primitive
    assert request is not None  # called after the A-ASSOCIATE-RQ came
    return request.calling_ae_title.strip(), request.called_ae_title.strip()


def _reject(association: Association, verdict: tuple[int, int, int], why: str) -> None:
    calling, called = _titles(association)
    # First of all: a log that fails must let nobody in.
    association.acse.send_reject(*verdict)
    association.kill()  # waits until the rejection is sent
    log.warning(
        "association rejected",
        why=why,
        calling_ae=calling,
        called_ae=called,
        host=association.requestor.address,
    )


def _on_pdu_received(event: evt.Event) -> None:
    if isinstance(event.pdu, A_RELEASE_RQ):
        provider_of(event.assoc).tally.ended_by = "peer released"
    elif isinstance(event.pdu, A_ABORT_RQ):
        provider_of(event.assoc).tally.ended_by = "peer aborted"


def _on_pdu_sent(event: evt.Event) -> None:
    if isinstance(event.pdu, A_ABORT_RQ):
        provider_of(event.assoc).tally.ended_by = "we aborted"


def _on_connection_closed(event: evt.Event) -> None:
    provider = provider_of(event.assoc)
    provider.discard_unanswered()
    if not event.assoc.requestor.primitive:
        # Nobody will ask for an association here any more. Without this word its thread would
        # wait out the ACSE timeout and hold one of the places for associations until then.
        event.assoc.dul.to_user_queue.put(None)
        return
    if event.assoc.is_rejected:
        return
    tally = provider.tally
    log.info(
        "association ended",
        calling_ae=event.assoc.requestor.ae_title.strip(),
        host=event.assoc.requestor.address,
        tls=isinstance(event.assoc._server, ReceivingServer) and event.assoc._server.is_tls,
        ended_by=tally.ended_by or "connection lost",
        stored=tally.stored,
        duplicates=tally.duplicates,
        refused=tally.refused,
        statuses=sorted(tally.statuses),
        bytes=tally.bytes,
    )
