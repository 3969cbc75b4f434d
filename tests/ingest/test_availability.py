"""Availability notices (PS3.4 annex R), from pynetdicom's own SCU and from hostile ones."""

from __future__ import annotations

import contextlib
import time
from io import BytesIO
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage
from pynetdicom.dimse_messages import N_CREATE_RQ
from pynetdicom.dimse_primitives import N_CREATE
from structlog.testing import capture_logs

from mome_node.catalog.availability import NoticeLedger
from mome_node.catalog.records import Availability, NamedCounts
from mome_node.errors import CatalogError
from mome_node.ingest import availability
from mome_node.ingest.availability import (
    MAX_NOTICE_BYTES,
    NOTICE_CLASS,
    NoticeRefusal,
    NoticeStatus,
    read_notice,
)
from mome_node.ingest.dimse import ArrivingDataset, StreamingProvider

STUDY, SERIES, MR = "1.2.3.4", "1.2.3.4.5", str(MRImageStorage)
EXPLICIT = str(ExplicitVRLittleEndian)


def reference(number=1, **values):
    item = Dataset()
    item.ReferencedSOPClassUID = MRImageStorage
    item.ReferencedSOPInstanceUID = UID(f"{SERIES}.{number}")
    item.InstanceAvailability = "ONLINE"
    item.RetrieveAETitle = "PACS"
    return changed(item, values)


def series(references, **values):
    item = Dataset()
    item.SeriesInstanceUID = UID(SERIES)
    item.ReferencedSOPSequence = references
    return changed(item, values)


def notice(count=1, **values):
    attributes = Dataset()
    attributes.ReferencedPerformedProcedureStepSequence = []
    attributes.StudyInstanceUID = UID(STUDY)
    attributes.ReferencedSeriesSequence = [series([reference(n + 1) for n in range(count)])]
    return changed(attributes, values)


def changed(item, values):
    for keyword, value in values.items():
        if value is None:
            delattr(item, keyword)
        else:
            setattr(item, keyword, value)
    return item


def encoded(attributes, *, implicit=False):
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = implicit, True
    write_dataset(stream, attributes)
    return stream.getvalue()


def with_references(*references):
    return notice(ReferencedSeriesSequence=[series(list(references))])


@pytest.fixture
def peer(connect):
    return connect((NOTICE_CLASS,))


def tell(peer, attributes, uid="1.2.7"):
    status, _ = peer.send_n_create(attributes, NOTICE_CLASS, uid)
    return status


def send_raw(association, data, *, edit=lambda _command: None):
    """Send encoded bytes as they are, with a command that a library would not make."""
    context = association.accepted_contexts[0]
    request = N_CREATE()
    request.MessageID = 1
    request.AffectedSOPClassUID = UID(NOTICE_CLASS)
    request.AffectedSOPInstanceUID = UID("1.2.7")
    request.AttributeList = BytesIO(data)
    message = N_CREATE_RQ()
    message.primitive_to_message(request)
    edit(message.command_set)
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.001)
    for pdata in message.encode_msg(context.context_id, 131_072):
        association.dul.send_pdu(pdata)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return answer


def test_notice_is_kept_before_it_is_answered(peer, node):
    assert tell(peer, notice(240)).Status == NoticeStatus.SUCCESS
    assert node.catalog.notices.named(STUDY) == {SERIES: NamedCounts(240, 0)}
    assert node.catalog.studies() == ()


def test_images_that_are_here_are_counted_among_the_named(
    peer, node, connect, make_dataset, encode
):
    tell(peer, notice(3))
    node.receive(encode(make_dataset(f"{SERIES}.1")), f"{SERIES}.1")
    assert node.catalog.notices.named(STUDY) == {SERIES: NamedCounts(3, 1)}
    assert node.catalog.notices.unnamed_inputs(STUDY) == 0
    node.receive(encode(make_dataset(f"{SERIES}.9")), f"{SERIES}.9")
    assert node.catalog.notices.unnamed_inputs(STUDY) == 1


