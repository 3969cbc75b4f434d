"""The report says what a radiologist must read, in a tree that viewers can show."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from mome_node.dicom.header import FrameRef, InstanceFacts
from mome_node.errors import ResultError
from mome_node.fitness.checks import Outcome
from mome_node.mome.prediction import Prediction
from mome_node.results.context import ResultContext
from mome_node.results.findings import FitnessFinding, ModelIdentity, TaskScore
from mome_node.results.profile import ResultProfile
from mome_node.results.result_set import encode, make_results
from mome_node.results.sources import SourceImages
from mome_node.results.sr import make_report
from mome_node.results.wording import statements
from mome_node.volumes.volume import Modality


def _sr(exam: Any, context: ResultContext) -> Dataset:
    results = make_results(exam.findings, context, exam.headers)
    return dcmread(BytesIO(encode(results.objects[0].dataset)))


def _name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def _child(item: Dataset, name: str) -> Dataset:
    (found,) = [child for child in item.ContentSequence if _name(child) == name]
    return found


def _groups(sr: Dataset) -> list[Dataset]:
    return list(_child(sr, "Imaging Measurements").ContentSequence)


def _tracking(group: Dataset) -> tuple[str, str]:
    identifier = _child(group, "Tracking Identifier").TextValue
    return str(identifier), str(_child(group, "Tracking Unique Identifier").UID)


def _numbers(group: Dataset) -> dict[str, tuple[str, str]]:
    return {
        _name(item): (
            str(item.MeasuredValueSequence[0].NumericValue),
            str(item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue),
        )
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    }


def _texts(sr: Dataset) -> Iterator[str]:
    for item in _child(sr, "Qualitative Evaluations").ContentSequence:
        if item.ValueType == "TEXT":
            yield str(item.TextValue)


def test_the_evaluated_field_carries_score_and_contributions_in_whole_percent(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    field = _groups(_sr(make_exam(regions=0), context))[0]
    assert _tracking(field)[0] == "Evaluated field"
    assert _numbers(field) == {
        "Exam malignancy score": ("63", "%"),
        "DCE contribution, malignancy": ("21", "%"),
        "DWI contribution, malignancy": ("-5", "%"),
        "T2 contribution, malignancy": ("-3", "%"),
    }
    finding = _child(field, "Finding").ConceptCodeSequence[0]
    assert finding.CodeMeaning == "Evaluated field, not a finding"
    assert _child(field, "Geometric purpose of region").ConceptCodeSequence[0].CodeValue == (
        "75958009"
    )


@pytest.mark.parametrize(
    ("probability", "written"), [(0.0, "0"), (0.0041, "0.4"), (0.0049, "0.5"), (0.006, "1")]
)
def test_what_rounds_to_nothing_keeps_a_digit_that_viewers_print(
    probability: float, written: str, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=0)
    (score,) = exam.findings.tasks
    low = replace(score, prediction=replace(score.prediction, probability=probability))
    exam = replace(exam, findings=replace(exam.findings, tasks=(low,)))
    assert _numbers(_groups(_sr(exam, context))[0])["Exam malignancy score"] == (written, "%")


def test_the_label_of_the_field_has_room_at_the_right_of_the_image(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    region = _child(_groups(_sr(make_exam(regions=0), context))[0], "Image Region")
    assert max(region.GraphicData[::2]) <= 40 * 0.65 + 1e-6


def test_the_field_is_a_closed_box_on_the_key_slice_inside_the_image(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=0)
    region = _child(_groups(_sr(exam, context))[0], "Image Region")
    points = np.array(region.GraphicData).reshape(-1, 2)
    assert region.GraphicType == "POLYLINE"
    np.testing.assert_array_equal(points[0], points[-1])
    assert points[:, 0].max() <= 40 * 0.9
    image = region.ContentSequence[0].ReferencedSOPSequence[0]
    key = exam.findings.key_volume.frames[exam.findings.key_slice]
    assert image.ReferencedSOPInstanceUID == key.sop_instance_uid


def test_without_a_region_the_field_is_the_only_group(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    assert len(_groups(_sr(make_exam(regions=0), context))) == 1


@pytest.mark.parametrize("iod", ["classic", "enhanced"])
def test_each_region_is_a_volumetric_and_a_planar_group_with_one_tracking_uid(
    iod: str, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=2, iod=iod)
    results = make_results(exam.findings, context, exam.headers)
    sr, seg = (o.dataset for o in results.objects)
    _, *groups = _groups(sr)
    for number, region in enumerate(exam.findings.regions, start=1):
        volumetric, planar = groups[2 * number - 2 : 2 * number]
        assert (
            _tracking(volumetric)
            == _tracking(planar)
            == (
                region.tracking_id,
                region.tracking_uid,
            )
        )
        segment = _child(volumetric, "Referenced Segment").ReferencedSOPSequence[0]
        assert segment.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert segment.ReferencedSegmentNumber == number
        assert list(_numbers(volumetric)) == ["Share of attribution"]
        image = _child(planar, "Image Region").ContentSequence[0].ReferencedSOPSequence[0]
        largest = int(np.argmax(region.mask.sum(axis=(0, 1))))
        frame = exam.findings.key_volume.frames[largest]
        assert image.ReferencedSOPInstanceUID == frame.sop_instance_uid
        expected = frame.frame_number if iod == "enhanced" else None
        assert image.get("ReferencedFrameNumber") == expected


def test_every_tracking_uid_has_an_image_region(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    groups = _groups(_sr(make_exam(regions=3), context))
    with_region = {
        _tracking(g)[1] for g in groups if any(i.ValueType == "SCOORD" for i in g.ContentSequence)
    }
    assert with_region == {_tracking(g)[1] for g in groups}


def test_no_measurement_is_a_volume_or_a_diameter(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    units = {
        u for g in _groups(_sr(make_exam(regions=3), context)) for _, u in _numbers(g).values()
    }
    assert units == {"%"}


def test_another_reader_finds_the_groups(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    sr = hd.sr.Comprehensive3DSR.from_dataset(_sr(make_exam(regions=2), context))
    assert len(sr.content.get_planar_roi_measurement_groups()) == 3
    assert len(sr.content.get_volumetric_roi_measurement_groups()) == 2


def test_evidence_names_every_image_and_the_seg(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam()
    results = make_results(exam.findings, context, exam.headers)
    (study,) = results.objects[0].dataset.CurrentRequestedProcedureEvidenceSequence
    named = {
        item.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    sources = {str(source.SOPInstanceUID) for source in exam.sources}
    assert named == sources | {results.objects[1].sop_instance_uid}


def test_the_image_library_names_series_and_role(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam()
    (group,) = _child(_sr(exam, context), "Image Library").ContentSequence
    assert exam.sources[0].SeriesInstanceUID == _child(group, "Series Instance UID").UID
    role = _child(group, "Series role").ConceptCodeSequence[0]
    assert role.CodeValue == "130567"
    assert sum(item.ValueType == "IMAGE" for item in group.ContentSequence) == len(exam.sources)


def test_report_is_complete_unverified_and_names_device_procedure_and_weights(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    sr = _sr(make_exam(), context)
    assert (sr.CompletionFlag, sr.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    assert _child(sr, "Observer Type").ConceptCodeSequence[0].CodeMeaning == "Device"
    assert _child(sr, "Procedure reported").ConceptCodeSequence[0].CodeValue == "126020"
    for group in _groups(sr):
        assert "ab" * 32 in _child(group, "Algorithm Parameters").TextValue
        assert _child(group, "Algorithm Name").TextValue == "MOME malignancy"


def test_scores_of_several_tasks_each_name_their_own_model(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=0)
    score = TaskScore(
        "pcr",
        Prediction((0.0, 0.0), (0.5, 0.5), 0.5, 0.3, ((Modality.DCE, 0.2),)),
        ModelIdentity("MOME response", "2", "77" * 32, synthetic=False),
        "Miller-Payne 5",
        "on two sites, prevalence 0.3",
    )
    both = replace(exam.findings, tasks=(*exam.findings.tasks, score), not_run=())
    sr = dcmread(BytesIO(encode(make_results(both, context, exam.headers).objects[0].dataset)))
    field = _groups(sr)[0]
    assert _numbers(field)["Response score"] == ("50", "%")
    response = _child(field, "Response score")
    assert _child(response, "Algorithm Name").TextValue == "MOME response"
    texts = list(_texts(sr))
    assert any("calibrated on two sites, prevalence 0.3" in text for text in texts)
    assert any("Miller-Payne 5" in text for text in texts)


def test_a_task_without_a_concept_is_refused(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=0)
    unknown = replace(exam.findings.tasks[0], task="density")
    with pytest.raises(ResultError, match="density"):
        make_results(replace(exam.findings, tasks=(unknown,)), context, exam.headers)


@pytest.mark.peer("dsrdump")
def test_dsrdump_prints_the_sentences_that_must_be_read(
    make_exam: Callable[..., Any], context: ResultContext, tmp_path: Path
) -> None:
    exam = make_exam(regions=1)
    path = tmp_path / "sr.dcm"
    path.write_bytes(encode(make_results(exam.findings, context, exam.headers).objects[0].dataset))
    done = subprocess.run(
        ["dsrdump", "+Pl", path], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    for sentence in (
        "RESEARCH use only, not for diagnosis",
        "Exam malignancy score: 63 %, calibrated: no. This score has no side.",
        "below the threshold of rule-in 2025 (70 %): sensitivity 85 % (95 % interval 80 to 89 %)",
        "specificity 91 % (95 % interval 88 to 94 %), n = 812, prevalence 34 %",
        "DCE +21, DWI -5, T2 -3 percentage points against a reference of 50 %",
        "Triple-negative: not run: condition unknown",
        "Response: not run: condition unknown",
        "channel 1: phase 1, 92 s",
        "channel 2: not filled",
        "DWI b-value: 800 s/mm²",
        "used as DCE; role dce: contrast and 3 phases",
        "left out; role localizer: three orientations",
        "not an outline, a size or a biopsy target",
        "Regions by integrated gradients at the tokens, 3 steps, completeness error 2 %",
        "Region 1: right breast, 40 % of the attribution",
        "12 % of the attribution lies outside the breasts",
        "Not assessed: implants (MR headers do not tell), mastectomy",
        "Warning: phase times come from the content time",
    ):
        assert sentence in done.stdout, sentence


# The exam's fitness


def _failed_checks(report: Dataset) -> list[tuple[str, str, str]]:
    return [
        (
            item.ConceptCodeSequence[0].LongCodeValue
            if "LongCodeValue" in item.ConceptCodeSequence[0]
            else item.ConceptCodeSequence[0].CodeValue,
            item.ConceptCodeSequence[0].CodingSchemeDesignator,
            item.ConceptCodeSequence[0].CodeMeaning,
        )
        for container in report.ContentSequence
        for item in container.get("ContentSequence", ())
        if item.ConceptNameCodeSequence[0].get("CodeValue") == "FAILED_CHECK"
    ]


def test_checks_that_warn_of_a_task_that_was_run_are_coded_once(
    make_exam: Callable[..., Any], context: ResultContext, dciodvfy: Any, tmp_path: Path
) -> None:
    exam = make_exam()
    failed = tuple(
        FitnessFinding(task, code, outcome, "words")
        for task, code, outcome in (
            ("malignancy", "slice-gaps", Outcome.WARN),
            ("malignancy", "field-of-view-cut", Outcome.WARN),
            ("malignancy", "field-of-view-cut", Outcome.WARN),
            ("malignancy", "contrast-agent-not-named", Outcome.IGNORE),
            ("tnbc", "vendor-outside-package", Outcome.REFUSE),
            ("tnbc", "implants", Outcome.WARN),
        )
    )
    findings = replace(exam.findings, fitness=failed)
    report = make_results(findings, context, exam.headers).objects[0].dataset
    assert _failed_checks(report) == [
        ("field-of-view-cut", "99MOME", "The field of view cuts the breasts"),
        ("slice-gaps", "99MOME", "Gaps between the slices of the dynamic"),
    ]
    path = tmp_path / "sr.dcm"
    path.write_bytes(encode(report))
    assert dciodvfy(path) == []


def test_what_the_site_knows_is_told_as_such_and_not_as_unassessed(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam()
    known = replace(exam.findings, known=("implants",), not_assessed=("prior exams",))
    texts = [s.text for s in statements(known, context.profile)]
    assert "Known from the site, not from the images: implants." in texts
    assert "Not assessed: prior exams." in texts


# As a destination wants it


def test_a_destination_may_have_the_scores_in_a_group_of_the_whole_exam(
    make_exam: Callable[..., Any], context: ResultContext, dciodvfy: Any, tmp_path: Path
) -> None:
    exam = make_exam(regions=2)
    wanted = replace(context, profile=ResultProfile(study_scores="group"))
    report = _sr(exam, wanted)
    first, *others = _groups(report)
    assert _tracking(first)[0] == "Exam scores"
    assert _numbers(first)["Exam malignancy score"] == ("63", "%")
    assert not any(item.ValueType == "SCOORD" for item in first.ContentSequence)
    assert [_tracking(group)[1] for group in others] == [
        region.tracking_uid for region in exam.findings.regions
    ]
    assert [_numbers(group)["Share of attribution"][0] for group in others] == ["40", "20"]
    assert not any("The box named Evaluated field" in text for text in _texts(report))
    (group,) = hd.sr.Comprehensive3DSR.from_dataset(report).content.get_image_measurement_groups()
    assert len(group.get_measurements()) == 5
    path = tmp_path / "sr.dcm"
    path.write_bytes(encode(report))
    assert dciodvfy(path) == []


def test_regions_without_a_segmentation_are_outlined_with_their_share(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=2)
    wanted = replace(context, profile=ResultProfile(objects=("sr",)))
    report = _sr(exam, wanted)
    _, *planar = _groups(report)
    assert [_tracking(group) for group in planar] == [
        (region.tracking_id, region.tracking_uid) for region in exam.findings.regions
    ]
    shares = [_numbers(group)["Share of attribution"][0] for group in planar]
    assert shares == ["40", "20"]
    assert all(any(i.ValueType == "SCOORD" for i in g.ContentSequence) for g in planar)
    assert not any("There is no segmentation" in text for text in _texts(report))


def test_a_segmentation_that_was_left_out_is_told_of(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=1)
    sources = SourceImages(exam.headers, exam.findings.key_volume)
    why = "it would have 412 frames, more than the 300 that the destination takes"
    report = make_report(exam.findings, context, sources, None, seg_left_out=why)
    assert (
        "There is no segmentation of the regions: it would have 412 frames, more than the 300 that "
        "the destination takes. Each is outlined here on the slice where it is largest."
    ) in list(_texts(report))


def test_headers_of_instances_that_are_known_are_not_asked_for(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam()
    header = exam.headers(exam.findings.key_volume.frames[0])
    other = FrameRef("1.2.3.77")
    facts = InstanceFacts(other.sop_instance_uid, header.SOPClassUID, context.study_uid, "1.2.3.7")
    t2 = replace(exam.findings.series[0], series_uid="1.2.3.7", used_as="t2", frames=(other,))
    findings = replace(exam.findings, series=(*exam.findings.series, t2))

    def with_the_other(frame: FrameRef) -> Dataset:
        if frame != other:
            return exam.headers(frame)
        named = Dataset()
        named.StudyInstanceUID, named.SeriesInstanceUID = facts.study_uid, facts.series_uid
        named.SOPClassUID, named.SOPInstanceUID = facts.sop_class_uid, facts.sop_instance_uid
        return named

    told = make_results(findings, context, exam.headers, [facts]).objects[0]
    read = make_results(findings, context, with_the_other).objects[0]
    assert other.sop_instance_uid.encode() in encode(told.dataset)
    assert encode(told.dataset) == encode(read.dataset)


def test_results_for_the_clinic_have_the_sites_label_alone(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    wanted = replace(context, profile=ResultProfile(audience="clinical", label="for Dr. X"))
    report = _sr(make_exam(), wanted)
    assert report.SeriesDescription == "MOME SR: for Dr. X"
    assert next(_texts(report)) == "for Dr. X"
    assert next(_texts(_sr(make_exam(), context))).startswith("RESEARCH use only")


def test_the_label_comes_first_and_then_the_conclusion(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    report = _sr(make_exam(), context)
    items = _child(report, "Qualitative Evaluations").ContentSequence
    assert [_name(item) for item in items[:2]] == ["Label", "Conclusion"]
    concept = items[1].ConceptNameCodeSequence[0]
    assert (concept.CodeValue, concept.CodingSchemeDesignator) == ("121077", "DCM")


def test_times_of_phases_and_the_b_value_are_numbers_with_units(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=0)
    dynamic, scout = exam.findings.series
    series = (
        replace(dynamic, times_s=(0.0, 92.44)),
        replace(scout, used_as="dwi", frames=exam.findings.key_volume.frames[:1]),
    )
    exam = replace(exam, findings=replace(exam.findings, series=series))
    dce, dwi = _child(_sr(exam, context), "Image Library").ContentSequence
    times = [
        item.MeasuredValueSequence[0]
        for item in dce.ContentSequence
        if _name(item) == "Time after the pre-contrast phase"
    ]
    assert [(t.NumericValue, t.MeasurementUnitsCodeSequence[0].CodeValue) for t in times] == [
        (0, "s"),
        (92.4, "s"),
    ]
    assert _numbers(dwi) == {"Source image diffusion b-value": ("800", "s/mm2")}
