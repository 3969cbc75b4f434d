"""Roles and phases of series of which only a table's attributes are known: no headers, no pixels.

The same table of rules as for files (``role_rules``), with a physics that is silent. What a name
alone leaves open, the other series of the study may tell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from mome_node.assembly.evidence import silent_evidence
from mome_node.assembly.named_phases import (
    NamedSeries,
    PhaseName,
    phases_by_name,
    read_phase_name,
)
from mome_node.assembly.plan import Role
from mome_node.assembly.role_rules import ROLE_RULES, RoleRule
from mome_node.assembly.role_words import COPY, WATER, plain
from mome_node.assembly.roles import holds, reason_of
from mome_node.assembly.rules import AssemblyRules

WHOLE_SET = 1.9
"""An unsplit Dixon or IDEAL set has at least so many times the images of its water series."""


class Confidence(StrEnum):
    """How far a role told by attributes alone may be trusted."""

    PLAIN = "plain"  # the name says it in so many words
    LIKELY = "likely"  # the name hints at it, or the other series of the study do
    UNKNOWN = "unknown"  # nothing tells


@dataclass(frozen=True, slots=True)
class SeriesAttributes:
    """What a PACS's list, or a table, says of one series; empty where it says nothing."""

    study_uid: str
    series_uid: str
    study_description: str = ""
    series_description: str = ""
    series_number: int | None = None
    manufacturer: str = ""
    model_name: str = ""
    body_part: str = ""
    instance_count: int | None = None
    modality: str = "MR"


@dataclass(frozen=True, slots=True)
class AttributedRole:
    """A role told by attributes alone. ``phase``: 0 pre-contrast, 1, 2, ... single posts."""

    role: Role
    phase: int | None
    reason: str
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class _Name:
    """What one name says, wherever it stands.

    ``hint``: a dynamic if no other series of the study is one. ``copy_of`` is the name of the
    original of a copy, ``water_of`` that of the set that a water series is part of.
    """

    text: str
    told: AttributedRole
    hint: bool
    copy_of: str | None
    bare: AttributedRole | None  # what the original's name says
    water_of: str | None
    phase: PhaseName


def roles_from_attributes(
    series: Sequence[SeriesAttributes], rules: AssemblyRules
) -> tuple[AttributedRole, ...]:
    """The role of each series, in the order given; series of several studies may be mixed."""
    table = (*rules.role_rules, *ROLE_RULES)
    names: dict[tuple[str, bool], _Name] = {}
    studies: dict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(series):
        key = one.series_description, one.modality in ("MR", "")
        if key not in names:
            names[key] = _read(plain(key[0]), table, is_mr=key[1])
        studies[one.study_uid].append(place)
    told: list[AttributedRole | None] = [None] * len(series)
    for places in studies.values():
        of_study = [series[p] for p in places]
        of_names = [names[s.series_description, s.modality in ("MR", "")] for s in of_study]
        for place, role in zip(places, _in_study(of_study, of_names), strict=True):
            told[place] = role
    return tuple(role for role in told if role is not None)


def _read(text: str, table: Sequence[RoleRule], *, is_mr: bool) -> _Name:
    told = _by_name(text, table, is_mr=is_mr)
    copy_of = plain(COPY.sub(" ", text)) if COPY.search(text) else None
    return _Name(
        text=text,
        told=told,
        hint=told.role in (Role.T1, Role.OTHER) and told.confidence is Confidence.LIKELY,
        copy_of=copy_of,
        bare=None if copy_of is None else _by_name(copy_of, table, is_mr=is_mr),
        water_of=WATER.sub("", text).strip() if WATER.search(text) else None,
        phase=read_phase_name(text),
    )


def _by_name(text: str, table: Sequence[RoleRule], *, is_mr: bool) -> AttributedRole:
    evidence = silent_evidence(text, is_mr=is_mr)
    rule = next(r for r in table if holds(r, evidence))
    nothing = rule is ROLE_RULES[-1]
    confidence = Confidence.LIKELY if rule.weak else Confidence.PLAIN
    return AttributedRole(
        role=rule.role,
        phase=None,
        reason=reason_of(rule, evidence),
        confidence=Confidence.UNKNOWN if nothing else confidence,
    )


def _in_study(
    series: Sequence[SeriesAttributes], names: Sequence[_Name]
) -> Iterator[AttributedRole]:
    """The roles with what the study's other series tell of each, and the phases."""
    originals = [n for n in names if n.copy_of is None]
    texts = {n.text for n in originals}
    has_dynamic = any(n.told.role is Role.DCE for n in originals)
    waters = {
        n.water_of: one.instance_count or 0
        for one, n in zip(series, names, strict=True)
        if n.water_of is not None
    }
    told = []
    for one, n in zip(series, names, strict=True):
        role = n.told
        if n.copy_of is not None and n.copy_of not in texts:
            role = _copy(n)
        elif waters and role.role in (Role.T2, Role.DCE) and _is_whole_set(one, n, waters):
            role = _likely(Role.OTHER, "the whole Dixon set; its water images are a series, too")
        elif n.hint and not has_dynamic:
            role = _likely(Role.DCE, f"{role.reason}; no other series is a dynamic")
        told.append(role)
    phases = phases_by_name(
        NamedSeries(one.series_uid, n.phase, one.series_number, one.instance_count)
        for one, n, role in zip(series, names, told, strict=True)
        if role.role is Role.DCE
    )
    for one, role in zip(series, told, strict=True):
        phase = phases.get(one.series_uid)
        yield role if phase is None else replace(role, phase=phase)


def _copy(name: _Name) -> AttributedRole:
    """A processed copy stands for its original where that is not there."""
    bare = name.bare
    if bare is None or bare.role not in (Role.DCE, Role.T2, Role.DWI):
        return name.told
    return _likely(bare.role, f"{name.told.reason}, its original is not there: {bare.reason}")


def _is_whole_set(one: SeriesAttributes, name: _Name, waters: Mapping[str, int]) -> bool:
    bare = name.text.rsplit(": ", 1)[-1]
    images = next((i for set_name, i in waters.items() if set_name.endswith(bare)), 0)
    return images > 0 and (one.instance_count or 0) >= WHOLE_SET * images


def _likely(role: Role, reason: str) -> AttributedRole:
    return AttributedRole(role, None, reason, Confidence.LIKELY)
