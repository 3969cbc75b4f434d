"""How long studies have been waiting, whatever was done to the machine's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from mome_node.catalog.records import StudyRecord


@dataclass(slots=True)
class _Watched:
    """One study, on the monotonic clock."""

    since: float
    inputs: int
    unchanged_since: float
    look_at: float | None = None


class ReceivingStudies:
    """The studies that receive, watched by a clock that nobody sets.

    Only watched silence is silence: while the node was down nothing could come, and its senders
    try again once it is back.
    """

    def __init__(self, quiet_s: float, monotonic: Callable[[], float]) -> None:
        self._quiet = timedelta(seconds=quiet_s)
        self._monotonic = monotonic
        self._watched: dict[str, _Watched] = {}

    def watch(self, studies: Iterable[StudyRecord]) -> None:
        """Take note of all studies that receive now; forget all others."""
        now = self._monotonic()
        watched = {}
        for study in studies:
            seen = self._watched.get(study.study_uid) or _Watched(now, study.input_count, now)
            if seen.inputs != study.input_count:
                seen = _Watched(seen.since, study.input_count, now)
            watched[study.study_uid] = seen
        self._watched = watched

    def is_due(self, study: StudyRecord) -> bool:
        """Quiet, and either not looked at since it fell quiet, or to be looked at again.

        A study that never falls quiet is not complete, not even at its deadline.
        """
        if self.unchanged_for(study) < self._quiet:
            return False
        look_at = self._watched[study.study_uid].look_at
        return look_at is None or self._monotonic() >= look_at

    def look_again_in(self, study: StudyRecord, delay: timedelta) -> None:
        """Look at the study after this time, or as soon as it is quiet after further input."""
        self._watched[study.study_uid].look_at = self._monotonic() + delay.total_seconds()

    def forget(self, study: StudyRecord) -> None:
        """The study went on."""
        self._watched.pop(study.study_uid, None)

    def seen_for(self, study: StudyRecord) -> timedelta:
        """How long the study has been receiving here."""
        return timedelta(seconds=self._monotonic() - self._watched[study.study_uid].since)

    def unchanged_for(self, study: StudyRecord) -> timedelta:
        """How long no input of it has come here."""
        unchanged_since = self._watched[study.study_uid].unchanged_since
        return timedelta(seconds=self._monotonic() - unchanged_since)
