"""What can happen to a study's instances after they were assembled, and to each of them."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Change(IntEnum):
    """Why a study's next revision opens, the weightiest last: of several, that one is told."""

    NONE = 0
    LATE = 1
    EXPIRED = 2
    CORRECTED = 3
    REJECTED = 4
    ACCESSION = 5
    PATIENT = 6

    @property
    def cause(self) -> str:
        """In the words of the study's history."""
        return {
            Change.NONE: "looked at again",
            Change.LATE: "late instances",
            Change.EXPIRED: "instances expired at their sender",
            Change.CORRECTED: "instance corrected",
            Change.REJECTED: "instances rejected",
            Change.ACCESSION: "accession changed",
            Change.PATIENT: "patient changed",
        }[self]

    @property
    def withdraws(self) -> bool:
        """Results made before may say something that does not hold any more."""
        return self >= Change.CORRECTED

    @property
    def endangers(self) -> bool:
        """Results made before may be of the wrong patient, order or images."""
        return self >= Change.REJECTED


class Standing(StrEnum):
    """What becomes of an instance when its study is read."""

    READ = "read"
    HELD = "held"  # in quarantine: its study is not evaluated before this is resolved
    RELEASED = "released"  # a person said whose it is
    LEFT_OUT = "left out"  # a person released the study without it
    REJECTED = "rejected"  # by a note or a person: kept, never read
    EXPIRED = "expired"  # its sender keeps it no more: not read again, unless it comes again


OFFERED = (Standing.READ, Standing.HELD, Standing.RELEASED)
"""Assembly sees these."""


class HoldReason(StrEnum):
    """Why an instance is in quarantine."""

    PATIENT = "contradicts the study's patient"
    ACCESSION = "contradicts the Accession Number"
    UNREADABLE = "cannot be read"
    UNDECODABLE = "its pixel data cannot be decoded"

    @property
    def of_identity(self) -> bool:
        """A person has to say whose it is; otherwise the study may go on without it."""
        return self in (HoldReason.PATIENT, HoldReason.ACCESSION)
