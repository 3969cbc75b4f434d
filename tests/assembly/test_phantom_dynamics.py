"""From written files to phases: every layout of a dynamic, and every way that an exam may go."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mome_node.assembly.plan import Role, StudyPlan, Verdict
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.study import plan_study
from mome_node.dicom.header import InstanceFacts
from mome_node.dicom.header_reading import read_facts
from mome_node.phantom.dicom_writer import Course, DynamicLayout, write_study
from mome_node.phantom.dicom_writer.dynamic_layouts import WRITINGS
from mome_node.phantom.exam import PhantomExam, Protocol
from mome_node.phantom.render import render_exam

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TINY = Protocol((16, 16, 6), (8, 8, 4), (8, 8, 4))
WITHOUT_CLOCK = DynamicLayout.GE_INSTANCE_NUMBERS
ROUNDED_S = 1.0
"""GE writes whole seconds."""

Facts = tuple[InstanceFacts, ...]


@cache
def exam() -> PhantomExam:
    whole = render_exam(1, protocol=TINY)
    return replace(whole, dce=whole.dce[:5], phase_times_s=whole.phase_times_s[:5])


@cache
def facts_of(layout: DynamicLayout, course: Course = Course.USUAL) -> Facts:
    with TemporaryDirectory() as folder:
        paths = write_study(
            exam(),
            Path(folder),
            vendor=WRITINGS[layout].vendor,
            study_date=date(2026, 3, 1),
            layout=layout,
            course=course,
        )
        return tuple(read_facts(path) for path in paths)


def plan_of(instances: Facts) -> StudyPlan:
    return plan_study(instances, AssemblyRules(), now=NOW)


def dynamic_of(plan: StudyPlan) -> list[tuple[int | None, float | None, frozenset[object]]]:
    return [(s.phase, s.time_s, frozenset(s.frames)) for s in plan.dce]


def check_times(plan: StudyPlan, posts: int = 4) -> None:
    assert plan.verdict is Verdict.EVALUABLE, plan.reasons
    assert [s.phase for s in plan.dce] == list(range(posts + 1))
    expected = exam().phase_times_s[: posts + 1]
    assert [s.time_s for s in plan.dce] == pytest.approx(expected, abs=ROUNDED_S)


TIMED = [layout for layout in DynamicLayout if layout is not WITHOUT_CLOCK]


@pytest.mark.parametrize("layout", TIMED)
def test_phases_and_seconds_come_back_from_every_layout(layout: DynamicLayout) -> None:
    check_times(plan_of(facts_of(layout)))


def test_phases_told_by_instance_number_alone_have_an_order_and_no_seconds() -> None:
    plan = plan_of(facts_of(WITHOUT_CLOCK))
    assert plan.verdict is Verdict.EVALUABLE
    assert [s.phase for s in plan.dce] == [0, 1, 2, 3, 4]
    assert [s.time_s for s in plan.dce] == [0.0, None, None, None, None]


def blanked(instances: Facts, _: random.Random) -> Facts:
    return tuple(replace(i, series_description="", protocol_name="") for i in instances)


def shuffled_names(instances: Facts, chance: random.Random) -> Facts:
    names = {i.series_uid: (i.series_description, i.protocol_name) for i in instances}
    others = dict(zip(names, chance.sample([*names.values()], len(names)), strict=True))
    return tuple(
        replace(
            i,
            series_description=others[i.series_uid][0],
            protocol_name=others[i.series_uid][1],
        )
        for i in instances
    )


def renumbered_series(instances: Facts, chance: random.Random) -> Facts:
    series = sorted({i.series_uid for i in instances})
    numbers = dict(zip(series, chance.sample(range(1, 999), len(series)), strict=True))
    return tuple(replace(i, series_number=numbers[i.series_uid]) for i in instances)


def renumbered_instances(instances: Facts, chance: random.Random) -> Facts:
    numbers = chance.sample(range(1, 9999), len(instances))
    return tuple(replace(i, instance_number=n) for i, n in zip(instances, numbers, strict=True))


def backwards(instances: Facts, _: random.Random) -> Facts:
    return instances[::-1]


@pytest.mark.parametrize(
    "change", [blanked, shuffled_names, renumbered_series, renumbered_instances, backwards]
)
@pytest.mark.parametrize("layout", TIMED)
def test_neither_names_nor_numbers_nor_arrival_move_a_phase(
    layout: DynamicLayout, change: Callable[[Facts, random.Random], Facts]
) -> None:
    instances = facts_of(layout)
    usual = dynamic_of(plan_of(instances))
    for seed in range(2):
        assert dynamic_of(plan_of(change(instances, random.Random(seed)))) == usual


SOME = [
    DynamicLayout.SIEMENS_SERIES,
    DynamicLayout.GE_PRE_AND_PH,
    DynamicLayout.GE_TRIGGER_TIMES,
    DynamicLayout.PHILIPS_TIME_FIRST,
]


@pytest.mark.parametrize("course", [Course.ULTRAFAST_INSIDE, Course.ULTRAFAST_COARSE])
@pytest.mark.parametrize("layout", SOME)
def test_conventional_dynamic_is_read_with_its_pre_though_an_ultrafast_run_lies_inside(
    layout: DynamicLayout, course: Course
) -> None:
    plan = plan_of(facts_of(layout, course))
    check_times(plan)
    left_out = [s for s in plan.series if s.role is Role.DCE and "ultrafast" in s.reason]
    assert left_out
    assert all("not read" in s.reason for s in left_out)


@pytest.mark.parametrize("course", [Course.REPEATED, Course.INTERRUPTED])
@pytest.mark.parametrize("layout", SOME)
def test_latest_complete_dynamic_is_read_and_the_other_named(
    layout: DynamicLayout, course: Course
) -> None:
    instances = facts_of(layout, course)
    plan = plan_of(instances)
    check_times(plan)
    begun = {i.sop_instance_uid: i.frames[0].acquired_s for i in instances}
    first = min(t for uid, t in begun.items() if uid in plan.inputs and uid in dce_uids(plan))
    rest = [
        begun[f.sop_instance_uid]
        for s in plan.series
        if s.role is Role.DCE and "not read" in s.reason
        for stack in s.stacks
        for f in stack.frames
    ]
    assert rest
    assert max(rest) < first


def dce_uids(plan: StudyPlan) -> set[str]:
    return {f.sop_instance_uid for s in plan.dce for f in s.frames}


@pytest.mark.parametrize("layout", SOME)
def test_latest_pre_contrast_series_is_read_where_it_was_repeated(layout: DynamicLayout) -> None:
    plan = plan_of(facts_of(layout, Course.PRE_REPEATED))
    check_times(plan)
    dropped = [s for s in plan.series if "repeated before contrast" in s.reason]
    assert [[v.phase for v in s.stacks] for s in dropped] == [[None]]


@pytest.mark.parametrize("layout", SOME)
def test_phase_that_was_archived_twice_counts_once(layout: DynamicLayout) -> None:
    plan = plan_of(facts_of(layout, Course.DOUBLED))
    check_times(plan)
    assert any("second image of the same moment" in s.reason for s in plan.series)


@pytest.mark.parametrize("layout", SOME)
def test_abbreviated_protocol_is_read_as_it_is(layout: DynamicLayout) -> None:
    check_times(plan_of(facts_of(layout, Course.ABBREVIATED)), posts=2)


@pytest.mark.parametrize("layout", SOME)
def test_posts_without_their_pre_contrast_phase_get_no_number_and_wait(
    layout: DynamicLayout,
) -> None:
    plan = plan_of(facts_of(layout, Course.WITHOUT_PRE))
    assert plan.verdict is Verdict.INCOMPLETE
    assert any("pre-contrast phase is missing" in r for r in plan.reasons)
    assert {(s.phase, s.time_s) for s in plan.dce} == {(None, None)}


@pytest.mark.parametrize("layout", SOME)
def test_phase_that_lacks_slices_is_waited_for(layout: DynamicLayout) -> None:
    plan = plan_of(facts_of(layout, Course.UNEQUAL))
    assert plan.verdict is Verdict.INCOMPLETE
    assert any("post 4 has 4 of 6 slices" in r for r in plan.reasons)


@pytest.mark.parametrize("layout", SOME)
def test_each_breast_of_a_sagittal_pair_has_its_own_phases_and_side(layout: DynamicLayout) -> None:
    plan = plan_of(facts_of(layout, Course.SAGITTAL_PAIR))
    assert plan.verdict is Verdict.NOT_EVALUABLE
    series = [s for s in plan.series if s.role is Role.DCE]
    for side in ("left", "right"):
        mine = [s for s in series if f"the {side} side" in s.reason]
        phases = sorted(
            ((v.phase, v.time_s) for s in mine for v in s.stacks), key=lambda p: p[0] or 0
        )
        assert [p for p, _ in phases] == [0, 1, 2, 3, 4]
        expected = exam().phase_times_s
        assert [t for _, t in phases] == pytest.approx(expected, abs=ROUNDED_S)
    assert not any(s.problems for s in series)


def test_side_that_laterality_and_place_contradict_is_a_problem_and_no_guess() -> None:
    swapped = tuple(
        replace(i, laterality={"L": "R", "R": "L"}.get(i.laterality, ""))
        for i in facts_of(DynamicLayout.SIEMENS_SERIES, Course.SAGITTAL_PAIR)
    )
    plan = plan_of(swapped)
    series = [s for s in plan.series if s.role is Role.DCE]
    assert series
    assert all(any("the side is not known" in p for p in s.problems) for s in series)


def test_both_breasts_in_one_sagittal_series_are_parted_by_the_gap_between_them() -> None:
    instances = facts_of(DynamicLayout.PHILIPS_TIME_FIRST, Course.SAGITTAL_PAIR)
    whole = [i for i in instances if i.acquisition_type == "3D"]
    other = [i for i in instances if i.acquisition_type != "3D"]
    moved = tuple(
        replace(
            i,
            series_uid="2.25.1",
            laterality="",
            frames=tuple(
                replace(
                    f,
                    image_position=(
                        f.image_position[0] + (40.0 if f.image_position[0] > 0 else -40.0),
                        *f.image_position[1:],
                    ),
                )
                for f in i.frames
            ),
        )
        for i in whole
    )
    plan = plan_of((*other, *moved))
    (series,) = [s for s in plan.series if s.role is Role.DCE]
    assert sorted(s.phase for s in series.stacks) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert {len(s.frames) for s in series.stacks} == {8}
    assert "left side" in series.reason
    assert "right side" in series.reason
