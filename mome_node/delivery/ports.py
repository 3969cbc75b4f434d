"""A destination as the outbox uses it: what it can be sent, asked, and told to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mome_node.delivery.destination import Sender
from mome_node.dicom.commitment import CommitmentAnswer, ReferencedInstance


@dataclass(frozen=True, slots=True)
class StudyThere:
    """A study as a destination lists it; None for what its answer does not hold."""

    patient_id: str | None
    issuer_of_patient_id: str | None
    accession_number: str | None


class DestinationArchive(Protocol):
    """What a destination has, as it or the archive that stands for it says; DeliveryError."""

    def study(self, study_uid: str) -> StudyThere | None:
        """Return the study, None if it is not there."""
        ...

    def instances(self, study_uid: str, series_uid: str) -> frozenset[str]:
        """Return the SOP Instance UIDs of a series; none if it is not there."""
        ...


class CommitmentScu(Protocol):
    """Asks a destination to take responsibility for instances (PS3.4 annex J)."""

    def ask(
        self, transaction_uid: str, named: Sequence[ReferencedInstance]
    ) -> CommitmentAnswer | None:
        """Send the request (N-ACTION); the report if it came on the same association.

        None if it will come on another. PermanentDeliveryError if the peer takes no such requests,
        TransientDeliveryError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Port:
    """One destination as the outbox uses it.

    ``archive``: None where it cannot be asked; identity is not checked then. ``commitment``: None
    where it is not asked for.
    """

    sender: Sender
    archive: DestinationArchive | None
    commitment: CommitmentScu | None
