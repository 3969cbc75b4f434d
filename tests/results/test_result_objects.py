"""What leaves the node is valid, the same every time, and of the same patient and study."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.config import IGNORE
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from mome_node.errors import ResultError
from mome_node.results.context import Predecessor, ResultContext
from mome_node.results.iod_check import iod_faults
from mome_node.results.profile import ResultProfile
from mome_node.results.result_set import ResultSet, encode, make_results
from mome_node.volumes.volume import Modality

GREEK = ("Διονυσιος", "ISO_IR 126")
JAPANESE = ("Yamada^Tarou=山田^太郎=やまだ^たろう", ["", "ISO 2022 IR 87"])
COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"


def _results(exam: Any, context: ResultContext) -> ResultSet:
    return make_results(exam.findings, context, exam.headers)


def _datasets(results: ResultSet) -> dict[str, Dataset]:
    return {o.kind: dcmread(BytesIO(encode(o.dataset))) for o in results.objects}


VARIANTS: dict[str, dict[str, Any]] = {
    "no region": {"regions": 0},
    "one region": {"regions": 1},
    "overlapping regions": {"regions": 3},
    "enhanced": {"iod": "enhanced", "regions": 1},
    "enhanced without region": {"iod": "enhanced", "regions": 0},
    "sagittal": {"orientation": "sagittal"},
    "oblique": {"orientation": "oblique tilted"},
    "Greek name": {"name": GREEK[0], "character_set": GREEK[1]},
    "Japanese name": {"name": JAPANESE[0], "character_set": JAPANESE[1]},
    "no Latin alphabet but UTF-8": {"name": "이^순신", "character_set": "ISO_IR 192"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_our_own_check_finds_no_fault_in_any_object(
    variant: str, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    for dataset in _datasets(_results(make_exam(**VARIANTS[variant]), context)).values():
        assert iod_faults(dataset) == ()


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("variant", VARIANTS)
def test_dciodvfy_finds_no_error_in_any_object(
    variant: str,
    make_exam: Callable[..., Any],
    context: ResultContext,
    dciodvfy: Callable[[Path], list[str]],
    tmp_path: Path,
) -> None:
    results = _results(make_exam(**VARIANTS[variant]), context)
    for result in results.objects:
        path = tmp_path / f"{result.kind}.dcm"
        path.write_bytes(encode(result.dataset))
        assert dciodvfy(path) == []


@pytest.mark.peer("dciodvfy")
def test_dciodvfy_finds_no_error_in_a_degraded_revision_with_predecessor(
    make_exam: Callable[..., Any],
    context: ResultContext,
    dciodvfy: Callable[[Path], list[str]],
    tmp_path: Path,
) -> None:
    exam = make_exam(regions=1)
    findings = replace(
        exam.findings,
        modalities_used=(Modality.DCE,),
        modalities_missing=(Modality.DWI, Modality.T2),
        dwi_b_value=None,
    )
    before = Predecessor(COMPREHENSIVE_3D_SR, "1.2.3.4", "1.2.3")
    results = make_results(findings, replace(context, predecessor=before), exam.headers)
    sr = _datasets(results)["sr"]
    path = tmp_path / "sr.dcm"
    path.write_bytes(encode(sr))
    assert dciodvfy(path) == []
    series = sr.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == "1.2.3"
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"


@pytest.mark.parametrize("iod", ["classic", "enhanced"])
def test_the_same_results_have_the_same_bytes_whatever_clock_and_chance_say(
    iod: str,
    make_exam: Callable[..., Any],
    context: ResultContext,
) -> None:
    first = [encode(o.dataset) for o in _results(make_exam(iod=iod), context).objects]
    random.seed(99)
    second = [encode(o.dataset) for o in _results(make_exam(iod=iod), context).objects]
    assert first == second
    year = str(datetime.now(UTC).year)
    later = replace(context, recorded_at=datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC))
    for result in _results(make_exam(iod=iod), later).objects:
        made = _dates(result.dataset)
        assert made, "the object has no dates of its own"
        assert all(value.startswith("20310506") for value in made), (made, year)


def _dates(dataset: Dataset) -> list[str]:
    """Every date of the object except those that it has from the study."""
    kept = {"StudyDate", "PatientBirthDate"}
    return [
        str(element.value)
        for element in dataset.iterall()
        if element.VR in ("DA", "DT") and element.keyword not in kept
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"revision": 2},
        {"issue": 1},
        {"inputs_digest": "ef" * 32},
    ],
)
def test_another_revision_issue_or_input_has_other_uids(
    change: dict[str, Any], make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam()
    before = {o.sop_instance_uid for o in _results(exam, context).objects}
    after = {o.sop_instance_uid for o in _results(exam, replace(context, **change)).objects}
    assert not before & after


def test_another_weights_digest_has_other_uids(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=0)
    task = exam.findings.tasks[0]
    other = replace(task, model=replace(task.model, digest="99" * 32))
    one = make_results(exam.findings, context, exam.headers).objects[0]
    two = make_results(replace(exam.findings, tasks=(other,)), context, exam.headers).objects[0]
    assert one.sop_instance_uid != two.sop_instance_uid
    assert one.series_uid != two.series_uid


@pytest.mark.parametrize(("name", "character_set"), [GREEK, JAPANESE, ("Doe^Jane", "ISO_IR 100")])
def test_results_belong_to_the_patient_and_study_of_the_source(
    name: str,
    character_set: Any,
    make_exam: Callable[..., Any],
    context: ResultContext,
) -> None:
    exam = make_exam(name=name, character_set=character_set)
    for dataset in _datasets(_results(exam, context)).values():
        assert dataset.SpecificCharacterSet == "ISO_IR 192"
        assert str(dataset.PatientName) == name
        for keyword in (
            "PatientID",
            "IssuerOfPatientID",
            "PatientBirthDate",
            "PatientSex",
            "StudyInstanceUID",
            "StudyDate",
            "StudyTime",
            "StudyID",
            "AccessionNumber",
            "ReferringPhysicianName",
            "StudyDescription",
        ):
            assert dataset[keyword].value == exam.sources[0][keyword].value, keyword
        assert dataset.SeriesInstanceUID != exam.sources[0].SeriesInstanceUID


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["single", "", "a" * 70, "a^b^c^d^e"])
def test_odd_names_are_kept_and_neither_logged_nor_warned_about(
    name: str,
    make_exam: Callable[..., Any],
    context: ResultContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    exam = make_exam(regions=1)
    for source in exam.sources:
        del source["PatientName"]
        source.add(DataElement("PatientName", "PN", name, validation_mode=IGNORE))
    for result in _results(exam, context).objects:
        assert str(result.dataset.PatientName) == name
    assert not name or name not in caplog.text


def test_names_inside_sequences_are_re_encoded_too(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "Μαστός"
    exam = make_exam(regions=0, name=GREEK[0], character_set=GREEK[1], ProcedureCodeSequence=[code])
    sr = _datasets(_results(exam, context))["sr"]
    assert sr.ProcedureCodeSequence[0].CodeMeaning == "Μαστός"


def test_a_source_with_empty_or_broken_identity_elements_still_gets_a_result(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=1)
    for source in exam.sources:
        del source.PatientBirthDate, source.AccessionNumber, source.StudyID
        source.PatientSex = "X"
        source.PatientName = ""
    for dataset in _datasets(_results(exam, context)).values():
        assert dataset.PatientSex == ""
        assert dataset.PatientBirthDate == ""
        assert dataset.AccessionNumber == ""


@pytest.mark.parametrize("synthetic", [True, False])
def test_synthetic_data_is_marked_and_only_synthetic_data(
    synthetic: bool, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam()
    results = make_results(replace(exam.findings, synthetic=synthetic), context, exam.headers)
    for dataset in _datasets(results).values():
        assert dataset.get("SyntheticData") == ("YES" if synthetic else None)


def test_the_label_stands_in_series_and_segment_and_is_cut_where_it_does_not_fit(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    label = "nur für Forschung \\ " + "x" * 80
    made = _datasets(_results(make_exam(), replace(context, profile=ResultProfile(label=label))))
    for text in (
        made["sr"].SeriesDescription,
        made["seg"].SeriesDescription,
        *(segment.SegmentLabel for segment in made["seg"].SegmentSequence),
    ):
        assert "nur für Forschung" in text
        assert len(text) <= 64
        assert text.endswith("…")


def test_results_of_demonstration_weights_say_so_in_every_series(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam()
    task = exam.findings.tasks[0]
    demo = replace(task, model=replace(task.model, synthetic=True))
    results = make_results(replace(exam.findings, tasks=(demo,)), context, exam.headers)
    for dataset in _datasets(results).values():
        told = "DEMONSTRATION, RESEARCH use only, not for diagnosis"
        assert told in dataset.SeriesDescription


def test_results_are_refused_without_a_score(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam()
    with pytest.raises(ResultError, match="no task was run"):
        make_results(replace(exam.findings, tasks=()), context, exam.headers)


def test_results_are_refused_for_another_study_than_the_images(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam()
    with pytest.raises(ResultError, match="another study"):
        make_results(
            replace(exam.findings, study_uid="1.2.9"),
            replace(context, study_uid="1.2.9"),
            exam.headers,
        )


def test_a_time_without_zone_is_refused(context: ResultContext) -> None:
    with pytest.raises(ResultError, match="time zone"):
        replace(context, recorded_at=datetime(2026, 1, 1))  # noqa: DTZ001 (what is tested)


@pytest.mark.parametrize(
    ("encoding", "syntax", "of_pictures"),
    [
        ("explicit", ExplicitVRLittleEndian, ExplicitVRLittleEndian),
        ("implicit", ImplicitVRLittleEndian, ImplicitVRLittleEndian),
        ("rle", ExplicitVRLittleEndian, RLELossless),
    ],
)
def test_objects_are_written_in_the_transfer_syntax_that_the_destination_wants(
    make_exam: Callable[..., Any],
    context: ResultContext,
    encoding: Any,
    syntax: str,
    of_pictures: str,
) -> None:
    profile = ResultProfile(objects=("sr", "seg", "summary"), encoding=encoding)
    made = _results(make_exam(regions=1), replace(context, profile=profile))
    for result in made.objects:
        read = dcmread(BytesIO(encode(result.dataset)))
        wanted = of_pictures if result.kind == "summary" else syntax
        assert read.file_meta.TransferSyntaxUID == wanted
        assert read.SOPInstanceUID == result.sop_instance_uid
