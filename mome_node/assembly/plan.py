"""What assembly decides: the role of each series and the plan of what the model will read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mome_node.dicom.header import FrameRef
from mome_node.dicom.reason_codes import Reason, with_codes


class Role(StrEnum):
    """What a series is in a breast MRI study."""

    DCE = "dce"
    T2 = "t2"
    DWI = "dwi"
    ADC = "adc"
    T1 = "t1"
    SUBTRACTION = "subtraction"
    LOCALIZER = "localizer"
    DERIVED = "derived"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Stack:
    """The planes of one volume in slice order, and what it is within its series.

    ``phase`` is 0 for the pre-contrast phase, 1, 2, ... for the posts; ``time_s`` seconds after
    the pre-contrast phase; ``b_value`` in s/mm². None where it does not apply or is not known.
    """

    series_uid: str
    frames: tuple[FrameRef, ...]
    phase: int | None = None
    b_value: float | None = None
    time_s: float | None = None


@dataclass(frozen=True, slots=True)
class SeriesRole:
    """The role of one series, why, the volumes that it holds and what is wrong with it."""

    series_uid: str
    series_number: int | None
    description: str
    role: Role
    reason: str
    stacks: tuple[Stack, ...] = ()
    problems: tuple[str, ...] = ()


class Verdict(StrEnum):
    """What is to be done with a study as it stands."""

    EVALUABLE = "evaluable"  # every required role is there and sound
    INCOMPLETE = "incomplete"  # something required is missing or still growing: wait
    NOT_EVALUABLE = "not evaluable"  # waiting will not help: too old, no breast MRI
    QUARANTINED = "quarantined"  # contradicting patient identity, unreadable instances


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """One study as assembly sees it.

    ``reasons`` says in words why the verdict is what it is; ``reason_codes`` has the code of each,
    in the same order, where the study is incomplete or not evaluable. ``dce`` is in time order, the
    pre-contrast phase first. ``inputs`` names every instance that the plan reads.
    """

    study_uid: str
    verdict: Verdict
    reasons: tuple[str, ...]
    series: tuple[SeriesRole, ...] = ()
    dce: tuple[Stack, ...] = ()
    dwi: Stack | None = None
    t2: Stack | None = None
    warnings: tuple[str, ...] = ()
    synthetic: bool = False
    reason_codes: tuple[str, ...] = ()

    @property
    def coded_reasons(self) -> tuple[Reason, ...]:
        """The reasons with their codes."""
        return with_codes(self.reasons, self.reason_codes)

    @property
    def inputs(self) -> frozenset[str]:
        """SOP Instance UIDs of all instances that the model will read."""
        stacks = [*self.dce, *(s for s in (self.dwi, self.t2) if s is not None)]
        return frozenset(f.sop_instance_uid for s in stacks for f in s.frames)
