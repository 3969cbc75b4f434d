"""An archive in memory, which answers as the real ones do: for tests of what asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from mome_node.errors import ArchiveUnavailableError
from mome_node.query.answers import is_asked_for
from mome_node.query.records import SeriesRecord, StudyRecord, askable_uid


class MemoryArchive:
    """See ArchiveQuery. ``away`` makes every question fail; ``asked`` counts them."""

    def __init__(
        self, studies: Sequence[StudyRecord] = (), series: Sequence[SeriesRecord] = ()
    ) -> None:
        self.held_studies = list(studies)
        self.held_series = list(series)
        self.held_instances: dict[tuple[str, str], set[str]] = {}  # (study, series) -> SOP UIDs
        self.away = False
        self.asked = 0

    def studies(self, modality: str = "MR", *, since: date, until: date) -> Iterator[StudyRecord]:
        """See ArchiveQuery."""
        self._ask()
        yield from (s for s in self.held_studies if is_asked_for(s, modality, since, until))

    def study(self, study_uid: str) -> StudyRecord | None:
        """See ArchiveQuery."""
        askable_uid(study_uid, "Study Instance UID")
        self._ask()
        return next((s for s in self.held_studies if s.study_uid == study_uid), None)

    def series_of_study(self, study_uid: str) -> tuple[SeriesRecord, ...]:
        """See ArchiveQuery."""
        askable_uid(study_uid, "Study Instance UID")
        self._ask()
        return tuple(s for s in self.held_series if s.study_uid == study_uid)

    def instances_of_series(self, study_uid: str, series_uid: str) -> frozenset[str]:
        """See ArchiveQuery."""
        askable_uid(study_uid, "Study Instance UID")
        askable_uid(series_uid, "Series Instance UID")
        self._ask()
        return frozenset(self.held_instances.get((study_uid, series_uid), ()))

    def probe(self) -> str:
        """See ArchiveQuery."""
        self._ask()
        return "answered"

    def _ask(self) -> None:
        self.asked += 1
        if self.away:
            raise ArchiveUnavailableError("away")
