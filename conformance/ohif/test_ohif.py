"""Results of the whole pipeline opened in OHIF: what a radiologist sees of them, and where.

test_truth.py holds the same objects to the phantom's truth; it has the short form.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from conformance.ohif.drawn import ShownImage
from conformance.ohif.reading import assert_nothing_is_broken, assert_score_is_readable
from conformance.ohif.viewer import Viewer
from conformance.study_results import EvaluatedStudy, StudyMaker
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.phantom.exam import Protocol, Vendor

pytestmark = pytest.mark.peer("Chromium")

FULL_EXAM = Protocol()
NEAR_MM = 15.0
"""How far the middle of what is drawn may lie from the region's centre, in the image's plane."""


def open_study(
    viewer: Viewer, orthanc: Orthanc, study: EvaluatedStudy, *results: Path | None
) -> None:
    orthanc.store_study([*study.images, *(path for path in results if path is not None)])
    viewer.open_study(study.study_uid)


def assert_its_score_is_readable(viewer: Viewer, study: EvaluatedStudy) -> None:
    assert_score_is_readable(viewer, round(100 * study.findings["tasks"][0]["probability"]), 3)


def assert_near_a_region(place: np.ndarray, study: EvaluatedStudy) -> None:
    """A place in mm LPS lies near a region's centre; the slices are axial."""
    centers = np.array([region["center_mm"] for region in study.findings["regions"]])
    assert np.linalg.norm((centers - place)[:, :2], axis=1).min() < NEAR_MM


def key_images(study: EvaluatedStudy) -> set[ShownImage]:
    """The frames that the SEG's frames were made from."""
    series = {str(ds.SOPInstanceUID): str(ds.SeriesInstanceUID) for ds in headers(study)}
    found = set()
    for groups in dcmread(study.seg).PerFrameFunctionalGroupsSequence:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        uid = str(source.ReferencedSOPInstanceUID)
        frame = int(source.get("ReferencedFrameNumber", 1))
        found.add(ShownImage(series[uid], uid, frame))
    return found


def headers(study: EvaluatedStudy) -> list:
    return [dcmread(path, stop_before_pixels=True) for path in study.images]


def assert_sr_opens(viewer: Viewer, study: EvaluatedStudy) -> None:
    viewer.open_sr()
    viewer.decline_prompt()
    viewer.screenshot(f"sr-{study.name}")
    assert_its_score_is_readable(viewer, study)
    assert viewer.shown_image() in key_images(study)
    region = min(viewer.outlines(), key=lambda drawn: drawn.right - drawn.left)
    assert_near_a_region(viewer.place_of(region), study)
    share = round(100 * study.findings["regions"][0]["share"])
    assert any(f"Share of attribution: {share}.00 %" in drawn.text for drawn in viewer.texts())


def assert_seg_opens(viewer: Viewer, study: EvaluatedStudy) -> None:
    viewer.open_seg()
    viewer.screenshot(f"seg-{study.name}")
    assert viewer.shown_image() in key_images(study)
    assert_near_a_region(viewer.place_of(viewer.coloured_region()), study)


@pytest.mark.long
def test_results_open_with_the_region_outlined_the_score_printed_whole_and_the_region_coloured(
    viewer: Viewer, orthanc: Orthanc, make_study: StudyMaker
) -> None:
    study = make_study(protocol=FULL_EXAM)
    open_study(viewer, orthanc, study, study.sr, study.seg)
    assert_sr_opens(viewer, study)
    assert_seg_opens(viewer, study)
    assert_nothing_is_broken(viewer)


@pytest.mark.long
def test_seg_without_a_report_opens_over_the_series_it_was_made_from(
    viewer: Viewer, orthanc: Orthanc, make_study: StudyMaker
) -> None:
    study = make_study(protocol=FULL_EXAM)
    open_study(viewer, orthanc, study, study.seg)
    assert_seg_opens(viewer, study)


@pytest.mark.long
@pytest.mark.parametrize("vendor", [Vendor.PHILIPS, Vendor.GE])
def test_results_of_enhanced_images_open_on_the_frame_that_they_name(
    viewer: Viewer, orthanc: Orthanc, make_study: StudyMaker, vendor: Vendor
) -> None:
    study = make_study(vendor, enhanced=True)
    open_study(viewer, orthanc, study, study.sr, study.seg)
    assert_sr_opens(viewer, study)
    assert_seg_opens(viewer, study)


@pytest.mark.long
def test_results_on_a_series_of_several_enhanced_images_open_on_that_series(
    viewer: Viewer, orthanc: Orthanc, make_study: StudyMaker
) -> None:
    """One object a phase in one series: OHIF may lay the SEG over the first object's same slice."""
    study = make_study(Vendor.SIEMENS, enhanced=True)
    open_study(viewer, orthanc, study, study.sr, study.seg)
    assert_sr_opens(viewer, study)
    viewer.open_seg()
    assert viewer.shown_image().series_uid in {image.series_uid for image in key_images(study)}
    assert_near_a_region(viewer.place_of(viewer.coloured_region()), study)


@pytest.mark.long
def test_sr_without_a_region_shows_the_score(
    viewer: Viewer, orthanc: Orthanc, make_study: StudyMaker
) -> None:
    study = make_study(Vendor.GE, with_regions=False)
    open_study(viewer, orthanc, study, study.sr)
    viewer.open_sr()
    viewer.decline_prompt()
    viewer.screenshot(f"sr-{study.name}")
    assert_its_score_is_readable(viewer, study)
    assert len(viewer.outlines()) == 1


@pytest.mark.long
def test_study_without_results_shows_images_and_no_overlay(
    viewer: Viewer, orthanc: Orthanc, make_study: StudyMaker
) -> None:
    open_study(viewer, orthanc, make_study())
    assert viewer.objects() == []
    assert not viewer.shows_overlay()
