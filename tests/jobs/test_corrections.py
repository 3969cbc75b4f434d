"""A patient merged or renamed, an accession changed: never a result of two identities."""

from __future__ import annotations

from copy import deepcopy

import pytest
from pydicom.uid import generate_uid

from mome_node.catalog.states import StudyState
from mome_node.jobs.reading import read_study

DYNAMIC = "_dyn"


def delivered(bench, images) -> None:
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.DELIVERED


def corrected(**elements):
    def change(dataset):
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)

    return change


def superseded(bench) -> list[bool]:
    results = bench.catalog.results_of(bench.study().study_uid)
    return [r.superseded_at is not None for r in results if r.result.kind == "sr"]


@pytest.mark.parametrize(
    ("elements", "cause"),
    [
        ({"PatientID": "MERGED"}, "patient changed"),
        ({"PatientName": "Other^Name"}, "patient changed"),
        ({"PatientBirthDate": "19550505"}, "patient changed"),
        ({"AccessionNumber": "A-2"}, "accession changed"),
        ({"PatientWeight": "71"}, "instance corrected"),
    ],
)
def test_corrected_study_is_evaluated_anew_and_its_old_results_are_superseded(
    bench, images, elements, cause
):
    delivered(bench, images)
    bench.receive(images.changed(corrected(**elements)).datasets)
    bench.wait()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERED, 2)
    assert [e.cause for e in bench.events() if e.target is StudyState.RECEIVING][1:] == [cause]
    assert superseded(bench) == [True, False]
    (facts, *_) = read_study(bench.evaluator.requests[-1].instances).instances
    assert (facts.patient_id, facts.accession_number) == (
        elements.get("PatientID", images.datasets[0].PatientID),
        elements.get("AccessionNumber", images.datasets[0].AccessionNumber),
    )
    assert bench.study().patient_id == facts.patient_id


@pytest.mark.parametrize("elements", [{"PatientID": "MERGED"}, {"AccessionNumber": "A-2"}])
def test_half_corrected_study_is_held_and_goes_on_when_the_rest_has_come(bench, images, elements):
    delivered(bench, images)
    after = images.changed(corrected(**elements))
    bench.receive(after.of(DYNAMIC)[:7])
    bench.wait()
    assert bench.state is StudyState.QUARANTINED
    assert len(bench.evaluator.requests) == 1
    assert superseded(bench) == [False]  # kept until it is known what holds
    bench.receive(after.datasets)
    bench.wait()
    assert bench.state is StudyState.DELIVERED
    assert superseded(bench) == [True, False]
    assert len(bench.evaluator.requests) == 2


def test_wrong_worklist_entry_rejected_and_sent_anew_under_the_right_patient(bench, images):
    """The way of IOCM: the corrected images have SOP Instance UIDs of their own."""
    delivered(bench, images)

    def renewed(dataset):
        dataset.PatientID, dataset.SOPInstanceUID = "RIGHT", generate_uid()

    bench.receive(images.changed(renewed).datasets)
    bench.wait()
    assert bench.state is StudyState.QUARANTINED  # until the note comes
    old = [d.SOPInstanceUID for d in images.datasets]
    bench.catalog.reject(images.study_uid, bench.clock.now, instances=old)
    bench.wait()
    assert bench.state is StudyState.DELIVERED
    assert bench.study().patient_id == "RIGHT"
    assert superseded(bench) == [True, False]


def test_accession_of_an_image_that_is_not_read_holds_nothing_up(bench, images):
    for image in images.of("localizer"):
        image.AccessionNumber = "A-2"
    delivered(bench, images)


def test_empty_accession_contradicts_nothing(bench, images):
    images.datasets[0].AccessionNumber = ""
    delivered(bench, images)


def test_outdated_copies_that_come_again_are_told_and_change_nothing(bench, images):
    delivered(bench, images)
    before = deepcopy(images)
    bench.receive(images.changed(corrected(PatientID="MERGED")).datasets)
    bench.wait()
    events = bench.events()
    bench.receive(before.datasets[:1])
    bench.wait()
    assert bench.events() == events
    (told,) = [a.cause for a in bench.catalog.acts_of(images.study_uid) if "outdated" in a.cause]
    assert before.datasets[0].SOPInstanceUID in told


def test_correction_that_was_one_by_mistake_is_undone_by_rejecting_it(bench, images):
    delivered(bench, images)
    before = deepcopy(images)
    bench.receive(images.changed(corrected(PatientID="WRONG")).datasets)
    bench.wait()
    uids = [d.SOPInstanceUID for d in images.datasets]
    bench.catalog.reject(images.study_uid, bench.clock.now, instances=uids)
    bench.wait()
    assert bench.state is StudyState.NOT_EVALUABLE
    bench.receive(before.datasets)
    bench.wait()
    assert bench.state is StudyState.DELIVERED
    assert bench.study().patient_id == before.datasets[0].PatientID
    assert superseded(bench) == [True, True, False]


def test_correction_that_comes_during_inference_keeps_the_old_identity_from_being_sent(
    bench, images
):
    after = images.changed(corrected(PatientID="MERGED"))
    bench.evaluator.during = lambda: bench.receive(after.datasets)
    bench.receive(images.datasets)
    bench.wait()
    bench.evaluator.during = lambda: None
    bench.wait()
    assert bench.state is StudyState.DELIVERED
    assert bench.sender.received == bench.reports()[1:]
    assert superseded(bench) == [True, False]
