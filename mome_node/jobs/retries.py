"""When a failed evaluation is begun again: a pure decision on the study's events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mome_node.catalog.records import EventRecord
from mome_node.catalog.states import StudyState

TRIED_AGAIN = "tried again by policy"
"""The cause of an automatic retry. Every other step from failed begins the count anew."""

_EVALUATING = (StudyState.INFERRING, StudyState.REPORTING)


@dataclass(frozen=True, slots=True)
class EvaluationRetries:
    """Seconds before each automatic retry; after the last one a person decides.

    The first is for a process that was killed, the second for a machine that was short of
    memory or room for a while.
    """

    delays_s: tuple[float, ...] = (30.0, 300.0)

    def due_at(self, events: Sequence[EventRecord], revision: int) -> datetime | None:
        """When a failed study is queued again; None where that waits for a person.

        ``events`` is the study's history, the oldest first. Only evaluations are retried: what a
        destination refused for good is not mended by another evaluation.
        """
        last = events[-1]
        if last.target is not StudyState.FAILED or last.source not in _EVALUATING:
            return None
        failures = _failures(events, revision)
        if failures > len(self.delays_s):
            return None
        return last.at + timedelta(seconds=self.delays_s[failures - 1])

    def is_due(self, events: Sequence[EventRecord], revision: int, now: datetime) -> bool:
        """Whether to queue the study again now."""
        due_at = self.due_at(events, revision)
        # A failure in the future was recorded by a clock that has been set back since.
        return due_at is not None and (now >= due_at or now < events[-1].at)


def times_begun(events: Sequence[EventRecord], revision: int) -> int:
    """How often the evaluation of this revision was begun."""
    return sum(e.revision == revision and e.target is StudyState.INFERRING for e in events)


def _failures(events: Sequence[EventRecord], revision: int) -> int:
    """Failed evaluations of this revision since a person last began it anew."""
    failures = 0
    for event in events:
        if event.revision != revision:
            continue
        if event.source is StudyState.FAILED and event.cause != TRIED_AGAIN:
            failures = 0
        elif event.target is StudyState.FAILED and event.source in _EVALUATING:
            failures += 1
    return failures
