"""When a study is done with: complete and quiet, or its deadline has passed.

Only arrival times of instances count. An association that is left open says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mome_node.assembly.plan import StudyPlan, Verdict


class Action(StrEnum):
    """What to do with a study now."""

    WAIT = "wait"
    EVALUATE = "evaluate"
    NOT_EVALUABLE = "not evaluable"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, why in words, and for WAIT when to look again if nothing arrives before."""

    action: Action
    reasons: tuple[str, ...]
    look_again_at: datetime | None = None


def decide(
    plan: StudyPlan,
    *,
    first_input_at: datetime,
    last_input_at: datetime,
    now: datetime,
    quiet_s: float,
    deadline_s: float,
) -> Decision:
    """Decide on a study from its plan and from when its instances arrived.

    Complete is evaluable and quiet: no instance for ``quiet_s``. A study that still receives is
    never complete, not even after its deadline, because a series may still be growing. What is
    not evaluable ``deadline_s`` after its first instance will not be.
    """
    quiet_at = last_input_at + timedelta(seconds=quiet_s)
    deadline = first_input_at + timedelta(seconds=deadline_s)
    quiet, late = now >= quiet_at, now >= deadline
    if plan.verdict is Verdict.QUARANTINED:
        return Decision(Action.QUARANTINE, plan.reasons)
    if plan.verdict is Verdict.EVALUABLE:
        if quiet:
            return Decision(Action.EVALUATE, plan.reasons)
        return Decision(Action.WAIT, (f"instances arrived within {quiet_s:g} s",), quiet_at)
    if plan.verdict is Verdict.NOT_EVALUABLE:
        if quiet or late:
            return Decision(Action.NOT_EVALUABLE, plan.reasons)
        return Decision(Action.WAIT, plan.reasons, min(quiet_at, deadline))
    if late:
        waited = f"still incomplete {deadline_s:g} s after the first instance"
        return Decision(Action.NOT_EVALUABLE, (*plan.reasons, waited))
    return Decision(Action.WAIT, plan.reasons, deadline)
