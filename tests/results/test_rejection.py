"""A rejection note names what it withdraws, always the same way, and our own reader takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from mome_node.dicom.rejection_note import RejectionTitle, read_rejection_note
from mome_node.errors import ResultError
from mome_node.results.profile import KINDS, ResultProfile
from mome_node.results.rejection import TITLES, RejectedInstance, make_rejection
from mome_node.results.result_set import encode

STUDY = "1.2.826.0.1.3680043.8.498.1"
AT = datetime(2026, 11, 2, 8, 30, 15, tzinfo=UTC)
REJECTED = (
    RejectedInstance(STUDY, "2.25.10", Comprehensive3DSRStorage, "2.25.11"),
    RejectedInstance(STUDY, "2.25.20", SegmentationStorage, "2.25.21"),
    *(
        RejectedInstance(STUDY, "2.25.30", SecondaryCaptureImageStorage, f"2.25.3{n}")
        for n in range(1, 5)
    ),
)


def header() -> Dataset:
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName, made.PatientID, made.IssuerOfPatientID = "Doe^Jane", "PID-7", "SITE"
    made.PatientBirthDate, made.PatientSex = "19700203", "F"
    made.StudyInstanceUID, made.SeriesInstanceUID = STUDY, "2.25.10"
    made.StudyDate, made.StudyTime, made.StudyID = "20261101", "101500", "S1"
    made.AccessionNumber, made.ReferringPhysicianName = "ACC42", "Ref^Doc"
    return made


def note(
    title: RejectionTitle = RejectionTitle.QUALITY,
    rejected: Sequence[RejectedInstance] = REJECTED,
    *,
    synthetic: bool = False,
    recorded_at: datetime = AT,
    profile: ResultProfile | None = None,
) -> bytes:
    made = make_rejection(
        title,
        rejected,
        header(),
        recorded_at=recorded_at,
        profile=profile or ResultProfile(),
        synthetic=synthetic,
    )
    return encode(made)


def read(content: bytes) -> Dataset:
    return dcmread(BytesIO(content))


@pytest.mark.parametrize("title", TITLES)
def test_our_own_reader_takes_the_note(title: RejectionTitle, tmp_path: Path) -> None:
    path = tmp_path / "note.dcm"
    path.write_bytes(note(title))
    found = read_rejection_note(path)
    assert found is not None
    assert found.title is title
    assert (found.study_uid, found.patient_id) == (STUDY, "PID-7")
    assert found.issuer_of_patient_id == "SITE"
    assert found.instances == {i.sop_instance_uid for i in REJECTED}
    assert found.elsewhere == 0


@settings(max_examples=10, deadline=None)
@given(order=st.permutations([*REJECTED, REJECTED[0]]))
def test_the_note_is_the_same_whatever_order_the_rejected_come_in(
    order: list[RejectedInstance],
) -> None:
    assert note(rejected=order) == note()


def test_title_what_is_rejected_and_profile_make_another_note() -> None:
    notes = [
        note(),
        note(RejectionTitle.PATIENT_SAFETY),
        note(rejected=REJECTED[1:]),
        note(profile=ResultProfile(series_name="OTHER")),
    ]
    assert len({str(read(content).SOPInstanceUID) for content in notes}) == len(notes)
    assert len({str(read(content).SeriesInstanceUID) for content in notes}) == len(notes)


def test_dates_come_from_the_event_and_the_patient_from_the_rejected() -> None:
    later = read(note(recorded_at=datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)))
    dates = {
        str(element.value)[:8]
        for element in later.iterall()
        if element.VR in ("DA", "DT") and element.keyword not in ("StudyDate", "PatientBirthDate")
    }
    assert dates == {"20310506"}
    for element in header():
        if element.keyword not in ("SpecificCharacterSet", "SeriesInstanceUID"):
            assert later[element.keyword].value == element.value, element.keyword
    assert later.SOPInstanceUID == read(note()).SOPInstanceUID  # a note is issued once


def test_the_note_is_a_series_of_its_own_that_bears_the_label() -> None:
    made = read(note())
    assert made.Modality == "KO"
    assert made.SeriesInstanceUID not in {i.series_uid for i in REJECTED}
    assert made.SeriesNumber == ResultProfile().series_number + len(KINDS)
    assert made.SeriesDescription.startswith("MOME rejection: ")
    assert made.SeriesDescription.endswith("not for diagnosis")


@pytest.mark.parametrize("synthetic", [True, False])
def test_a_note_on_synthetic_results_is_synthetic(synthetic: bool) -> None:
    assert read(note(synthetic=synthetic)).get("SyntheticData") == ("YES" if synthetic else None)


def test_documents_and_images_are_named_as_such() -> None:
    kinds = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID: item.ValueType
        for item in read(note()).ContentSequence
        if "ReferencedSOPSequence" in item
    }
    assert kinds.pop("2.25.11") == "COMPOSITE"
    assert set(kinds.values()) == {"IMAGE"}


def test_a_destination_may_want_implicit_value_representations() -> None:
    made = read(note(profile=ResultProfile(encoding="implicit")))
    assert made.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rejected": ()}, "0 instances"),
        ({"rejected": (*REJECTED, replace(REJECTED[0], study_uid="2.25.9"))}, "one study"),
        ({"rejected": [replace(i, study_uid="2.25.9") for i in REJECTED]}, "one study"),
        ({"title": RejectionTitle.INCORRECT_WORKLIST_ENTRY}, "not rejected as"),
        ({"title": RejectionTitle.RETENTION_EXPIRED}, "not rejected as"),
    ],
)
def test_what_is_no_rejection_of_ours_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ResultError, match=words):
        note(**change)


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("title", TITLES)
def test_dciodvfy_finds_no_error_in_a_note(
    title: RejectionTitle, dciodvfy: Any, tmp_path: Path
) -> None:
    (tmp_path / "note.dcm").write_bytes(note(title))
    assert dciodvfy(tmp_path / "note.dcm") == []
