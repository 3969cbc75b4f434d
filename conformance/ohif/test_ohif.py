"""Results opened in OHIF: the SR's outline and numbers and the SEG's region are really drawn."""

from __future__ import annotations

import pytest

from conformance.ohif.viewer import Viewer

pytestmark = pytest.mark.peer("Chromium")


def assert_sr_is_readable(viewer: Viewer, study_uid: str, *words: str) -> None:
    """The study's SR draws an outline, and ``words`` stand beside it."""
    viewer.open_study(study_uid)
    texts = viewer.open_sr()
    viewer.screenshot("sr")
    for expected in words:
        assert any(expected in text for text in texts), f"{expected!r} is not in {texts}"


def test_sr_opens_with_its_outline_and_its_score(viewer, orthanc, exam):
    orthanc.store_study([*exam.images, exam.sr])
    assert_sr_is_readable(viewer, exam.study_uid, "Exam malignancy score: 42")


def test_seg_opens_with_its_region(viewer, orthanc, exam):
    orthanc.store_study([*exam.images, exam.seg])
    viewer.open_study(exam.study_uid)
    viewer.open_seg()


def test_study_without_results_shows_images_and_no_overlay(viewer, orthanc, exam):
    orthanc.store_study(exam.images)
    viewer.open_study(exam.study_uid)
    assert viewer.objects() == []
    assert not viewer.shows_overlay()
