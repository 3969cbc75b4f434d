"""What else may lie in a study: pictures, text, maps, lists and notes, and whether they disturb."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from conformance.lesion_results import RECORDED_AT, LesionStudy, LesionStudyMaker
from conformance.ohif.drawn import ShownImage
from conformance.ohif.overlay import picture_on_canvas
from conformance.ohif.reading import assert_nothing_is_broken
from conformance.ohif.viewer import Viewer
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.dicom.reason_codes import REASONS, Reason
from mome_node.dicom.rejection_note import RejectionTitle
from mome_node.results.findings import NotEvaluableStudy
from mome_node.results.not_evaluable import make_not_evaluable_report
from mome_node.results.profile import KINDS, ResultProfile
from mome_node.results.rejection import RejectedInstance, make_rejection
from mome_node.results.result_set import encode

pytestmark = pytest.mark.peer("Chromium")

WHY = "as this exam is:"
EVERYTHING = ResultProfile(objects=KINDS)
IN_A_GROUP = ResultProfile(study_scores="group", series_number=9920, series_name="GROUP")
LEAST_CORRELATION = 0.95
"""Of the canvas with the picture; it is enlarged there, and its letters' edges with it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A study with every kind of result, open in the viewer."""

    study: LesionStudy
    results: dict[str, list[Path]]
    viewer: Viewer


@pytest.fixture(scope="module")
def opened(
    viewer: Viewer, _orthanc_process: Orthanc, make_lesion_study: LesionStudyMaker
) -> Iterator[Opened]:
    study = make_lesion_study("small")
    results = study.results(EVERYTHING)
    report = study.folder / "not-evaluated.dcm"
    report.write_bytes(report_that_it_was_not_evaluated(study))
    note = study.folder / "note.dcm"
    note.write_bytes(rejection_of(study, results["seg"][0]))
    results |= {
        "not evaluated": [report],
        "note": [note],
        "group": study.results(IN_A_GROUP)["sr"],
    }
    _orthanc_process.empty()
    _orthanc_process.store_study([*study.images, *(p for paths in results.values() for p in paths)])
    viewer.open_study(study.study_uid)
    yield Opened(study, results, viewer)
    _orthanc_process.empty()


def rejection_of(study: LesionStudy, path: Path) -> bytes:
    """A note that rejects an older result, which the archive no longer has."""
    seg = dcmread(path)
    older = RejectedInstance(study.study_uid, "2.25.1", str(seg.SOPClassUID), "2.25.2")
    note = make_rejection(
        RejectionTitle.QUALITY,
        [older],
        seg,
        recorded_at=RECORDED_AT,
        profile=EVERYTHING,
        synthetic=True,
    )
    return encode(note)


def report_that_it_was_not_evaluated(study: LesionStudy) -> bytes:
    said = NotEvaluableStudy(
        study.study_uid,
        tuple(Reason(reason.code.value, f"{WHY} {reason.code.meaning}") for reason in REASONS[:3]),
        series=study.findings.series,
        synthetic=True,
    )
    context = replace(study.context, profile=EVERYTHING)
    header = dcmread(study.images[0], stop_before_pixels=True)
    return encode(make_not_evaluable_report(said, context, header))


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_summary_is_shown_whole_and_as_it_was_drawn(opened: Opened) -> None:
    pages = [dcmread(path) for path in opened.results["summary"]]
    opened.viewer.open_pictures("MOME summary", str(pages[0].SeriesInstanceUID))
    for number, page in enumerate(pages, start=1):
        opened.viewer.scroll_to(
            ShownImage(str(page.SeriesInstanceUID), str(page.SOPInstanceUID), 1)
        )
        opened.viewer.screenshot(f"summary-{number}")
        shown = picture_on_canvas(opened.viewer, (page.Rows, page.Columns))
        assert correlation(shown, page.pixel_array) > LEAST_CORRELATION
        assert_nothing_is_broken(opened.viewer)


def test_report_on_a_study_that_was_not_evaluated_is_shown_as_text_line_by_line(
    opened: Opened,
) -> None:
    """It has no measurements: titled Imaging Measurement Report it would be black."""
    (report,) = map(dcmread, opened.results["not evaluated"])
    text = opened.viewer.open_report(str(report.SeriesDescription))
    opened.viewer.screenshot("not-evaluated")
    (evaluations,) = [item for item in report.ContentSequence if item.ValueType == "CONTAINER"]
    sentences = [item for item in evaluations.ContentSequence if item.ValueType == "TEXT"]
    assert any(WHY in item.TextValue for item in sentences)
    for item in sentences:
        name = item.ConceptNameCodeSequence[0].CodeMeaning
        assert f"{name}: {item.TextValue}\n" in f"{text}\n"
    assert opened.viewer.page_errors == []


@pytest.mark.long
@pytest.mark.parametrize("before", ["note", "key_objects", "group", "not evaluated", "summary"])
def test_report_and_segmentation_open_after_anything_else_was_tried(
    opened: Opened, before: str
) -> None:
    """Whatever the viewer makes of an object, none keeps it from showing the next one."""
    label = str(dcmread(opened.results[before][0]).SeriesDescription)
    opened.viewer.try_object(label)
    opened.viewer.open_sr(label="MOME SR")
    assert "Exam malignancy score" in "".join(each.text for each in opened.viewer.texts())
    opened.viewer.open_seg()
    assert opened.viewer.coloured().any()
    assert_nothing_is_broken(opened.viewer)


@pytest.mark.long
def test_map_is_listed_and_report_and_segmentation_open_before_it(opened: Opened) -> None:
    """Tried first, a map would leave its colours on the images until the page is loaded again."""
    viewer = opened.viewer
    viewer.open_study(opened.study.study_uid)
    viewer.open_sr(label="MOME SR")
    viewer.open_seg()
    assert_nothing_is_broken(viewer)
    viewer.open_object("MOME map")
    viewer.screenshot("map")
    assert viewer.page_errors == []
