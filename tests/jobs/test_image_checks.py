"""Which checks the images fail, and where the header has a say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mome_node.assembly.plan import Stack, StudyPlan, Verdict
from mome_node.dicom.header import FrameRef, InstanceFacts
from mome_node.jobs.image_checks import failures_of, image_failures
from mome_node.mome.breast_evidence import BreastEvidence
from mome_node.phantom.exam import Protocol
from mome_node.phantom.render import render_exam
from mome_node.volumes.volume import Exam, Volume

GOOD = BreastEvidence("two breasts", hanging_mm=60.0, heart="L")
IMAGE = InstanceFacts(
    "1.1", "1.2", "1", "1.3", study_description="MR breast", patient_position="HFP"
)
PLAN = StudyPlan("1", Verdict.EVALUABLE, (), dce=(Stack("1.3", (FrameRef("1.1"),)),))


def codes(found: BreastEvidence, *, says_breast: bool = True, supine: bool = False) -> list[str]:
    failures = failures_of(found, says_breast=says_breast, supine=supine)
    return [failure.check.code for failure in failures]


def test_two_breasts_fail_nothing_whatever_the_header_says() -> None:
    assert codes(GOOD) == codes(GOOD, says_breast=False) == []


@pytest.mark.parametrize("says_breast", [True, False])
def test_an_image_of_something_else_is_refused_whatever_the_header_says(says_breast: bool) -> None:
    found = BreastEvidence("nothing like it", "the body is 150 mm wide, which is no chest")
    assert codes(found, says_breast=says_breast) == ["no-breasts-in-image"]


def test_an_unclear_image_is_warned_of_only_where_the_header_says_breast() -> None:
    found = replace(GOOD, seen="unclear", why="no two lobes")
    assert codes(found) == ["breasts-unclear-in-image"]
    assert codes(found, says_breast=False) == ["no-breasts-in-image"]


@pytest.mark.parametrize(
    ("changes", "supine", "code"),
    [
        ({"seen": "one breast"}, False, "one-breast-in-image"),
        ({"facing": -1}, False, "position-contradicts-anatomy"),
        ({"facing": -1, "heart": "R"}, False, "position-contradicts-anatomy"),
        ({"heart": "R"}, False, "heart-on-the-right"),
        ({}, True, "supine-in-header"),
        ({"cut": ("front",)}, False, "field-of-view-cut"),
    ],
)
def test_each_contradiction_fails_its_check_alone(
    changes: dict[str, object], supine: bool, code: str
) -> None:
    assert codes(replace(GOOD, **changes), supine=supine) == [code]


def test_flat_breasts_of_a_supine_exam_and_an_unknown_heart_contradict_nothing() -> None:
    assert codes(replace(GOOD, hanging_mm=20.0), supine=True) == []
    assert codes(replace(GOOD, heart=None)) == []


def test_an_exam_is_read_as_its_plan_and_headers_say() -> None:
    exam = render_exam(3, protocol=Protocol((64, 64, 16), (32, 32, 10), (32, 32, 8)))
    dynamic = Exam(dce=exam.dce, phase_times_s=exam.phase_times_s)
    assert image_failures(dynamic, PLAN, [IMAGE]) == ()
    (supine,) = image_failures(dynamic, PLAN, [replace(IMAGE, patient_position="HFS")])
    assert supine.check.code == "supine-in-header"
    turned = tuple(Volume(v.array[::-1, ::-1].copy(), v.grid) for v in exam.dce)
    (position,) = image_failures(replace(dynamic, dce=turned), PLAN, [IMAGE])
    assert position.check.code == "position-contradicts-anatomy"


def test_voxels_that_are_no_numbers_are_left_to_what_prepares_the_inputs() -> None:
    exam = render_exam(3, protocol=Protocol((32, 32, 8), (16, 16, 6), (32, 32, 8)))
    array = exam.dce[0].array.copy()
    array[3, 3, 3] = np.nan
    broken = (Volume(array, exam.dce[0].grid), *exam.dce[1:])
    assert image_failures(Exam(broken, exam.phase_times_s), PLAN, [IMAGE]) == ()
    assert image_failures(Exam(), PLAN, [IMAGE]) == ()
