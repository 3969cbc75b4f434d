"""The survey itself: ask for studies, then for the series of each, and judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series_table import (
    AttributedRole,
    SeriesAttributes,
    roles_from_attributes,
)
from mome_node.assembly.survey_verdict import Forecast, SurveyVerdict, judge_lists
from mome_node.errors import ArchiveUnavailableError, QueryError
from mome_node.query.records import ArchiveQuery, SeriesRecord, StudyRecord
from mome_node.survey.pseudonyms import Named
from mome_node.survey.report import SurveyedSeries, SurveyedStudy

MODALITY = "MR"
PAUSES_S = (2.0, 10.0)
"""How long an archive that did not answer is left alone before it is asked again."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Judges the studies of an archive. ``named`` says how a patient is shown."""

    query: ArchiveQuery
    rules: AssemblyRules
    named: Named
    today: date
    sleep: Callable[[float], None]

    def studies(self, days: Iterable[date]) -> Iterator[StudyRecord]:
        """The MR studies of these days, each once. Raises QueryError."""
        seen: set[str] = set()
        for day in days:
            for study in self._of_day(day):
                if study.study_uid not in seen:
                    seen.add(study.study_uid)
                    yield study

    def judge(self, study: StudyRecord) -> SurveyedStudy | None:
        """The study with its series and forecast; None if it has no MR series after all."""
        try:
            series = self._asked(lambda: self.query.series_of_study(study.study_uid))
        except QueryError as error:
            verdict = SurveyVerdict(Forecast.UNANSWERED, str(error))
            return SurveyedStudy(study, self.named(study), (), verdict)
        if series and not any(s.modality in (MODALITY, "") for s in series):
            return None
        attributes = [_attributes(study, s) for s in series]
        roles = roles_from_attributes(attributes, self.rules)
        rows = tuple(
            SurveyedSeries(s, r.role, r.phase, r.reason, r.confidence)
            for s, r in zip(series, roles, strict=True)
        )
        return self.judged(SurveyedStudy(study, self.named(study), rows, _NOT_YET))

    def judged(self, study: SurveyedStudy) -> SurveyedStudy:
        """The same study with the forecast that its series' roles now give."""
        if not study.series:
            verdict = SurveyVerdict(Forecast.UNKNOWN, "the archive lists no series of it")
            return replace(study, verdict=verdict)
        attributes = [_attributes(study.record, s.record) for s in study.series]
        roles = [AttributedRole(s.role, s.phase, s.reason, s.confidence) for s in study.series]
        day = study.record.study_date
        verdict = judge_lists(
            attributes,
            roles,
            self.rules,
            study_date=day,
            today=self.today,
            images_say=study.images_say,
        )
        return replace(study, verdict=verdict)

    def _of_day(self, day: date) -> tuple[StudyRecord, ...]:
        return self._asked(lambda: tuple(self.query.studies(MODALITY, since=day, until=day)))

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        """Ask, and ask again after a pause where the archive is away or busy."""
        for pause_s in PAUSES_S:
            try:
                return question()
            except ArchiveUnavailableError:
                self.sleep(pause_s)
        return question()


_NOT_YET = SurveyVerdict(Forecast.UNKNOWN, "")


def _attributes(study: StudyRecord, series: SeriesRecord) -> SeriesAttributes:
    return SeriesAttributes(
        study_uid=study.study_uid,
        series_uid=series.series_uid,
        study_description=study.description or series.study_description,
        series_description=series.description,
        series_number=series.number,
        manufacturer=series.manufacturer,
        model_name=series.model_name,
        body_part=series.body_part,
        instance_count=series.instance_count,
        modality=series.modality or MODALITY,
    )
