"""What destinations have and does not stand any more is taken back, in time and once."""

from __future__ import annotations

import pydicom
import pytest

from mome_node.catalog.records import DeliveryState
from mome_node.catalog.states import StudyState
from mome_node.dicom.rejection_note import RejectionTitle, read_rejection_note
from mome_node.errors import TransientDeliveryError
from mome_node.jobs.requests import NotEvaluated

from .conftest import Bench


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.evaluator.kinds = ("sr", "seg")
    return bench


def made(bench, kind: str) -> list[str]:
    """SOP Instance UIDs of the results of a kind, the oldest revision first."""
    results = bench.catalog.results_of(bench.study().study_uid)
    return [r.result.sop_instance_uid for r in results if r.result.kind == kind]


def notes(bench):
    """The rejection notes as a PACS would read them, with the time of each."""
    results = bench.catalog.results_of(bench.study().study_uid)
    paths = [bench.store.path(r.result.key) for r in results if r.result.kind == "rejection"]
    return [(read_rejection_note(path), pydicom.dcmread(path)) for path in paths]


def delivered(bench, datasets) -> None:
    bench.receive(datasets)
    bench.wait()
    assert bench.state is StudyState.DELIVERED


def test_segmentation_of_a_replaced_revision_is_rejected_after_the_new_report_was_sent(
    bench, images
):
    delivered(bench, images.without("t2_tse"))
    delivered(bench, images.of("t2_tse"))
    bench.wait()
    ((note, _),) = notes(bench)
    assert note.title is RejectionTitle.QUALITY
    assert note.instances == {made(bench, "seg")[0]}
    assert bench.sender.received[-1] == made(bench, "rejection")[0]
    assert bench.sender.received.index(made(bench, "sr")[1]) < len(bench.sender.received) - 1


def test_note_is_of_the_patient_and_study_that_the_images_are_of(bench, images):
    delivered(bench, images.without("t2_tse"))
    delivered(bench, images.of("t2_tse"))
    ((note, document),) = notes(bench)
    image = images.datasets[0]
    assert (note.study_uid, note.patient_id) == (image.StudyInstanceUID, image.PatientID)
    assert document.PatientName == image.PatientName
    assert document.SyntheticData == "YES"


def test_making_the_notes_again_makes_none(bench, images):
    delivered(bench, images.without("t2_tse"))
    delivered(bench, images.of("t2_tse"))
    for _ in range(3):
        bench.restart()
        bench.wait()
    assert len(notes(bench)) == 1
    assert len(bench.sender.received) == len(set(bench.sender.received))


def test_what_was_withdrawn_by_hand_is_rejected_with_its_report_for_safety(bench, images):
    delivered(bench, images.datasets)
    bench.catalog.withdrawals.withdraw(bench.study().study_uid, "wrong images", bench.clock.now)
    bench.wait()
    ((note, _),) = notes(bench)
    assert note.title is RejectionTitle.PATIENT_SAFETY
    assert note.instances == {*made(bench, "sr"), *made(bench, "seg")}
    assert bench.state is StudyState.WITHDRAWN
    assert bench.sender.received[-1:] == made(bench, "rejection")


def test_what_was_never_sent_is_withdrawn_without_a_note(bench, images):
    bench.sender.link_error = TransientDeliveryError("cable")
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.DELIVERING
    bench.catalog.withdrawals.withdraw(bench.study().study_uid, "wrong images", bench.clock.now)
    bench.sender.link_error = None
    bench.wait(3600)
    assert bench.sender.received == []
    assert notes(bench) == []
    states = {d.state for d in bench.catalog.deliveries.of_study(bench.study().study_uid)}
    assert states == {DeliveryState.WITHDRAWN}


def test_withdrawn_results_are_issued_again_under_new_uids(bench, images):
    delivered(bench, images.datasets)
    study_uid = bench.study().study_uid
    bench.catalog.withdrawals.withdraw(study_uid, "wrong label", bench.clock.now)
    bench.wait()
    bench.catalog.transition(
        study_uid, StudyState.WITHDRAWN, StudyState.QUEUED, "issued again", bench.clock.now
    )
    bench.wait()
    assert bench.state is StudyState.DELIVERED
    assert [r.issue for r in bench.evaluator.requests] == [0, 1]
    assert len(set(made(bench, "sr"))) == 2
    assert bench.evaluator.requests[-1].predecessors == ()


def test_study_that_is_not_evaluable_any_more_takes_its_results_back(bench, images):
    delivered(bench, images.datasets)
    bench.evaluator.faults.append(NotEvaluated("the images make no exam"))
    corrected = images.of("t2_tse")[0]
    corrected.ImageComments = "corrected"
    bench.receive([corrected])
    bench.wait()
    assert bench.state is StudyState.NOT_EVALUABLE
    ((note, _),) = notes(bench)
    assert note.title is RejectionTitle.PATIENT_SAFETY
    assert note.instances == {*made(bench, "sr"), *made(bench, "seg")}


def test_our_own_note_that_comes_back_changes_nothing(bench, images):
    delivered(bench, images.without("t2_tse"))
    delivered(bench, images.of("t2_tse"))
    ((_, document),) = notes(bench)
    events = bench.events()
    bench.receive([document], may_reject=True)
    bench.wait()
    assert bench.events() == events


def test_study_whose_note_cannot_be_made_waits_and_others_have_theirs(bench, images):
    other = images.as_study("1.2.3")
    for each in (images, other):
        bench.receive(each.datasets)
    bench.wait()
    bench.wait()
    for uid in (images.study_uid, "1.2.3"):
        bench.catalog.withdrawals.withdraw(uid, "wrong images", bench.clock.now)
    lost = bench.catalog.results_of(images.study_uid)[0].result
    bench.store.path(lost.key).unlink()
    for _ in range(3):
        bench.runner.rejection_turn()
    kinds = {
        u: [r.result.kind for r in bench.catalog.results_of(u)] for u in (images.study_uid, "1.2.3")
    }
    assert "rejection" not in kinds[images.study_uid]
    assert kinds["1.2.3"].count("rejection") == 1
    assert bench.catalog.withdrawals.studies_to_tell_of() == (images.study_uid,)
