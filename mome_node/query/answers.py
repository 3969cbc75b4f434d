"""From one entry of an answer, DIMSE or JSON, to a record: nothing in it is trusted."""

from __future__ import annotations

from datetime import date
from typing import Protocol

from mome_node.dicom.date_times import parse_date
from mome_node.query.records import SeriesRecord, StudyRecord, is_askable_uid

STUDY_KEYS = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyDescription",
    "ModalitiesInStudy",
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)
"""What is asked of a study (PS3.4 C.6.2.1.2); an archive may leave out the optional ones."""

SERIES_KEYS = (
    "SeriesInstanceUID",
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "BodyPartExamined",
    "Manufacturer",
    "ManufacturerModelName",
    "NumberOfSeriesRelatedInstances",
)
"""What is asked of a series (PS3.4 C.6.2.1.3)."""

MAX_COUNT = 10_000_000


class Entry(Protocol):
    """One entry of an answer; asking for a value never raises."""

    def text(self, keyword: str) -> str:
        """The value as one text, without control characters; empty if absent."""
        ...

    def texts(self, keyword: str) -> tuple[str, ...]:
        """The values; () if absent."""
        ...

    def integer(self, keyword: str) -> int | None:
        """The first value as an integer; None if it is none."""
        ...


def study_record(entry: Entry) -> StudyRecord | None:
    """The study that an entry tells of; None without a UID that could be asked for."""
    uid = entry.text("StudyInstanceUID")
    if not is_askable_uid(uid):
        return None
    return StudyRecord(
        study_uid=uid,
        study_date=parse_date(entry.text("StudyDate")),
        modalities=_modalities(entry),
        description=entry.text("StudyDescription"),
        patient_id=entry.text("PatientID"),
        issuer_of_patient_id=entry.text("IssuerOfPatientID"),
        patient_name=entry.text("PatientName").rstrip("="),
        series_count=_count(entry, "NumberOfStudyRelatedSeries"),
        instance_count=_count(entry, "NumberOfStudyRelatedInstances"),
    )


def series_record(entry: Entry, study_uid: str) -> SeriesRecord | None:
    """The series that an entry tells of; None without a UID, or if it is another study's."""
    uid = entry.text("SeriesInstanceUID")
    if not is_askable_uid(uid) or entry.text("StudyInstanceUID") not in ("", study_uid):
        return None
    return SeriesRecord(
        study_uid=study_uid,
        series_uid=uid,
        modality=entry.text("Modality").upper(),
        description=entry.text("SeriesDescription"),
        number=entry.integer("SeriesNumber"),
        body_part=entry.text("BodyPartExamined"),
        manufacturer=entry.text("Manufacturer"),
        model_name=entry.text("ManufacturerModelName"),
        instance_count=_count(entry, "NumberOfSeriesRelatedInstances"),
        study_description=entry.text("StudyDescription"),
    )


def is_asked_for(study: StudyRecord, modality: str, since: date, until: date) -> bool:
    """Whether a study fits the question: archives may ignore what they do not match on."""
    in_time = study.study_date is None or since <= study.study_date <= until
    return in_time and (not study.modalities or modality in study.modalities)


def _modalities(entry: Entry) -> tuple[str, ...]:
    return tuple(sorted({m.upper() for m in entry.texts("ModalitiesInStudy")} - {""}))


def _count(entry: Entry, keyword: str) -> int | None:
    count = entry.integer(keyword)
    return count if count is not None and 0 <= count <= MAX_COUNT else None
