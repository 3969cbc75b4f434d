"""Rejection notes (IHE IOCM): what a PACS takes back is read no more, and nothing else changes."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import highdicom as hd
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import Code
from pydicom.uid import generate_uid

from mome_node.catalog.changes import Standing
from mome_node.catalog.records import DeliveryState
from mome_node.catalog.states import StudyState
from mome_node.errors import TransientDeliveryError

DYNAMIC = "_dyn"
KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
TITLES = {
    "113001": "Rejected for Quality Reasons",
    "113037": "Rejected for Patient Safety Reasons",
    "113038": "Incorrect Modality Worklist Entry",
    "113039": "Data Retention Policy Expired",
    "113000": "Of Interest",
}
WITHDRAWING = ("113001", "113037", "113038")


def rejection_note(images: Sequence[Dataset], code: str = "113001", **elements: str) -> Dataset:
    """A note as a PACS writes it; keywords change its elements."""
    note = hd.ko.KeyObjectSelectionDocument(
        evidence=list(images),
        content=hd.ko.KeyObjectSelection(
            document_title=Code(code, "DCM", TITLES[code]), referenced_objects=list(images)
        ),
        series_instance_uid=generate_uid(),
        series_number=99,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="A PACS",
    )
    for keyword, value in elements.items():
        setattr(note, keyword, value)
    return note


def reject(bench, images, code="113001", *, may_reject=True, **elements) -> Dataset:
    note = rejection_note(images, code, **elements)
    bench.receive([note], may_reject=may_reject)
    return note


def delivered(bench, images) -> None:
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.DELIVERED


def superseded(bench) -> list[bool]:
    results = bench.catalog.results_of(bench.study().study_uid)
    return [r.superseded_at is not None for r in results if r.result.kind == "sr"]


def told(bench) -> str:
    return "\n".join(a.cause for a in bench.catalog.acts_of(bench.study().study_uid))


def rejected(bench) -> set[str]:
    instances = bench.catalog.instances_of(bench.study().study_uid)
    return {i.sop_instance_uid for i in instances if i.standing is Standing.REJECTED}


def uids(images) -> set[str]:
    return {image.SOPInstanceUID for image in images}


@pytest.mark.parametrize("code", WITHDRAWING)
def test_rejected_series_is_not_read_again_and_the_next_revision_supersedes(bench, images, code):
    delivered(bench, images)
    reject(bench, images.of("t2_tse"), code)
    bench.wait()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERED, 2)
    assert superseded(bench) == [True, False]
    read = {i.sop_instance_uid for i in bench.evaluator.requests[-1].instances}
    assert read == uids(images.without("t2_tse"))
    assert "instances rejected" in [e.cause for e in bench.events()]
    assert TITLES[code] in told(bench)
    kept = len(images.datasets) + 1  # all of them, and the note
    assert list(bench.catalog.instance_counts().values()) == [kept]


def test_study_that_rejections_leave_nothing_of_ends_and_its_results_are_superseded(bench, images):
    delivered(bench, images)
    reject(bench, images.datasets, "113037")
    bench.wait()
    assert bench.state is StudyState.NOT_EVALUABLE
    assert "nothing is left to evaluate" in bench.study().reason
    assert superseded(bench) == [True]
    assert len(bench.evaluator.requests) == 1


def test_rejected_image_that_was_not_read_leaves_the_results_as_they_are(bench, images):
    delivered(bench, images)
    reject(bench, images.of("localizer"))
    bench.wait()
    assert bench.state is StudyState.DELIVERED
    assert superseded(bench) == [False]
    assert len(bench.evaluator.requests) == 1


def refused(bench, images, why: str) -> None:
    events = bench.events()
    bench.wait()
    assert bench.events() == events
    assert rejected(bench) == set()
    assert why in told(bench)


def test_note_of_a_peer_that_may_not_reject_changes_nothing(bench, images):
    delivered(bench, images)
    reject(bench, images.datasets, may_reject=False)
    refused(bench, images, "its sender may not reject")


def test_same_note_from_a_peer_that_may_reject_is_applied(bench, images):
    delivered(bench, images)
    note = reject(bench, images.of("t2_tse"), may_reject=False)
    bench.wait()
    bench.receive([note], may_reject=True)
    bench.wait()
    assert rejected(bench) == uids(images.of("t2_tse"))


def test_note_about_another_patient_changes_nothing(bench, images):
    delivered(bench, images)
    reject(bench, images.datasets, PatientID="ANOTHER")
    refused(bench, images, "another patient's: not applied")
    assert "ANOTHER" not in told(bench)


def test_note_that_names_another_study_changes_nothing(bench, images):
    delivered(bench, images)
    other = images.as_study("1.2.3").datasets
    note = rejection_note(other)
    note.StudyInstanceUID = images.study_uid
    bench.receive([note], may_reject=True)
    refused(bench, images, "of other studies: not applied")


def test_key_images_are_no_rejection_and_leave_no_trace(bench, images):
    delivered(bench, images)
    reject(bench, images.datasets[:3], "113000")
    refused(bench, images, "")
    assert told(bench) == ""


def test_note_that_comes_first_rejects_what_it_names_when_it_comes(bench, images):
    reject(bench, images.of("t2_tse"))
    bench.turn()
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.DELIVERED
    assert rejected(bench) == uids(images.of("t2_tse"))
    read = {i.sop_instance_uid for i in bench.evaluator.requests[-1].instances}
    assert not read & uids(images.of("t2_tse"))


def test_rejected_image_stays_rejected_however_often_and_however_changed_it_comes(bench, images):
    delivered(bench, images)
    t2 = images.of("t2_tse")
    reject(bench, t2)
    bench.wait()
    bench.receive(t2)
    changed = deepcopy(t2)
    for image in changed:
        image.PatientWeight = "71"
    bench.receive(changed)
    events = bench.events()
    bench.wait()
    assert bench.events() == events
    assert rejected(bench) == uids(t2)


def test_expired_images_take_nothing_from_results_that_were_made(bench, images):
    delivered(bench, images)
    reject(bench, images.datasets, "113039")
    bench.wait()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERED, 1)
    assert superseded(bench) == [False]
    assert "Data Retention Policy Expired" in told(bench)


def test_expired_images_are_not_evaluated_unless_they_come_again(bench, images):
    bench.receive(images.datasets)
    reject(bench, images.datasets, "113039")
    bench.wait()
    assert bench.state is StudyState.NOT_EVALUABLE
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.DELIVERED


def test_note_that_comes_during_inference_keeps_the_results_from_being_sent(bench, images):
    bench.evaluator.during = lambda: reject(bench, images.datasets, "113037")
    bench.receive(images.datasets)
    bench.wait()
    bench.evaluator.during = lambda: None
    bench.wait()
    assert bench.state is StudyState.NOT_EVALUABLE
    assert bench.sender.received == []
    assert superseded(bench) == [True]


def test_note_that_comes_while_the_pacs_is_down_withdraws_what_was_not_sent(bench, images):
    bench.sender.link_error = TransientDeliveryError("down")
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.DELIVERING
    reject(bench, images.of("t2_tse"))
    bench.sender.link_error = None
    bench.wait(3600)
    bench.wait()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERED, 2)
    assert bench.sender.received == bench.reports()[1:]
    deliveries = bench.catalog.deliveries.of_study(images.study_uid)
    assert [d.state for d in deliveries] == [DeliveryState.WITHDRAWN, DeliveryState.ACCEPTED]


def test_late_image_alone_does_not_hold_back_what_is_on_its_way(bench, images):
    bench.sender.link_error = TransientDeliveryError("down")
    bench.receive(images.without("t2_tse"))
    bench.wait()
    bench.receive(images.of("t2_tse"))
    bench.wait()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERING, 1)


def test_pacs_that_rejects_our_own_result_reopens_nothing(bench, images):
    delivered(bench, images)
    (made,) = bench.catalog.results_of(images.study_uid)
    with bench.store.open(made.result.key) as file:
        report = pydicom.dcmread(file)
    note = rejection_note(images.datasets[:1])
    for study in note.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                item.ReferencedSOPInstanceUID = report.SOPInstanceUID
    note.ContentSequence[0].ReferencedSOPSequence[
        0
    ].ReferencedSOPInstanceUID = report.SOPInstanceUID
    bench.receive([note], may_reject=True)
    refused(bench, images, "1 results of this node")


def test_note_that_cannot_be_read_stops_nobody(bench, images):
    delivered(bench, images)
    note = rejection_note(images.datasets[:1])
    for _ in range(40):
        item = Dataset()
        item.ContentSequence = note.ContentSequence
        note.ContentSequence = [item]
    bench.receive([note, rejection_note(images.of("t2_tse"))], may_reject=True)
    bench.wait()
    assert "nested more than" in told(bench)
    assert rejected(bench) == uids(images.of("t2_tse"))


def test_rejection_by_mistake_can_be_taken_back(bench, images):
    delivered(bench, images)
    reject(bench, images.datasets)
    bench.wait()
    assert bench.state is StudyState.NOT_EVALUABLE
    bench.catalog.take_back(images.study_uid, uids(images.datasets), bench.clock.now)
    bench.wait()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERED, 3)
    assert superseded(bench) == [True, False]
