"""Source headers as a result takes its patient and order from them.

A result copies patient and study from one of the images that it is about. Where a person said
whose these are, or that one image leaves empty what others of the same patient state, its header
is completed first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass

from pydicom.dataset import Dataset

from mome_node.dicom.header import InstanceFacts

# Of the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1): whose, and for which order.
_WHOSE = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientSex",
    "PatientComments",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
)


@dataclass(frozen=True, slots=True)
class Identified:
    """Completes headers: ``given`` names for an instance the one whose patient it has."""

    read: Callable[[str], Dataset]
    given: dict[str, str]
    stated: dict[str, str]

    def header(self, sop_instance_uid: str) -> Dataset:
        """The header of an instance, with the patient and accession that its results carry."""
        header = self.read(sop_instance_uid)
        if patient := self.given.get(sop_instance_uid):
            header = _with_patient_of(header, self.read(patient))
        missing = {keyword: v for keyword, v in self.stated.items() if not header.get(keyword)}
        if missing:
            header = deepcopy(header)
            for keyword, value in missing.items():
                setattr(header, keyword, value)
        return header


def stated_by(instances: Iterable[InstanceFacts]) -> dict[str, str]:
    """What images that agree with each other state of patient and order, by keyword."""
    found: dict[str, set[str]] = {}
    for facts in instances:
        for keyword, value in (
            ("PatientID", facts.patient_id),
            ("IssuerOfPatientID", facts.issuer_of_patient_id),
            ("PatientName", facts.patient_name),
            ("PatientBirthDate", facts.patient_birth_date),
            ("AccessionNumber", facts.accession_number),
        ):
            if value:
                found.setdefault(keyword, set()).add(value)
    return {keyword: min(values) for keyword, values in found.items()}


def _with_patient_of(header: Dataset, patient: Dataset) -> Dataset:
    changed = deepcopy(header)
    for keyword in _WHOSE:
        if keyword in changed:
            delattr(changed, keyword)
        if keyword in patient:
            changed[keyword] = deepcopy(patient[keyword])
    return changed
