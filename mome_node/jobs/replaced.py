"""What the report of an earlier revision said, for the one that takes its place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from mome_node.catalog.records import EventRecord, ResultRecord, StudyRecord
from mome_node.catalog.states import StudyState
from mome_node.catalog.withdrawals import REPORT_KIND
from mome_node.results.context import Replaced

_LARGEST: Final = 16 << 20


def replaced_by(
    study: StudyRecord,
    results: Sequence[ResultRecord],
    events: Sequence[EventRecord],
    findings_of: Mapping[int, Path],
) -> Replaced | None:
    """What the last report before this revision said; None if there was none.

    ``findings_of``: revision → its findings.json. Where that is gone, or was written by another
    version, the report is named without its scores.
    """
    earlier = [r for r in results if r.result.kind == REPORT_KIND and r.revision < study.revision]
    if not earlier:
        return None
    last = max(earlier, key=lambda r: r.revision)
    opened = [
        e.cause
        for e in events
        if e.target is StudyState.RECEIVING and last.revision < e.revision <= study.revision
    ]
    said = _findings(findings_of.get(last.revision))
    return Replaced(
        revision=last.revision,
        reported_at=_in_own_zone(last.result.created_at),
        cause=opened[-1] if opened else study.change.cause,
        scores=_scores(said),
        modalities_used=tuple(str(m) for m in said.get("modalities_used", ())),
    )


def _findings(path: Path | None) -> Mapping[str, Any]:
    try:
        if path is None or path.stat().st_size > _LARGEST:
            return {}
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _scores(said: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    try:
        return tuple((str(t["task"]), float(t["probability"])) for t in said.get("tasks", ()))
    except (KeyError, TypeError, ValueError):
        return ()


def _in_own_zone(at: datetime) -> datetime:
    return at.astimezone()
