"""The decision to begin a failed evaluation again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mome_node.catalog.records import EventRecord
from mome_node.catalog.states import StudyState
from mome_node.jobs.retries import TRIED_AGAIN, EvaluationRetries, times_begun

START = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = EvaluationRetries((30.0, 300.0))
FAILURE = ((StudyState.QUEUED, StudyState.INFERRING), (StudyState.INFERRING, StudyState.FAILED))


def history(*steps: tuple[StudyState, StudyState] | str, revision: int = 1) -> list[EventRecord]:
    """Events a second apart; words stand for a step from failed to queued with that cause."""
    events = []
    for number, step in enumerate(steps):
        at = START + timedelta(seconds=number)
        if isinstance(step, str):
            source, target, cause = StudyState.FAILED, StudyState.QUEUED, step
        else:
            source, target, cause = *step, ""
        events.append(EventRecord("1.2", revision, source, target, cause, at))
    return events


def test_first_failure_is_retried_after_the_first_delay():
    events = history(*FAILURE)
    assert POLICY.due_at(events, 1) == events[-1].at + timedelta(seconds=30)


def test_second_failure_is_retried_after_the_second_delay():
    events = history(*FAILURE, TRIED_AGAIN, *FAILURE)
    assert POLICY.due_at(events, 1) == events[-1].at + timedelta(seconds=300)


def test_third_failure_waits_for_a_person():
    events = history(*FAILURE, TRIED_AGAIN, *FAILURE, TRIED_AGAIN, *FAILURE)
    assert POLICY.due_at(events, 1) is None


def test_retry_by_hand_begins_the_count_anew():
    events = history(*FAILURE, TRIED_AGAIN, *FAILURE, TRIED_AGAIN, *FAILURE, "by hand", *FAILURE)
    assert POLICY.due_at(events, 1) == events[-1].at + timedelta(seconds=30)


def test_failures_of_an_earlier_revision_do_not_count():
    events = [*history(*FAILURE, *FAILURE, *FAILURE), *history(*FAILURE, revision=2)]
    assert POLICY.due_at(events, 2) == events[-1].at + timedelta(seconds=30)


def test_results_that_could_not_be_kept_are_retried():
    events = history(
        (StudyState.INFERRING, StudyState.REPORTING), (StudyState.REPORTING, StudyState.FAILED)
    )
    assert POLICY.due_at(events, 1) is not None


def test_what_a_destination_refused_is_not_evaluated_again():
    events = history((StudyState.DELIVERING, StudyState.FAILED))
    assert POLICY.due_at(events, 1) is None


@pytest.mark.parametrize(("seconds", "due"), [(0, False), (29, False), (30, True), (-3600, True)])
def test_retry_is_due_after_its_delay_and_when_the_clock_was_set_back(seconds, due):
    events = history(*FAILURE)
    assert POLICY.is_due(events, 1, events[-1].at + timedelta(seconds=seconds)) is due


def test_evaluations_that_a_restart_broke_off_count_as_begun_and_not_as_failed():
    broken_off = (
        (StudyState.QUEUED, StudyState.INFERRING),
        (StudyState.INFERRING, StudyState.QUEUED),
    )
    events = history(*broken_off * 5, *FAILURE)
    assert times_begun(events, 1) == 6
    assert POLICY.due_at(events, 1) == events[-1].at + timedelta(seconds=30)
