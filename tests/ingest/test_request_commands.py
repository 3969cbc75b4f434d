"""Commands that the library cannot read reach the service that refuses them."""

from __future__ import annotations

import struct
from io import BytesIO
from unittest.mock import Mock

import pytest
from pydicom.filereader import read_dataset
from pynetdicom.dimse_messages import C_STORE_RQ, N_ACTION_RQ, N_EVENT_REPORT_RQ, DIMSEMessage

from mome_node.dicom.commitment import COMMITMENT_CLASS, COMMITMENT_INSTANCE
from mome_node.ingest.dimse import ArrivingDataset
from mome_node.ingest.request_commands import replace_unusable_uids


def message_of(kind: type[DIMSEMessage], element: int, value: bytes) -> DIMSEMessage:
    """A request whose command set holds one element, as it was read from the network."""
    message = kind()
    encoded = struct.pack("<HHL", 0x0000, element, len(value)) + value
    message.command_set = read_dataset(BytesIO(encoded), True, True)
    message.data_set = ArrivingDataset(Mock(), message)
    return message


@pytest.mark.parametrize("value", [b"", b"\x1b", b"\x1b$B", b"\1\0\2\0", b"\1\0\2"])
def test_an_action_type_that_is_no_number_is_none_that_is_known(value: bytes) -> None:
    message = message_of(N_ACTION_RQ, 0x1008, value)
    replace_unusable_uids(message)
    assert message.command_set.ActionTypeID == 0
    assert message.command_set.RequestedSOPClassUID == COMMITMENT_CLASS
    assert message.command_set.RequestedSOPInstanceUID == COMMITMENT_INSTANCE


@pytest.mark.parametrize(
    ("value", "event_type"),
    [(b"\2\0", 2), (b"", 0), (b"\x1b", 0), (b"\x1b$B", 0), (b"\1\0\2\0", 0), (b"\1\0\2", 0)],
)
def test_an_event_type_that_is_no_number_is_none_that_is_known(
    value: bytes, event_type: int
) -> None:
    message = message_of(N_EVENT_REPORT_RQ, 0x1002, value)
    replace_unusable_uids(message)
    assert message.data_set.event_type == event_type
    assert "EventTypeID" not in message.command_set


@pytest.mark.parametrize(
    ("value", "priority"), [(b"", 0), (b"\1", 0), (b"\3\0", 0), (b"\1\0", 1), (b"\2\0", 2)]
)
def test_a_priority_that_is_none_is_medium(value: bytes, priority: int) -> None:
    message = message_of(C_STORE_RQ, 0x0700, value)
    replace_unusable_uids(message)
    assert message.command_set.Priority == priority
