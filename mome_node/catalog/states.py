"""A study's states and transitions: one table, and all that decides about it.

``catalog.studies`` is the only module that writes the state column, and asks this table first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mome_node.errors import TransitionRefusedError


class StudyState(StrEnum):
    """Where a study stands on its way from the PACS and back."""

    RECEIVING = "receiving"  # instances arrive, or none came that a role may use
    ASSEMBLED = "assembled"  # complete: the plan of what to read is made
    QUEUED = "queued"  # waits for a worker
    INFERRING = "inferring"  # the model reads it
    REPORTING = "reporting"  # result objects are made
    DELIVERING = "delivering"  # results are in the outbox
    DELIVERED = "delivered"  # every destination has confirmed
    NOT_EVALUABLE = "not evaluable"  # no result is possible, and the reason says why
    HELD = "held"  # incomplete at its deadline: waits for input or for a person
    QUARANTINED = "quarantined"  # a person has to look at it
    WITHDRAWN = "withdrawn"  # a person took its results back
    FAILED = "failed"  # kept; tried again by policy, then by hand


@dataclass(frozen=True, slots=True)
class Transition:
    """One allowed step, in what case it is taken, and whether it opens the next revision."""

    source: StudyState
    target: StudyState
    case: str
    opens_revision: bool = False


_S = StudyState
_LATE: Final = "late or corrected input"

INITIAL_STATE: Final = StudyState.RECEIVING
TRANSITIONS: Final = (
    Transition(_S.RECEIVING, _S.ASSEMBLED, "complete"),
    Transition(_S.RECEIVING, _S.NOT_EVALUABLE, "waiting will not help, or its deadline has passed"),
    Transition(_S.RECEIVING, _S.HELD, "incomplete at its deadline, or never quiet"),
    Transition(_S.HELD, _S.RECEIVING, "input, or retry"),
    Transition(_S.RECEIVING, _S.QUARANTINED, "contradicting identity, unreadable instances"),
    Transition(_S.ASSEMBLED, _S.QUEUED, "a model takes it"),
    Transition(_S.ASSEMBLED, _S.NOT_EVALUABLE, "no model takes it"),
    Transition(_S.ASSEMBLED, _S.DELIVERING, "the same inputs as before: their results stand"),
    Transition(_S.ASSEMBLED, _S.RECEIVING, "input before evaluation"),
    Transition(_S.QUEUED, _S.INFERRING, "a worker takes it"),
    Transition(_S.QUEUED, _S.RECEIVING, "input before evaluation"),
    Transition(_S.INFERRING, _S.REPORTING, "predicted"),
    Transition(_S.INFERRING, _S.NOT_EVALUABLE, "the images make no exam"),
    Transition(_S.INFERRING, _S.QUARANTINED, "pixel data cannot be decoded"),
    Transition(_S.INFERRING, _S.FAILED, "error"),
    Transition(_S.INFERRING, _S.QUEUED, "restart"),
    Transition(_S.REPORTING, _S.DELIVERING, "results are in the outbox"),
    Transition(_S.REPORTING, _S.FAILED, "error"),
    Transition(_S.REPORTING, _S.QUEUED, "restart"),
    Transition(_S.DELIVERING, _S.DELIVERED, "all confirmed"),
    Transition(_S.DELIVERING, _S.FAILED, "refused for good"),
    Transition(
        _S.DELIVERING,
        _S.RECEIVING,
        "instances corrected or rejected before all was sent",
        opens_revision=True,
    ),
    Transition(_S.FAILED, _S.QUEUED, "retry"),
    Transition(_S.FAILED, _S.DELIVERING, "resend"),
    Transition(_S.DELIVERED, _S.DELIVERING, "resend"),
    Transition(_S.DELIVERED, _S.RECEIVING, _LATE, opens_revision=True),
    Transition(_S.DELIVERING, _S.WITHDRAWN, "withdrawn by hand"),
    Transition(_S.DELIVERED, _S.WITHDRAWN, "withdrawn by hand"),
    Transition(_S.FAILED, _S.WITHDRAWN, "withdrawn by hand"),
    Transition(_S.WITHDRAWN, _S.QUEUED, "issued again"),
    Transition(_S.WITHDRAWN, _S.RECEIVING, _LATE, opens_revision=True),
    Transition(_S.NOT_EVALUABLE, _S.RECEIVING, _LATE, opens_revision=True),
    Transition(_S.QUARANTINED, _S.RECEIVING, f"{_LATE}, or released", opens_revision=True),
    Transition(_S.FAILED, _S.RECEIVING, _LATE, opens_revision=True),
)

# What a crash interrupts; both are begun again from the queue.
INTERRUPTIBLE: Final = (StudyState.INFERRING, StudyState.REPORTING)

_BY_PAIR: Final = {(step.source, step.target): step for step in TRANSITIONS}


def find_transition(source: StudyState, target: StudyState) -> Transition:
    """Return the row of the table, or raise TransitionRefusedError."""
    step = _BY_PAIR.get((source, target))
    if step is None:
        allowed = ", ".join(sorted(targets_of(source))) or "nothing"
        raise TransitionRefusedError(
            f"no study goes from {source} to {target}; from {source} it goes to: {allowed}"
        )
    return step


def targets_of(source: StudyState) -> frozenset[StudyState]:
    """Return the states that can follow ``source``."""
    return frozenset(step.target for step in TRANSITIONS if step.source is source)


def reopens(state: StudyState, *, withdraws: bool) -> bool:
    """Tell whether a study in this state returns to receiving when input arrives.

    ``withdraws``: earlier input does not hold any more, so that results must not go on their way;
    instances that only came late wait until those results are sent.
    """
    if StudyState.RECEIVING not in targets_of(state):
        return False
    return withdraws or state is not StudyState.DELIVERING


def state_diagram() -> str:
    """Return the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{state}" as {_alias(state)}' for state in StudyState if " " in state]
    lines.append(f"    [*] --> {_alias(INITIAL_STATE)}: first instance")
    for step in TRANSITIONS:
        revision = ", revision + 1" if step.opens_revision else ""
        lines.append(f"    {_alias(step.source)} --> {_alias(step.target)}: {step.case}{revision}")
    return "\n".join(lines) + "\n"


def _alias(state: StudyState) -> str:
    return state.replace(" ", "_")
