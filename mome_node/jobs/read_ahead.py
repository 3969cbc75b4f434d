"""Headers read before their study is looked at, and studies that hope for an evaluation first.

A study falls silent some time before it counts as quiet. Its headers are read then, so that the
look at its end finds them known. What an archive is emptied into the node, old studies and other
body parts, waits behind studies whose first header tells of nothing that forbids an evaluation.
The order of the looks is all that this decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from mome_node.assembly.plan import Verdict
from mome_node.assembly.study import plan_study
from mome_node.catalog.records import StudyRecord
from mome_node.dicom.header import InstanceFacts
from mome_node.errors import HeaderError
from mome_node.jobs.reading import SourceInstance
from mome_node.jobs.stages import Stages

READ_AHEAD_S: Final = 0.25
"""Time that one turn of assembly reads ahead: half of it, so that receiving keeps its share."""

SILENT_SHARE: Final = 0.25
"""Part of the quiet time after which a study's headers are read."""


@dataclass(slots=True)
class _Begun:
    """A study that fell silent; ``read`` of its instances have been read once."""

    is_hopeful: bool = True
    read: int = 0


class ReadAhead:
    """What was read of the studies that receive. Use it from the turn of assembly only."""

    def __init__(self, stages: Stages, monotonic: Callable[[], float]) -> None:
        self._stages = stages
        self._monotonic = monotonic
        self._silent_after = timedelta(seconds=stages.policy.quiet_s * SILENT_SHARE)
        self._begun: dict[str, _Begun] = {}

    def in_order(self, waiting: Sequence[StudyRecord]) -> list[StudyRecord]:
        """The studies that may hope for an evaluation, then the others; else as they came."""
        return sorted(waiting, key=lambda study: not self._is_hopeful(study))

    def read(
        self, waiting: Sequence[StudyRecord], silent_for: Callable[[StudyRecord], timedelta]
    ) -> None:
        """Read headers of silent studies, for a moment; a study's first one before all others."""
        self._begun = {s.study_uid: b for s in waiting if (b := self._begun.get(s.study_uid))}
        until = self._monotonic() + READ_AHEAD_S
        silent = [s for s in waiting if silent_for(s) >= self._silent_after]
        for study in silent:
            if self._monotonic() >= until:
                return
            if study.study_uid not in self._begun:
                # Set first: a study whose header breaks its reader is not tried at every turn.
                begun = self._begun[study.study_uid] = _Begun()
                begun.is_hopeful = self._may_be_evaluable(study)
        for study in silent:
            begun = self._begun[study.study_uid]
            if begun.is_hopeful and begun.read < study.input_count:
                self._read_on(study, begun, until)

    def _read_on(self, study: StudyRecord, begun: _Begun, until: float) -> None:
        """Read on where the last turn ended.

        Nothing is read twice here, though it be forgotten again: studies that are together larger
        than the memory would be read for ever.
        """
        if self._monotonic() >= until:
            return
        sources = self._stages.sources(study.study_uid)
        for source in sources[begun.read :]:
            # Counted first, for the same reason as above.
            begun.read += 1
            self._facts_of(source)
            if self._monotonic() >= until:
                return
        # Superseded instances count as inputs and are no sources.
        begun.read = study.input_count

    def _may_be_evaluable(self, study: StudyRecord) -> bool:
        """Whether the first header says nothing that forbids an evaluation: age, body part."""
        first = [self._facts_of(s) for s in self._stages.sources(study.study_uid)[:1]]
        facts = [f for f in first if f is not None]
        plan = plan_study(facts, self._stages.policy.rules, now=self._stages.clock())
        return plan.verdict is not Verdict.NOT_EVALUABLE

    def _facts_of(self, source: SourceInstance) -> InstanceFacts | None:
        """What is known of an instance; None where the look at its study will tell the fault."""
        with suppress(HeaderError):
            return self._stages.headers.facts_of(source)
        return None

    def _is_hopeful(self, study: StudyRecord) -> bool:
        begun = self._begun.get(study.study_uid)
        return begun is None or begun.is_hopeful
