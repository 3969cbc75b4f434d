from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.assembly.completeness import Action, decide
from mome_node.assembly.plan import StudyPlan, Verdict

BEGAN = datetime(2026, 3, 2, 12, tzinfo=UTC)


def decision(verdict, *, last=0.0, now=0.0, quiet_s=60.0, deadline_s=1800.0):
    return decide(
        StudyPlan("1.2.3", verdict, ("because",)),
        first_input_at=BEGAN,
        last_input_at=BEGAN + timedelta(seconds=last),
        now=BEGAN + timedelta(seconds=now),
        quiet_s=quiet_s,
        deadline_s=deadline_s,
    )


@pytest.mark.parametrize(
    ("verdict", "last", "now", "action"),
    [
        (Verdict.EVALUABLE, 100, 159, Action.WAIT),
        (Verdict.EVALUABLE, 100, 160, Action.EVALUATE),
        (Verdict.EVALUABLE, 1790, 1801, Action.WAIT),
        (Verdict.INCOMPLETE, 100, 1799, Action.WAIT),
        (Verdict.INCOMPLETE, 100, 1800, Action.NOT_EVALUABLE),
        (Verdict.NOT_EVALUABLE, 100, 110, Action.WAIT),
        (Verdict.NOT_EVALUABLE, 100, 160, Action.NOT_EVALUABLE),
        (Verdict.NOT_EVALUABLE, 1799, 1800, Action.NOT_EVALUABLE),
        (Verdict.QUARANTINED, 100, 100, Action.QUARANTINE),
    ],
)
def test_decision_follows_verdict_quiet_and_deadline(verdict, last, now, action):
    assert decision(verdict, last=last, now=now).action is action


def test_deadline_is_told_beside_what_is_missing():
    told = decision(Verdict.INCOMPLETE, last=10, now=2000)
    assert told.reasons[0] == "because"
    assert "1800 s" in told.reasons[1]


@given(
    verdict=st.sampled_from(Verdict),
    last=st.floats(0, 5000),
    wait=st.floats(0, 5000),
)
def test_waiting_always_ends_when_looked_at_again(verdict, last, wait):
    found = decision(verdict, last=last, now=last + wait)
    if found.action is not Action.WAIT:
        return
    again = (found.look_again_at - BEGAN).total_seconds()
    assert again > last + wait
    assert decision(verdict, last=last, now=again).action is not Action.WAIT


@given(last=st.floats(0, 5000), wait=st.floats(0, 59.9))
def test_a_study_that_still_receives_is_never_evaluated(last, wait):
    assert decision(Verdict.EVALUABLE, last=last, now=last + wait).action is Action.WAIT
