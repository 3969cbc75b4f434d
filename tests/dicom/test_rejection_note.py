"""Rejection notes: what they say, and what hostile ones do not do."""

from __future__ import annotations

import struct
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mome_node.dicom.rejection_note import (
    KEY_OBJECT_SELECTION,
    RejectionNote,
    RejectionTitle,
    read_rejection_note,
)
from mome_node.errors import HeaderError

STUDY = "1.2.3"
ITEM = b"\xfe\xff\x00\xe0"


def reference(uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    item.ReferencedSOPInstanceUID = uid
    return item


def evidence(uids, study: str = STUDY) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = f"{study}.1"
    series.ReferencedSOPSequence = [reference(uid) for uid in uids]
    item = Dataset()
    item.StudyInstanceUID = study
    item.ReferencedSeriesSequence = [series]
    return item


def content(uids) -> list[Dataset]:
    items = []
    for uid in uids:
        item = Dataset()
        item.RelationshipType, item.ValueType = "CONTAINS", "IMAGE"
        item.ReferencedSOPSequence = [reference(uid)]
        items.append(item)
    return items


def document(code: str = "113001", uids=("1.2.3.1", "1.2.3.2"), scheme: str = "DCM") -> Dataset:
    title = Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = code, scheme, "a title"
    note = Dataset()
    note.SOPClassUID, note.SOPInstanceUID = KEY_OBJECT_SELECTION, "1.2.3.9"
    note.StudyInstanceUID, note.PatientID, note.IssuerOfPatientID = STUDY, "P-1", "HOSPITAL"
    note.ValueType = "CONTAINER"
    note.ConceptNameCodeSequence = [title]
    note.CurrentRequestedProcedureEvidenceSequence = [evidence(uids)]
    note.ContentSequence = content(uids)
    return note


@pytest.fixture
def read(tmp_path):
    def save_and_read(note: Dataset, syntax=ExplicitVRLittleEndian) -> RejectionNote | None:
        note.file_meta = FileMetaDataset()
        note.file_meta.TransferSyntaxUID = syntax
        path = tmp_path / "note.dcm"
        note.save_as(path, enforce_file_format=True)
        return read_rejection_note(path)

    return save_and_read


@pytest.fixture
def read_bytes(tmp_path):
    def write_and_read(body: bytes) -> RejectionNote | None:
        path = tmp_path / "note.dcm"
        meta = element(0x00020000, b"UL", struct.pack("<L", 28))
        meta += element(0x00020010, b"UI", b"1.2.840.10008.1.2.1\0")
        path.write_bytes(bytes(128) + b"DICM" + meta + body)
        return read_rejection_note(path)

    return write_and_read


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    if vr == b"SQ":
        return head + struct.pack("<HL", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def item(value: bytes) -> bytes:
    return ITEM + struct.pack("<L", len(value)) + value


def encoded_evidence(uids) -> bytes:
    """As ``evidence`` has it; pydicom would take seconds for thousands."""
    names = [f"{uid}{chr(0) * (len(uid) % 2)}".encode() for uid in uids]
    named = b"".join(item(element(0x00081155, b"UI", name)) for name in names)
    series = element(0x00081199, b"SQ", named) + element(0x0020000E, b"UI", b"1.2.3.1\0")
    study = element(0x00081115, b"SQ", item(series)) + element(0x0020000D, b"UI", b"1.2.3\0")
    return element(0x0040A375, b"SQ", item(study))


def titled(rest: bytes) -> bytes:
    code = element(0x00080100, b"SH", b"113001") + element(0x00080102, b"SH", b"DCM ")
    return element(0x0020000D, b"UI", b"1.2.3\0") + element(0x0040A043, b"SQ", item(code)) + rest


@pytest.mark.parametrize("title", RejectionTitle)
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_a_note_says_why_for_whom_and_what(read, title, syntax):
    note = read(document(title.value), syntax)
    assert note == RejectionNote(
        title, STUDY, "P-1", "HOSPITAL", frozenset({"1.2.3.1", "1.2.3.2"}), 0
    )


@pytest.mark.parametrize(("code", "scheme"), [("113000", "DCM"), ("113001", "99LOCAL"), ("", "")])
def test_documents_with_other_titles_reject_nothing(read, code, scheme):
    assert read(document(code, scheme=scheme)) is None


def test_tree_or_evidence_alone_names_what_is_rejected(read):
    without_tree = document()
    del without_tree.ContentSequence
    without_evidence = document()
    del without_evidence.CurrentRequestedProcedureEvidenceSequence
    assert (
        read(without_tree).instances
        == read(without_evidence).instances
        == {
            "1.2.3.1",
            "1.2.3.2",
        }
    )


def test_what_belongs_to_another_study_is_counted_and_not_named(read):
    note = document()
    note.CurrentRequestedProcedureEvidenceSequence.append(evidence(["9.1"], study="9"))
    note.ContentSequence += content(["9.1"])
    said = read(note)
    assert said.instances == {"1.2.3.1", "1.2.3.2"}
    assert said.elsewhere == 1


def test_what_is_no_uid_is_passed_over(read):
    note = document(uids=["1.2.3.1"])
    note.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1..2' OR 1=1"
    assert read(note).instances == {"1.2.3.1"}


def test_note_about_the_longest_exam_is_read(read_bytes):
    uids = [f"1.2.3.{n}" for n in range(5000)]
    assert read_bytes(titled(encoded_evidence(uids))).instances == set(uids)


@pytest.mark.parametrize("count", [45_001, 200_000])
def test_note_with_more_than_any_exam_has_is_refused(read_bytes, count):
    with pytest.raises(HeaderError, match=r"more|too long"):
        read_bytes(titled(encoded_evidence([f"1.2.3.{n}" for n in range(count)])))


@pytest.mark.parametrize("depth", [100, 20_000])
def test_deep_content_is_refused(read_bytes, depth):
    nested = b""
    for _ in range(depth):
        nested = element(0x0040A730, b"SQ", item(nested))
    with pytest.raises(HeaderError, match=r"nested|too long|parsed"):
        read_bytes(titled(nested))


def test_half_a_million_empty_items_cost_nothing(read_bytes):
    began = time.process_time()
    with pytest.raises(HeaderError):
        read_bytes(titled(element(0x0040A730, b"SQ", item(b"") * 500_000)))
    assert time.process_time() - began < 2


def test_elements_of_the_wrong_type_are_refused(read_bytes):
    with pytest.raises(HeaderError):
        read_bytes(element(0x0040A043, b"SH", b"113001"))
    with pytest.raises(HeaderError):
        read_bytes(titled(element(0x0040A375, b"UI", b"1.2.3\0")))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rest=st.binary(max_size=300))
def test_whatever_follows_a_title_ends_as_a_note_or_as_a_typed_error(read_bytes, rest):
    try:
        found = read_bytes(titled(rest))
    except HeaderError:
        return
    assert found is None or found.title is RejectionTitle.QUALITY


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 600), at=st.integers(0, 600), byte=st.integers(0, 255))
def test_damaged_notes_end_as_a_note_or_as_a_typed_error(tmp_path, read, cut, at, byte):
    read(document())
    path = tmp_path / "note.dcm"
    data = bytearray(path.read_bytes())
    data[at % len(data)] = byte
    path.write_bytes(data[: len(data) - cut % len(data)])
    try:
        found = read_rejection_note(path)
    except HeaderError:
        return
    assert found is None or isinstance(found, RejectionNote)
