"""The summary as Secondary Capture images (PS3.3 A.8.1), which every viewer shows.

One single-frame RGB image a page, in one series. The pages are drawn from the findings alone: no
name, number or date of the patient is in the pixels.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from highdicom.sc import ConversionTypeValues, SCImage
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from mome_node.dicom import codes
from mome_node.results.context import ResultContext
from mome_node.results.encodings import picture_syntax
from mome_node.results.findings import Findings
from mome_node.results.pages import Page, PageKind, summary_pages
from mome_node.results.sources import SourceImages
from mome_node.results.stamp import equipment, stamp

LONG_TEXT: Final = 1024
"""Most characters of a value with VR ST (PS3.5 6.2)."""

_DERIVATIONS: Final[dict[PageKind, tuple[Code, ...]]] = {
    "front": (),
    "slice": (Code("113085", "DCM", "Spatial resampling"),),
    "projection": (
        Code("113062", "DCM", "Pixel by pixel subtraction"),
        Code("113078", "DCM", "Maximum intensity projection"),
    ),
}  # CID 7203


def make_summary(
    findings: Findings, context: ResultContext, sources: SourceImages
) -> tuple[Dataset, ...]:
    """The pages of the summary, in reading order.

    Images of slices name the source images that they were made from. Raises ResultError if a
    source header lacks what they refer to.
    """
    pages = summary_pages(findings, context.marked_label(findings))
    return tuple(
        _image(page, number, findings, context, sources)
        for number, page in enumerate(pages, start=1)
    )


def _image(
    page: Page, number: int, findings: Findings, context: ResultContext, sources: SourceImages
) -> Dataset:
    identity = sources.patient_and_study()
    image: Dataset = SCImage(
        pixel_array=np.asarray(page.picture, dtype=np.uint8),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=page.directions or ("L", "P"),
        study_instance_uid=context.study_uid,
        series_instance_uid=context.uid(findings, "summary series"),
        series_number=context.profile.number_of("summary"),
        sop_instance_uid=context.uid(findings, f"summary instance {number}"),
        instance_number=number,
        series_description=context.series_description(findings, "summary"),
        transfer_syntax_uid=picture_syntax(context.profile),
        **equipment(context),
    )
    if page.directions is None:
        image.PatientOrientation = None  # Type 2C: the page shows no image
    image.ConversionType = ConversionTypeValues.WSD.value
    image.DateOfSecondaryCapture, image.TimeOfSecondaryCapture = context.date, context.time
    image.BodyPartExamined, image.ImageLaterality = "BREAST", "B"
    image.BurnedInAnnotation = "NO"  # no text that identifies the patient (PS3.3 C.7.6.1)
    image.ImageComments = _described(page, findings, context)
    _derive(image, page, findings, context, sources)
    stamp(image, findings, context, identity)
    return image


def _described(page: Page, findings: Findings, context: ResultContext) -> str:
    text = f"{page.title}. {context.marked_label(findings)}"
    return text[:LONG_TEXT]


def _derive(
    image: Dataset, page: Page, findings: Findings, context: ResultContext, sources: SourceImages
) -> None:
    """What the picture was made from and how (PS3.3 C.7.6.1 and C.12.4)."""
    image.DerivationDescription = _described(page, findings, context)
    if not page.slices:
        return
    image.DerivationCodeSequence = [
        CodedConcept.from_code(code) for code in _DERIVATIONS[page.kind]
    ]
    items: dict[str, Dataset] = {}
    for z in page.slices:
        reference = sources.key_reference(z)
        item = items.setdefault(reference.sop_instance_uid, reference.item(with_frame=False))
        if reference.frame is not None:
            frames = item.get("ReferencedFrameNumber")
            before = [] if frames is None else [frames] if isinstance(frames, int) else [*frames]
            item.ReferencedFrameNumber = [*before, reference.frame]
        item.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(codes.SOURCE_IMAGE)]
    image.SourceImageSequence = list(items.values())
    image.update(sources.lossy_compression())
