"""The role of each part of a series, by the table in ``role_rules``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mome_node.assembly.evidence import Evidence, evidence_of
from mome_node.assembly.plan import Role
from mome_node.assembly.planes import Plane, parts_of, planes_of
from mome_node.assembly.role_rules import ROLE_RULES, Range, RoleRule
from mome_node.assembly.rules import AssemblyRules
from mome_node.dicom.header import InstanceFacts

USEFULNESS = (
    Role.DCE, Role.DWI, Role.T2, Role.T1, Role.ADC,
    Role.SUBTRACTION, Role.LOCALIZER, Role.DERIVED, Role.OTHER,
)  # fmt: skip
"""A series with several parts has the role of the part that comes first here."""


@dataclass(frozen=True, slots=True)
class ClassifiedPart:
    """Planes of one series that share a role, with the rule's reason in words."""

    role: Role
    reason: str
    evidence: Evidence
    planes: tuple[Plane, ...]


@dataclass(frozen=True, slots=True)
class ClassifiedSeries:
    """One series, its role and its parts; ``kept`` are the parts that have the series' role."""

    instances: tuple[InstanceFacts, ...]
    role: Role
    reason: str
    parts: tuple[ClassifiedPart, ...]

    @property
    def series_uid(self) -> str:
        """Series Instance UID."""
        return self.instances[0].series_uid

    @property
    def kept(self) -> tuple[ClassifiedPart, ...]:
        """The parts that the series' role is about."""
        return tuple(p for p in self.parts if p.role is self.role)


def classify_series(instances: Sequence[InstanceFacts], rules: AssemblyRules) -> ClassifiedSeries:
    """Give one series its role. ``instances`` are those of the series, at least one."""
    ordered = tuple(sorted(instances, key=lambda i: i.sop_instance_uid))
    table = (*rules.role_rules, *ROLE_RULES)
    parts = [_classify(ordered, part, table) for part in parts_of(planes_of(ordered)) or ((),)]
    return whole_of(ordered, parts)


def whole_of(
    instances: tuple[InstanceFacts, ...], parts: Sequence[ClassifiedPart]
) -> ClassifiedSeries:
    """The series out of its parts: it has the role of the most useful one."""
    whole = min((p.role for p in parts), key=USEFULNESS.index)
    reason = next(p.reason for p in parts if p.role is whole)
    left_out = sorted(f"{len(p.planes)} images ({p.reason})" for p in parts if p.role is not whole)
    if left_out:
        reason = f"{reason}; left out: {', '.join(left_out)}"
    return ClassifiedSeries(instances, whole, reason, tuple(parts))


def _classify(
    instances: Sequence[InstanceFacts], part: tuple[Plane, ...], table: Sequence[RoleRule]
) -> ClassifiedPart:
    evidence = evidence_of(instances, part)
    rule = next(r for r in table if holds(r, evidence))
    return ClassifiedPart(rule.role, reason_of(rule, evidence), evidence, part)


def holds(rule: RoleRule, evidence: Evidence) -> bool:
    """Whether every condition that the rule states is met."""
    return (
        (not rule.image_type or bool(rule.image_type & evidence.image_type))
        and not rule.not_image_type & evidence.image_type
        and (not rule.scanning or bool(rule.scanning & evidence.scanning))
        and not rule.not_scanning & evidence.scanning
        and (not rule.acquisition or evidence.acquisition in rule.acquisition)
        and _within(rule.te, evidence.te)
        and _within(rule.tr, evidence.tr)
        and _within(rule.ti, evidence.ti)
        and _within(rule.spacing, evidence.spacing)
        and _within(rule.orientations, evidence.orientations)
        and _within(rule.flip_angles, evidence.flip_angles)
        and _within(rule.b_values, len(evidence.b_values))
        and rule.mr_image in (None, evidence.mr_image)
        and rule.colour in (None, evidence.colour)
        and rule.diffusion in (None, evidence.diffusion)
        and rule.silent in (None, evidence.silent)
        and (rule.text is None or rule.text.search(evidence.text) is not None)
        and all(p.search(evidence.text) for p in rule.also_text)
        and not any(p.search(evidence.text) for p in rule.not_text)
        and (rule.sequence is None or rule.sequence.search(evidence.sequence) is not None)
    )


def _within(allowed: Range | None, value: float | None) -> bool:
    if allowed is None:
        return True
    return value is not None and allowed[0] <= value <= allowed[1]


def reason_of(rule: RoleRule, evidence: Evidence) -> str:
    """What the rule says of this evidence, in words."""
    b = ", ".join(f"b {b:g}" for b in evidence.b_values) or "b-value unknown"
    return rule.reason.format(
        te=_number(evidence.te),
        tr=_number(evidence.tr),
        ti=_number(evidence.ti),
        b=b,
        word=_word(rule.text, evidence.text) or _word(rule.sequence, evidence.sequence),
        types="\\".join(sorted(rule.image_type & evidence.image_type)),
        spacing=_number(evidence.spacing),
        orientations=evidence.orientations,
    )


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _word(pattern: re.Pattern[str] | None, text: str) -> str:
    found = pattern.search(text) if pattern else None
    return found.group().strip(" :/|") if found else ""
