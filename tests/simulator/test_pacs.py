"""A PACS sends late, again, corrected, derived and old; one result stands for one set of images."""

from __future__ import annotations

import pytest
from pydicom import dcmread

from mome_node.catalog.states import StudyState
from tests.jobs.conftest import QUIET_S
from tests.simulator import pacs, scanner
from tests.simulator.timeline import end_of, merged

DYNAMIC, T2 = "_dyn", "t2_tse"
ANOTHER_DAY = 86400.0


def test_late_series_makes_a_second_result_and_the_first_is_kept(replay, seen, exam):
    first = scanner.at_once(exam.without(T2))
    replay.play(pacs.after(first, 600, exam.of(T2)))
    replay.settle()
    assert (replay.bench.state, replay.bench.study().revision) == (StudyState.DELIVERED, 2)
    assert [p.t2 is None for p in seen.plans] == [True, False]
    assert replay.bench.sender.received == replay.bench.reports()
    assert len(set(replay.bench.reports())) == 2


def test_image_corrected_before_the_evaluation_is_read_as_corrected(replay, seen, exam):
    wrong = exam.of(DYNAMIC)[0]
    right = pacs.corrected(wrong)
    replay.play(pacs.after(scanner.at_once(exam.datasets), QUIET_S / 2, [right]))
    replay.settle()
    assert replay.bench.study().revision == 1
    assert wrong.SOPInstanceUID in seen.plans[0].inputs
    (request,) = replay.bench.evaluator.requests
    (read,) = [i for i in request.instances if i.sop_instance_uid == wrong.SOPInstanceUID]
    assert dcmread(read.path).PatientWeight == 71


def test_image_corrected_during_the_evaluation_is_read_in_the_next_revision(replay, seen, exam):
    right = pacs.corrected(exam.of(DYNAMIC)[0])

    def correct() -> None:
        seen.note()
        replay.bench.evaluator.during = seen.note
        replay.bench.receive([right])

    replay.bench.evaluator.during = correct
    replay.play(scanner.at_once(exam.datasets))
    replay.settle()
    replay.settle()
    assert (replay.bench.state, replay.bench.study().revision) == (StudyState.DELIVERED, 2)
    assert seen.digests[0] != seen.digests[1]


def test_image_corrected_after_the_result_makes_a_second_one(replay, seen, exam):
    right = pacs.corrected(exam.of(DYNAMIC)[0])
    replay.play(pacs.after(scanner.at_once(exam.datasets), 600, [right]))
    replay.settle()
    assert (replay.bench.state, replay.bench.study().revision) == (StudyState.DELIVERED, 2)
    assert len(set(seen.digests)) == len(replay.bench.reports()) == 2


def test_subtractions_of_a_workstation_make_no_new_result(replay, seen, exam):
    second_phase = scanner.by_phase(exam.of(DYNAMIC))[1]
    made = pacs.subtractions(second_phase)
    replay.play(pacs.after(scanner.at_once(exam.datasets), 600, made))
    replay.settle()
    assert replay.bench.state is StudyState.DELIVERED
    assert len(seen.plans) == len(replay.bench.reports()) == 1


def test_our_own_results_that_are_sent_back_open_nothing(replay, seen, exam):
    replay.play(scanner.at_once(exam.datasets))
    replay.settle()
    events = replay.bench.events()
    (made,) = replay.bench.catalog.results_of(exam.study_uid)
    with replay.bench.store.open(made.result.key) as file:
        report = dcmread(file)
    report.PatientID = exam.datasets[0].PatientID
    for hour in range(1, 4):
        replay.play(scanner.at_once([report], replay.second + hour * 3600))
    assert replay.bench.events() == events


def test_study_that_is_sent_whole_again_the_next_day_makes_no_new_result(replay, seen, exam):
    replay.play(scanner.at_once(exam.datasets))
    replay.play(scanner.at_once(exam.datasets, at=ANOTHER_DAY))
    replay.settle()
    assert len(seen.plans) == len(replay.bench.reports()) == 1


STUDIES = 60
EVERY_S = 5.0
HEADERS_KEPT = 40


@pytest.fixture
def bench_of_little_memory(nodes):
    replay, seen = nodes()
    replay.bench.headers_kept = HEADERS_KEPT
    replay.bench.restart()
    return replay, seen


def test_migration_of_an_archive_evaluates_nothing_old_and_holds_up_nothing_new(
    bench_of_little_memory, exam
):
    """Knees of today and breasts of ten years, one of each in turn, a study every few seconds."""
    replay, seen = bench_of_little_memory
    kept: list[int] = []
    watched: list[int] = []

    def watch() -> None:
        kept.append(replay.bench.stages.headers.planes)
        watched.append(len(replay.bench.catalog.studies_in(StudyState.RECEIVING)))

    replay.watch = watch
    timeline = pacs.migration(exam.of(T2)[0], STUDIES, _knee_or_old, EVERY_S)
    real_at = STUDIES * EVERY_S / 2
    replay.play(merged(timeline, scanner.at_once(exam.datasets, at=real_at)))
    replay.settle()
    states = {s.study_uid: s.state for s in replay.bench.catalog.studies()}
    assert states.pop(exam.study_uid) is StudyState.DELIVERED
    assert set(states.values()) == {StudyState.NOT_EVALUABLE}
    assert [p.study_uid for p in seen.plans] == [exam.study_uid]
    done = [e.at for e in replay.bench.catalog.events_of(exam.study_uid)][-1]
    arrived = replay.bench.catalog.study(exam.study_uid).last_input_at
    assert (done - arrived).total_seconds() <= QUIET_S + 1
    assert max(kept) <= HEADERS_KEPT < STUDIES
    assert max(watched) <= QUIET_S / EVERY_S + 2


def test_old_study_of_an_archive_is_decided_once(replay, exam):
    timeline = pacs.migration(exam.of(T2)[0], 6, _knee_or_old, every_s=1.0)
    replay.play(timeline)
    replay.settle()
    replay.advance_to(end_of(timeline) + 3600)
    for study in replay.bench.catalog.studies():
        states = [e.target for e in replay.bench.catalog.events_of(study.study_uid)]
        assert states == [StudyState.RECEIVING, StudyState.NOT_EVALUABLE]


def _knee_or_old(image, number):
    if number % 2:
        image.StudyDate = f"{2016 + number % 9}0101"
    else:
        image.BodyPartExamined, image.ReceiveCoilName = "KNEE", "Knee 15"
        image.StudyDescription = image.SeriesDescription = image.ProtocolName = "MRI KNEE"