def test_notice_without_a_uid_of_its_own_is_given_one(peer):
    def edit(command):
        del command.AffectedSOPInstanceUID

    answer = send_raw(peer, encoded(notice()), edit=edit)
    assert answer.Status == NoticeStatus.SUCCESS
    assert UID(answer.AffectedSOPInstanceUID).is_valid


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        (notice(StudyInstanceUID=None), NoticeStatus.MISSING_ATTRIBUTE),
        (notice(StudyInstanceUID=""), NoticeStatus.MISSING_VALUE),
        (notice(ReferencedSeriesSequence=None), NoticeStatus.MISSING_ATTRIBUTE),
        (notice(ReferencedSeriesSequence=[]), NoticeStatus.MISSING_VALUE),
        (
            notice(ReferencedSeriesSequence=[series([reference()], SeriesInstanceUID=None)]),
            NoticeStatus.MISSING_ATTRIBUTE,
        ),
        (with_references(), NoticeStatus.MISSING_VALUE),
        (
            with_references(reference(ReferencedSOPInstanceUID=None)),
            NoticeStatus.MISSING_ATTRIBUTE,
        ),
        (with_references(reference(ReferencedSOPClassUID="")), NoticeStatus.MISSING_VALUE),
        (with_references(reference(InstanceAvailability=None)), NoticeStatus.MISSING_ATTRIBUTE),
        (with_references(reference(InstanceAvailability="SOON")), NoticeStatus.INVALID_VALUE),
        (
            notice(
                ReferencedSeriesSequence=[
                    series([reference(1)]),
                    series([reference(1)], SeriesInstanceUID="1.2.99"),
                ]
            ),
            NoticeStatus.INVALID_VALUE,
        ),
    ],
)
def test_notice_that_is_none_is_refused_with_the_reason(peer, node, attributes, status):
    answer = tell(peer, attributes)
    assert answer.Status == status
    assert answer.ErrorComment
    assert node.catalog.notices.named(STUDY) == {}
    assert tell(peer, notice()).Status == NoticeStatus.SUCCESS  # the association goes on


def test_uid_that_is_none_is_an_invalid_value(peer, node):
    wrong = encoded(notice()).replace(STUDY.encode() + b"\0", b"1.2.0x4\0", 1)
    assert send_raw(peer, wrong).Status == NoticeStatus.INVALID_VALUE
    assert peer.is_established


@pytest.mark.parametrize("uid", ["1.02.x", "1." * 40 + "1"])
def test_invalid_uid_in_the_command_fails_alone(peer, uid):
    def edit(command):
        command["AffectedSOPInstanceUID"]._value = uid

    assert send_raw(peer, encoded(notice()), edit=edit).Status == NoticeStatus.INVALID_INSTANCE
    assert tell(peer, notice()).Status == NoticeStatus.SUCCESS


@pytest.mark.parametrize("uid", ["1.2.840.10008.3.1.2.3.3", MR, "1.2.3"])
def test_other_class_than_a_notice_is_refused(peer, node, uid):
    def edit(command):
        command["AffectedSOPClassUID"]._value = uid

    assert send_raw(peer, encoded(notice()), edit=edit).Status == NoticeStatus.NO_SUCH_CLASS
    assert node.catalog.notices.named(STUDY) == {}


def test_notice_in_a_storage_context_is_refused(connect, node):
    association = connect((MR,))
    assert send_raw(association, encoded(notice())).Status == NoticeStatus.NO_SUCH_CLASS
    assert association.is_established


def test_command_without_attributes_misses_them(peer):
    answer = send_raw(peer, b"", edit=lambda c: setattr(c, "CommandDataSetType", 0x0101))
    assert answer.Status == NoticeStatus.MISSING_ATTRIBUTE


def test_broken_attributes_are_refused_and_the_association_goes_on(peer):
    assert send_raw(peer, encoded(notice(9))[:-7]).Status == NoticeStatus.PROCESSING_FAILURE
    assert tell(peer, notice()).Status == NoticeStatus.SUCCESS


