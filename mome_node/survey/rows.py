"""A survey as a program or a spreadsheet reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from mome_node.assembly.survey_verdict import Forecast
from mome_node.survey.report import SurveyedSeries, SurveyedStudy, counts, load_of

COLUMNS = (
    "StudyDate",
    "patient",
    "StudyInstanceUID",
    "forecast",
    "confidence",
    "reason",
    "SeriesNumber",
    "SeriesInstanceUID",
    "SeriesDescription",
    "Modality",
    "instances",
    "role",
    "phase",
    "role_confidence",
    "role_reason",
)
"""One row a series; those of a study repeat what is said of it."""

FORMULA_STARTS = ("=", "+", "-", "@")


@dataclass(frozen=True, slots=True)
class Survey:
    """What was asked, and what was found. Not ``complete``: the archive did not tell all."""

    peer: str
    since: date
    until: date
    studies: tuple[SurveyedStudy, ...]
    complete: bool

    @property
    def days(self) -> int:
        """How many days were asked for."""
        return (self.until - self.since).days + 1

    @property
    def listed(self) -> tuple[SurveyedStudy, ...]:
        """The studies that are listed, the newest first."""
        day = [s for s in self.studies if s.is_breast]
        return tuple(
            sorted(day, key=lambda s: (s.record.study_date or date.min, s.record.study_uid))[::-1]
        )

    @property
    def not_breast(self) -> list[tuple[str, int]]:
        """The reasons why studies are not listed, the most frequent first."""
        others = (s for s in self.studies if s.verdict.forecast is Forecast.NOT_BREAST)
        return Counter(s.verdict.reason for s in others).most_common()


def as_json(survey: Survey) -> dict[str, Any]:
    """The whole survey."""
    load = load_of(survey.studies, survey.days)
    return {
        "peer": survey.peer,
        "since": survey.since.isoformat(),
        "until": survey.until.isoformat(),
        "days": survey.days,
        "complete": survey.complete,
        "mr_studies": len(survey.studies),
        "forecasts": {f.value: n for f, n in counts(survey.studies).items()},
        "not_breast": dict(survey.not_breast),
        "load": {
            "studies_a_day": round(load.a_day, 2),
            "busiest_day": load.busiest_day.isoformat() if load.busiest_day else None,
            "studies_on_it": load.busiest,
            "images_a_study": load.images_a_study,
        },
        "studies": [_study_json(s) for s in survey.listed],
    }


def csv_rows(studies: Sequence[SurveyedStudy]) -> Iterator[tuple[str, ...]]:
    """One row a series, as COLUMNS; a study without series has one, too."""
    for study in studies:
        verdict = study.verdict
        of_study = (
            _day(study),
            study.patient,
            study.record.study_uid,
            verdict.forecast.value,
            verdict.confidence.value,
            verdict.reason,
        )
        for of_series in [_series_cells(s) for s in study.series] or [("",) * 9]:
            yield tuple(_no_formula(cell) for cell in (*of_study, *of_series))


def _series_cells(series: SurveyedSeries) -> tuple[str, ...]:
    record = series.record
    return (
        _number(record.number),
        record.series_uid,
        series.description,
        record.modality,
        _number(record.instance_count),
        series.role.value,
        _number(series.phase),
        "image" if series.from_image else series.confidence.value,
        series.reason,
    )


def _study_json(study: SurveyedStudy) -> dict[str, Any]:
    verdict = study.verdict
    return {
        "StudyInstanceUID": study.record.study_uid,
        "StudyDate": _day(study) or None,
        "patient": study.patient,
        "forecast": verdict.forecast.value,
        "confidence": verdict.confidence.value,
        "reason": verdict.reason,
        "missing": [role.value for role in verdict.missing],
        "sampled": study.is_sampled,
        "series": [_series_json(s) for s in study.series],
    }


def _series_json(series: SurveyedSeries) -> dict[str, Any]:
    record = series.record
    return {
        "SeriesInstanceUID": record.series_uid,
        "SeriesNumber": record.number,
        "SeriesDescription": series.description,
        "Modality": record.modality,
        "instances": record.instance_count,
        "role": series.role.value,
        "phase": series.phase,
        "confidence": "image" if series.from_image else series.confidence.value,
        "reason": series.reason,
    }


def _day(study: SurveyedStudy) -> str:
    return study.record.study_date.isoformat() if study.record.study_date else ""


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _no_formula(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: descriptions come from outside."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell
