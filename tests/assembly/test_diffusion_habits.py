"""A whole phantom study whose diffusion is written in each habit: which image is read, and why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from mome_node.assembly.plan import Role, StudyPlan
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.study import plan_study
from mome_node.dicom.geometry import Grid
from mome_node.dicom.header_reading import read_facts
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.dicom_writer.diffusion_elements import (
    DIFFUSION_HABITS,
    EFFECTIVE_SHARE,
    rewrite_diffusion,
)
from mome_node.phantom.exam import VERSION, PhantomExam, Truth, Vendor
from mome_node.volumes.builder import build_volume
from mome_node.volumes.volume import Volume

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HIGH_B = 800.0

Planned = tuple[StudyPlan, dict[str, Path], PhantomExam]


def image(rng: np.random.Generator, shape: tuple[int, int, int], highest: float) -> Volume:
    affine = np.diag([360 / shape[0], 360 / shape[1], 4.0, 1.0])
    affine[:3, 3] = (-180.0, -180.0, -10.0)
    return Volume(rng.uniform(0, highest, shape).astype(np.float32), Grid(shape, affine))


def small_exam() -> PhantomExam:
    rng = np.random.default_rng(5)
    times = (0.0, 90.0, 180.0)
    return PhantomExam(
        truth=Truth(5, VERSION, False, (), times),
        dce=tuple(image(rng, (20, 18, 4), 2000) for _ in times),
        phase_times_s=times,
        dwi=tuple((b, image(rng, (12, 10, 3), 1500)) for b in (0.0, HIGH_B)),
        adc=image(rng, (12, 10, 3), 3000),
        t2=image(rng, (16, 15, 3), 1800),
    )


@pytest.fixture
def planned(tmp_path: Path) -> Callable[[str], Planned]:
    def plan(habit: str) -> Planned:
        exam = small_exam()
        written = write_study(exam, tmp_path, vendor=Vendor.SIEMENS, study_date=date(2026, 3, 1))
        paths = rewrite_diffusion(written, DIFFUSION_HABITS[habit])
        facts = [read_facts(path) for path in paths]
        by_uid = {f.sop_instance_uid: p for f, p in zip(facts, paths, strict=True)}
        return plan_study(facts, AssemblyRules(), now=NOW), by_uid, exam

    return plan


READ = [
    ("siemens private only", HIGH_B, "(0019,100C)"),
    ("siemens creator gone", HIGH_B, "(0019,100C)"),
    ("siemens unknown bytes", HIGH_B, "(0019,100C)"),
    ("siemens sequence name only", HIGH_B, "sequence name"),
    ("siemens directions and trace", HIGH_B, "high-b trace"),
    ("siemens computed", HIGH_B, "(0019,100C)"),
    ("ge newer", HIGH_B, "(0018,9087)"),
    ("ge flagged", HIGH_B, "(0043,1039)"),
    ("ge unknown bytes", HIGH_B, "(0043,1039)"),
    ("philips private only", HIGH_B, "(2001,1003)"),
    ("philips unknown bytes", HIGH_B, "(2001,1003)"),
    ("united imaging", HIGH_B, f"(effective {HIGH_B * EFFECTIVE_SHARE:g}) by (0065,100A)"),
    ("united imaging effective only", HIGH_B * EFFECTIVE_SHARE, "(0065,1009)"),
    ("toshiba", HIGH_B, "(0018,9087)"),
    ("canon", HIGH_B, "(0018,9087)"),
    ("canon comments only", HIGH_B, "image comments"),
    ("description only", HIGH_B, "description"),
]


@pytest.mark.parametrize(("habit", "b_value", "reason"), READ, ids=[h for h, _, _ in READ])
def test_high_b_image_is_found_in_every_habit(
    habit: str, b_value: float, reason: str, planned: Callable[[str], Planned]
) -> None:
    plan, by_uid, exam = planned(habit)
    assert plan.dwi is not None
    assert plan.dwi.b_value == pytest.approx(b_value)
    assert any(reason in told for told in plan.reasons), plan.reasons
    volume = build_volume(plan.dwi.frames, by_uid.__getitem__)
    np.testing.assert_allclose(volume.array, exam.dwi[1][1].array, atol=0.51)


def test_every_habit_is_tested() -> None:
    assert {h for h, _, _ in READ} | {"silent", "siemens directions only"} == set(DIFFUSION_HABITS)


def test_images_that_nothing_tells_the_b_value_of_are_not_read(
    planned: Callable[[str], Planned],
) -> None:
    plan, _, _ = planned("silent")
    assert plan.dwi is None
    assert any("b-values found: unknown" in warning for warning in plan.warnings)


def test_single_directions_are_not_combined_and_the_reason_says_so(
    planned: Callable[[str], Planned],
) -> None:
    plan, by_uid, _ = planned("siemens directions only")
    assert plan.dwi is not None
    assert any("single directions are not combined" in told for told in plan.reasons)
    names = {dcmread(by_uid[f.sop_instance_uid]).SequenceName for f in plan.dwi.frames}
    assert len(names) == 1  # one direction, not a mixture


def test_computed_b_value_is_derived_and_named_as_such(
    planned: Callable[[str], Planned],
) -> None:
    plan, _, _ = planned("siemens computed")
    (computed,) = [s for s in plan.series if "computed b-value" in s.reason]
    assert computed.role is Role.DERIVED


def test_toshiba_s_absent_b_value_is_b_0(planned: Callable[[str], Planned]) -> None:
    plan, _, _ = planned("toshiba")
    (dwi,) = [s for s in plan.series if s.role is Role.DWI]
    assert sorted(s.b_value or 0.0 for s in dwi.stacks) == [0.0, HIGH_B]
    assert None not in {s.b_value for s in dwi.stacks}
