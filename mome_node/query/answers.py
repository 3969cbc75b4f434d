"""From one entry of an answer, DIMSE or JSON, to a record: nothing in it is trusted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final, Protocol

from mome_node.dicom.date_times import parse_date
from mome_node.errors import ContradictoryAnswerError
from mome_node.query.records import SeriesRecord, StudyRecord, is_askable_uid

STUDY_KEYS = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyDescription",
    "ModalitiesInStudy",
    "PatientID",
    "IssuerOfPatientID",
    "AccessionNumber",
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

INSTANCE_KEYS: Final = ("SeriesInstanceUID", "SOPInstanceUID")
"""What is asked of an instance (PS3.4 C.6.2.1.4)."""

MAX_COUNT = 10_000_000


class Entry(Protocol):
    """One entry of an answer; asking for a value never raises."""

    def __contains__(self, keyword: str) -> bool:
        """Whether the attribute is there, with a value or without."""
        ...

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
        patient_id=_told(entry, "PatientID"),
        issuer_of_patient_id=_told(entry, "IssuerOfPatientID"),
        accession_number=_told(entry, "AccessionNumber"),
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


def only_study(entries: Iterable[Entry], study_uid: str) -> StudyRecord | None:
    """The study that was asked for by its UID; what an archive sends beyond that is left out.

    Raises ContradictoryAnswerError where entries tell of different patients or orders.
    """
    found = [s for s in map(study_record, entries) if s is not None and s.study_uid == study_uid]
    if len({(s.patient_id, s.issuer_of_patient_id, s.accession_number) for s in found}) > 1:
        raise ContradictoryAnswerError(
            f"it lists the study {len(found)} times, under different patients or orders; correct "
            "that in the archive"
        )
    return found[0] if found else None


def instance_uid(entry: Entry, study_uid: str, series_uid: str) -> str | None:
    """The SOP Instance UID that an entry tells; None without one, or if it is of elsewhere."""
    of_study = entry.text("StudyInstanceUID") in ("", study_uid)
    of_series = entry.text("SeriesInstanceUID") in ("", series_uid)
    uid = entry.text("SOPInstanceUID")
    return uid if of_study and of_series and is_askable_uid(uid) else None


def is_asked_for(study: StudyRecord, modality: str, since: date, until: date) -> bool:
    """Whether a study fits the question: archives may ignore what they do not match on."""
    in_time = study.study_date is None or since <= study.study_date <= until
    return in_time and (not study.modalities or modality in study.modalities)


def _modalities(entry: Entry) -> tuple[str, ...]:
    return tuple(sorted({m.upper() for m in entry.texts("ModalitiesInStudy")} - {""}))


def _told(entry: Entry, keyword: str) -> str | None:
    return entry.text(keyword) if keyword in entry else None


def _count(entry: Entry, keyword: str) -> int | None:
    count = entry.integer(keyword)
    return count if count is not None and 0 <= count <= MAX_COUNT else None
