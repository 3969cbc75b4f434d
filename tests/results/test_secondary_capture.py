"""The summary is one series of plain pictures that name their sources and nobody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from mome_node.results.context import ResultContext
from mome_node.results.pages import summary_pages
from mome_node.results.profile import ResultProfile
from mome_node.results.result_set import encode, make_results
from mome_node.volumes.volume import Modality

SUMMARY = ResultProfile(objects=("summary",))
MOST_BYTES = 4_200_000


def summary(exam: Any, context: ResultContext, **profile: Any) -> list[Dataset]:
    wanted = replace(context, profile=replace(SUMMARY, **profile))
    results = make_results(exam.findings, wanted, exam.headers)
    assert {result.kind for result in results.objects} == {"summary"}
    return [dcmread(BytesIO(encode(result.dataset))) for result in results.objects]


@pytest.mark.parametrize("regions", [0, 3])
def test_the_pixels_are_the_pages_in_reading_order_of_one_series(
    regions: int, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=regions)
    made = summary(exam, context)
    pages = summary_pages(exam.findings, context.marked_label(exam.findings))
    assert len({ds.SeriesInstanceUID for ds in made}) == 1
    assert len({ds.SOPInstanceUID for ds in made}) == len(pages)
    for number, (ds, page) in enumerate(zip(made, pages, strict=True), start=1):
        assert ds.InstanceNumber == number
        assert (ds.Rows, ds.Columns, ds.PhotometricInterpretation) == (512, 512, "RGB")
        np.testing.assert_array_equal(ds.pixel_array, np.asarray(page.picture))


def test_every_picture_says_what_it_is_and_that_it_identifies_nobody(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    for ds in summary(make_exam(), context):
        assert ds.BurnedInAnnotation == "NO"
        assert ds.ConversionType == "WSD"
        assert ds.Modality == "OT"
        assert ds.SyntheticData == "YES"
        assert ds.SeriesNumber == context.profile.number_of("summary")
        assert ds.SeriesDescription.startswith("MOME summary: ")
        for text in (ds.SeriesDescription, ds.DerivationDescription, ds.ImageComments):
            assert "not for diagnosis" in text
        assert (ds.DateOfSecondaryCapture, ds.ContentDate) == ("20261102", "20261102")
        assert ds.ImageType[:2] == ["DERIVED", "SECONDARY"]


def test_nothing_of_the_patient_or_the_study_is_in_the_pixels(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    one = summary(make_exam(name="Doe^Jane"), context)
    other = summary(
        make_exam(
            name="Roe^Richarda",
            PatientID="ANOTHER",
            PatientBirthDate="19400101",
            AccessionNumber="A-1",
            StudyDate="20200101",
            StudyDescription="Roe Richarda",
            SeriesDescription="Roe Richarda",
            ReferringPhysicianName="Doc^Other",
        ),
        context,
    )
    for first, second in zip(one, other, strict=True):
        assert first.PixelData == second.PixelData
        assert first.PatientName != second.PatientName


@pytest.mark.parametrize("iod", ["classic", "enhanced"])
def test_a_slice_names_the_image_that_it_shows_and_the_projection_all(
    iod: str, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(iod=iod, regions=2)
    front, *slices, projection = summary(exam, context)
    assert "SourceImageSequence" not in front
    assert front["PatientOrientation"].is_empty
    frames = exam.findings.key_volume.frames
    for ds, region in zip(slices, exam.findings.regions, strict=True):
        (source,) = ds.SourceImageSequence
        frame = frames[int(region.mask.sum(axis=(0, 1)).argmax())]
        assert source.ReferencedSOPInstanceUID == frame.sop_instance_uid
        assert source.get("ReferencedFrameNumber") == (
            frame.frame_number if iod == "enhanced" else None
        )
        assert ds.PatientOrientation == ["L", "P"]
    named = {
        (source.ReferencedSOPInstanceUID, int(number))
        for source in projection.SourceImageSequence
        for number in np.atleast_1d(source.get("ReferencedFrameNumber", 1))
    }
    assert named == {(frame.sop_instance_uid, frame.frame_number) for frame in frames}
    codes = [code.CodeMeaning for code in projection.DerivationCodeSequence]
    assert codes == ["Pixel by pixel subtraction", "Maximum intensity projection"]


@pytest.mark.parametrize(
    ("encoding", "syntax"),
    [
        ("explicit", ExplicitVRLittleEndian),
        ("implicit", ImplicitVRLittleEndian),
        ("rle", RLELossless),
    ],
)
def test_every_encoding_holds_the_same_pixels(
    encoding: str, syntax: str, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam()
    plain, encoded = summary(exam, context), summary(exam, context, encoding=encoding)
    for one, other in zip(plain, encoded, strict=True):
        assert other.file_meta.TransferSyntaxUID == syntax
        np.testing.assert_array_equal(one.pixel_array, other.pixel_array)


def test_all_pages_together_are_small_enough_for_any_archive(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=3)
    sizes = {}
    for encoding in ("explicit", "rle"):
        profile = replace(SUMMARY, encoding=encoding)
        results = make_results(exam.findings, replace(context, profile=profile), exam.headers)
        assert len(results.objects) == 5
        sizes[encoding] = sum(len(encode(o.dataset)) for o in results.objects)
    assert sizes["rle"] < sizes["explicit"] < MOST_BYTES


def test_pictures_of_a_lossy_source_say_so(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    lossy = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "12",
        "LossyImageCompressionMethod": "ISO_10918_1",
    }
    front, *images = summary(make_exam(**lossy), context)
    assert "LossyImageCompression" not in front
    for ds in images:
        assert (ds.LossyImageCompression, ds.LossyImageCompressionRatio) == ("01", 12)


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("iod", ["classic", "enhanced"])
@pytest.mark.parametrize("variant", ["regions", "none", "degraded", "several tasks", "lossy"])
def test_dciodvfy_finds_no_error_in_any_page(
    iod: str,
    variant: str,
    make_exam: Callable[..., Any],
    context: ResultContext,
    dciodvfy: Callable[[Path], list[str]],
    tmp_path: Path,
) -> None:
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionMethod": "ISO_10918_1"}
    exam = make_exam(iod=iod, regions=0 if variant == "none" else 2)
    findings = exam.findings
    if variant == "degraded":
        findings = replace(
            findings,
            modalities_used=(Modality.DCE,),
            modalities_missing=(Modality.DWI, Modality.T2),
            explanation=None,
            not_explained="switched off",
            regions=(),
        )
    elif variant == "several tasks":
        (task,) = findings.tasks
        findings = replace(findings, tasks=(task, replace(task, task="pcr")))
    elif variant == "lossy":
        exam = make_exam(iod=iod, LossyImageCompressionRatio="12", **lossy)
        findings = exam.findings
    for ds in summary(replace(exam, findings=findings), context):
        path = tmp_path / f"{ds.InstanceNumber}.dcm"
        ds.save_as(path)
        assert dciodvfy(path) == []
