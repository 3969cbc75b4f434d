"""Whose a result is: the patient and study of a source image, decoded, as every result has them."""

from __future__ import annotations

from typing import Any, Final

from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, TM

from mome_node.errors import ResultError
from mome_node.results.inherited import settle

# Type 2 of the Patient and General Study modules: present even when empty.
_ALWAYS: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
)
# Further elements of the Patient, General Study, Patient Study and Clinical Trial modules
# (PS3.3 C.7.1.1, C.7.1.3, C.7.2.1, C.7.2.2, C.7.2.3) that tie a result to its patient and study.
_WHERE_PRESENT: Final = (
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "PatientBirthTime",
    "PatientComments",
    "QualityControlSubject",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "IssuerOfAccessionNumberSequence",
    "StudyDescription",
    "ReferencedStudySequence",
    "ProcedureCodeSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
)
IDENTITY: Final = frozenset((*_ALWAYS, *_WHERE_PRESENT))
"""Keywords of what results copy from their source: no word of it is ours to change."""

_SEXES: Final = ("M", "F", "O")


def patient_and_study(header: Dataset) -> Dataset:
    """Patient and study elements of a source image, decoded; ResultError without a study.

    Optional ones that are not valid are left out.
    """
    result = Dataset()
    result.StudyInstanceUID = str(required(header, "StudyInstanceUID"))
    for keyword in (*_ALWAYS, *_WHERE_PRESENT):
        element = _decoded(header, keyword)
        if element is not None:
            result.add(element)
        elif keyword in _ALWAYS:
            setattr(result, keyword, "")
    _blank_what_does_not_parse(result)
    settle(result)
    return result


def required(header: Dataset, keyword: str) -> Any:
    """The value of an element of a source header; ResultError without."""
    value = header.get(keyword)
    if value in (None, ""):
        raise ResultError(f"a source image lacks {keyword}")
    return value


def _blank_what_does_not_parse(result: Dataset) -> None:
    """Empty the dates, times and sex (all Type 2) that would make the whole object invalid."""
    if result.PatientSex not in _SEXES:
        result.PatientSex = ""
    for keyword, parse in (
        ("PatientBirthDate", DA),
        ("StudyDate", DA),
        ("StudyTime", TM),
    ):
        try:
            parse(result[keyword].value)
        except (ValueError, TypeError):
            setattr(result, keyword, "")


def _decoded(header: Dataset, keyword: str) -> DataElement | None:
    """A copy of an element with its text decoded; None if it is absent or does not parse."""
    if keyword not in header:
        return None
    try:
        return _decoded_copy(header[keyword])
    except (ValueError, TypeError, OverflowError):
        return None


def _decoded_copy(element: DataElement) -> DataElement:
    # Names keep their original bytes and items their own character set: both would be written
    # unchanged into an object that says it is UTF-8.
    value: Any = element.value
    if element.VR == "SQ":
        value = [_decoded_item(item) for item in element.value]
    elif element.VR == "PN" and value:
        value = [str(v) for v in value] if isinstance(value, MultiValue) else str(value)
    return DataElement(element.tag, element.VR, value, validation_mode=IGNORE)


def _decoded_item(item: Dataset) -> Dataset:
    copy = Dataset()
    for element in item:
        if element.keyword != "SpecificCharacterSet" and not element.tag.is_private:
            copy.add(_decoded_copy(element))
    return copy