def test_attributes_beyond_the_limit_are_dropped_as_they_come(node):
    association = SimpleNamespace(dimse_timeout=1)
    provider = StreamingProvider(association, node.reception)
    attributes = ArrivingDataset(provider, N_CREATE_RQ())
    for _ in range(100):
        attributes.write(bytes(1 << 20))
        assert len(attributes.getvalue()) <= MAX_NOTICE_BYTES
    assert attributes.too_large
    assert attributes.getvalue() == b""


def test_a_million_references_are_refused_and_the_next_notice_is_taken(peer, node):
    one = encoded(with_references(reference(1)))
    item = one[one.index(b"\xfe\xff\x00\xe0", one.index(b"\x99\x11")) :]
    head = one[: one.index(b"\x99\x11") - 2]
    million = head + b"\x08\x00\x99\x11SQ\0\0\xff\xff\xff\xff" + item * 1_000_000
    assert len(million) > 100_000_000
    answer = send_raw(peer, million)
    assert answer.Status == NoticeStatus.RESOURCE_LIMITATION
    assert node.catalog.notices.named(STUDY) == {}
    assert tell(peer, notice()).Status == NoticeStatus.SUCCESS


def test_deeply_nested_attributes_are_a_limitation(peer):
    opened = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    assert send_raw(peer, opened * 5000).Status == NoticeStatus.RESOURCE_LIMITATION


def test_more_references_than_are_kept_are_a_limitation(monkeypatch):
    monkeypatch.setattr(availability, "MAX_REFERENCES", 10)
    read_notice(encoded(notice(10)), EXPLICIT)
    with pytest.raises(NoticeRefusal) as refused:
        read_notice(encoded(notice(11)), EXPLICIT)
    assert refused.value.status is NoticeStatus.RESOURCE_LIMITATION


def test_sender_is_told_to_send_again_when_a_notice_cannot_be_kept(peer, monkeypatch):
    def fail(*_):
        raise CatalogError("the database failed")

    with monkeypatch.context() as patched:
        patched.setattr(NoticeLedger, "record", fail)
        assert tell(peer, notice()).Status == NoticeStatus.PROCESSING_FAILURE
    assert tell(peer, notice()).Status == NoticeStatus.SUCCESS


def test_notices_are_told_in_the_log_by_uid_and_count(peer):
    attributes = notice(2, PatientName="Doe^Jane", PatientID="P-77")
    with capture_logs() as logs:
        tell(peer, attributes)
    (line,) = [entry for entry in logs if entry["event"] == "notice"]
    assert (line["study"], line["named"], line["calling_ae"]) == (STUDY, 2, "SENDER")
    assert "Doe" not in str(logs)
    assert "P-77" not in str(logs)


@pytest.mark.parametrize("implicit", [True, False])
def test_both_encodings_of_value_representations_are_read(implicit):
    syntax = str(ImplicitVRLittleEndian) if implicit else EXPLICIT
    found = read_notice(encoded(notice(3), implicit=implicit), syntax)
    assert (found.study_uid, len(found.named)) == (STUDY, 3)
    assert found.named[0].availability is Availability.ONLINE
    assert (found.named[0].series_uid, found.named[0].sop_class_uid) == (SERIES, MR)


@given(cut=st.integers(0, 400), at=st.integers(0, 400), byte=st.binary(min_size=1, max_size=4))
def test_whatever_the_bytes_are_a_notice_is_read_or_refused(cut, at, byte):
    data = encoded(notice(2))
    data = (data[:at] + byte + data[at + len(byte) :])[: len(data) - cut]
    with contextlib.suppress(NoticeRefusal):
        assert read_notice(data, EXPLICIT).named


def test_largest_notice_fits_what_is_taken_up():
    one = len(encoded(with_references(reference(1), reference(2))))
    one -= len(encoded(with_references(reference(1))))
    assert availability.MAX_REFERENCES * one < MAX_NOTICE_BYTES
