"""What the history of a study says about its deadline: freed by hand, evaluated although."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from mome_node.assembly.completeness import Action, Decision
from mome_node.assembly.plan import Role
from mome_node.assembly.rules import AssemblyRules
from mome_node.catalog.records import EventRecord
from mome_node.catalog.states import StudyState

FREED_BY_HAND: Final = "retry by hand: evaluate with what is here"
"""The cause with which a person sends a held study back to be looked at, its deadline passed."""

EVALUATED_WITHOUT: Final = "evaluated although this is missing: "
"""Before what was missing, in the cause of an assembled study: its report warns of that."""

NAMED_AT_MOST: Final = 5


def is_freed_by_hand(events: Sequence[EventRecord]) -> bool:
    """Whether a person, and nothing else since, let this study be looked at again."""
    opened = [e.cause for e in events if e.target is StudyState.RECEIVING]
    return opened[-1:] == [FREED_BY_HAND]


def cause_of(decision: Decision, since_first_s: float) -> str:
    """A decision in words, for the study's history."""
    if decision.action is not Action.EVALUATE:
        return "; ".join(decision.reasons)
    when = f"{decision.evidence}, {since_first_s:.0f} s after the first image"
    if not decision.lacking:
        return "; ".join((f"complete: {when}", *decision.reasons))
    more = len(decision.lacking) - NAMED_AT_MOST
    rest = (f"and {more} more reasons",) if more > 0 else ()
    return f"{when}; {EVALUATED_WITHOUT}{'; '.join((*decision.lacking[:NAMED_AT_MOST], *rest))}"


def shortfall(events: Sequence[EventRecord]) -> tuple[str, ...]:
    """What the last assembly let pass as missing, as a warning for the report; else empty."""
    assembled = [e.cause for e in events if e.target is StudyState.ASSEMBLED]
    _, mark, missing = assembled[-1].partition(EVALUATED_WITHOUT) if assembled else ("", "", "")
    return (f"{mark}{missing}",) if mark else ()


def least_rules(rules: AssemblyRules) -> AssemblyRules:
    """The rules with no more required than a model cannot do without: the dynamic."""
    return replace(rules, required=(Role.DCE,))
