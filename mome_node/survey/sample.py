"""A closer look: one image of each series, judged by the engine for files, and gone again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series import series_roles
from mome_node.assembly.series_table import Confidence
from mome_node.assembly.survey_verdict import Forecast
from mome_node.dicom.header import InstanceFacts
from mome_node.dicom.header_reading import read_facts
from mome_node.errors import HeaderError, QueryError
from mome_node.survey.report import SurveyedSeries, SurveyedStudy


class InstanceSource(Protocol):
    """Where single instances come from."""

    def one_of_series(self, study_uid: str, series_uid: str, into: Path) -> bool:
        """Write an instance of the series to a new file; False if there is none."""
        ...


def worth_a_look(studies: Sequence[SurveyedStudy], count: int) -> tuple[SurveyedStudy, ...]:
    """The ``count`` studies whose forecast is the least sure; the newest of equals first."""
    doubt = [Forecast.UNKNOWN, Forecast.MISSING, Forecast.EVALUATED, Forecast.TOO_OLD]
    sure = [Confidence.UNKNOWN, Confidence.LIKELY, Confidence.PLAIN]
    candidates = [s for s in studies if s.verdict.forecast in doubt and s.series]
    candidates.sort(key=lambda s: s.record.study_date.toordinal() if s.record.study_date else 0,
                    reverse=True)  # fmt: skip
    candidates.sort(
        key=lambda s: (doubt.index(s.verdict.forecast), sure.index(s.verdict.confidence))
    )
    return tuple(candidates[:count])


def looked_into(
    study: SurveyedStudy,
    source: InstanceSource,
    rules: AssemblyRules,
    folder: Path,
    told: Callable[[str], None],
) -> SurveyedStudy:
    """The study with the roles that one image of each MR series gives.

    Each file is deleted once its header has been read. A series whose image does not come, or is
    not to be read, keeps what the list says; ``told`` hears of it.
    """
    facts: dict[str, InstanceFacts] = {}
    for series in study.series:
        if series.record.modality not in ("MR", ""):
            continue
        try:
            found = _facts_of(study, series, source, folder / "instance.dcm")
        except (QueryError, HeaderError) as error:
            told(f"series {series.record.series_uid}: {error}")
            continue
        if found is not None:
            facts[series.record.series_uid] = found
    roles = {r.series_uid: r for r in series_roles(tuple(facts.values()), rules)}
    said = {text for f in facts.values() for text in (f.receive_coil, f.protocol_name)}
    return replace(
        study,
        images_say=tuple(sorted(said - {""})),
        series=tuple(
            replace(
                s,
                role=role.role,
                reason=role.reason,
                confidence=Confidence.PLAIN,
                from_image=True,
            )
            if (role := roles.get(s.record.series_uid)) is not None
            else s
            for s in study.series
        ),
    )


@contextmanager
def sampling_folder() -> Iterator[Path]:
    """A folder that its owner alone can read, and that is gone after the block."""
    with TemporaryDirectory(prefix="mome-survey-") as folder:
        yield Path(folder)


def _facts_of(
    study: SurveyedStudy, series: SurveyedSeries, source: InstanceSource, path: Path
) -> InstanceFacts | None:
    record = series.record
    try:
        if not source.one_of_series(record.study_uid, record.series_uid, path):
            return None
        facts = read_facts(path)
    finally:
        path.unlink(missing_ok=True)
    if (facts.study_uid, facts.series_uid) != (study.record.study_uid, record.series_uid):
        raise HeaderError("the archive sent an instance of another series")
    return facts
