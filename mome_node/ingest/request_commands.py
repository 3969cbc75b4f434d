"""Command sets of requests, made such that the library leads them to the service that answers them.

It would end the association, or answer nothing at all, where a UID is empty or too long, and
would serve a report in a thread of its own. What was sent is noted beside the data set for the
service to refuse.
"""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import UID, MRImageStorage
from pynetdicom.dimse_messages import (
    C_STORE_RQ,
    N_ACTION_RQ,
    N_CREATE_RQ,
    N_EVENT_REPORT_RQ,
    DIMSEMessage,
)
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

from mome_node.dicom.commitment import COMMITMENT_CLASS, COMMITMENT_INSTANCE
from mome_node.dicom.element_values import FOREIGN_ERRORS
from mome_node.dicom.uids import is_valid_uid
from mome_node.ingest.availability import NOTICE_CLASS
from mome_node.ingest.dimse import ArrivingDataset

_STAND_IN_UID: Final = UID("2.25.0")
_MOST_CHARACTERS: Final = 64  # of a UID (PS3.5 9.1)
_PRIORITIES: Final = (0, 1, 2)  # medium, high, low (PS3.7 table 9.3-1)
_NO_ACTION: Final = 0
_NO_EVENT: Final = 0


def replace_unusable_uids(message: DIMSEMessage) -> None:
    """Let a request with a UID that the library makes nothing of through to its own refusal.

    The library would end the association, or answer nothing at all. What was sent is already
    with the receipt, which refuses it.
    """
    if not isinstance(message.data_set, ArrivingDataset):
        return
    if isinstance(message, N_CREATE_RQ):
        _replace_notice_uids(message, message.data_set)
    if isinstance(message, N_ACTION_RQ):
        _replace_action_uids(message, message.data_set)
    if isinstance(message, N_EVENT_REPORT_RQ):
        _queue_report(message, message.data_set)
    if not isinstance(message, C_STORE_RQ):
        return
    message.data_set.opened()
    _replace_store_uids(message.command_set)


def _replace_store_uids(command: Dataset) -> None:
    """Lead every C-STORE request to the one service that answers it, whatever it names.

    The library chooses the service by the command's SOP Class, not by the context's.
    """
    sop_class, instance = (
        command.get(k) for k in ("AffectedSOPClassUID", "AffectedSOPInstanceUID")
    )
    if not isinstance(sop_class, str) or uid_to_service_class(sop_class) is not StorageServiceClass:
        command.AffectedSOPClassUID = MRImageStorage
    if not isinstance(instance, str) or not 0 < len(instance) <= _MOST_CHARACTERS:
        command.AffectedSOPInstanceUID = _STAND_IN_UID
    if _number(command, "Priority") not in _PRIORITIES:  # of which nothing depends here
        command.pop("Priority", None)  # setting its value would read it
        command.Priority = _PRIORITIES[0]


def _replace_notice_uids(message: N_CREATE_RQ, attributes: ArrivingDataset) -> None:
    """Lead every N-CREATE request to the one service that answers it, whatever it names."""
    command = message.command_set
    attributes.names_notice = command.get("AffectedSOPClassUID") == NOTICE_CLASS
    command.AffectedSOPClassUID = UID(NOTICE_CLASS)
    instance = command.get("AffectedSOPInstanceUID")
    if not instance:
        command.pop("AffectedSOPInstanceUID", None)  # we name it then (PS3.7 10.1.5.1.4)
    elif not isinstance(instance, str) or not is_valid_uid(instance):
        attributes.instance_is_valid = False
        command.AffectedSOPInstanceUID = _STAND_IN_UID


def _replace_action_uids(message: N_ACTION_RQ, information: ArrivingDataset) -> None:
    """Lead every N-ACTION request to the one service that answers it, whatever it names."""
    command = message.command_set
    information.names_commitment = command.get("RequestedSOPClassUID") == COMMITMENT_CLASS
    information.instance_is_valid = command.get("RequestedSOPInstanceUID") == COMMITMENT_INSTANCE
    command.RequestedSOPClassUID = UID(COMMITMENT_CLASS)
    command.RequestedSOPInstanceUID = UID(COMMITMENT_INSTANCE)
    if _number(command, "ActionTypeID") is None:
        command.pop("ActionTypeID", None)  # setting its value would read it
        command.ActionTypeID = _NO_ACTION


def _queue_report(message: N_EVENT_REPORT_RQ, information: ArrivingDataset) -> None:
    """Lead every N-EVENT-REPORT request to the one service that answers it, like any other.

    The library would begin a thread for each, which answers beside the association's own. One
    without an event type is none to it, and waits its turn.
    """
    command = message.command_set
    information.names_commitment = command.get("AffectedSOPClassUID") == COMMITMENT_CLASS
    information.instance_is_valid = command.get("AffectedSOPInstanceUID") == COMMITMENT_INSTANCE
    command.AffectedSOPClassUID = UID(COMMITMENT_CLASS)
    command.AffectedSOPInstanceUID = UID(COMMITMENT_INSTANCE)
    event_type = _number(command, "EventTypeID")
    command.pop("EventTypeID", None)
    information.event_type = _NO_EVENT if event_type is None else event_type


def _number(command: Dataset, keyword: str) -> int | None:
    """A value of VR US; None if there is none, or it has the length of none."""
    try:
        value = command.get(keyword)
    except FOREIGN_ERRORS:
        return None
    return value if isinstance(value, int) else None
