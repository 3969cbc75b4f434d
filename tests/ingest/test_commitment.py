"""Requests for storage commitment (PS3.4 annex J), from pynetdicom's own SCU and hostile ones."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)
from pynetdicom import AE
from pynetdicom.dimse_messages import N_ACTION_RQ
from pynetdicom.dimse_primitives import N_ACTION
from structlog.testing import capture_logs

from mome_node.catalog import commitments
from mome_node.catalog.commitments import CommitmentLedger
from mome_node.dicom.attribute_list import AttributeFault, AttributeRefusal
from mome_node.dicom.commitment import COMMITMENT_CLASS, COMMITMENT_INSTANCE, ReferencedInstance
from mome_node.errors import CatalogError
from mome_node.ingest import commitment
from mome_node.ingest.availability import MAX_NOTICE_BYTES
from mome_node.ingest.commitment import ActionStatus, read_request

MR = str(MRImageStorage)
EXPLICIT = str(ExplicitVRLittleEndian)
TRANSACTION = "1.2.3.99"
LATER = datetime(2027, 1, 1, tzinfo=UTC)


def reference(number=1, **values):
    item = Dataset()
    item.ReferencedSOPClassUID = MRImageStorage
    item.ReferencedSOPInstanceUID = UID(f"1.2.3.4.5.{number}")
    return changed(item, values)


def request(count=1, **values):
    information = Dataset()
    information.TransactionUID = UID(TRANSACTION)
    information.ReferencedSOPSequence = [reference(n + 1) for n in range(count)]
    return changed(information, values)


def changed(item, values):
    for keyword, value in values.items():
        if value is None:
            delattr(item, keyword)
        else:
            setattr(item, keyword, value)
    return item


def encoded(information, syntax=ExplicitVRLittleEndian):
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = (
        syntax.is_implicit_VR,
        syntax.is_little_endian,
    )
    write_dataset(stream, information)
    return stream.getvalue()


@pytest.fixture
def peer(connect):
    return connect((COMMITMENT_CLASS,))


def ask(peer, information, action_type=1, instance=COMMITMENT_INSTANCE):
    status, _ = peer.send_n_action(information, action_type, COMMITMENT_CLASS, instance)
    return status


def send_raw(association, data, *, edit=lambda _command: None):
    """Send encoded bytes as they are, with a command that a library would not make."""
    context = association.accepted_contexts[0]
    action = N_ACTION()
    action.MessageID = 1
    action.RequestedSOPClassUID = UID(COMMITMENT_CLASS)
    action.RequestedSOPInstanceUID = UID(COMMITMENT_INSTANCE)
    action.ActionTypeID = 1
    action.ActionInformation = BytesIO(data)
    message = N_ACTION_RQ()
    message.primitive_to_message(action)
    edit(message.command_set)
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.001)
    for pdata in message.encode_msg(context.context_id, 131_072):
        association.dul.send_pdu(pdata)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return answer


def test_request_is_kept_before_it_is_answered(peer, node):
    assert ask(peer, request(3)).Status == ActionStatus.SUCCESS
    (kept,) = node.catalog.commitments.due(LATER)
    assert (kept.transaction_uid, kept.peer.ae_title) == (TRANSACTION, "SENDER")
    named = node.catalog.commitments.named_by(kept.commitment_id)
    assert named == tuple(ReferencedInstance(MR, f"1.2.3.4.5.{n}") for n in (1, 2, 3))


def test_instance_that_stands_there_twice_is_named_once(peer, node):
    twice = request(ReferencedSOPSequence=[reference(1), reference(1)])
    assert ask(peer, twice).Status == ActionStatus.SUCCESS
    (kept,) = node.catalog.commitments.due(LATER)
    assert len(node.catalog.commitments.named_by(kept.commitment_id)) == 1


def test_same_request_again_is_the_same_transaction(peer, node):
    assert ask(peer, request(2)).Status == ActionStatus.SUCCESS
    assert ask(peer, request(2)).Status == ActionStatus.SUCCESS
    (kept,) = node.catalog.commitments.due(LATER)
    assert kept.asked == 2
    assert len(node.catalog.commitments.named_by(kept.commitment_id)) == 2


def test_transaction_of_one_peer_is_refused_to_another(peer, scp, node, asking):
    ask(peer, request())
    other = AE("OTHER")
    other.add_requested_context(COMMITMENT_CLASS)
    association = other.associate("127.0.0.1", scp.port, ae_title="MOME")
    assert ask(association, request()).Status == ActionStatus.NOT_AUTHORISED
    association.release()
    (kept,) = node.catalog.commitments.due(LATER)
    assert (kept.peer.ae_title, kept.asked) == ("SENDER", 1)
    assert asking.find(TRANSACTION, kept.peer) is not None


def test_transaction_uid_that_is_used_for_other_instances_is_refused(peer, node):
    ask(peer, request(2))
    assert ask(peer, request(3)).Status == ActionStatus.INVALID_VALUE
    (kept,) = node.catalog.commitments.due(LATER)
    assert kept.asked == 1


@pytest.mark.parametrize(
    "information",
    [
        request(TransactionUID=None),
        request(TransactionUID=""),
        request(ReferencedSOPSequence=None),
        request(ReferencedSOPSequence=[]),
        request(ReferencedSOPSequence=[reference(ReferencedSOPClassUID=None)]),
        request(ReferencedSOPSequence=[reference(), reference(ReferencedSOPInstanceUID="")]),
    ],
)
def test_request_that_is_none_is_refused_and_the_association_goes_on(peer, node, information):
    answer = ask(peer, information)
    assert answer.Status == ActionStatus.INVALID_VALUE
    assert answer.ErrorComment
    assert node.catalog.commitments.due(LATER) == ()
    assert ask(peer, request()).Status == ActionStatus.SUCCESS


def test_uid_that_is_none_is_an_invalid_value(peer):
    wrong = encoded(request()).replace(b"1.2.3.4.5.1\0", b"1.2.3.4.5.x\0")
    assert send_raw(peer, wrong).Status == ActionStatus.INVALID_VALUE


def test_other_actions_instances_and_classes_are_told_apart(peer, node):
    assert ask(peer, request(), action_type=2).Status == ActionStatus.NO_SUCH_ACTION
    assert ask(peer, request(), instance="1.2.3").Status == ActionStatus.NO_SUCH_INSTANCE

    def without(keyword):
        return lambda command: command.pop(keyword)

    def other_class(command):
        command["RequestedSOPClassUID"]._value = "1.2.840.10008.5.1.1.1"

    data = encoded(request())
    assert send_raw(peer, data, edit=other_class).Status == ActionStatus.NO_SUCH_CLASS
    for keyword, status in (
        ("ActionTypeID", ActionStatus.NO_SUCH_ACTION),
        ("RequestedSOPInstanceUID", ActionStatus.NO_SUCH_INSTANCE),
        ("RequestedSOPClassUID", ActionStatus.NO_SUCH_CLASS),
    ):
        assert send_raw(peer, data, edit=without(keyword)).Status == status
    assert node.catalog.commitments.due(LATER) == ()


def test_request_in_a_storage_context_is_refused(connect, node):
    association = connect((MR,))
    assert send_raw(association, encoded(request())).Status == ActionStatus.NO_SUCH_CLASS
    assert association.is_established


def test_command_without_information_is_an_invalid_value(peer):
    answer = send_raw(peer, b"", edit=lambda c: setattr(c, "CommandDataSetType", 0x0101))
    assert answer.Status == ActionStatus.INVALID_VALUE


def test_broken_information_is_a_processing_failure(peer):
    assert send_raw(peer, encoded(request(9))[:-7]).Status == ActionStatus.PROCESSING_FAILURE
    assert ask(peer, request()).Status == ActionStatus.SUCCESS


def test_request_beyond_all_bounds_is_a_limitation_and_the_next_is_taken(peer, node):
    item = encoded(request(1))
    item = item[item.index(b"\xfe\xff\x00\xe0") :]
    head = b"\x08\x00\x99\x11SQ\0\0\xff\xff\xff\xff"
    million = head + item * (2 * MAX_NOTICE_BYTES // len(item))
    assert send_raw(peer, million).Status == ActionStatus.RESOURCE_LIMITATION
    assert ask(peer, request()).Status == ActionStatus.SUCCESS


def test_more_references_than_are_taken_are_a_limitation(monkeypatch):
    monkeypatch.setattr(commitment, "MAX_REFERENCES", 10)
    assert len(read_request(encoded(request(10)), EXPLICIT).named) == 10
    with pytest.raises(AttributeRefusal) as refused:
        read_request(encoded(request(11)), EXPLICIT)
    assert refused.value.fault is AttributeFault.TOO_MUCH


def test_largest_request_fits_what_is_taken_up():
    longest = reference(ReferencedSOPClassUID="1." * 31 + "11", ReferencedSOPInstanceUID="1" * 64)
    one = len(encoded(request(ReferencedSOPSequence=[longest, longest])))
    one -= len(encoded(request(ReferencedSOPSequence=[longest])))
    assert commitment.MAX_REFERENCES * one < MAX_NOTICE_BYTES


def test_peer_that_opens_too_much_is_told_to_ask_later(peer, monkeypatch):
    monkeypatch.setattr(commitments, "MAX_OPEN_REFERENCES", 5)
    assert ask(peer, request(3)).Status == ActionStatus.SUCCESS
    another = request(3, TransactionUID="1.2.3.98")
    assert ask(peer, another).Status == ActionStatus.RESOURCE_LIMITATION


def test_sender_is_told_to_ask_again_when_a_request_cannot_be_kept(peer, monkeypatch):
    def fail(*_):
        raise CatalogError("the database failed")

    with monkeypatch.context() as patched:
        patched.setattr(CommitmentLedger, "open", fail)
        assert ask(peer, request()).Status == ActionStatus.PROCESSING_FAILURE
    assert ask(peer, request()).Status == ActionStatus.SUCCESS


def test_requests_are_told_in_the_log_by_uid_and_count(peer):
    with capture_logs() as logs:
        ask(peer, request(2, PatientName="Doe^Jane"))
    (line,) = [entry for entry in logs if entry["event"] == "commitment asked for"]
    assert (line["transaction"], line["named"], line["calling_ae"]) == (TRANSACTION, 2, "SENDER")
    assert "Doe" not in str(logs)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_every_accepted_transfer_syntax_is_read(syntax):
    found = read_request(encoded(request(3), syntax), str(syntax))
    assert (found.transaction_uid, len(found.named)) == (TRANSACTION, 3)


@given(cut=st.integers(0, 200), at=st.integers(0, 200), byte=st.binary(min_size=1, max_size=4))
def test_whatever_the_bytes_are_a_request_is_read_or_refused(cut, at, byte):
    data = encoded(request(2))
    data = (data[:at] + byte + data[at + len(byte) :])[: len(data) - cut]
    with contextlib.suppress(AttributeRefusal):
        assert read_request(data, EXPLICIT).named
