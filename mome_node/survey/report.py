"""What a survey found: studies with their forecasts, and what it says of the load to expect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from mome_node.assembly.plan import Role
from mome_node.assembly.series_table import Confidence
from mome_node.assembly.survey_verdict import Forecast, SurveyVerdict
from mome_node.query.records import SeriesRecord, StudyRecord

MAX_DESCRIPTION = 64
"""Characters of a description that are shown: an LO value has no more (PS3.5 6.2)."""

WHEN_NEW = frozenset({Forecast.EVALUATED, Forecast.TOO_OLD})
"""Forecasts of studies that are evaluated if they come on the day they are made."""


@dataclass(frozen=True, slots=True)
class SurveyedSeries:
    """One series with its role. ``from_image``: an image of it was looked into."""

    record: SeriesRecord
    role: Role
    phase: int | None
    reason: str
    confidence: Confidence
    from_image: bool = False

    @property
    def description(self) -> str:
        """Series Description (0008,103E), cut, without what is not printable."""
        return shown(self.record.description)


@dataclass(frozen=True, slots=True)
class SurveyedStudy:
    """One study with its series and its forecast; ``patient`` as it may be shown.

    ``images_say``: names of coils and protocols, where images were looked into; never shown.
    """

    record: StudyRecord
    patient: str
    series: tuple[SurveyedSeries, ...]
    verdict: SurveyVerdict
    images_say: tuple[str, ...] = field(default=(), repr=False)

    @property
    def is_breast(self) -> bool:
        """Whether it is listed: all that are not known to be of another part of the body."""
        return self.verdict.forecast is not Forecast.NOT_BREAST

    @property
    def is_sampled(self) -> bool:
        """Whether images of it were looked into."""
        return any(s.from_image for s in self.series)


@dataclass(frozen=True, slots=True)
class Load:
    """Studies a day that would be evaluated when they are new; ``busiest`` is the fullest day."""

    a_day: float
    busiest: int
    busiest_day: date | None
    images_a_study: int | None


def counts(studies: Iterable[SurveyedStudy]) -> dict[Forecast, int]:
    """How many studies have each forecast, in the order of the forecasts; those without, 0."""
    found = Counter(study.verdict.forecast for study in studies)
    return {forecast: found[forecast] for forecast in Forecast}


def load_of(studies: Iterable[SurveyedStudy], days: int) -> Load:
    """The load that these studies, of ``days`` days, let expect."""
    new = [s for s in studies if s.verdict.forecast in WHEN_NEW]
    by_day = Counter(s.record.study_date for s in new if s.record.study_date is not None)
    day, most = max(by_day.items(), key=lambda item: (item[1], item[0]), default=(None, 0))
    images = sorted(filter(None, map(_images, new)))
    return Load(
        a_day=len(new) / days,
        busiest=most,
        busiest_day=day,
        images_a_study=images[len(images) // 2] if images else None,
    )


def shown(text: str) -> str:
    """Free text as a report may hold it."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:MAX_DESCRIPTION]


def _images(study: SurveyedStudy) -> int | None:
    listed = [s.record.instance_count for s in study.series]
    known = [count for count in listed if count is not None]
    return sum(known) if known and len(known) == len(listed) else study.record.instance_count
