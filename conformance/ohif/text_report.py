"""A report with words and without measurements, as a study that was not evaluated gets one."""

from __future__ import annotations

from copy import deepcopy

from pydicom.dataset import Dataset

from mome_node.dicom.uids import derived_uid

_MEASUREMENTS = {"111028", "126010"}  # image library, imaging measurements
_TITLE = ("126002", "Dynamic Contrast MR Measurement Report")  # CID 7021, as TID 1500 asks


def as_text_report(report: Dataset) -> Dataset:
    """The same report without images and measurements, titled so that viewers print its text.

    OHIF takes every report titled Imaging Measurement Report (126000 DCM) for one with regions,
    and shows nothing where it has none. It names each item where a container's content is
    SEPARATE, and runs the items together where it is CONTINUOUS (PS3.3 C.17.3.2.4).
    """
    text = deepcopy(report)
    text.SOPInstanceUID = derived_uid("text report", report.SOPInstanceUID)
    text.SeriesInstanceUID = derived_uid("text report", report.SeriesInstanceUID)
    text.file_meta.MediaStorageSOPInstanceUID = text.SOPInstanceUID
    text.SeriesNumber, text.SeriesDescription = 9910, "TEXT"
    title = text.ConceptNameCodeSequence[0]
    title.CodeValue, title.CodeMeaning = _TITLE
    text.ContentSequence = [
        item
        for item in text.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue not in _MEASUREMENTS
    ]
    _separate(text)
    return text


def _separate(item: Dataset) -> None:
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence", ()):
        _separate(child)
