"""Settings on studies: which ones, what a site knows of them, and which exams it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from mome_node.fitness.checks import ADJUSTABLE, CODES
from mome_node.fitness.knowledge import FACTS
from mome_node.settings_values import Pattern, Section

Condition = Literal["histology-proven invasive cancer", "exam before treatment"]


def _one_of(value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"one of {', '.join(allowed)}")
    return value


def _known_code(value: str) -> str:
    return _one_of(value, CODES)


def _adjustable_code(value: str) -> str:
    if value in CODES and value not in ADJUSTABLE:
        raise ValueError(f"no check that guards safety; one of {', '.join(ADJUSTABLE)}")
    return _one_of(value, ADJUSTABLE)


def _known_fact(value: str) -> str:
    return _one_of(value, FACTS)


CheckCode = Annotated[str, AfterValidator(_known_code), Field(json_schema_extra={"enum": [*CODES]})]
"""The code of a check."""

AdjustableCode = Annotated[
    str, AfterValidator(_adjustable_code), Field(json_schema_extra={"enum": [*ADJUSTABLE]})
]
"""The code of a check that does not guard safety."""

Fact = Annotated[str, AfterValidator(_known_fact), Field(json_schema_extra={"enum": [*FACTS]})]
"""What a site may know of a study."""

OUTCOMES: Final = ("refuse", "warn", "ignore")


class SeriesRoleSettings(Section):
    """A series role that the site tells by name, before the rules that are built in."""

    role: Literal[
        "dce", "t2", "dwi", "adc", "t1", "subtraction", "localizer", "derived", "other"
    ] = Field(description="The role of series that are named so.")
    pattern: Pattern = Field(
        description="A regular expression, found in the Series Description (or the Protocol Name "
        "where that is blank) as the node reads it: lower case, no accents, blanks for - _ ^. "
        "Try it with `mome-node series DIR --config node.toml`."
    )


class WhenSettings(Section):
    """Studies, by a regular expression for what any image of theirs says of itself."""

    study_description: Pattern | None = Field(None, description="Study Description (0008,1030).")
    series_description: Pattern | None = Field(None, description="Series Description (0008,103E).")
    protocol_name: Pattern | None = Field(None, description="Protocol Name (0018,1030).")
    body_part: Pattern | None = Field(None, description="Body Part Examined (0018,0015).")
    manufacturer: Pattern | None = Field(None, description="Manufacturer (0008,0070).")
    model_name: Pattern | None = Field(None, description="Manufacturer's Model Name (0008,1090).")


class KnownSettings(Section):
    """What the site knows of some studies and no image tells."""

    facts: Annotated[tuple[Fact, ...], Field(min_length=1)] = Field(
        description="What is so in these studies. A condition of a package is asserted by it, "
        "too; what else is there does what its check says, and is told in the report."
    )
    when: WhenSettings = Field(
        WhenSettings(), description="The studies, as in `when` of a model. Empty: all studies."
    )


class FitnessSettings(Section):
    """What is done with an exam that fails a check, where the site differs from the package."""

    refuse: tuple[CheckCode, ...] = Field(
        (), description="The exam is not evaluated by the model; the reason is told with the code."
    )
    warn: tuple[AdjustableCode, ...] = Field(
        (),
        description="The exam is evaluated, and the report warns. Less than the package states "
        "only where it says that a site may loosen it.",
    )
    ignore: tuple[AdjustableCode, ...] = Field(
        (), description="The exam is evaluated and nothing is said; where the package lets a site."
    )
    known: tuple[KnownSettings, ...] = Field(
        (), description="What the site knows of its studies that no header or image tells."
    )


def fitness_contradictions(settings: FitnessSettings) -> Iterator[str]:
    """A check that stands in two of the lists."""
    codes = [code for name in OUTCOMES for code in getattr(settings, name)]
    for code in dict.fromkeys(codes):
        if codes.count(code) > 1:
            yield f"fitness: found {code} {codes.count(code)} times; allowed: once, in one list"
