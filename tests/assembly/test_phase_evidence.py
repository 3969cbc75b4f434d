"""What orders phases: evidence taken away, spoilt or contradicted, one piece after the other."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mome_node.assembly.phase_order import unwrapped
from mome_node.assembly.plan import Role, Verdict
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.study import plan_study

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HABITS = (
    "siemens, one series a phase",
    "siemens, repeats in one series",
    "ge, pre and Ph series",
    "philips, temporal positions",
    "enhanced, one object a phase",
    "enhanced, all in one object",
)
FRAME_EVIDENCE = ("acquired_s", "trigger_time_ms", "content_s", "temporal_position")
INSTANCE_EVIDENCE = (
    "acquisition_number", "temporal_positions", "instance_number", "series_number",
)  # fmt: skip
TEXT_EVIDENCE = ("series_description", "protocol_name", "contrast_agent")


def plan_of(instances):
    return plan_study(instances, AssemblyRules(), now=NOW)


def of_frames(instances, **values):
    return [replace(i, frames=tuple(replace(f, **values) for f in i.frames)) for i in instances]


def without(instances, names):
    frame = {n: None for n in names if n in FRAME_EVIDENCE}
    instance = {n: None for n in names if n in INSTANCE_EVIDENCE}
    text = {n: "" for n in names if n in TEXT_EVIDENCE}
    return [replace(i, **instance, **text) for i in of_frames(instances, **frame)]


def with_contrast(instances, first):
    """Contrast agent named on all images acquired from ``first`` seconds on."""
    return [
        replace(i, contrast_agent="GADOBUTROL" if (begun(i) or 0) >= first else "")
        for i in instances
    ]


def begun(instance):
    return instance.frames[0].acquired_s


def phases(plan):
    return [frozenset(s.frames) for s in plan.dce]


@settings(max_examples=30, deadline=None)
@given(
    habit=st.sampled_from(HABITS),
    gone=st.sets(st.sampled_from((*FRAME_EVIDENCE, *INSTANCE_EVIDENCE, *TEXT_EVIDENCE))),
)
def test_less_evidence_gives_the_same_order_or_none(make, habit, gone):
    instances = make.exam(make.DYNAMICS[habit]())
    whole = plan_of(instances)
    less = plan_of(without(instances, gone))
    if all(s.phase is not None for s in less.dce) and len(less.dce) > 1:
        assert phases(less) == phases(whole)
        for found, told in zip(less.dce, whole.dce, strict=True):
            assert found.time_s is None or found.time_s == pytest.approx(told.time_s, abs=20.0)
    else:
        assert {s.phase for s in less.dce} <= {None}
        assert less.verdict is not Verdict.EVALUABLE


@settings(max_examples=20, deadline=None)
@given(habit=st.sampled_from(HABITS), seed=st.integers(0, 10_000))
def test_arrival_twice_and_in_any_order_changes_nothing(make, habit, seed):
    instances = make.exam(make.DYNAMICS[habit]())
    chance = random.Random(seed)
    doubled = [*instances, *chance.choices(instances, k=20)]
    chance.shuffle(doubled)
    assert plan_of(doubled) == plan_of(instances)


@settings(max_examples=40, deadline=None)
@given(
    times=st.lists(st.integers(0, 43_000), min_size=2, max_size=9, unique=True),
    start=st.integers(0, 86_399),
)
def test_times_of_day_rise_across_midnight(times, start):
    clock = [float((start + t) % 86_400) for t in times]
    told = unwrapped(clock)
    order = sorted(range(len(times)), key=times.__getitem__)
    assert sorted(range(len(times)), key=told.__getitem__) == order
    first = order[0]
    assert [t - told[first] for t in told] == [t - times[first] for t in times]


@pytest.mark.parametrize("habit", HABITS)
def test_exam_across_midnight_without_dates_keeps_its_order_and_times(make, habit):
    exam = make.exam(make.DYNAMICS[habit]())
    late = [
        replace(
            i,
            frames=tuple(
                replace(
                    f,
                    acquired_s=None
                    if f.acquired_s is None
                    else (f.acquired_s + 50_300.0) % 86_400.0,
                    content_s=None,
                )
                for f in i.frames
            ),
        )
        for i in exam
    ]
    usual, crossed = plan_of(exam), plan_of(late)
    assert phases(crossed) == phases(usual)
    assert [s.time_s for s in crossed.dce] == pytest.approx([s.time_s for s in usual.dce])


def test_acquisition_numbers_that_contradict_the_clock_of_one_series_order_nothing(make):
    turned = [
        replace(i, acquisition_number=9 - i.acquisition_number) for i in make.siemens_repeats()
    ]
    plan = plan_of(make.exam(turned))
    assert plan.verdict is Verdict.NOT_EVALUABLE
    assert any("contradicts the acquisition numbers" in r for r in plan.reasons)
    assert {s.phase for s in plan.dce} == {None}


def test_content_time_orders_no_volumes_whose_images_overlap_in_it(make):
    mixed = [
        replace(
            i,
            acquisition_number=None,
            frames=tuple(
                replace(f, acquired_s=None, content_s=make.START_S + 3.0 * (i.instance_number or 0))
                for f in i.frames
            ),
        )
        for i in make.ge_dynamic()
    ]
    plan = plan_of(make.exam(mixed))
    assert {s.phase for s in plan.dce} == {None}


def test_numbers_of_several_series_order_only_what_the_scanner_counted_together(make):
    untimed = of_frames(make.siemens_dynamic(), acquired_s=None, content_s=None)
    counted = plan_of(make.exam(untimed))
    assert [s.phase for s in counted.dce] == [0, 1, 2, 3]
    alone = [replace(i, temporal_positions=None) for i in untimed]
    assert {s.phase for s in plan_of(make.exam(alone)).dce} == {None}


def test_temporal_positions_across_series_order_phases_without_a_clock(make):
    untimed = of_frames(make.siemens_dynamic(), acquired_s=None, content_s=None)
    positioned = [
        replace(
            i,
            acquisition_number=1,
            frames=tuple(replace(f, temporal_position=i.acquisition_number) for f in i.frames),
        )
        for i in untimed
    ]
    plan = plan_of(make.exam(positioned))
    assert [s.series_uid for s in plan.dce] == [f"1.2.3.{n}" for n in (5, 6, 7, 8)]
    assert [s.phase for s in plan.dce] == [0, 1, 2, 3]


def test_seconds_come_from_content_time_where_all_frames_share_the_acquisition_time(make):
    (whole,) = make.enhanced_one_object()
    frames = tuple(
        replace(f, acquired_s=make.START_S, content_s=make.START_S + 3.0 * f.temporal_position)
        for f in whole.frames
    )
    plan = plan_of(make.exam([replace(whole, frames=frames)]))
    assert [s.time_s for s in plan.dce] == pytest.approx([0, 3, 6, 9])


def test_other_reconstruction_of_every_phase_is_a_copy_and_no_phase(make):
    dynamic = make.siemens_dynamic()
    filtered = [
        replace(
            i,
            series_uid=f"{i.series_uid}.9",
            sop_instance_uid=f"{i.sop_instance_uid}.9",
            image_type=("ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"),
        )
        for i in dynamic
    ]
    plan = plan_of(make.exam([*dynamic, *filtered]))
    assert plan.verdict is Verdict.EVALUABLE, plan.reasons
    assert [s.time_s for s in plan.dce] == pytest.approx([0, 90, 180, 270])
    assert len({s.series_uid.endswith(".9") for s in plan.dce}) == 1


def test_first_phase_with_contrast_before_one_without_is_refused(make):
    dynamic = make.siemens_dynamic()
    wrong = [
        replace(i, contrast_agent="GADOBUTROL" if i.series_number < 7 else "") for i in dynamic
    ]
    plan = plan_of(make.exam(wrong))
    assert plan.verdict is Verdict.NOT_EVALUABLE
    assert any("earliest phase names a contrast agent" in r for r in plan.reasons)


def test_one_measurement_that_names_contrast_on_all_its_phases_is_read_with_a_warning(make):
    dynamic = [replace(i, contrast_agent="GADOBUTROL") for i in make.siemens_dynamic()]
    plan = plan_of(make.exam(dynamic))
    assert plan.verdict is Verdict.EVALUABLE
    assert [s.phase for s in plan.dce] == [0, 1, 2, 3]
    assert any("every phase names a contrast agent" in w for w in plan.warnings)


def test_long_pause_between_posts_is_told(make):
    dynamic = [i for i in make.siemens_dynamic(phases=6) if i.series_number != 8]
    bare = [replace(i, temporal_positions=None) for i in dynamic]
    plan = plan_of(make.exam(bare))
    assert any("180 s between post 2 and post 3" in w for w in plan.warnings)


def test_fat_suppressed_phases_and_a_plain_series_of_their_protocol_are_kept_apart(make):
    plain = make.volume(
        make.DYNAMIC.but(scan_options=("PFP",)),
        "3",
        frame_values={"acquired_s": make.START_S - 200},
    )
    plan = plan_of(make.exam([*make.siemens_dynamic(), *plain]))
    assert plan.verdict is Verdict.EVALUABLE
    assert "1.2.3.3" not in {s.series_uid for s in plan.dce}


@pytest.mark.parametrize("name", ["localizer", "t1 SUB", "ADC map", "MIP"])
def test_phase_with_a_foreign_name_is_a_phase_and_the_name_is_told(make, name):
    dynamic = make.siemens_dynamic()
    renamed = [replace(i, series_description=name) if i.series_number == 6 else i for i in dynamic]
    plan = plan_of(make.exam(renamed))
    assert phases(plan) == phases(plan_of(make.exam(dynamic)))
    series = next(s for s in plan.series if s.series_uid == "1.2.3.6")
    assert series.role is Role.DCE
    assert any("its name says" in p for p in series.problems)


def test_subtractions_that_call_themselves_original_stay_out_beside_their_sources(make):
    dynamic = with_contrast(make.siemens_dynamic(), make.START_S + 1)
    subtracted = [
        replace(
            i,
            series_uid=f"{i.series_uid}.9",
            sop_instance_uid=f"{i.sop_instance_uid}.9",
            series_description="ax dyn SUB",
            frames=tuple(replace(f, content_s=make.START_S + 2000.0) for f in i.frames),
        )
        for i in dynamic
        if i.series_number > 5
    ]
    plan = plan_of(make.exam([*dynamic, *subtracted]))
    assert phases(plan) == phases(plan_of(make.exam(dynamic)))
    copies = [s for s in plan.series if s.series_uid.endswith(".9")]
    assert {s.role for s in copies} == {Role.SUBTRACTION}
    alone = plan_of(make.exam(subtracted))
    assert alone.dce == ()
