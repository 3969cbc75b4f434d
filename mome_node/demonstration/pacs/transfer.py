"""DICOM files sent to a peer by the node's own C-STORE SCU: all of them, or an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from mome_node.delivery.destination import Destination, Outgoing
from mome_node.delivery.dimse import DimseSender
from mome_node.demonstration.pacs.pacs import DicomAddress
from mome_node.errors import PacsError, TransientDeliveryError

_TRIES = 3


def send_files(peer: DicomAddress, calling_ae_title: str, paths: Sequence[Path]) -> tuple[str, ...]:
    """Send ``paths`` to ``peer`` over one association; return their SOP Instance UIDs.

    Raises PacsError for a file that is not DICOM, DeliveryError for the first one not stored.
    """
    objects = [Outgoing(_sop_instance_uid(path), _reader(path)) for path in paths]
    destination = Destination(peer.ae_title, peer.ae_title, peer.host, peer.port, calling_ae_title)
    waiting = {item.sop_instance_uid: item for item in objects}
    for left in reversed(range(_TRIES)):
        try:
            for receipt in DimseSender(destination).send(tuple(waiting.values())):
                if receipt.error is not None:
                    raise receipt.error
                del waiting[receipt.sop_instance_uid]
            break
        except TransientDeliveryError:
            # A busy machine loses an answer now and then; an instance sent again is the same one.
            if not left:
                raise
    return tuple(item.sop_instance_uid for item in objects)


def _reader(path: Path) -> Callable[[], BinaryIO]:
    return lambda: path.open("rb")


def _sop_instance_uid(path: Path) -> str:
    try:
        return str(read_file_meta_info(path).MediaStorageSOPInstanceUID)
    except (OSError, InvalidDicomError, AttributeError, EOFError, ValueError) as error:
        raise PacsError(f"{path.name} is not a DICOM file that can be sent") from error
