"""How long a study has waited, with clocks that are set while it waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mome_node.catalog.records import StudyRecord
from mome_node.catalog.states import StudyState
from mome_node.jobs.receiving import ReceivingStudies


@pytest.fixture
def clock(bench):
    return bench.clock


@pytest.fixture
def study(clock) -> StudyRecord:
    return StudyRecord(
        study_uid="1.2",
        patient_id="",
        issuer_of_patient_id="",
        state=StudyState.RECEIVING,
        revision=1,
        first_received_at=clock.now,
        last_received_at=clock.now,
        last_input_at=clock.now,
        input_count=1,
        assembled_at=None,
        assembled_inputs=0,
        inputs_digest="",
        reason="",
    )


@pytest.fixture
def receiving(clock) -> ReceivingStudies:
    return ReceivingStudies(60.0, clock.monotonic)


def test_study_is_due_once_it_is_quiet(receiving, study, clock):
    receiving.watch([study])
    assert not receiving.is_due(study)
    clock.advance(60)
    assert receiving.is_due(study)


def test_study_that_was_looked_at_is_due_again_when_told(receiving, study, clock):
    receiving.watch([study])
    clock.advance(60)
    assert receiving.is_due(study)
    receiving.look_again_in(study, timedelta(seconds=100))
    assert not receiving.is_due(study)
    clock.advance(100)
    assert receiving.is_due(study)


def test_further_input_makes_a_study_due_when_it_is_quiet_again(receiving, study, clock):
    receiving.watch([study])
    receiving.look_again_in(study, timedelta(seconds=10_000))
    clock.advance(60)
    more = replace(study, input_count=2, last_input_at=clock.now)
    receiving.watch([more])
    assert not receiving.is_due(more)
    clock.advance(60)
    assert receiving.is_due(more)


def test_study_is_due_though_the_clock_was_set_back_by_ten_years(receiving, study, clock):
    clock.now -= timedelta(days=3650)
    receiving.watch([study])
    assert not receiving.is_due(study)
    clock.advance(60)
    assert receiving.is_due(study)
    assert receiving.seen_for(study) == timedelta(seconds=60)


def test_time_when_nobody_could_send_is_no_silence(receiving, study, clock):
    clock.advance(3600)  # the node was down
    receiving.watch([study])
    assert not receiving.is_due(study)
    clock.advance(60)
    assert receiving.is_due(study)


def test_only_studies_that_receive_are_remembered(receiving, study):
    for number in range(1000):
        receiving.watch([replace(study, study_uid=f"1.2.{number}")])
    receiving.watch([])
    assert not receiving._watched
