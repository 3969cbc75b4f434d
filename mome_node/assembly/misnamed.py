"""Series that their name keeps out of the dynamic though their physics are those of a phase.

A description is free text, sometimes of another series. Image Type and sequence say what was
acquired, and a subtraction, a projection or a Dixon part has no moment of its own, as an acquired
phase has: ``runs`` leaves it out where another volume has its moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mome_node.assembly.phases import Dynamic, dynamics_of
from mome_node.assembly.plan import Role
from mome_node.assembly.role_rules import ROLE_RULES
from mome_node.assembly.roles import ClassifiedPart, ClassifiedSeries, holds, reason_of
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.stacks import PlaneStack, stacks_of

MADE = frozenset({Role.SUBTRACTION, Role.DERIVED})
"""Roles of copies; the physics of a copy may be that of its original."""


@dataclass(frozen=True, slots=True)
class ParsedSeries:
    """One series with its role, its volumes, and what is wrong with it as a whole."""

    series: ClassifiedSeries
    stacks: tuple[PlaneStack, ...]
    problems: tuple[str, ...]

    @classmethod
    def of(cls, series: ClassifiedSeries) -> ParsedSeries:
        """The volumes of a classified series."""
        stacks, problems = stacks_of(series)
        return cls(series, stacks, problems)


def as_phase(series: ClassifiedSeries, rules: AssemblyRules) -> ClassifiedSeries | None:
    """The series as its physics alone tell it, where those of a dynamic speak against its name.

    None where the name is not against them, or a rule of the site decided.
    """
    if series.role is Role.DCE:
        return None
    parts = [p for part in series.parts if (p := _part_as_phase(part, rules)) is not None]
    if not parts:
        return None
    others = [p for p in series.parts if not any(p.planes is q.planes for q in parts)]
    reason = f"{parts[0].reason}; the name is not followed ({series.reason})"
    return ClassifiedSeries(series.instances, Role.DCE, reason, (*parts, *others))


def _part_as_phase(part: ClassifiedPart, rules: AssemblyRules) -> ClassifiedPart | None:
    evidence = part.evidence
    if "ORIGINAL" not in evidence.image_type or "DERIVED" in evidence.image_type:
        return None
    if any(holds(r, evidence) for r in rules.role_rules):
        return None
    unnamed = replace(evidence, text="")
    rule = next(r for r in ROLE_RULES if holds(r, unnamed))
    if rule.role is not Role.DCE:
        return None
    return replace(part, role=Role.DCE, reason=reason_of(rule, unnamed))


def acquired_dynamics(
    parsed: Mapping[str, ParsedSeries], rules: AssemblyRules
) -> tuple[list[Dynamic], dict[str, ParsedSeries]]:
    """The dynamics of a study, and its series with those told again that are phases after all."""
    doubted = {
        uid: ParsedSeries.of(phase)
        for uid, p in parsed.items()
        if (phase := as_phase(p.series, rules)) is not None
    }
    named = {uid: parsed[uid].series.role for uid in doubted}
    plain = [s for p in parsed.values() if p.series.role is Role.DCE for s in p.stacks]
    found = dynamics_of(
        (*plain, *(s for p in doubted.values() for s in p.stacks)),
        ultrafast_s=rules.ultrafast_s,
        doubted=frozenset(doubted),
    )
    acquired = [d for d in found if _is_acquired(d, named)]
    phases = {s.series_uid for d in acquired for s in d.phases} & doubted.keys()
    told = {
        uid: replace(
            doubted[uid],
            problems=(
                *doubted[uid].problems,
                f"its name says {named[uid]}, its physics say a phase of the dynamic",
            ),
        )
        for uid in phases
    }
    return acquired, {**parsed, **told}


def _is_acquired(dynamic: Dynamic, named: Mapping[str, Role]) -> bool:
    """Whether the phases of a dynamic were acquired, whatever the names of some say.

    One phase that no name speaks against is enough. Else the phases must follow each other in
    time; where a name says subtraction or copy, the first must be without contrast agent and a
    later one with it, as no subtraction is; and parts of a Dixon set, which repeat in time too,
    are left to their names.
    """
    roles = {named.get(s.series_uid, Role.DCE) for s in dynamic.phases}
    if Role.DCE in roles:
        return True
    if dynamic.note or Role.OTHER in roles or len(dynamic.phases) < 2 or not dynamic.ordered:
        return False
    agents = dynamic.with_contrast
    return not roles & MADE or (not agents[0] and agents[-1])
