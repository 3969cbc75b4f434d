"""The file of an instance that is to be sent: what it is, and what to tell if it cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from mome_node.delivery.destination import Outgoing
from mome_node.errors import PermanentDeliveryError, StorageError

UNREADABLE: Final = (
    StorageError,
    OSError,
    EOFError,
    InvalidDicomError,
    AttributeError,  # File Meta Information without what names the object
    ValueError,
)
"""What reading a file raises that is not there, or no DICOM."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """Abstract and transfer syntax of one instance."""

    sop_class: UID
    transfer_syntax: UID


def read_syntax(item: Outgoing) -> Syntax:
    """What the file is; PermanentDeliveryError if it cannot be read or is another instance."""
    try:
        with item.open() as file:
            meta = dcmread(file, stop_before_pixels=True, specific_tags=[]).file_meta
        uid = meta.MediaStorageSOPInstanceUID
        syntax = Syntax(UID(meta.MediaStorageSOPClassUID), UID(meta.TransferSyntaxUID))
    except UNREADABLE as error:
        raise unreadable(item, error) from error
    if uid != item.sop_instance_uid:
        raise PermanentDeliveryError(
            f"the file kept as instance {item.sop_instance_uid} is instance {uid}; nothing was sent"
        )
    return syntax


def read_dataset(item: Outgoing) -> Dataset:
    """The whole file; PermanentDeliveryError if it cannot be read."""
    try:
        with item.open() as file:
            return dcmread(file)
    except UNREADABLE as error:
        raise unreadable(item, error) from error


def unreadable(item: Outgoing, error: Exception) -> PermanentDeliveryError:
    """What to tell of a file that cannot be read."""
    return PermanentDeliveryError(
        f"the file of instance {item.sop_instance_uid} cannot be read ({type(error).__name__}); "
        "nothing was sent"
    )
