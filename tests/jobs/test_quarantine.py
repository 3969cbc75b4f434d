"""Quarantine: what contradicts a study is held, and a person says what it is."""

from __future__ import annotations

import pytest

from mome_node.catalog.changes import HoldReason, Standing
from mome_node.catalog.states import StudyState
from mome_node.errors import CatalogError
from mome_node.jobs.reading import read_study
from mome_node.jobs.requests import NotEvaluated

DYNAMIC = "_dyn"
NAME = "DOE^JANE"


def held(bench) -> dict[str, str]:
    instances = bench.catalog.instances_of(bench.study().study_uid)
    return {i.sop_instance_uid: i.standing_reason for i in instances if i.standing is Standing.HELD}


def with_a_wrong_patient(bench, images):
    """A delivered study that one image of another patient is then sent to."""
    wrong = images.of("t2_tse")[0]
    bench.receive(d for d in images.datasets if d is not wrong)
    bench.wait()
    assert bench.state is StudyState.DELIVERED
    wrong.PatientID, wrong.PatientName = "SECRET", NAME
    bench.receive([wrong])
    bench.wait()
    assert bench.state is StudyState.QUARANTINED
    return wrong


def test_newcomer_of_another_patient_is_held_and_the_results_stay(bench, images):
    wrong = with_a_wrong_patient(bench, images)
    assert held(bench) == {wrong.SOPInstanceUID: HoldReason.PATIENT}
    (result,) = bench.catalog.results_of(images.study_uid)
    assert result.superseded_at is None
    assert bench.study().patient_id != "SECRET"


def test_rejecting_the_newcomer_lets_the_results_stand(bench, images):
    wrong = with_a_wrong_patient(bench, images)
    before = bench.reports()
    assert bench.catalog.reject(images.study_uid, bench.clock.now) == 1
    bench.wait()
    if bench.state is StudyState.RECEIVING:  # one image of the T2 is missing still
        bench.wait(1800)
    assert bench.state is StudyState.DELIVERED
    assert bench.reports() == before
    read = {i.sop_instance_uid for i in bench.evaluator.requests[-1].instances}
    assert wrong.SOPInstanceUID not in read


def test_without_results_nobody_knows_who_is_right_and_all_sides_are_held(bench, images):
    images.datasets[0].PatientID = "SECRET"
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.QUARANTINED
    assert len(held(bench)) == len(images.datasets)
    assert bench.evaluator.requests == []


def test_list_tells_counts_and_reasons_and_no_patient(bench, images):
    with_a_wrong_patient(bench, images)
    (study,) = bench.catalog.quarantined()
    assert study.study_uid == images.study_uid
    assert sorted((i.instances, i.held) for i in study.identities) == [
        (1, 1),
        (len(images.datasets) - 1, 0),
    ]
    assert "SECRET" not in repr(study)
    assert NAME not in repr(study)
    assert images.datasets[0].PatientID not in repr(study)


def test_release_is_refused_while_nobody_said_whose_the_images_are(bench, images):
    with_a_wrong_patient(bench, images)
    with pytest.raises(CatalogError, match="--as-patient-of"):
        bench.catalog.release(images.study_uid, bench.clock.now)
    assert bench.state is StudyState.QUARANTINED


def test_released_instances_are_evaluated_as_the_patient_that_was_named(bench, images):
    wrong = with_a_wrong_patient(bench, images)
    right = images.of(DYNAMIC)[0]
    bench.catalog.release(images.study_uid, bench.clock.now, as_patient_of=right.SOPInstanceUID)
    bench.wait()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERED, 3)
    facts = read_study(bench.evaluator.requests[-1].instances).instances
    assert wrong.SOPInstanceUID in {f.sop_instance_uid for f in facts}
    assert {f.patient_id for f in facts} == {right.PatientID} == {bench.study().patient_id}
    causes = [e.cause for e in bench.events()]
    assert f"released by hand: 1 instances as the patient of {right.SOPInstanceUID}" in causes


def test_release_covers_what_was_there_and_a_later_newcomer_is_held_again(bench, images):
    with_a_wrong_patient(bench, images)
    right = images.of(DYNAMIC)[0].SOPInstanceUID
    bench.catalog.release(images.study_uid, bench.clock.now, as_patient_of=right)
    bench.wait()
    another = images.of("localizer")[0]
    another.PatientID = "THIRD"
    bench.receive([another])
    bench.wait()
    assert bench.state is StudyState.QUARANTINED
    assert list(held(bench)) == [another.SOPInstanceUID]


def test_unreadable_instance_is_held_and_a_released_study_goes_on_without_it(bench, images):
    broken = images.of("localizer")[0]
    bench.receive(images.datasets)
    record = next(
        i
        for i in bench.catalog.instances_of(images.study_uid)
        if i.sop_instance_uid == broken.SOPInstanceUID
    )
    bench.store.path(record.key).write_bytes(b"nothing")
    bench.wait()
    assert bench.state is StudyState.QUARANTINED
    assert held(bench) == {broken.SOPInstanceUID: HoldReason.UNREADABLE}
    bench.catalog.release(images.study_uid, bench.clock.now)
    bench.wait()
    assert bench.state is StudyState.DELIVERED
    read = {i.sop_instance_uid for i in bench.evaluator.requests[-1].instances}
    assert broken.SOPInstanceUID not in read


def test_undecodable_instance_is_held_and_a_released_study_goes_on_without_it(bench, images):
    broken = images.of("t2_tse")[0].SOPInstanceUID
    fault = NotEvaluated("pixel data is damaged", quarantine=True, undecodable=(broken,))
    bench.evaluator.faults = [fault]
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.QUARANTINED
    assert held(bench) == {broken: HoldReason.UNDECODABLE}
    bench.catalog.release(images.study_uid, bench.clock.now)
    bench.wait()
    read = {i.sop_instance_uid for i in bench.evaluator.requests[-1].instances}
    assert broken not in read


def test_corrected_instance_frees_a_held_study_without_any_command(bench, images):
    wrong = with_a_wrong_patient(bench, images)
    wrong.PatientID = images.datasets[0].PatientID
    wrong.PatientName = images.datasets[0].PatientName
    bench.receive([wrong])
    bench.wait()
    assert bench.state is StudyState.DELIVERED
    assert held(bench) == {}


def test_only_a_quarantined_study_is_released(bench, images):
    bench.receive(images.datasets)
    with pytest.raises(CatalogError, match="only a quarantined one is released"):
        bench.catalog.release(images.study_uid, bench.clock.now)


def test_what_is_not_in_the_study_is_neither_rejected_nor_a_patient_to_release_as(bench, images):
    with_a_wrong_patient(bench, images)
    with pytest.raises(CatalogError, match=r"no such instance"):
        bench.catalog.reject(images.study_uid, bench.clock.now, instances=["9.9"])
    with pytest.raises(CatalogError, match=r"no instance 9\.9"):
        bench.catalog.release(images.study_uid, bench.clock.now, as_patient_of="9.9")
    with pytest.raises(CatalogError, match="no such instance"):
        bench.catalog.take_back(images.study_uid, ["9.9"], bench.clock.now)


def test_all_of_another_patient_can_be_rejected_by_naming_one_of_the_right(bench, images):
    for image in images.of("t2_tse"):
        image.PatientID = "SECRET"
    bench.receive(images.datasets)
    bench.wait()
    kept = images.of(DYNAMIC)[0].SOPInstanceUID
    count = bench.catalog.reject(images.study_uid, bench.clock.now, keep_patient_of=kept)
    assert count == len(images.of("t2_tse"))
    bench.wait()
    assert bench.state is StudyState.DELIVERED
