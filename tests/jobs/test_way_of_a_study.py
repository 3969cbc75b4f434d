"""From the first instance to the delivered result, and every other end, turn by turn."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mome_node.catalog.states import StudyState
from mome_node.errors import TransientDeliveryError
from mome_node.jobs.requests import InstalledModel, NotEvaluated
from mome_node.mome.statement import CONDITIONS, Accepts

DYNAMIC = "_dyn"


def test_complete_study_is_delivered_after_the_quiet_time(bench, images):
    bench.receive(images.datasets)
    bench.turn()
    assert bench.state is StudyState.RECEIVING
    bench.clock.advance(59)
    bench.turn()
    assert bench.state is StudyState.RECEIVING
    bench.clock.advance(1)
    bench.turn()
    assert bench.state is StudyState.DELIVERED
    assert bench.sender.received == bench.reports()
    assert [e.target for e in bench.events()] == [
        StudyState.RECEIVING,
        StudyState.ASSEMBLED,
        StudyState.QUEUED,
        StudyState.INFERRING,
        StudyState.REPORTING,
        StudyState.DELIVERING,
        StudyState.DELIVERED,
    ]


def test_evaluable_study_that_trickles_in_waits_for_its_last_instance(bench, images):
    bench.receive(images.without("localizer"))
    for late in images.of("localizer"):
        bench.wait(59)
        assert bench.state is StudyState.RECEIVING
        bench.receive([late])
    bench.wait()
    assert bench.state is StudyState.DELIVERED
    assert len(bench.evaluator.requests) == 1


def test_incomplete_study_waits_for_its_deadline_and_says_what_was_missing(bench, images):
    bench.receive(images.without(DYNAMIC))
    bench.wait(1799)
    assert bench.state is StudyState.RECEIVING
    assert "no dynamic contrast-enhanced series" in bench.study().reason
    bench.clock.advance(1)
    bench.turn()
    assert bench.state is StudyState.HELD
    assert "no dynamic contrast-enhanced series" in bench.study().reason
    assert bench.evaluator.requests == []


def test_incomplete_study_is_not_read_at_every_turn(bench, images, monkeypatch):
    bench.receive(images.without(DYNAMIC))
    bench.wait()
    looks = []
    monkeypatch.setattr("mome_node.jobs.looking.read_study", lambda *_, **__: looks.append(1))
    for _ in range(100):
        bench.clock.advance(1)
        bench.turn()
    assert looks == []


def test_phases_of_unequal_length_wait_and_then_are_held(bench, images):
    lost = images.of(DYNAMIC)[11]
    assert "SUB" not in lost.SeriesDescription
    bench.receive(d for d in images.without("SUB") if d is not lost)
    bench.wait()
    assert bench.state is StudyState.RECEIVING
    bench.clock.advance(1800)
    bench.turn()
    assert bench.state is StudyState.HELD
    assert "still incomplete" in bench.study().reason


def test_instance_that_was_missing_completes_the_study(bench, images):
    lost = images.of(DYNAMIC)[11]
    bench.receive(d for d in images.datasets if d is not lost)
    bench.wait(600)
    bench.receive([lost])
    bench.wait()
    assert bench.state is StudyState.DELIVERED


def test_study_older_than_the_site_allows_is_not_evaluable(bench, images):
    def age(dataset):
        dataset.StudyDate = "20251201"

    bench.receive(images.changed(age).datasets)
    bench.wait()
    assert bench.state is StudyState.NOT_EVALUABLE
    assert "31 days old" in bench.study().reason


def test_study_whose_header_says_another_body_part_is_left_to_the_images(bench, images):
    def knee(dataset):
        dataset.BodyPartExamined, dataset.StudyDescription = "KNEE", "MRI KNEE"
        dataset.ReceiveCoilName = "Knee 15"

    bench.receive(images.changed(knee).datasets)
    bench.wait()
    assert bench.evaluator.requests
    assert bench.state is StudyState.DELIVERED


def test_two_patients_under_one_study_are_quarantined_without_their_names(bench, images):
    images.datasets[0].PatientID = "SECRET"
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.QUARANTINED
    assert "two patients under one Study Instance UID" in bench.study().reason
    assert "SECRET" not in str(bench.events())


def test_corrected_instance_frees_a_quarantined_study(bench, images):
    right = images.datasets[0].PatientID
    images.datasets[0].PatientID = "OTHER"
    bench.receive(images.datasets)
    bench.wait()
    images.datasets[0].PatientID = right
    bench.receive(images.datasets[:1])
    bench.wait()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERED, 2)


def test_unreadable_instance_quarantines_the_study(bench, images):
    bench.receive(images.datasets)
    record = bench.catalog.instances_of(images.study_uid)[0]
    bench.store.path(record.key).write_bytes(b"not DICOM")
    bench.wait()
    assert bench.state is StudyState.QUARANTINED
    assert record.sop_instance_uid in bench.study().reason


def patients_images(images):
    def real(dataset):
        del dataset.SyntheticData

    return images.changed(real)


def test_synthetic_package_never_evaluates_a_patient(bench, images):
    bench.receive(patients_images(images).datasets)
    bench.wait()
    assert bench.state is StudyState.NOT_EVALUABLE
    assert bench.study().reason == "[synthetic-weights] no clinical model installed"
    assert bench.evaluator.requests == []


def test_site_may_let_a_synthetic_package_evaluate_patients(bench_with, images):
    model = InstalledModel("demo", "1", "d" * 64, "malignancy", True, True, "cpu")
    bench = bench_with(models=(model,))
    bench.receive(patients_images(images).datasets)
    bench.wait()
    assert bench.state is StudyState.DELIVERED


CLINICAL = InstalledModel("clinic", "1", "c" * 64, "malignancy", False, False, "cpu")
TNBC = replace(CLINICAL, task="tnbc", applies_when=CONDITIONS[:1])


def test_study_for_which_nobody_asserts_the_indication_goes_to_no_model(bench_with, images):
    bench = bench_with(models=(TNBC,))
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.NOT_EVALUABLE
    assert bench.study().reason == (
        "[condition-not-asserted] condition unknown: histology-proven invasive cancer is not "
        "asserted for this study"
    )
    assert bench.evaluator.requests == []


@pytest.mark.parametrize(
    ("description", "state"),
    [("MR Mamma STAGING", StudyState.DELIVERED), ("MR Mamma", StudyState.NOT_EVALUABLE)],
)
def test_site_asserts_the_indication_by_what_a_study_is_called(
    bench_with, images, description, state
):
    def call(dataset):
        dataset.StudyDescription = description

    rule = (("study_description", "staging"),)
    bench = bench_with(models=(replace(TNBC, asserts=CONDITIONS[:1], when=rule),))
    bench.receive(images.changed(call).datasets)
    bench.wait()
    assert bench.state is state


def test_study_of_a_scanner_that_no_package_was_validated_for_is_not_evaluable(bench_with, images):
    bench = bench_with(models=(replace(CLINICAL, accepts=Accepts(vendors=("philips",))),))
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.NOT_EVALUABLE
    assert bench.study().reason == (
        "[vendor-outside-package] not validated for Siemens: the package takes Philips"
    )


def test_one_package_that_may_is_enough(bench_with, images):
    bench = bench_with(models=(TNBC, CLINICAL))
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.DELIVERED


@pytest.mark.parametrize(
    ("quarantine", "state"),
    [(False, StudyState.NOT_EVALUABLE), (True, StudyState.QUARANTINED)],
)
def test_evaluation_may_find_that_a_study_makes_no_exam(bench, images, quarantine, state):
    bench.evaluator.faults = [NotEvaluated("gaps between slices", quarantine)]
    bench.receive(images.datasets)
    bench.wait()
    assert (bench.state, bench.study().reason) == (state, "gaps between slices")


def test_results_wait_for_a_pacs_that_is_down(bench, images):
    bench.sender.link_error = TransientDeliveryError("down")
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.DELIVERING
    bench.sender.link_error = None
    bench.clock.advance(3600)
    bench.turn()
    assert bench.state is StudyState.DELIVERED
    assert bench.sender.received == bench.reports()


def test_study_without_destination_is_kept_here(bench_with, images):
    bench = bench_with(destinations=())
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.DELIVERED
    assert "kept here" in bench.study().reason
    assert len(bench.reports()) == 1


def test_events_tell_the_phases_with_their_seconds(bench, images):
    bench.receive(images.datasets)
    bench.turn()
    bench.clock.advance(60)
    bench.turn()
    causes = [e.cause for e in bench.events()]
    assert any("post-contrast phases by acquisition time, at " in c for c in causes)
    assert any("channel 0: phase 1, " in c for c in causes)


def test_destination_that_is_set_later_leaves_no_study_delivering_for_ever(bench_with, images):
    bench = bench_with(destinations=())
    bench.receive(images.datasets)
    bench.fall_quiet()
    bench.runner.evaluation_turn()
    assert bench.state is StudyState.DELIVERING
    bench.destinations = ("pacs",)
    bench.restart()
    bench.turn()
    assert bench.state is StudyState.DELIVERED


def test_clock_that_is_set_back_by_ten_years_stops_no_study(bench, images):
    bench.receive(images.datasets)
    bench.clock.now -= timedelta(days=3650)
    bench.wait()
    assert bench.state is StudyState.DELIVERED


def test_deadline_passes_though_the_clock_was_set_back(bench, images):
    bench.receive(images.without(DYNAMIC))
    bench.clock.now -= timedelta(days=3650)
    bench.wait(60)
    bench.wait(1740)
    assert bench.state is StudyState.HELD
