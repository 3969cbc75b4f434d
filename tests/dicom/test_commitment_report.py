"""Reports on storage commitment as they are read: whole, or refused by kind."""

from __future__ import annotations

import contextlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)

from mome_node.dicom import commitment_report
from mome_node.dicom.attribute_list import AttributeFault, AttributeRefusal
from mome_node.dicom.commitment import (
    CommitmentAnswer,
    CommitmentRequest,
    CommitmentResult,
    FailureReason,
    ReferencedInstance,
)
from mome_node.dicom.commitment_report import read_report

MR = str(MRImageStorage)
EXPLICIT = str(ExplicitVRLittleEndian)
TRANSACTION = "1.2.3.99"
SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]


def instances(*numbers: int) -> tuple[ReferencedInstance, ...]:
    return tuple(ReferencedInstance(MR, f"1.2.3.{n}") for n in numbers)


def item(**values: object) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = MRImageStorage, UID("1.2.3.1")
    return changed(made, values)


def report(**values: object) -> Dataset:
    information = Dataset()
    information.TransactionUID = UID(TRANSACTION)
    information.ReferencedSOPSequence = [item()]
    return changed(information, values)


def changed(dataset: Dataset, values: dict[str, object]) -> Dataset:
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def encoded(information: Dataset) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, True
    write_dataset(stream, information)
    return stream.getvalue()


def fault_of(information: Dataset | bytes) -> AttributeFault:
    data = information if isinstance(information, bytes) else encoded(information)
    with pytest.raises(AttributeRefusal) as refused:
        read_report(data, EXPLICIT)
    return refused.value.fault


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_one_side_encodes_the_other_reads(syntax: UID) -> None:
    failed = ((instances(3)[0], FailureReason.NO_SUCH_INSTANCE),)
    result = CommitmentResult(TRANSACTION, instances(1, 2), failed)
    found = read_report(result.encode(syntax), syntax)
    assert found.transaction_uid == TRANSACTION
    assert found.answer == CommitmentAnswer(frozenset({"1.2.3.1", "1.2.3.2"}), {"1.2.3.3": 0x0112})


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_request_is_encoded_as_the_standard_has_it(syntax: UID) -> None:
    data = CommitmentRequest(TRANSACTION, instances(1, 22)).encode(syntax)
    read = read_dataset(BytesIO(data), syntax.is_implicit_VR, syntax.is_little_endian)
    assert [element.keyword for element in read] == ["TransactionUID", "ReferencedSOPSequence"]
    assert read.TransactionUID == TRANSACTION
    assert [
        (i.ReferencedSOPClassUID, i.ReferencedSOPInstanceUID) for i in read.ReferencedSOPSequence
    ] == [(MR, "1.2.3.1"), (MR, "1.2.3.22")]


def test_an_instance_that_is_said_to_be_both_is_not_safe() -> None:
    both = report(FailedSOPSequence=[item(FailureReason=0x0110)])
    answer = read_report(encoded(both), EXPLICIT).answer
    assert answer == CommitmentAnswer(frozenset(), {"1.2.3.1": 0x0110})


def test_a_failure_without_a_reason_is_one_all_the_same() -> None:
    failed = report(ReferencedSOPSequence=None, FailedSOPSequence=[item()])
    answer = read_report(encoded(failed), EXPLICIT).answer
    assert answer == CommitmentAnswer(frozenset(), {"1.2.3.1": FailureReason.PROCESSING_FAILURE})


def test_what_nothing_depends_on_may_be_absent_or_there() -> None:
    lean = report(ReferencedSOPSequence=[item(ReferencedSOPClassUID=None)])
    rich = report(RetrieveAETitle="PACS", StorageMediaFileSetID="A")
    rich.ReferencedSOPSequence[0].RetrieveAETitle = "PACS"
    for information in (lean, rich):
        assert read_report(encoded(information), EXPLICIT).answer.committed == {"1.2.3.1"}


@pytest.mark.parametrize(
    ("information", "fault"),
    [
        (report(TransactionUID=None), AttributeFault.MISSING),
        (report(TransactionUID=""), AttributeFault.EMPTY),
        (report(ReferencedSOPSequence=None), AttributeFault.MISSING),
        (report(ReferencedSOPSequence=[]), AttributeFault.EMPTY),
        (report(ReferencedSOPSequence=None, FailedSOPSequence=[]), AttributeFault.MISSING),
        (
            report(ReferencedSOPSequence=[item(ReferencedSOPInstanceUID=None)]),
            AttributeFault.MISSING,
        ),
        (report(FailedSOPSequence=[item(ReferencedSOPInstanceUID="")]), AttributeFault.EMPTY),
        (encoded(report()).replace(b"1.2.3.1\0", b"1.2.3.x\0"), AttributeFault.INVALID),
        (encoded(report())[:-3], AttributeFault.BROKEN),
        (b"", AttributeFault.MISSING),
    ],
)
def test_what_is_wrong_is_told_by_kind(information: Dataset | bytes, fault: AttributeFault) -> None:
    assert fault_of(information) is fault


def test_more_instances_than_are_taken_are_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment_report, "MAX_REFERENCES", 3)
    failed = tuple((i, FailureReason.NO_SUCH_INSTANCE) for i in instances(3, 4))
    most = CommitmentResult(TRANSACTION, instances(1), failed)
    assert len(read_report(most.encode(EXPLICIT), EXPLICIT).answer.failed) == 2
    more = CommitmentResult(TRANSACTION, instances(1, 2), failed)
    assert fault_of(more.encode(EXPLICIT)) is AttributeFault.TOO_MUCH


def test_a_sequence_without_an_end_is_broken_and_a_deep_one_too_much() -> None:
    head = b"\x08\x00\x99\x11SQ\0\0\xff\xff\xff\xff"
    item_head = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    assert fault_of(head + item_head * 3) is AttributeFault.BROKEN
    assert fault_of((head + item_head) * 9) is AttributeFault.TOO_MUCH


@given(cut=st.integers(0, 200), at=st.integers(0, 200), byte=st.binary(min_size=1, max_size=4))
def test_whatever_the_bytes_are_a_report_is_read_or_refused(cut: int, at: int, byte: bytes) -> None:
    data = encoded(report(FailedSOPSequence=[item(FailureReason=0x0112)]))
    data = (data[:at] + byte + data[at + len(byte) :])[: len(data) - cut]
    with contextlib.suppress(AttributeRefusal):
        answer = read_report(data, EXPLICIT).answer
        assert not answer.committed & answer.failed.keys()
