import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mome_node.assembly.plan import Role, Verdict
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series import series_roles
from mome_node.assembly.study import plan_study

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULES = AssemblyRules()
HABITS = (
    "siemens, one series a phase",
    "siemens, repeats in one series",
    "ge, pre and Ph series",
    "philips, temporal positions",
    "enhanced, one object a phase",
    "enhanced, all in one object",
)
INTERVALS = dict(zip(HABITS, (90.0, 90.0, None, 60.0, 80.0, 70.0), strict=True))


def plan_of(instances):
    return plan_study(instances, RULES, now=NOW)


def read(plan):
    """What a plan decides, without the names and numbers of series."""
    return plan.verdict, plan.dce, plan.dwi, plan.t2, plan.synthetic


@pytest.mark.parametrize("habit", HABITS)
def test_phases_are_in_time_order_whatever_the_makers_habit(make, habit):
    plan = plan_of(make.exam(make.DYNAMICS[habit]()))
    assert plan.verdict is Verdict.EVALUABLE, plan.reasons
    assert [s.phase for s in plan.dce] == [0, 1, 2, 3]
    assert {len(s.frames) for s in plan.dce} == {6}
    step = INTERVALS[habit]
    expected = [0.0, 120.0, 210.0, 300.0] if step is None else [n * step for n in range(4)]
    assert [s.time_s for s in plan.dce] == pytest.approx(expected)


@pytest.mark.parametrize("habit", HABITS)
def test_slices_of_every_phase_are_in_the_same_order(make, habit):
    instances = make.exam(make.DYNAMICS[habit]())
    where = {
        (i.sop_instance_uid, f.frame_number): f.image_position for i in instances for f in i.frames
    }
    for stack in plan_of(instances).dce:
        heights = [where[f.sop_instance_uid, f.frame_number][2] for f in stack.frames]
        assert heights == sorted(heights)
        assert len(set(heights)) == 6


@settings(max_examples=25, deadline=None)
@given(habit=st.sampled_from(HABITS), seed=st.integers(0, 10_000))
def test_plan_depends_on_neither_arrival_nor_series_numbers_nor_descriptions(make, habit, seed):
    instances = make.exam(make.DYNAMICS[habit]())
    chance = random.Random(seed)
    series = sorted({i.series_uid for i in instances})
    numbers = dict(zip(series, chance.sample(range(1, 99), len(series)), strict=True))
    blank = chance.random() < 0.5
    other = [
        replace(
            i,
            series_number=numbers[i.series_uid],
            series_description="" if blank else i.series_description,
        )
        for i in chance.sample(instances, len(instances))
    ]
    assert read(plan_of(other)) == read(plan_of(instances))


