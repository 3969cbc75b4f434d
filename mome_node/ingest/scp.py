"""The DIMSE door: Verification, Storage and availability notices (PS3.4 annexes A, B and R)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final, Self

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE, N_CREATE
from pynetdicom.pdu import A_ABORT_RQ, A_RELEASE_RQ
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import register_uid, uid_to_service_class
from pynetdicom.transport import AssociationSocket, ThreadedAssociationServer

from mome_node.dicom.classes import (
    PRIVATE_STORAGE_CLASSES,
    decodable_transfer_syntaxes,
    storage_classes,
)
from mome_node.dicom.rejection_note import KEY_OBJECT_SELECTION
from mome_node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from mome_node.errors import SettingsError
from mome_node.ingest.arriving import ArrivingInstance
from mome_node.ingest.availability import (
    NOTICE_CLASS,
    NoticeAnswer,
    NoticeReception,
    NoticeStatus,
)
from mome_node.ingest.dimse import ArrivingDataset, StreamingProvider, replace_unusable_uids
from mome_node.ingest.outcome import Outcome, Status
from mome_node.ingest.peers import Admission
from mome_node.ingest.receipt import Reception
from mome_node.ingest.upper_layer import guard_upper_layer

log = structlog.get_logger(__name__)

_VERIFICATION: Final = "1.2.840.10008.1.1"
# A-ASSOCIATE-RJ (PS3.8 9.3.4): rejected-permanent, by the service user, because of ...
_CALLING_AE_NOT_RECOGNISED: Final = (0x01, 0x01, 0x03)
_CALLED_AE_NOT_RECOGNISED: Final = (0x01, 0x01, 0x07)
_MAX_OTHER_PDU_BYTES: Final = 1 << 20  # an A-ASSOCIATE-RQ with all its contexts stays below
NOTICE_TRANSFER_SYNTAXES: Final = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
)
_MAX_COMMENT: Final = 64  # Error Comment (0000,0902) is LO


@dataclass(frozen=True, slots=True)
class ScpSettings:
    """How the receiver is reached and what it bears. Port 0 takes any free port."""

    ae_title: str = "MOME"
    host: str = "0.0.0.0"  # noqa: S104 (a receiver; who may send is for Admission)
    port: int = 11112
    max_associations: int = 25
    max_pdu_bytes: int = 131_072
    acse_timeout_s: float = 30.0
    dimse_timeout_s: float = 60.0
    network_timeout_s: float = 3600.0  # PACS keep idle associations open for long


class StorageScp:
    """Receives C-ECHO and C-STORE and hands every instance to the one receipt.

    With ``notices`` it takes availability notices, too.
    """

    def __init__(
        self,
        settings: ScpSettings,
        reception: Reception,
        admission: Admission,
        tls: ssl.SSLContext | None = None,
        notices: NoticeReception | None = None,
    ) -> None:
        self._settings = settings
        self._reception = reception
        self._admission = admission
        self._tls = tls
        self._notices = notices
        self._ae = _application_entity(settings, takes_notices=notices is not None)
        self._server: ThreadedAssociationServer | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; SettingsError before ``start``."""
        if self._server is None:
            raise SettingsError("the receiver has not been started")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Listen; returns at once. SettingsError if the address cannot be used."""
        address = (self._settings.host, self._settings.port)
        try:
            self._server = self._ae.start_server(
                address,
                block=False,
                ssl_context=self._tls,
                evt_handlers=[
                    (evt.EVT_CONN_OPEN, self._on_connection),
                    (evt.EVT_REQUESTED, self._on_request),
                    (evt.EVT_DIMSE_RECV, _on_message),
                    (evt.EVT_C_ECHO, _on_echo),
                    (evt.EVT_C_STORE, self._on_store),
                    (evt.EVT_N_CREATE, self._on_notice),
                    (evt.EVT_PDU_RECV, _on_pdu_received),
                    (evt.EVT_PDU_SENT, _on_pdu_sent),
                    (evt.EVT_CONN_CLOSE, _on_connection_closed),
                ],
            )
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {address[0]} port {address[1]}: {error.strerror}"
            ) from error
        log.info("receiving", ae_title=self._settings.ae_title, port=self.port)

    def stop(self) -> None:
        """Stop listening and abort what is open."""
        self._ae.shutdown()
        self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _on_connection(self, event: evt.Event) -> None:
        event.assoc.dimse = StreamingProvider(event.assoc, self._reception)
        guard_upper_layer(event.assoc)
        _bound_reads(event.assoc, max(self._settings.max_pdu_bytes, _MAX_OTHER_PDU_BYTES))

    def _on_request(self, event: evt.Event) -> None:
        association = event.assoc
        calling, called = _titles(association)
        address = association.requestor.address
        if called != self._settings.ae_title:
            _reject(association, _CALLED_AE_NOT_RECOGNISED, "called AE title is not ours")
        elif not self._admission.admits(calling, address):
            _reject(association, _CALLING_AE_NOT_RECOGNISED, "peer is not in dicom.allowed_peers")

    def _on_store(self, event: evt.Event) -> Dataset:
        provider = _provider(event.assoc)
        if not isinstance(event.request, C_STORE):
            return _answer(Status.CANNOT_UNDERSTAND, "this SOP class is stored, nothing else")
        dataset = event.request.DataSet
        assert isinstance(dataset, ArrivingDataset)  # its provider put it there
        arriving = provider.claim(dataset)
        if arriving.identity.sop_class_uid != event.context.abstract_syntax:
            arriving.discard()
            outcome = Outcome(Status.DOES_NOT_MATCH, "another presentation context was agreed")
        else:
            outcome = self._reception.receive(
                arriving,
                event.assoc.requestor.ae_title.strip(),
                may_reject=self._may_reject(arriving, event.assoc),
            )
        provider.tally.count(outcome)
        return _answer(outcome.status, outcome.comment)

    def _on_notice(self, event: evt.Event) -> tuple[Dataset, Dataset | None]:
        provider = _provider(event.assoc)
        assert isinstance(event.request, N_CREATE)
        attributes = event.request.AttributeList
        assert isinstance(attributes, ArrivingDataset)  # its provider put it there
        try:
            answer = self._notice_answer(event, attributes)
        finally:
            provider.free_room()
        named = None
        if answer.status is NoticeStatus.SUCCESS and not event.request.AffectedSOPInstanceUID:
            named = Dataset()
            named.AffectedSOPInstanceUID = generate_uid(prefix=None)
        return _answer(answer.status, answer.comment), named

    def _notice_answer(self, event: evt.Event, attributes: ArrivingDataset) -> NoticeAnswer:
        is_notice = attributes.names_notice and event.context.abstract_syntax == NOTICE_CLASS
        if not is_notice or self._notices is None:
            return NoticeAnswer(NoticeStatus.NO_SUCH_CLASS, "only availability notices are taken")
        if not attributes.instance_is_valid:
            return NoticeAnswer(NoticeStatus.INVALID_INSTANCE, "no UID (PS3.5 9.1)")
        if attributes.too_large:
            return NoticeAnswer(NoticeStatus.RESOURCE_LIMITATION, "the notice is too large")
        return self._notices.receive(
            attributes.getvalue(),
            event.context.transfer_syntax,
            event.assoc.requestor.ae_title.strip(),
        )

    def _may_reject(self, arriving: ArrivingInstance, association: Association) -> bool:
        peer = association.requestor
        is_note = arriving.identity.sop_class_uid == KEY_OBJECT_SELECTION
        return is_note and self._admission.may_reject(peer.ae_title, peer.address)


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
    entity.maximum_associations = settings.max_associations
    entity.maximum_pdu_size = settings.max_pdu_bytes
    entity.acse_timeout = settings.acse_timeout_s
    entity.dimse_timeout = settings.dimse_timeout_s
    entity.network_timeout = settings.network_timeout_s
    entity.add_supported_context(_VERIFICATION)
    transfer_syntaxes = list(decodable_transfer_syntaxes())
    for sop_class in storage_classes():
        entity.add_supported_context(sop_class, transfer_syntaxes)
    if takes_notices:
        entity.add_supported_context(NOTICE_CLASS, list(NOTICE_TRANSFER_SYNTAXES))
    return entity


def _bound_reads(association: Association, max_bytes: int) -> None:
    """Close the connection of a peer that announces a PDU beyond all bounds.

    The library would gather up to 4 GiB, before it knows who is calling.
    """
    connection = association.dul.socket
    if not isinstance(connection, AssociationSocket):
        return
    receive = connection.recv

    def receive_bounded(count: int) -> bytearray:
        if count > max_bytes:
            raise OSError(f"a PDU of {count} bytes was announced, {max_bytes} are allowed")
        return receive(count)

    connection.recv = receive_bounded  # type: ignore[method-assign, assignment] # no hook


def _titles(association: Association) -> tuple[str, str]:
    """Return the calling and the called AE title of the request."""
    request = association.requestor.primitive
    assert request is not None  # called after the A-ASSOCIATE-RQ came
    return request.calling_ae_title.strip(), request.called_ae_title.strip()


def _provider(association: Association) -> StreamingProvider:
    provider = association.dimse
    assert isinstance(provider, StreamingProvider)  # set when the connection opened
    return provider


def _reject(association: Association, verdict: tuple[int, int, int], why: str) -> None:
    calling, called = _titles(association)
    log.warning(
        "association rejected",
        why=why,
        calling_ae=calling,
        called_ae=called,
        host=association.requestor.address,
    )
    association.acse.send_reject(*verdict)
    association.kill()  # waits until the rejection is sent


def _on_message(event: evt.Event) -> None:
    replace_unusable_uids(event.message)


def _on_echo(_event: evt.Event) -> int:
    return Status.SUCCESS.value


def _answer(status: Status | NoticeStatus, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status = status.value
    if status != Status.SUCCESS:
        answer.ErrorComment = comment[:_MAX_COMMENT]
    return answer


def _on_pdu_received(event: evt.Event) -> None:
    if isinstance(event.pdu, A_RELEASE_RQ):
        _provider(event.assoc).tally.ended_by = "peer released"
    elif isinstance(event.pdu, A_ABORT_RQ):
        _provider(event.assoc).tally.ended_by = "peer aborted"


def _on_pdu_sent(event: evt.Event) -> None:
    if isinstance(event.pdu, A_ABORT_RQ):
        _provider(event.assoc).tally.ended_by = "we aborted"


def _on_connection_closed(event: evt.Event) -> None:
    provider = _provider(event.assoc)
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
        ended_by=tally.ended_by or "connection lost",
        stored=tally.stored,
        duplicates=tally.duplicates,
        refused=tally.refused,
        statuses=sorted(tally.statuses),
        bytes=tally.bytes,
    )
