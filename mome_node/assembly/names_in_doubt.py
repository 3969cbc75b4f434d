"""Whether the descriptions of a study can be believed, and the roles where they cannot.

Descriptions are free text, and once in a while those of other series: a conversion shifted them, a
protocol was copied. One name that contradicts its images is a slip; several in one study are a
reason to read none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mome_node.assembly.evidence import Evidence, silent_evidence
from mome_node.assembly.plan import Role
from mome_node.assembly.role_rules import ROLE_RULES, RoleRule
from mome_node.assembly.roles import ClassifiedPart, ClassifiedSeries, holds, reason_of, whole_of
from mome_node.assembly.rules import AssemblyRules

SLIPS = 1
"""So many names of a study may contradict their images before none is read."""

CLEAR = frozenset({Role.DCE, Role.T2, Role.DWI, Role.ADC, Role.LOCALIZER, Role.SUBTRACTION})
"""Roles that images and names tell clearly, each for itself."""

NO_CONTRADICTION = frozenset(
    {(Role.DCE, Role.SUBTRACTION), (Role.SUBTRACTION, Role.DCE), (Role.ADC, Role.DWI)}
)
"""What images may be, and be called: a subtraction has the physics, or the name, of its phases, and
an ADC map the name of the diffusion protocol."""


def as_believed(
    classified: Mapping[str, ClassifiedSeries], rules: AssemblyRules
) -> dict[str, ClassifiedSeries]:
    """The series as they are, or told again without their names where too many mislead."""
    misled = sum(_contradicts(series) for series in classified.values())
    if misled <= SLIPS:
        return dict(classified)
    note = f"the descriptions contradict the images of {misled} series and are not used"
    return {uid: _unnamed(series, rules, note) for uid, series in classified.items()}


def _contradicts(series: ClassifiedSeries) -> bool:
    """Whether every part that is clear by its images has a name that is clear, and another role."""
    told = [pair for part in series.parts if (pair := _told_twice(part.evidence)) is not None]
    return bool(told) and all(a is not b and (a, b) not in NO_CONTRADICTION for a, b in told)


def _told_twice(evidence: Evidence) -> tuple[Role, Role] | None:
    """The role by the images and the one by the name, where both are clear."""
    if evidence.silent or not evidence.text:
        return None
    by_images = _rule(replace(evidence, text=""))
    by_name = _rule(silent_evidence(evidence.text))
    if by_name.weak or not {by_images.role, by_name.role} <= CLEAR:
        return None
    return by_images.role, by_name.role


def _rule(evidence: Evidence) -> RoleRule:
    return next(rule for rule in ROLE_RULES if holds(rule, evidence))


def _unnamed(series: ClassifiedSeries, rules: AssemblyRules, note: str) -> ClassifiedSeries:
    """The series by its images alone; a rule of the site and silent images keep their role."""
    parts = []
    for part in series.parts:
        by_site = any(holds(rule, part.evidence) for rule in rules.role_rules)
        parts.append(part if by_site or part.evidence.silent else _without_name(part, note))
    return whole_of(series.instances, parts)


def _without_name(part: ClassifiedPart, note: str) -> ClassifiedPart:
    evidence = replace(part.evidence, text="")
    rule = _rule(evidence)
    if rule.role is part.role:
        return part
    return replace(part, role=rule.role, reason=f"{reason_of(rule, evidence)}; {note}")
