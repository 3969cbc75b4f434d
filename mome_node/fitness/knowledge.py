"""What no header and no image tells of an exam, and what of it a site knows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mome_node.dicom.header import InstanceFacts
from mome_node.fitness.checks import (
    IMPLANTS,
    LACTATION,
    MASTECTOMY,
    RECENT_BIOPSY,
    TREATMENT,
    Check,
)

HISTOLOGY_PROVEN: Final = "histology-proven invasive cancer"
BEFORE_TREATMENT: Final = "exam before treatment"
CONDITIONS: Final = (HISTOLOGY_PROVEN, BEFORE_TREATMENT)
"""What a package may ask a site to assert. No score of any model ever stands in for it."""

SEARCHED: Final = 64
"""So many characters of a text are searched for a site's pattern: an LO value has no more."""

When = tuple[tuple[str, str], ...]
"""Studies: a regular expression for each of some attributes of InstanceFacts; none: all."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Something that is not assessed; ``check`` is failed where a site knows that it is there."""

    name: str
    told: str
    check: Check | None = None


TOPICS: Final = (
    Topic("implants", "implants (MR headers do not tell)", IMPLANTS),
    Topic("mastectomy", "mastectomy", MASTECTOMY),
    Topic("recent biopsy", "recent biopsy", RECENT_BIOPSY),
    Topic("clip or haematoma", "clip or haematoma"),
    Topic("lactation", "lactation", LACTATION),
    Topic("treatment under way", "treatment under way", TREATMENT),
    Topic("surgical bed", "surgical bed"),
    Topic("prior exams", "prior exams"),
    Topic("motion", "motion between the phases"),
    Topic("contrast dose", "contrast dose"),
)
"""What the node does not look at, in the order in which it is told."""

FACTS: Final = (
    *CONDITIONS,
    *(topic.name for topic in TOPICS if topic.check is not None),
    *(f"no {topic.name}" for topic in TOPICS if topic.check is not None),
)
"""What a site may say that it knows of a study."""

NOT_ASSESSED: Final = tuple(topic.told for topic in TOPICS)
"""What is not assessed of a study of which the site says nothing."""


@dataclass(frozen=True, slots=True)
class Known:
    """``facts`` (of FACTS) that the site knows of the studies that ``when`` describes."""

    facts: tuple[str, ...]
    when: When = ()


def known_of(rules: Iterable[Known], instances: Sequence[InstanceFacts]) -> tuple[str, ...]:
    """What a site knows of a study; where two rules contradict each other, that it is there."""
    said = {fact for rule in rules if holds(rule.when, instances) for fact in rule.facts}
    return tuple(f for f in FACTS if f in said and f.removeprefix("no ") not in said - {f})


def not_assessed(known: Sequence[str]) -> tuple[str, ...]:
    """What is not assessed of a study of which the site knows this much."""
    return tuple(
        topic.told
        for topic in TOPICS
        if topic.name not in known and f"no {topic.name}" not in known
    )


def holds(when: When, instances: Sequence[InstanceFacts]) -> bool:
    """Whether each pattern is found in its attribute of any instance; none: in every study."""
    return all(
        any(re.search(pattern, text, re.IGNORECASE) for text in _texts(instances, attribute))
        for attribute, pattern in when
    )


def _texts(instances: Sequence[InstanceFacts], attribute: str) -> set[str]:
    return {str(getattr(i, attribute))[:SEARCHED] for i in instances}
