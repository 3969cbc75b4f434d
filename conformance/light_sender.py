"""A C-STORE SCU that costs nearly nothing: a raw socket, and PDUs encoded before they are sent.

What is encoded and decoded is pynetdicom's work; its threads and queues are left out.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from io import BytesIO
from typing import Self

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode
from pynetdicom.pdu import A_ASSOCIATE_RQ, A_RELEASE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    A_RELEASE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from mome_node.demonstration.pacs.pacs import DicomAddress
from mome_node.dicom.uids import IMPLEMENTATION_CLASS_UID

_APPLICATION_CONTEXT = UID("1.2.840.10008.3.1.1.1")  # PS3.7 annex A
_CONTEXT_ID = 1
_MAX_PDU = 131_072
_ANSWER_S = 30.0
# PDU types (PS3.8 section 9.3.1).
A_ASSOCIATE_AC_TYPE, P_DATA_TF_TYPE, A_RELEASE_RP_TYPE = 0x02, 0x04, 0x06


class LinkBrokenError(Exception):
    """The peer is gone; ``sent_whole``: all bytes of the request had been handed over."""

    def __init__(self, *, sent_whole: bool) -> None:
        super().__init__("the link broke")
        self.sent_whole = sent_whole


@dataclass(frozen=True)
class EncodedRequest:
    """A C-STORE-RQ with its data set, as the PDUs that are sent."""

    message_id: int
    pdus: bytes


def encoded_request(sop_instance_uid: str, data_set: bytes, message_id: int) -> EncodedRequest:
    """A C-STORE-RQ of an MR image in explicit VR little endian."""
    request = C_STORE()
    request.MessageID = message_id
    request.AffectedSOPClassUID = MRImageStorage
    request.AffectedSOPInstanceUID = UID(sop_instance_uid)
    request.Priority = 2
    request.DataSet = BytesIO(data_set)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    pdus = []
    for fragment in message.encode_msg(_CONTEXT_ID, _MAX_PDU):
        pdu = P_DATA_TF()
        pdu.from_primitive(fragment)
        pdus.append(pdu.encode())
    return EncodedRequest(message_id, b"".join(pdus))


def read_command_set(pdu_body: bytes) -> Dataset:
    """The command set of a message that fits one P-DATA-TF PDU; ``pdu_body`` follows its header."""
    pdu = P_DATA_TF()
    pdu.decode(bytes([P_DATA_TF_TYPE, 0]) + len(pdu_body).to_bytes(4, "big") + pdu_body)
    fragments = [item.presentation_data_value for item in pdu.presentation_data_value_items]
    command = b"".join(fragment[1:] for fragment in fragments)  # the message control header first
    return decode(BytesIO(command), True, True)


class LightSender:
    """One association. LinkBrokenError says that the peer is gone."""

    def __init__(self, peer: DicomAddress, calling_ae: str) -> None:
        self._peer = peer
        self._calling_ae = calling_ae

    def __enter__(self) -> Self:
        try:
            self._socket = socket.create_connection((self._peer.host, self._peer.port), _ANSWER_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._answers = self._socket.makefile("rb")
            self._socket.sendall(self._association_request())
            kind, _ = self._next_pdu()
        except OSError as error:
            raise LinkBrokenError(sent_whole=False) from error
        assert kind == A_ASSOCIATE_AC_TYPE, f"no association: PDU type {kind:02X}"
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._socket.close()

    def store(self, request: EncodedRequest) -> int:
        """Send a request; the status of the answer (PS3.7 9.1.1)."""
        sent_whole = False
        try:
            self._socket.sendall(request.pdus)
            sent_whole = True
            kind, body = self._next_pdu()
        except OSError as error:
            raise LinkBrokenError(sent_whole=sent_whole) from error
        assert kind == P_DATA_TF_TYPE, f"no answer but PDU type {kind:02X}"
        answer = read_command_set(body)
        assert answer.MessageIDBeingRespondedTo == request.message_id
        return int(answer.Status)

    def release(self) -> None:
        """End the association in order (PS3.8 7.2)."""
        pdu = A_RELEASE_RQ()
        pdu.from_primitive(A_RELEASE())
        self._socket.sendall(pdu.encode())
        kind, _ = self._next_pdu()
        assert kind == A_RELEASE_RP_TYPE, f"not released but PDU type {kind:02X}"

    def _next_pdu(self) -> tuple[int, bytes]:
        header = self._answers.read(6)
        length = int.from_bytes(header[2:], "big")
        body = self._answers.read(length)
        if len(header) < 6 or len(body) < length:
            raise ConnectionResetError("the peer closed the connection")
        return header[0], body

    def _association_request(self) -> bytes:
        context = build_context(MRImageStorage, ExplicitVRLittleEndian)
        context.context_id = _CONTEXT_ID
        longest = MaximumLengthNotification()
        longest.maximum_length_received = _MAX_PDU
        implementation = ImplementationClassUIDNotification()
        implementation.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        request = A_ASSOCIATE()
        request.application_context_name = _APPLICATION_CONTEXT
        request.calling_ae_title = self._calling_ae
        request.called_ae_title = self._peer.ae_title
        request.presentation_context_definition_list = [context]
        request.user_information = [longest, implementation]
        pdu = A_ASSOCIATE_RQ()
        pdu.from_primitive(request)
        return pdu.encode()
