"""What comes after a study was evaluated: a new revision, or nothing."""

from __future__ import annotations

import pydicom
from pydicom.uid import generate_uid

from mome_node.catalog.states import StudyState
from mome_node.errors import PermanentDeliveryError

DYNAMIC = "_dyn"
SR = "1.2.840.10008.5.1.4.1.1.88.34"


def delivered(bench, images) -> None:
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.DELIVERED


def test_late_image_that_is_read_opens_a_revision_whose_report_names_its_predecessor(bench, images):
    late = images.of("t2_tse")
    bench.receive(images.without("t2_tse"))
    bench.wait()
    (first,) = bench.reports()
    bench.receive(late)
    bench.wait()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERED, 2)
    request = bench.evaluator.requests[-1]
    assert request.revision == 2
    ((_, predecessor),) = request.predecessors
    assert (predecessor.sop_instance_uid, predecessor.sop_class_uid) == (first, SR)
    assert request.replaces is not None
    assert (request.replaces.revision, request.replaces.cause) == (1, "late instances")
    assert len(bench.reports()) == 2
    assert bench.sender.received == bench.reports()


def test_late_image_that_is_not_read_makes_no_new_result(bench, images):
    bench.receive(images.without("localizer"))
    bench.wait()
    before = bench.reports()
    bench.receive(images.of("localizer"))
    bench.wait()
    assert bench.state is StudyState.DELIVERED
    assert bench.reports() == before == bench.sender.received
    assert len(bench.evaluator.requests) == 1
    assert "the same inputs as before" in [e.cause for e in bench.events()]


def test_late_object_of_a_class_that_no_role_uses_changes_nothing(bench, images):
    delivered(bench, images)
    report = images.datasets[0]
    report.SOPClassUID, report.SOPInstanceUID = SR, generate_uid()
    events = bench.events()
    bench.receive([report])
    bench.wait()
    assert bench.events() == events


def test_our_own_results_that_come_back_change_nothing(bench, images):
    delivered(bench, images)
    events = bench.events()
    (made,) = bench.catalog.results_of(images.study_uid)
    with bench.store.open(made.result.key) as file:
        report = pydicom.dcmread(file)
    report.PatientID = "as the PACS wrote it"
    bench.receive([report])
    bench.wait()
    assert bench.events() == events


def test_same_images_again_make_no_new_result(bench, images):
    delivered(bench, images)
    events = bench.events()
    bench.receive(images.datasets)
    bench.wait()
    assert bench.events() == events


def test_image_with_corrected_bytes_makes_a_new_result(bench, images):
    delivered(bench, images)
    images.of(DYNAMIC)[0].PatientWeight = "71"
    bench.receive(images.of(DYNAMIC)[:1])
    bench.wait()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERED, 2)
    assert len(bench.reports()) == 2


def test_input_during_inference_opens_the_next_revision_after_it(bench, images):
    t2 = images.of("t2_tse")
    bench.evaluator.during = lambda: bench.receive(t2)
    bench.receive(images.without("t2_tse"))
    bench.wait()
    bench.evaluator.during = lambda: None
    bench.wait()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERED, 2)
    assert len(bench.reports()) == 2
    assert len(bench.evaluator.requests[0].instances) < len(bench.evaluator.requests[1].instances)


def test_input_between_assembly_and_inference_is_not_half_read(bench, images):
    t2 = images.of("t2_tse")
    bench.receive(images.without("t2_tse"))
    bench.fall_quiet()
    assert bench.state is StudyState.QUEUED
    bench.receive(t2[:3])
    bench.runner.evaluation_turn()
    assert bench.evaluator.requests == []
    bench.receive(t2[3:])
    bench.wait()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERED, 1)
    assert len(bench.reports()) == 1


def test_results_of_an_older_revision_do_not_stand_for_a_failed_one(bench, images):
    delivered(bench, images)
    bench.evaluator.faults_of = {images.study_uid: OSError()}
    images.of(DYNAMIC)[0].PatientWeight = "71"
    bench.receive(images.of(DYNAMIC)[:1])
    bench.wait()
    assert bench.state is StudyState.FAILED
    bench.evaluator.faults_of = {}
    images.of("localizer")[0].PatientWeight = "71"
    bench.receive(images.of("localizer")[:1])
    bench.wait()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERED, 3)
    assert len(bench.reports()) == 2


def test_what_an_older_revision_was_refused_does_not_fail_a_newer_one(bench, images):
    bench.sender.link_error = PermanentDeliveryError("AE title unknown")
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.FAILED
    bench.sender.link_error = None
    images.of(DYNAMIC)[0].PatientWeight = "71"
    bench.receive(images.of(DYNAMIC)[:1])
    bench.wait()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERED, 2)


def test_dates_of_results_come_from_the_recorded_event(bench, images):
    bench.receive(images.datasets)
    bench.fall_quiet()
    assembled = bench.clock.now
    bench.clock.advance(5 * 86400)
    bench.turn()
    assert bench.evaluator.requests[0].recorded_at == assembled
    assert bench.evaluator.requests[0].recorded_at.tzinfo is not None
