"""The selection of key images names the slices that matter, then report and summary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from mome_node.results.context import ResultContext
from mome_node.results.profile import Kind, ResultProfile
from mome_node.results.result_set import ResultSet, encode, make_results


def results_of(exam: Any, context: ResultContext, *objects: Kind) -> ResultSet:
    profile = ResultProfile(objects=(*objects, "key_objects"))
    return make_results(exam.findings, replace(context, profile=profile), exam.headers)


def document_of(results: ResultSet) -> Dataset:
    assert results.objects[-1].kind == "key_objects"
    return dcmread(BytesIO(encode(results.objects[-1].dataset)))


def named(document: Dataset) -> list[tuple[str, str, int | None]]:
    """Value type, instance and frame of each thing that is named, in order."""
    return [
        (
            item.ValueType,
            item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID,
            item.ReferencedSOPSequence[0].get("ReferencedFrameNumber"),
        )
        for item in document.ContentSequence
        if "ReferencedSOPSequence" in item
    ]


def words(document: Dataset) -> str:
    (text,) = (
        str(item.TextValue)
        for item in document.ContentSequence
        if "ConceptNameCodeSequence" in item
        and item.ConceptNameCodeSequence[0].CodeValue == "113012"
    )
    return text


@pytest.mark.parametrize("iod", ["classic", "enhanced"])
def test_the_slice_of_each_region_is_named_with_its_frame(
    iod: str, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(iod=iod, regions=3)
    document = document_of(results_of(exam, context))
    expected = []
    for region in exam.findings.regions:
        frame = exam.findings.key_volume.frames[int(region.mask.sum(axis=(0, 1)).argmax())]
        number = frame.frame_number if iod == "enhanced" else None
        expected.append(("IMAGE", frame.sop_instance_uid, number))
    assert named(document) == expected


def test_without_a_region_the_key_slice_is_named(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=0)
    document = document_of(results_of(exam, context))
    frame = exam.findings.key_volume.frames[exam.findings.key_slice]
    assert named(document) == [("IMAGE", frame.sop_instance_uid, None)]
    assert "says nothing about whether there is a lesion" in words(document)


def test_report_and_summary_are_named_where_they_were_made(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    results = results_of(make_exam(regions=1), context, "sr", "seg", "summary")
    kinds = ("sr", "summary", "summary", "summary")
    made = [result for result in results.objects if result.kind in kinds]
    _, *others = named(document_of(results))
    assert [uid for _, uid, _ in others] == [result.sop_instance_uid for result in made]
    assert [value_type for value_type, _, _ in others] == ["COMPOSITE", *["IMAGE"] * 3]


def test_all_that_is_named_stands_in_the_evidence_of_the_study(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    document = document_of(results_of(make_exam(), context, "sr", "summary"))
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == context.study_uid
    evidence = {
        reference.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
    assert evidence == {uid for _, uid, _ in named(document)}


def test_the_words_begin_with_the_label_and_say_what_regions_are(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    document = document_of(results_of(make_exam(regions=2), context))
    text = words(document)
    assert text.startswith("RESEARCH use only, not for diagnosis. Synthetic: ")
    assert "Region 1: right breast, 40 % of the attribution" in text
    assert "not an outline, a size or a biopsy target" in text
    title = document.ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113000", "DCM")
    assert document.Modality == "KO"
    assert document.SeriesDescription.startswith("MOME key images: ")
    assert document.SeriesNumber == context.profile.number_of("key_objects")
    assert str(document.PatientName) == "Doe^Jane"


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize(("iod", "regions"), [("classic", 0), ("classic", 3), ("enhanced", 2)])
def test_dciodvfy_finds_no_error_in_a_selection(
    iod: str,
    regions: int,
    make_exam: Callable[..., Any],
    context: ResultContext,
    dciodvfy: Callable[[Path], list[str]],
    tmp_path: Path,
) -> None:
    exam = make_exam(iod=iod, regions=regions)
    document_of(results_of(exam, context, "sr", "summary")).save_as(tmp_path / "ko.dcm")
    assert dciodvfy(tmp_path / "ko.dcm") == []