@settings(max_examples=25, deadline=None)
@given(habit=st.sampled_from(HABITS), seed=st.integers(0, 10_000))
def test_every_instance_lands_in_exactly_one_series_role(make, habit, seed):
    instances = make.exam(make.DYNAMICS[habit]())
    some = random.Random(seed).sample(instances, len(instances) // 2)
    roles = series_roles(some, RULES)
    uids = [r.series_uid for r in roles]
    assert sorted(uids) == sorted({i.series_uid for i in some})
    series_of = {i.sop_instance_uid: i.series_uid for i in some}
    listed = [(f, r.series_uid) for r in roles for s in r.stacks for f in s.frames]
    assert len({f for f, _ in listed}) == len(listed)
    assert all(series_of[f.sop_instance_uid] == uid for f, uid in listed)


@settings(max_examples=40, deadline=None)
@given(habit=st.sampled_from(HABITS[:4]), seed=st.integers(0, 10_000))
def test_a_dynamic_that_is_still_arriving_is_never_read_with_unequal_phases(make, habit, seed):
    instances = make.DYNAMICS[habit](phases=3, slices=5)
    chance = random.Random(seed)
    some = chance.sample(instances, chance.randint(1, len(instances) - 1))
    plan = plan_of(some)
    if plan.verdict is Verdict.EVALUABLE:
        assert {len(s.frames) for s in plan.dce} == {5}
    else:
        assert plan.reasons


def test_growing_phase_is_named(make):
    plan = plan_of(make.exam(make.siemens_dynamic()[:-2]))
    assert plan.verdict is Verdict.INCOMPLETE
    assert any("post 3 has 4 of 6 slices" in r for r in plan.reasons)


def test_phases_that_the_scanner_declared_are_waited_for(make):
    plan = plan_of(make.exam(make.siemens_dynamic()[:-6]))
    assert plan.verdict is Verdict.INCOMPLETE
    assert any("3 of 4 phases" in r for r in plan.reasons)


def test_pre_contrast_alone_is_no_dynamic(make):
    pre = [replace(i, temporal_positions=None) for i in make.siemens_dynamic()[:6]]
    plan = plan_of(make.exam(pre))
    assert plan.verdict is Verdict.INCOMPLETE
    assert all(s.phase is None for s in plan.dce)


def test_order_is_not_guessed_when_no_time_tells_it(make):
    untimed = [
        replace(
            i,
            acquisition_number=None,
            temporal_positions=None,
            frames=tuple(replace(f, acquired_s=None, content_s=None) for f in i.frames),
        )
        for i in make.siemens_dynamic()
    ]
    plan = plan_of(make.exam(untimed))
    assert plan.verdict is Verdict.NOT_EVALUABLE
    assert "no time or temporal position tells the order of the phases" in plan.reasons
    assert {s.phase for s in plan.dce} == {None}


def test_series_that_claim_the_same_moment_are_not_ordered_by_their_numbers(make):
    same = [
        replace(
            i,
            acquisition_number=1,
            frames=tuple(replace(f, acquired_s=make.START_S, content_s=None) for f in i.frames),
        )
        for i in make.siemens_dynamic()
    ]
    assert plan_of(make.exam(same)).verdict is Verdict.NOT_EVALUABLE


def test_times_that_contradict_the_temporal_positions_are_refused(make):
    turned = [
        replace(
            i,
            frames=tuple(
                replace(f, acquired_s=make.START_S - 60.0 * (f.temporal_position or 0))
                for f in i.frames
            ),
        )
        for i in make.philips_dynamic()
    ]
    plan = plan_of(make.exam(turned))
    assert plan.verdict is Verdict.NOT_EVALUABLE
    assert any("contradicts the temporal positions" in r for r in plan.reasons)


def test_repeats_are_parted_by_instance_number_when_nothing_else_tells(make):
    bare = [
        replace(
            i,
            acquisition_number=None,
            frames=tuple(replace(f, acquired_s=None) for f in i.frames),
        )
        for i in make.siemens_repeats()
    ]
    plan = plan_of(make.exam(bare))
    assert plan.verdict is Verdict.EVALUABLE
    assert [s.frames[0].sop_instance_uid for s in plan.dce] == [
        "1.2.3.5.1", "1.2.3.5.7", "1.2.3.5.13", "1.2.3.5.19",
    ]  # fmt: skip
    assert [s.time_s for s in plan.dce] == [0.0, None, None, None]
    assert any("instance number" in w for w in plan.warnings)


def test_two_images_at_one_position_and_temporal_position_are_reported_and_not_mixed(make):
    twice = make.philips_dynamic()
    twice += [
        replace(i, sop_instance_uid=f"{i.sop_instance_uid}.2", instance_number=500 + n)
        for n, i in enumerate(twice)
    ]
    plan = plan_of(make.exam(twice))
    assert plan.verdict is not Verdict.EVALUABLE
    dynamic = next(s for s in plan.series if s.role is Role.DCE)
    assert any("more than one plane" in p for p in dynamic.problems)


def test_repeated_dynamic_after_motion_replaces_the_first(make):
    first = make.philips_dynamic()
    second = [
        replace(
            i,
            series_uid="1.2.3.777",
            sop_instance_uid=f"{i.sop_instance_uid}.7",
            series_number=777,
            frames=tuple(replace(f, acquired_s=(f.acquired_s or 0) + 900) for f in i.frames),
        )
        for i in first
    ]
    plan = plan_of(make.exam([*first, *second]))
    assert plan.verdict is Verdict.EVALUABLE, plan.reasons
    assert {s.series_uid for s in plan.dce} == {"1.2.3.777"}
    loser = next(s for s in plan.series if s.series_uid == "1.2.3.501")
    assert "not read: series 777 taken" in loser.reason


def test_complete_dynamic_is_read_before_a_later_aborted_one(make):
    first = make.philips_dynamic()
    aborted = [
        replace(
            i,
            series_uid="1.2.3.777",
            sop_instance_uid=f"{i.sop_instance_uid}.7",
            frames=tuple(replace(f, acquired_s=(f.acquired_s or 0) + 900) for f in i.frames),
        )
        for i in first
        if i.frames[0].temporal_position != 4
    ]
    plan = plan_of(make.exam([*first, *aborted]))
    assert {s.series_uid for s in plan.dce} == {"1.2.3.501"}, plan.reasons


def test_ultrafast_run_is_left_for_the_conventional_dynamic(make):
    look = make.DYNAMIC.but(repetition_time_ms=2.5, echo_time_ms=1.0, flip_angle_deg=15.0)
    ultrafast = [
        i
        for n in range(10)
        for i in make.volume(
            look,
            "40",
            first=1 + 10 * n,
            acquisition_number=n + 1,
            frame_values={"acquired_s": make.START_S + 500 + 5.0 * n},
        )
    ]
    plan = plan_of(make.exam([*make.siemens_dynamic(), *ultrafast]))
    assert "1.2.3.40" not in {s.series_uid for s in plan.dce}
    assert plan.verdict is Verdict.EVALUABLE


def test_left_and_right_sagittal_runs_are_two_dynamics_and_refused(make):
    look = replace(make.DYNAMIC, orientation=make.SAGITTAL)
    sides = [
        i
        for side, at in (("6", 0.0), ("7", 200.0))
        for n in range(3)
        for i in make.volume(
            look,
            side,
            first=1 + 10 * n,
            at=at,
            acquisition_number=n + 1,
            frame_values={"acquired_s": make.START_S + 60.0 * n},
        )
    ]
    plan = plan_of(make.exam(sides))
    assert plan.verdict is Verdict.NOT_EVALUABLE
    assert any("sagittal" in r for r in plan.reasons)
    assert any("unilateral" in r for r in plan.reasons)


def test_plain_t1_of_another_protocol_is_no_phase(make):
    look = make.DYNAMIC.but(
        series_description="ax t1", repetition_time_ms=6.5, echo_time_ms=2.4, scan_options=()
    )
    t1 = make.volume(look, "3", frame_values={"acquired_s": make.START_S - 400})
    plan = plan_of(make.exam([*make.siemens_dynamic(), *t1]))
    assert next(s for s in plan.series if s.series_uid == "1.2.3.3").role is Role.T1
    assert "1.2.3.3" not in {s.series_uid for s in plan.dce}


@pytest.mark.parametrize("habit", HABITS)
def test_three_thousand_images_are_planned(make, habit):
    instances = make.exam(make.DYNAMICS[habit](phases=6, slices=500))
    plan = plan_of(instances)
    assert plan.verdict is Verdict.EVALUABLE
