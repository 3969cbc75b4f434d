"""One destination as the outbox uses it: what it is sent, what it has, what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mome_node.delivery.destination import Sender
from mome_node.dicom.commitment import CommitmentAnswer as CommitmentAnswer
from mome_node.dicom.commitment import ReferencedInstance


@dataclass(frozen=True, slots=True)
class StudyThere:
    """A study as a destination lists it; None for what its answer does not hold.

    What identifies the patient stays out of the representation, which ends in logs.
    """

    patient_id: str | None = field(repr=False)
    issuer_of_patient_id: str | None = field(repr=False)
    accession_number: str | None = field(repr=False)


class DestinationArchive(Protocol):
    """What a destination has, as it or the archive for it says. Raises DeliveryError."""

    def study(self, study_uid: str) -> StudyThere | None:
        """Return a study, None if there is no such study."""
        ...

    def instances(self, study_uid: str, series_uid: str) -> frozenset[str]:
        """Return the SOP Instance UIDs of a series; none if there is no such series."""
        ...


class CommitmentScu(Protocol):
    """Asks a destination to take responsibility for instances (PS3.4 annex J)."""

    def ask(
        self, transaction_uid: str, named: Sequence[ReferencedInstance]
    ) -> CommitmentAnswer | None:
        """Send the request (N-ACTION).

        Return the report if it came on the same association, None if it will come on another.
        Raises PermanentDeliveryError if the peer takes no such requests, TransientDeliveryError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Port:
    """One destination as the outbox uses it.

    Without ``archive`` it cannot be asked what it has: identity is not checked. Without
    ``commitment`` it is not asked for that.
    """

    sender: Sender
    archive: DestinationArchive | None = None
    commitment: CommitmentScu | None = None
