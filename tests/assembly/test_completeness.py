"""When a study is done with, as a pure decision."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.assembly.arrivals import AVAILABILITY_NOTICE, COUNTS_EQUAL_TWICE, Arrived
from mome_node.assembly.completeness import (
    NOT_WITHOUT,
    Action,
    OnDeadline,
    Patience,
    Waited,
    decide,
)
from mome_node.assembly.plan import StudyPlan, Verdict
from mome_node.dicom.reason_codes import (
    DEADLINE_PASSED,
    IMAGES_MISSING,
    NO_T2,
    NOTHING_READABLE,
    TOO_OLD,
)

QUIET_S, DEADLINE_S, HARD_LIMIT_S = 60.0, 1800.0, 7200.0
SHORT = Arrived(lacking=("the PACS has 240 images of series 1.2.4, 180 came here",))
ABSENT = Arrived(absent=("the PACS has 30 images of series 1.2.5, none came here",))
VOUCHED = Arrived(COUNTS_EQUAL_TWICE)


def plan(verdict):
    return StudyPlan("1.2.3", verdict, ("because",))


def decision(
    verdict,
    first,
    last,
    arrived=Arrived(),  # noqa: B008  # frozen
    *,
    on_deadline=OnDeadline.HOLD,
    **more,
):
    patience = Patience(QUIET_S, DEADLINE_S, HARD_LIMIT_S, on_deadline)
    return decide(plan(verdict), arrived, Waited(first, last), patience, **more)


@pytest.mark.parametrize(
    ("verdict", "first", "last", "action"),
    [
        (Verdict.EVALUABLE, 159, 59, Action.WAIT),
        (Verdict.EVALUABLE, 160, 60, Action.EVALUATE),
        (Verdict.EVALUABLE, 1801, 11, Action.WAIT),
        (Verdict.EVALUABLE, 7199, 11, Action.WAIT),
        (Verdict.EVALUABLE, 7200, 11, Action.HOLD),
        (Verdict.INCOMPLETE, 1799, 900, Action.WAIT),
        (Verdict.INCOMPLETE, 1800, 900, Action.HOLD),
        (Verdict.INCOMPLETE, 1800, 1, Action.WAIT),
        (Verdict.INCOMPLETE, 7200, 1, Action.HOLD),
        (Verdict.NOT_EVALUABLE, 110, 10, Action.WAIT),
        (Verdict.NOT_EVALUABLE, 160, 60, Action.NOT_EVALUABLE),
        (Verdict.NOT_EVALUABLE, 1800, 1, Action.NOT_EVALUABLE),
        (Verdict.QUARANTINED, 100, 0, Action.QUARANTINE),
    ],
)
def test_decision_follows_verdict_quiet_deadline_and_hard_limit(verdict, first, last, action):
    assert decision(verdict, first, last).action is action


@pytest.mark.parametrize("evidence", [COUNTS_EQUAL_TWICE, AVAILABILITY_NOTICE])
def test_study_that_somebody_vouches_for_does_not_wait_for_quiet(evidence):
    found = decision(Verdict.EVALUABLE, 12, 3, Arrived(evidence))
    assert (found.action, found.evidence) == (Action.EVALUATE, evidence)


def test_nobody_vouches_for_a_study_whose_roles_are_not_filled():
    assert decision(Verdict.INCOMPLETE, 12, 3, VOUCHED).action is Action.WAIT


def test_decision_by_silence_says_how_long_it_was():
    assert decision(Verdict.EVALUABLE, 500, 61).evidence == "quiet for 61 s"


@pytest.mark.parametrize("arrived", [SHORT, ABSENT])
def test_images_that_somebody_has_and_that_did_not_come_are_waited_for(arrived):
    found = decision(Verdict.EVALUABLE, 1000, 900, arrived)
    assert found.action is Action.WAIT
    assert found.reasons == arrived.missing
    assert found.look_again_in_s == 800


@pytest.mark.parametrize(
    ("policy", "action"),
    [
        (OnDeadline.HOLD, Action.HOLD),
        (OnDeadline.EVALUATE, Action.EVALUATE),
        (OnDeadline.NOT_EVALUABLE, Action.NOT_EVALUABLE),
    ],
)
def test_series_that_is_short_at_the_deadline_goes_the_way_of_the_site(policy, action):
    found = decision(Verdict.EVALUABLE, 1800, 900, SHORT, on_deadline=policy)
    assert found.action is action
    assert SHORT.missing[0] in (*found.reasons, *found.lacking)
    assert found.evidence == "deadline"


@pytest.mark.parametrize("policy", OnDeadline)
def test_series_that_never_began_to_come_holds_up_no_study_beyond_the_deadline(policy):
    found = decision(Verdict.EVALUABLE, 1800, 900, ABSENT, on_deadline=policy)
    assert found.action is Action.EVALUATE
    assert found.lacking == ABSENT.missing


def test_what_is_missing_is_told_beside_the_deadline():
    told = decision(Verdict.INCOMPLETE, 2000, 1990, SHORT)
    assert told.reasons[0] == "because"
    assert told.reasons[1] == SHORT.missing[0]
    assert "1800 s" in told.reasons[2]


def test_site_that_evaluates_at_the_deadline_is_told_what_was_missing():
    found = decision(
        Verdict.INCOMPLETE,
        1800,
        900,
        on_deadline=OnDeadline.EVALUATE,
        least=plan(Verdict.EVALUABLE),
    )
    assert (found.action, found.lacking) == (Action.EVALUATE, ("because",))


@pytest.mark.parametrize("least", [None, plan(Verdict.INCOMPLETE)])
def test_what_no_model_can_read_is_held_rather_than_lost(least):
    found = decision(Verdict.INCOMPLETE, 1800, 900, on_deadline=OnDeadline.EVALUATE, least=least)
    assert found.action is Action.HOLD
    assert found.reasons[0] == NOT_WITHOUT


def test_study_freed_by_hand_is_evaluated_with_what_is_there():
    found = decision(Verdict.EVALUABLE, 70, 60, SHORT, by_hand=True)
    assert (found.action, found.evidence) == (Action.EVALUATE, "by hand")
    assert found.lacking == SHORT.missing


def test_study_freed_by_hand_that_no_model_can_read_is_held_again():
    found = decision(Verdict.INCOMPLETE, 70, 60, by_hand=True)
    assert (found.action, found.reasons) == (Action.HOLD, (NOT_WITHOUT, "because"))


def test_each_reason_of_a_study_that_is_not_evaluable_has_its_code():
    plan = StudyPlan("1.2.3", Verdict.NOT_EVALUABLE, ("too old",), reason_codes=(TOO_OLD,))
    patience = Patience(QUIET_S, DEADLINE_S, HARD_LIMIT_S, OnDeadline.NOT_EVALUABLE)
    found = decide(plan, Arrived(), Waited(160, 60), patience)
    assert found.coded_reasons == ((TOO_OLD, "too old"),)
    missing = replace(plan, verdict=Verdict.INCOMPLETE, reasons=("no T2",), reason_codes=(NO_T2,))
    late = decide(missing, SHORT, Waited(1800, 60), patience)
    assert late.action is Action.NOT_EVALUABLE
    assert [r.code for r in late.coded_reasons] == [NO_T2, IMAGES_MISSING, DEADLINE_PASSED]
    assert [r.text for r in late.coded_reasons] == [*late.reasons]
    with_least = decide(missing, SHORT, Waited(1800, 60), patience, by_hand=True)
    assert [r.code for r in with_least.coded_reasons] == [NOTHING_READABLE, NO_T2, IMAGES_MISSING]


def test_headers_that_promise_more_make_a_study_wait_longer_and_no_more_than_that():
    promises = ("series 1.2.4: 5 of 240 images in acquisition (0020,1002)",)
    waiting = decision(Verdict.EVALUABLE, 100, 60, promises=promises)
    assert waiting.action is Action.WAIT
    assert promises[0] in waiting.reasons[0]
    assert waiting.look_again_in_s == 120
    assert decision(Verdict.EVALUABLE, 220, 180, promises=promises).action is Action.EVALUATE
    assert decision(Verdict.EVALUABLE, 1800, 60, promises=promises).action is Action.EVALUATE
    assert decision(Verdict.EVALUABLE, 12, 3, VOUCHED, promises=promises).action is Action.EVALUATE


ARRIVED = st.sampled_from([Arrived(), SHORT, ABSENT, VOUCHED])
PROMISES = st.sampled_from([(), ("series 1.2.4: 5 of 240",)])


@st.composite
def waits(draw):
    first = draw(st.floats(0, 10_000))
    return first, draw(st.floats(0, first))


@given(
    verdict=st.sampled_from(Verdict),
    waited=waits(),
    arrived=ARRIVED,
    promises=PROMISES,
    policy=st.sampled_from(OnDeadline),
    by_hand=st.booleans(),
)
def test_waiting_ends_by_silence_or_the_deadline_and_never_outlasts_the_hard_limit(
    verdict, waited, arrived, promises, policy, by_hand
):
    first, last = waited
    more = {"promises": promises, "on_deadline": policy, "by_hand": by_hand}
    found = decision(verdict, first, last, arrived, **more)
    if found.action is not Action.WAIT:
        return
    assert first < HARD_LIMIT_S
    wait = found.look_again_in_s
    assert 0 < wait <= DEADLINE_S + QUIET_S
    for _ in range(3):  # quiet, then patient with promises or at the deadline
        first, last = first + wait, last + wait
        found = decision(verdict, first, last, arrived, **more)
        wait = found.look_again_in_s
        if found.action is not Action.WAIT:
            return
    pytest.fail("it still waits")


@given(waited=waits(), policy=st.sampled_from(OnDeadline), by_hand=st.booleans())
def test_study_that_still_receives_is_never_evaluated_on_silence(waited, policy, by_hand):
    first, last = waited
    found = decision(Verdict.EVALUABLE, first, min(last, 59.9), on_deadline=policy, by_hand=by_hand)
    assert found.action in (Action.WAIT, Action.HOLD)


@given(
    verdict=st.sampled_from([Verdict.EVALUABLE, Verdict.INCOMPLETE]),
    waited=waits(),
    arrived=ARRIVED,
)
def test_nothing_is_thrown_away_unless_the_site_says_so(verdict, waited, arrived):
    assert decision(verdict, *waited, arrived).action is not Action.NOT_EVALUABLE
