"""How many images of each series the PACS has, asked now and then while a study receives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from mome_node.catalog.records import StudyRecord
from mome_node.errors import NodeError

log = structlog.get_logger(__name__)

ASKED_IN_A_TURN: Final = 4
"""Studies asked for in one turn at most: a PACS that answers slowly holds up no stop."""

MODALITY: Final = "MR"
"""What is forwarded to us. Reports and presentation states of a study are not waited for."""


class SeriesCounts(Protocol):
    """Somebody who knows how many instances the series of a study have: the PACS."""

    def counts(self, study_uid: str) -> Mapping[str, int] | None:
        """Return instances by Series Instance UID; None: cannot tell now.

        Only series that are meant to come here.
        """
        ...


class CountedSeries(Protocol):
    """One series as a query tells of it."""

    @property
    def series_uid(self) -> str:
        """Series Instance UID."""
        ...

    @property
    def modality(self) -> str:
        """Modality (0008,0060)."""
        ...

    @property
    def instance_count(self) -> int | None:
        """Number of Series Related Instances (0020,1209), if it was told."""
        ...


@dataclass(frozen=True, slots=True)
class QueriedCounts:
    """SeriesCounts from a query for the series of a study (C-FIND or QIDO-RS)."""

    series_of_study: Callable[[str], Iterable[CountedSeries]]

    def counts(self, study_uid: str) -> Mapping[str, int] | None:
        """See SeriesCounts. A PACS that leaves one count out cannot vouch for the study."""
        found = [s for s in self.series_of_study(study_uid) if s.modality == MODALITY]
        counts = {s.series_uid: s.instance_count for s in found}
        known = {uid: count for uid, count in counts.items() if count is not None}
        return known if len(known) == len(counts) else None


@dataclass(frozen=True, slots=True)
class ToldCounts:
    """The last answer for a study.

    ``asked_at`` is the monotonic time when it was asked for; ``repeated``: the answer before,
    asked for at least one interval earlier, was the same.
    """

    by_series: Mapping[str, int]
    asked_at: float
    repeated: bool


class ArchiveCounts:
    """Asks for the counts of receiving studies, each at most every so many seconds.

    One thread asks, others read: a PACS that answers late delays no other work.
    """

    def __init__(
        self, source: SeriesCounts, every_s: float, monotonic: Callable[[], float]
    ) -> None:
        self._source = source
        self._every_s = every_s
        self._monotonic = monotonic
        self._told: dict[str, ToldCounts] = {}
        self._asked_at: dict[str, float] = {}

    def ask(self, studies: Iterable[StudyRecord]) -> None:
        """Ask for those receiving studies whose turn it is; forget all that are not among them."""
        receiving = {study.study_uid for study in studies}
        self._asked_at = {uid: at for uid, at in self._asked_at.items() if uid in receiving}
        self._told = {uid: told for uid, told in self._told.items() if uid in receiving}
        latest = self._monotonic() - self._every_s
        due = [uid for uid in receiving if self._asked_at.get(uid, latest) <= latest]
        due.sort(key=lambda uid: (self._asked_at.get(uid, float("-inf")), uid))
        for study_uid in due[:ASKED_IN_A_TURN]:
            self._ask(study_uid)

    def told(self, study_uid: str) -> ToldCounts | None:
        """Return the last answer; None if there was none yet."""
        return self._told.get(study_uid)

    def _ask(self, study_uid: str) -> None:
        began = self._monotonic()
        self._asked_at[study_uid] = began
        try:
            counts = self._source.counts(study_uid)
        except NodeError as error:
            # The quiet time decides then, as it does without a PACS to ask.
            log.warning("the PACS told no counts", study=study_uid, cause=str(error))
            return
        if counts is None:
            return
        before = self._told.get(study_uid)
        repeated = before is not None and before.by_series == counts
        self._told[study_uid] = ToldCounts(dict(counts), began, repeated)
