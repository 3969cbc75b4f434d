"""What the PACS and availability notices say of a receiving study, against what is here."""

from __future__ import annotations

from dataclasses import dataclass

from mome_node.assembly.arrivals import (
    Arrived,
    Notices,
    PacsCounts,
    SeriesHere,
    SeriesNamed,
    weigh,
)
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import StudyRecord
from mome_node.jobs.archive_counts import ArchiveCounts
from mome_node.jobs.receiving import ReceivingStudies

NOBODY_KNOWS = Arrived()


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Who may vouch for a study; ``archive`` is None where no PACS is asked."""

    catalog: Catalog
    archive: ArchiveCounts | None = None

    def arrived(
        self, study: StudyRecord, receiving: ReceivingStudies, *, is_noticed: bool
    ) -> Arrived:
        """What they say of a watched study now. Counts only, no header is read.

        ``is_noticed``: notices name something of it.
        """
        pacs = self._counts(study, receiving)
        still_comes = not (receiving.is_settled(study) or receiving.is_quiet(study))
        if still_comes and not (pacs and pacs.confirmed):
            return NOBODY_KNOWS  # nobody can vouch yet, and nothing is decided on silence
        notices = self._notices(study) if is_noticed else None
        if pacs is None and notices is None:
            return NOBODY_KNOWS
        here = {
            uid: SeriesHere(count.instances, count.inputs)
            for uid, count in self.catalog.counts_by_series(study.study_uid).items()
        }
        return weigh(here, pacs, notices, settled=receiving.is_settled(study))

    def _counts(self, study: StudyRecord, receiving: ReceivingStudies) -> PacsCounts | None:
        told = self.archive.told(study.study_uid) if self.archive else None
        if told is None:
            return None
        after_last = told.asked_at >= receiving.unchanged_since(study)
        return PacsCounts(told.by_series, told.repeated and after_last)

    def _notices(self, study: StudyRecord) -> Notices | None:
        named = self.catalog.notices.named(study.study_uid)
        if not named:
            return None
        return Notices(
            {uid: SeriesNamed(count.named, count.here) for uid, count in named.items()},
            self.catalog.notices.unnamed_inputs(study.study_uid),
        )
