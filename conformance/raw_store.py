"""C-STORE requests whose data set goes out as it is, broken or not; and bytes that are no DICOM."""

from __future__ import annotations

import socket
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)
from pynetdicom import AE, _config
from pynetdicom.association import Association

from mome_node.demonstration.pacs.pacs import DicomAddress
from mome_node.storage.store import InstanceIdentity

_ANSWER_S = 60.0
_UNREADABLE = (InvalidDicomError, OSError, EOFError, AttributeError, TypeError, ValueError)


@dataclass(frozen=True)
class RawInstance:
    """What a careless sender announces, and the bytes that it sends."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: bytes


def raw_instance(path: Path) -> RawInstance:
    """A file as a sender would announce it that reads as little as possible."""
    data = path.read_bytes()
    begin, transfer_syntax = _data_set(data)
    sop_class, sop_instance, native = _announced(path)
    if not UID(transfer_syntax).is_valid:
        transfer_syntax = native
    return RawInstance(sop_class, sop_instance, transfer_syntax, data[begin:])


def _data_set(data: bytes) -> tuple[int, str]:
    """Where group 0002 ends, whatever it says of its own length; and its transfer syntax."""
    position = 132 if data[128:132] == b"DICM" else 0
    transfer_syntax = ""
    while position + 8 <= len(data):
        group, element, vr, length = struct.unpack("<HH2sH", data[position : position + 8])
        if group != 2:
            break
        position += 8
        if vr in (b"OB", b"UN"):
            (length,) = struct.unpack("<L", data[position : position + 4])
            position += 4
        if element == 0x0010:
            value = data[position : position + length]
            transfer_syntax = value.rstrip(b"\0 ").decode("latin-1")
        position += length
    return position, transfer_syntax


def _announced(path: Path) -> tuple[str, str, str]:
    """UIDs of class and instance, or some where there are none; and how the data set is encoded."""
    sop_class, sop_instance, native = MRImageStorage, UID("1.2.3"), ExplicitVRLittleEndian
    with suppress(*_UNREADABLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tags = ["SOPClassUID", "SOPInstanceUID"]
        header = dcmread(path, force=True, stop_before_pixels=True, specific_tags=tags)
        is_implicit, is_little = header.original_encoding
        explicit = ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian
        native = ImplicitVRLittleEndian if is_implicit else explicit
        found = UID(header.SOPClassUID), UID(header.SOPInstanceUID)
        if all(uid.is_valid for uid in found):
            sop_class, sop_instance = found
    return str(sop_class), str(sop_instance), str(native)


@contextmanager
def associated(peer: DicomAddress, sop_class: str, transfer_syntax: str) -> Iterator[Association]:
    """An association for one SOP class; it may be one that was not accepted."""
    entity = AE(ae_title="SENDER")
    entity.dimse_timeout = _ANSWER_S
    entity.add_requested_context(sop_class, transfer_syntax)
    association = entity.associate(peer.host, peer.port, ae_title=peer.ae_title)
    assert association.is_established or not association.is_rejected, "no association"
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def store(peer: DicomAddress, instance: RawInstance, folder: Path) -> int | None:
    """Send an instance; the status of the answer, None if its presentation context was refused."""
    identity = InstanceIdentity(
        instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid
    )
    path = folder / "instance.dcm"
    path.write_bytes(identity.file_meta() + instance.data_set)
    with (
        associated(peer, instance.sop_class_uid, instance.transfer_syntax_uid) as association,
        # The data set of the file is sent as it is, and not read.
        patch.object(_config, "STORE_SEND_CHUNKED_DATASET", new=True),
    ):
        if not association.accepted_contexts:
            return None
        answer = association.send_c_store(path)
    assert "Status" in answer, "the node did not answer"
    return int(answer.Status)


def send_bytes(peer: DicomAddress, data: bytes) -> None:
    """Send bytes to the port, and close."""
    with socket.create_connection((peer.host, peer.port)) as connection:
        connection.sendall(data)
