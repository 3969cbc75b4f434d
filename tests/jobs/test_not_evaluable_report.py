"""The report on a study that was not evaluated: where the site wants it, and never in the way."""

from __future__ import annotations

import pydicom
import pytest

from mome_node.catalog.states import StudyState
from mome_node.jobs.requests import NotEvaluated

from .conftest import Bench


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.not_evaluable_report = True
    bench.restart()
    return bench


def reports(bench):
    results = bench.catalog.results_of(bench.study().study_uid)
    return [pydicom.dcmread(bench.store.path(r.result.key)) for r in results]


def texts(report) -> list[str]:
    return [
        item.TextValue
        for container in report.ContentSequence
        for item in container.get("ContentSequence", ())
        if item.ValueType == "TEXT"
    ]


def reason_codes(report) -> set[str]:
    return {
        item.ConceptCodeSequence[0].CodeValue
        for container in report.ContentSequence
        for item in container.get("ContentSequence", ())
        if item.ValueType == "CODE"
    }


def test_study_that_is_too_old_gets_a_report_that_says_so(bench, images):
    def age(dataset) -> None:
        dataset.StudyDate = "20200101"

    bench.receive(images.changed(age).datasets)
    bench.wait()
    assert bench.state is StudyState.NOT_EVALUABLE
    (report,) = reports(bench)
    assert bench.sender.received == [report.SOPInstanceUID]
    assert "too-old" in reason_codes(report)
    assert report.StudyInstanceUID == images.study_uid
    assert report.PatientID == images.datasets[0].PatientID
    assert any("days old" in text for text in texts(report))


def test_site_that_wants_no_such_report_gets_none(bench, images):
    bench.not_evaluable_report = False
    bench.restart()
    bench.evaluator.faults.append(NotEvaluated("the images make no exam"))
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.NOT_EVALUABLE
    assert bench.sender.received == []


def test_results_that_still_stand_are_not_replaced_by_it(bench, images):
    bench.receive(images.without("t2_tse"))
    bench.wait()
    sent = list(bench.sender.received)
    bench.evaluator.faults.append(NotEvaluated("the images make no exam"))
    bench.receive(images.of("t2_tse"))
    bench.wait()
    assert bench.state is StudyState.NOT_EVALUABLE
    assert bench.sender.received == sent


def test_results_that_come_after_it_name_it_as_their_predecessor(bench, images):
    bench.evaluator.faults.append(NotEvaluated("the images make no exam"))
    bench.receive(images.without("t2_tse"))
    bench.wait()
    (report,) = reports(bench)
    bench.receive(images.of("t2_tse"))
    bench.wait()
    assert bench.state is StudyState.DELIVERED
    ((_, predecessor),) = bench.evaluator.requests[-1].predecessors
    assert predecessor.sop_instance_uid == report.SOPInstanceUID


def test_the_report_is_made_once_whatever_happens(bench, images):
    bench.evaluator.faults.append(NotEvaluated("the images make no exam"))
    bench.receive(images.datasets)
    bench.wait()
    for _ in range(3):
        bench.restart()
        bench.wait()
    assert len(bench.sender.received) == len(reports(bench)) == 1


def test_header_that_breaks_the_report_keeps_no_study_back(bench, images, monkeypatch):
    def breaks(*_: object) -> None:
        raise KeyError("whatever a hostile header makes a library raise")

    monkeypatch.setattr("mome_node.jobs.not_evaluable_report.make_not_evaluable_report", breaks)
    bench.evaluator.faults.append(NotEvaluated("the images make no exam"))
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.NOT_EVALUABLE
    assert bench.sender.received == []
