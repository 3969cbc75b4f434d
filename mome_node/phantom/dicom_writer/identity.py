"""Who the phantom patient is and what identifies the study, its series and its objects."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from pydicom.dataset import Dataset

from mome_node.phantom.dicom_writer.series import Series
from mome_node.phantom.dicom_writer.vendors import Habits

_NAMESPACE = uuid.UUID("5b0a3f0e-6c53-4c5f-9a0b-2d6f3e9a7c11")

_EARLIEST_S, _LATEST_S = 8 * 3600, 16 * 3600
"""The study begins in a working day, so that no exam crosses midnight."""


def derived_uid(*names: object) -> str:
    """A UID "2.25.<uuid5>" (PS3.5 B.2), the same for the same names."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(map(str, names))).int}"


def chosen(seed: int, purpose: str, count: int) -> int:
    """A number below ``count`` from the seed, unrelated to any other use that is made of it."""
    digest = hashlib.sha256(f"{purpose}/{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % count


@dataclass(frozen=True, slots=True)
class StudyIdentity:
    """What identifies one phantom study. Derived from the seed, never from the truth."""

    seed: int
    letter: str
    study_uid: str
    study_date: date
    time_decimals: int

    def uid(self, *names: object) -> str:
        """The UID of something within this study."""
        return derived_uid(self.study_uid, *names)

    def series_uid(self, series: int) -> str:
        """Series Instance UID of a series number."""
        return self.uid("series", series)

    def instance_uid(self, series: int, instance: int) -> str:
        """SOP Instance UID of one instance number of a series."""
        return self.uid("series", series, "instance", instance)

    def moment(self, after_s: float = 0.0) -> datetime:
        """The time so many seconds after the study began, as exact as the vendor writes it."""
        midnight = datetime.combine(self.study_date, time())
        began = _EARLIEST_S + chosen(self.seed, "study time", _LATEST_S - _EARLIEST_S)
        return midnight + timedelta(seconds=round(began + after_s, self.time_decimals))

    def tm(self, after_s: float = 0.0) -> str:
        """The same as a DICOM time (TM) with the vendor's number of decimals."""
        moment = self.moment(after_s)
        if not self.time_decimals:
            return moment.strftime("%H%M%S")
        return moment.strftime("%H%M%S.%f")[: 7 + self.time_decimals]

    def da(self, after_s: float = 0.0) -> str:
        """The date (DA) so many seconds after the study began."""
        return self.moment(after_s).strftime("%Y%m%d")

    def dt(self, after_s: float = 0.0) -> str:
        """The same as a DICOM date and time (DT)."""
        return self.da(after_s) + self.tm(after_s)


def common_header(
    identity: StudyIdentity, series: Series, habits: Habits, protocol_name: str
) -> Dataset:
    """What all objects of a series share, single-frame or enhanced.

    The Patient, General Study, Patient Study, General Series, Frame of Reference and General
    Equipment modules (PS3.3 C.7.1 to C.7.5).
    """
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SyntheticData = "YES"
    ds.Modality = "MR"
    ds.BurnedInAnnotation = "NO"
    _add_patient(ds, identity)
    _add_study(ds, identity)
    start = series.stacks[0].start_s
    ds.SeriesInstanceUID = identity.series_uid(series.number)
    ds.SeriesNumber = series.number
    ds.SeriesDescription = series.description
    ds.SeriesDate, ds.SeriesTime = identity.da(start), identity.tm(start)
    ds.ProtocolName = protocol_name
    ds.BodyPartExamined = "BREAST"
    ds.PatientPosition = habits.patient_position
    ds.PerformedProcedureStepStartDate = identity.da()
    ds.PerformedProcedureStepStartTime = identity.tm()
    ds.FrameOfReferenceUID = identity.uid("frame of reference")
    ds.PositionReferenceIndicator = None
    ds.Manufacturer = habits.manufacturer
    ds.ManufacturerModelName = habits.model
    ds.SoftwareVersions = list(habits.software)
    ds.DeviceSerialNumber = "0000"
    ds.StationName = "PHANTOM"
    return ds


def _add_patient(ds: Dataset, identity: StudyIdentity) -> None:
    seed = identity.seed
    born = date(1950 + chosen(seed, "birth year", 38), 1, 1) + timedelta(
        days=chosen(seed, "birthday", 365)
    )
    today = identity.study_date
    age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    ds.PatientName = f"Phantom^Seed {seed:04d}"
    ds.PatientID = f"PHANTOM-{seed:07d}-{identity.letter}"
    ds.PatientBirthDate = born.strftime("%Y%m%d")
    ds.PatientSex = "F"
    ds.PatientAge = f"{max(age, 0):03d}Y"
    ds.PatientWeight = str(52 + chosen(seed, "weight", 40))


def _add_study(ds: Dataset, identity: StudyIdentity) -> None:
    ds.StudyInstanceUID = identity.study_uid
    ds.StudyDate, ds.StudyTime = identity.da(), identity.tm()
    ds.StudyID = str(1 + chosen(identity.seed, "study id", 9999))
    ds.StudyDescription = "MRI BREAST BILATERAL W WO CONTRAST"
    ds.ReferringPhysicianName = None
    ds.AccessionNumber = f"PH{identity.seed:07d}{identity.letter}"
