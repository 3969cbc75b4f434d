"""Command sets of requests, made such that the library leads them to the service that answers them.

It would end the association, or answer nothing at all, where a UID is empty or too long, and
would serve a report in a thread of its own. What was sent is noted beside the data set for the
service to refuse.
"""

from __future__ import annotations

from typing import Final

from pydicom.uid import UID
from pynetdicom.dimse_messages import (
    C_STORE_RQ,
    N_ACTION_RQ,
    N_CREATE_RQ,
    N_EVENT_REPORT_RQ,
    DIMSEMessage,
)

from mome_node.dicom.commitment import COMMITMENT_CLASS, COMMITMENT_INSTANCE
from mome_node.dicom.uids import is_valid_uid
from mome_node.ingest.availability import NOTICE_CLASS
from mome_node.ingest.dimse import ArrivingDataset

_STAND_IN_UID: Final = UID("2.25.0")
_NO_ACTION: Final = 0
_NO_EVENT: Final = 0


def replace_unusable_uids(message: DIMSEMessage) -> None:
    """Let a request with an empty or over-long UID through to its own refusal.

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
    for keyword in ("AffectedSOPClassUID", "AffectedSOPInstanceUID"):
        value = message.command_set.get(keyword)
        if not isinstance(value, str) or not 0 < len(value) <= 64:
            setattr(message.command_set, keyword, _STAND_IN_UID)


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
    if not isinstance(command.get("ActionTypeID"), int):
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
    event_type = command.get("EventTypeID")
    command.pop("EventTypeID", None)
    information.event_type = event_type if isinstance(event_type, int) else _NO_EVENT
