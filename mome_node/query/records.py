"""What an archive's lists say, and the question that both ways of asking answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from mome_node.errors import QueryRefusedError

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_UID_LENGTH = 64


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """One study as an archive lists it; empty or None where it does not say.

    ``modalities`` empty: the archive does not tell them. What identifies patient and order is None
    where the archive does not tell it, empty where it tells that there is none; it stays out of the
    representation, which ends in logs and tracebacks.
    """

    study_uid: str
    study_date: date | None = None
    modalities: tuple[str, ...] = ()
    description: str = field(default="", repr=False)
    patient_id: str | None = field(default=None, repr=False)
    issuer_of_patient_id: str | None = field(default=None, repr=False)
    patient_name: str = field(default="", repr=False)
    series_count: int | None = None
    instance_count: int | None = None
    accession_number: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """One series as an archive lists it; empty or None where it does not say.

    ``instance_count`` is Number of Series Related Instances (0020,1209), an optional key.
    """

    study_uid: str
    series_uid: str
    modality: str = ""
    description: str = field(default="", repr=False)
    number: int | None = None
    body_part: str = ""
    manufacturer: str = ""
    model_name: str = ""
    instance_count: int | None = None
    study_description: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What is taken of one answer at most, and how long is waited for all of it.

    ``max_entries`` counts the studies of a day, the series of a study or the instances of one.
    """

    max_entries: int = 5_000
    max_bytes: int = 32 << 20
    total_s: float = 300.0


class ArchiveQuery(Protocol):
    """An archive that can be asked. Its methods raise QueryError."""

    def studies(self, modality: str = "MR", *, since: date, until: date) -> Iterator[StudyRecord]:
        """Each study of these days, both included, that has the modality; every study once.

        Asked day by day. What an archive sends beyond the question is left out; a study whose date
        or modalities it does not tell is kept.
        """
        ...

    def study(self, study_uid: str) -> StudyRecord | None:
        """One study, None where there is none such.

        Raises ContradictoryAnswerError where it is listed under several patients or orders.
        """
        ...

    def series_of_study(self, study_uid: str) -> tuple[SeriesRecord, ...]:
        """The series of one study, each once, in the order of the answer; () for no such study."""
        ...

    def instances_of_series(self, study_uid: str, series_uid: str) -> frozenset[str]:
        """SOP Instance UIDs of one series; empty for no such series."""
        ...

    def probe(self) -> str:
        """Ask for little, to see whether the archive answers; return how it did in words."""
        ...


def is_askable_uid(uid: str) -> bool:
    """Whether a UID may stand in a question: digits and dots, no wildcard, no path.

    Components with a leading zero are no UIDs by PS3.5 9.1, and in archives all the same.
    """
    return len(uid) <= _UID_LENGTH and _UID.fullmatch(uid) is not None


def askable_uid(uid: str, what: str) -> str:
    """Return ``uid``. Raises QueryRefusedError for one that may not stand in a question."""
    if not is_askable_uid(uid):
        raise QueryRefusedError(f"not asked: the {what} is no UID, digits and dots (PS3.5 9.1)")
    return uid
