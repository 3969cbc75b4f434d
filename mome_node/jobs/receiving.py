"""How long studies have been waiting, whatever was done to the machine's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mome_node.assembly.arrivals import Arrived
from mome_node.catalog.records import StudyRecord

SETTLED_S: Final = 5.0
"""Nothing is on its way any more, neither image nor notice, after so many seconds of silence."""

NEVER_S: Final = float("inf")


@dataclass(slots=True)
class _Watched:
    """One study, on the monotonic clock."""

    since: float
    inputs: int
    unchanged_since: float
    received_at: datetime
    untouched_since: float
    look_at: float | None = None
    seen: Arrived | None = None


class ReceivingStudies:
    """The studies that receive, watched by a clock that nobody sets.

    Only watched silence is silence: while the node was down nothing could come, and its senders
    try again once it is back.
    """

    def __init__(
        self, quiet_s: float, monotonic: Callable[[], float], hard_limit_s: float = NEVER_S
    ) -> None:
        self._quiet = timedelta(seconds=quiet_s)
        self._settled = timedelta(seconds=min(SETTLED_S, quiet_s))
        self._hard_limit_s = hard_limit_s
        self._monotonic = monotonic
        self._watched: dict[str, _Watched] = {}

    def watch(self, studies: Iterable[StudyRecord]) -> None:
        """Take note of all studies that receive now; forget all others."""
        now = self._monotonic()
        watched = {}
        for study in studies:
            seen = self._watched.get(study.study_uid)
            if seen is None or seen.inputs != study.input_count:
                since = now if seen is None else seen.since
                seen = _Watched(since, study.input_count, now, study.last_received_at, now)
            elif seen.received_at != study.last_received_at:
                seen.received_at, seen.untouched_since = study.last_received_at, now
            watched[study.study_uid] = seen
        self._watched = watched

    def is_due(self, study: StudyRecord, arrived: Arrived | None = None) -> bool:
        """Whether to look at a study now, ``arrived`` being what others say of it.

        That is when it falls quiet, or as soon as somebody vouches for it; again when what they
        say changes, and when it was to be looked at again. A study that never falls quiet is not
        complete, not even at its deadline: it is looked at past the hard limit.
        """
        watched = self._watched[study.study_uid]
        now = self._monotonic()
        vouched = arrived is not None and arrived.complete_by != ""
        over = self.is_quiet(study) or now - watched.since >= self._hard_limit_s
        if watched.look_at is None:
            return over or vouched
        changed = watched.seen is not None and arrived is not None and arrived != watched.seen
        return (over and now >= watched.look_at) or (changed and (self.is_quiet(study) or vouched))

    def looks_with(self, study: StudyRecord, arrived: Arrived) -> None:
        """The study is looked at, with others saying this of it."""
        self._watched[study.study_uid].seen = arrived

    def is_quiet(self, study: StudyRecord) -> bool:
        """No input has come for the quiet time."""
        return self.unchanged_for(study) >= self._quiet

    def is_settled(self, study: StudyRecord) -> bool:
        """Nothing at all has come for a moment, neither an image nor a notice."""
        watched = self._watched[study.study_uid]
        last = max(watched.unchanged_since, watched.untouched_since)
        return self._monotonic() - last >= self._settled.total_seconds()

    def unchanged_since(self, study: StudyRecord) -> float:
        """When the last input was seen to have come, on the monotonic clock."""
        return self._watched[study.study_uid].unchanged_since

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
