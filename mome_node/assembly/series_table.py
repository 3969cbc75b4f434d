"""Roles and phases of series of which only a table's attributes are known: no headers, no pixels.

The same table of rules as for files (``role_rules``), with a physics that is silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mome_node.assembly.evidence import Evidence, plain
from mome_node.assembly.plan import Role
from mome_node.assembly.role_rules import ROLE_RULES
from mome_node.assembly.roles import holds, reason_of
from mome_node.assembly.rules import AssemblyRules


class Confidence(StrEnum):
    """How far a role told by attributes alone may be trusted."""

    PLAIN = "plain"  # the name says it in so many words
    LIKELY = "likely"  # the name hints at it
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


def roles_from_attributes(
    series: Sequence[SeriesAttributes], rules: AssemblyRules
) -> tuple[AttributedRole, ...]:
    """The role of each series, in the order given; series of several studies may be mixed."""
    return tuple(_role(s, rules) for s in series)


def _role(series: SeriesAttributes, rules: AssemblyRules) -> AttributedRole:
    evidence = _silent_evidence(series)
    rule = next(r for r in (*rules.role_rules, *ROLE_RULES) if holds(r, evidence))
    sure = Confidence.UNKNOWN if rule is ROLE_RULES[-1] else Confidence.LIKELY
    return AttributedRole(rule.role, None, reason_of(rule, evidence), sure)


def _silent_evidence(series: SeriesAttributes) -> Evidence:
    return Evidence(
        mr_image=series.modality in ("MR", ""),
        colour=False,
        image_type=frozenset(),
        text=plain(series.series_description),
        sequence="",
        scanning=frozenset(),
        acquisition="",
        te=None,
        tr=None,
        ti=None,
        flip_angles=0,
        b_values=(),
        diffusion=False,
        spacing=None,
        orientations=0,
        contrast=False,
        temporal_positions=0,
    )
