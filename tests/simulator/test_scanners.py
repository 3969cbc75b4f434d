"""A scanner sends as it likes; the study is evaluated once, whole, and of one patient."""

from __future__ import annotations

import pytest

from mome_node.catalog.states import StudyState
from tests.jobs.conftest import QUIET_S, TINY
from tests.simulator import scanner
from tests.simulator.pacs import dropped_and_resent
from tests.simulator.timeline import Event, What, images_of, merged, over

DYNAMIC, T2, DWI = "_dyn", "t2_tse", "diff"
SLICES = TINY.dce_matrix[2]
NEARLY_QUIET = QUIET_S - 10


def test_phases_that_arrive_nearly_a_quiet_time_apart_are_one_dynamic(replay, seen, exam):
    dynamic = exam.of(DYNAMIC)
    phases = len(scanner.by_phase(dynamic))
    replay.play(scanner.at_once(exam.without(DYNAMIC)))
    replay.play(scanner.phase_by_phase(dynamic, NEARLY_QUIET, at=NEARLY_QUIET))
    assert seen.plans == []
    replay.settle()
    (plan,) = seen.plans
    assert len(plan.dce) == phases == 5
    assert replay.bench.state is StudyState.DELIVERED


def test_slow_series_is_never_called_complete_though_the_others_are_long_finished(
    replay, seen, exam
):
    *first, last = scanner.by_phase(exam.of(DYNAMIC))
    replay.play(scanner.at_once(exam.without(DYNAMIC)))
    replay.play(scanner.at_once([d for p in first for d in p], at=30))
    growing = scanner.slowly(last, gap_s=2 * QUIET_S, at=60)
    replay.play(growing[:-1])
    replay.advance_to(growing[-1].at)
    assert seen.plans == []
    assert replay.bench.state is StudyState.RECEIVING
    replay.play(growing[-1:])
    replay.settle()
    assert [len(s.frames) for s in seen.plans[0].dce] == [SLICES] * 5
    assert replay.bench.study().revision == 1


def test_interleaved_patients_are_not_mixed(replay, seen, exam):
    def other(dataset):
        dataset.PatientID, dataset.PatientName = "OTHER", "Other^Patient"

    second = exam.as_study("1.2.3").changed(other)
    replay.play(
        merged(
            over(scanner.slowly(exam.datasets, 1.0, together=9), "A"),
            over(scanner.slowly(second.datasets, 1.0, together=7), "B"),
        )
    )
    replay.settle()
    assert [len(patients) for patients in seen.patients] == [1, 1]
    assert {p.study_uid for p in seen.plans} == {exam.study_uid, "1.2.3"}
    assert seen.plans[0].inputs.isdisjoint(seen.plans[1].inputs)
    assert {s.state for s in replay.bench.catalog.studies()} == {StudyState.DELIVERED}


def test_association_that_is_never_closed_holds_up_nothing(replay, seen, exam):
    replay.play(scanner.series_by_series(exam.datasets, 5.0, closing=False))
    replay.settle()
    assert replay.bench.state is StudyState.DELIVERED
    assert len(seen.plans) == 1


@pytest.mark.parametrize("after", [0, 10, 25])
def test_line_that_breaks_and_everything_again_is_evaluated_once(replay, seen, exam, after):
    timeline = dropped_and_resent(scanner.at_once(exam.datasets), after, pause_s=30)
    replay.play(timeline)
    replay.settle()
    assert len(images_of(timeline)) == len(exam.datasets) + after
    assert list(replay.bench.catalog.instance_counts().values()) == [len(exam.datasets)]
    assert replay.bench.state is StudyState.DELIVERED
    assert len(seen.plans) == 1


def test_line_that_breaks_for_longer_than_the_quiet_time_leaves_no_study_half_read(
    replay, seen, exam
):
    dynamic_first = [*exam.of(DYNAMIC), *exam.without(DYNAMIC)]
    timeline = dropped_and_resent(
        scanner.at_once(dynamic_first), after=4 * SLICES + 1, pause_s=5 * QUIET_S
    )
    replay.play(timeline)
    replay.settle()
    assert [len(s.frames) for s in seen.plans[0].dce] == [SLICES] * 5
    assert len(seen.plans) == 1


def test_diffusion_that_was_repeated_gives_one_of_the_two(replay, seen, exam):
    diffusion = exam.of(DWI)
    replay.play(scanner.at_once(exam.datasets))
    again = exam.changed(_taken_again).of(DWI)
    replay.play(scanner.at_once(again, at=30))
    replay.settle()
    (plan,) = seen.plans
    assert plan.dwi is not None
    read = {f.sop_instance_uid for f in plan.dwi.frames}
    one, other = ({d.SOPInstanceUID for d in images} for images in (diffusion, again))
    assert read <= one or read <= other


def _taken_again(dataset):
    dataset.SOPInstanceUID += ".1"
    dataset.SeriesInstanceUID += ".1"
    dataset.SeriesNumber = int(dataset.SeriesNumber) + 50


@pytest.mark.parametrize("seconds", [-3650 * 86400, -3600, 3600])
def test_clock_that_is_set_in_the_middle_loses_nothing(replay, seen, exam, seconds):
    replay.play(scanner.at_once(exam.without(T2)))
    replay.play([Event(20, What.SET_CLOCK, seconds=seconds)])
    replay.play(scanner.at_once(exam.of(T2), at=40))
    replay.settle()
    assert replay.bench.state is StudyState.DELIVERED
    assert seen.plans[-1].t2 is not None


def test_node_that_is_restarted_at_every_event_comes_to_the_same_end(replay, seen, exam):
    timeline = scanner.series_by_series(exam.datasets, 10.0, closing=True)
    for event in list(timeline):
        if event.what is What.CLOSE:
            timeline.append(Event(event.at + 1, What.RESTART))
            timeline.append(Event(event.at + 2, What.RESTART))
    replay.play(merged(timeline))
    replay.settle()
    assert replay.bench.state is StudyState.DELIVERED
    assert len(seen.plans) == 1
    assert len(replay.bench.reports()) == 1
