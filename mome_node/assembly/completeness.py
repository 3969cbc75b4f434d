"""When a study is done with: on whose word it is complete, and what its deadline means.

In this order: the PACS's counts or an availability notice vouch for it (see ``arrivals``), or no
image has come for the quiet time, or its deadline has passed. Only arrivals count as activity: an
association that is left open says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mome_node.assembly.arrivals import Arrived
from mome_node.assembly.plan import StudyPlan, Verdict
from mome_node.dicom.reason_codes import (
    DEADLINE_PASSED,
    IMAGES_MISSING,
    NOTHING_READABLE,
    Reason,
    with_codes,
)

AT_DEADLINE: Final = "deadline"
BY_HAND: Final = "by hand"
NOT_WITHOUT: Final = "no model reads what is here"

PROMISE_QUIET_TIMES: Final = 3.0
"""While headers promise more than came, this many quiet times must pass instead of one."""


class Action(StrEnum):
    """What to do with a study now."""

    WAIT = "wait"
    EVALUATE = "evaluate"
    HOLD = "hold"
    NOT_EVALUABLE = "not evaluable"
    QUARANTINE = "quarantine"


class OnDeadline(StrEnum):
    """What becomes of a study that is incomplete at its deadline."""

    HOLD = "hold"  # kept and shown; input or a person frees it
    EVALUATE = "evaluate"  # with what is there, and the result says what was missing
    NOT_EVALUABLE = "not_evaluable"  # ends so


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a site waits, in seconds: for silence, for the missing, and in any case."""

    quiet_s: float
    deadline_s: float
    hard_limit_s: float
    on_deadline: OnDeadline = OnDeadline.HOLD


@dataclass(frozen=True, slots=True)
class Waited:
    """How long a study has been receiving, and how long nothing came, in seconds."""

    since_first_s: float
    since_last_s: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do and why in words.

    ``codes`` has the code of each reason, in the same order, of a study that is not evaluable.
    ``evidence`` says what decided. ``lacking`` names what a study is evaluated without. WAIT says
    after how many seconds to look again if nothing comes before.
    """

    action: Action
    reasons: tuple[str, ...]
    evidence: str = ""
    lacking: tuple[str, ...] = ()
    look_again_in_s: float | None = None
    codes: tuple[str, ...] = ()

    @property
    def coded_reasons(self) -> tuple[Reason, ...]:
        """The reasons with their codes."""
        return with_codes(self.reasons, self.codes)


def decide(
    plan: StudyPlan,
    arrived: Arrived,
    waited: Waited,
    patience: Patience,
    *,
    promises: tuple[str, ...] = (),
    least: StudyPlan | None = None,
    by_hand: bool = False,
) -> Decision:
    """Decide on a study from its plan, from what others say of it and from how long it waited.

    ``promises``: what headers announce and did not come. ``least``: the plan with no more
    required than a model cannot do without, for a study that is incomplete at its deadline.
    ``by_hand``: a person has freed the study, so its deadline is now and it is not held again if
    it can be evaluated.

    A study that still receives is never complete, not even at its deadline, because a series may
    be growing; one that never falls quiet is held at the hard limit.
    """
    if plan.verdict is Verdict.QUARANTINED:
        return Decision(Action.QUARANTINE, plan.reasons)
    quiet = waited.since_last_s >= patience.quiet_s
    late = by_hand or waited.since_first_s >= patience.deadline_s
    if plan.verdict is Verdict.NOT_EVALUABLE:
        if quiet or late or arrived.complete_by:
            return Decision(Action.NOT_EVALUABLE, plan.reasons, codes=plan.reason_codes)
        return _wait(
            plan.reasons, min(_until_quiet(waited, patience), _until_late(waited, patience))
        )
    if plan.verdict is Verdict.EVALUABLE and arrived.complete_by:
        return Decision(Action.EVALUATE, plan.reasons, arrived.complete_by)
    if waited.since_first_s >= patience.hard_limit_s and not quiet:
        told = f"images still arrive {patience.hard_limit_s:g} s after the first one"
        return Decision(Action.HOLD, (told, *plan.reasons, *arrived.missing), "hard limit")
    lacking = tuple(Reason(IMAGES_MISSING, told) for told in arrived.missing)
    if plan.verdict is Verdict.INCOMPLETE:
        lacking = (*plan.coded_reasons, *lacking)
    missing = tuple(reason.text for reason in lacking)
    if missing and not late:
        return _wait(missing, _until_late(waited, patience))
    if not quiet:
        told = f"images arrived within {patience.quiet_s:g} s"
        return _wait((told, *missing), _until_quiet(waited, patience))
    if missing:
        return _at_deadline(plan, arrived, lacking, patience, least, by_hand=by_hand)
    longer = PROMISE_QUIET_TIMES * patience.quiet_s
    if promises and not late and waited.since_last_s < longer:
        wait = min(longer - waited.since_last_s, _until_late(waited, patience))
        return _wait(tuple(f"headers promise more: {p}" for p in promises), wait)
    return Decision(Action.EVALUATE, plan.reasons, f"quiet for {waited.since_last_s:.0f} s")


def _at_deadline(
    plan: StudyPlan,
    arrived: Arrived,
    lacking: tuple[Reason, ...],
    patience: Patience,
    least: StudyPlan | None,
    *,
    by_hand: bool,
) -> Decision:
    """What the site wants of a quiet study whose time is up and that lacks something."""
    evidence = BY_HAND if by_hand else AT_DEADLINE
    what_came_is_whole = plan.verdict is Verdict.EVALUABLE and not arrived.lacking
    if what_came_is_whole or by_hand or patience.on_deadline is OnDeadline.EVALUATE:
        # A series of which nothing came may be none that is sent here: it holds up no study.
        readable = plan if plan.verdict is Verdict.EVALUABLE else least
        if readable is not None and readable.verdict is Verdict.EVALUABLE:
            missing = tuple(reason.text for reason in lacking)
            return Decision(Action.EVALUATE, readable.reasons, evidence, missing)
        lacking = (Reason(NOTHING_READABLE, NOT_WITHOUT), *lacking)
    if not by_hand:
        waited = f"still incomplete {patience.deadline_s:g} s after the first image"
        lacking = (*lacking, Reason(DEADLINE_PASSED, waited))
    told = tuple(reason.text for reason in lacking)
    if patience.on_deadline is OnDeadline.NOT_EVALUABLE:
        return Decision(Action.NOT_EVALUABLE, told, evidence, codes=tuple(r.code for r in lacking))
    return Decision(Action.HOLD, told, evidence)


def _wait(reasons: tuple[str, ...], seconds: float) -> Decision:
    return Decision(Action.WAIT, reasons, look_again_in_s=seconds)


def _until_quiet(waited: Waited, patience: Patience) -> float:
    return patience.quiet_s - waited.since_last_s


def _until_late(waited: Waited, patience: Patience) -> float:
    return patience.deadline_s - waited.since_first_s
