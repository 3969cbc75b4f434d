"""What the catalogue takes and gives: frozen values, no rows of a session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mome_node.catalog.changes import Change, Standing
from mome_node.catalog.states import StudyState, reopens


class Receipt(StrEnum):
    """What the arrival of an instance was."""

    NEW = "new"
    DUPLICATE = "duplicate"  # the same bytes again: one copy is kept
    CHANGED = "changed"  # the same SOP Instance UID with other bytes: both are kept


class DeliveryState(StrEnum):
    """Where one result stands on its way to one destination."""

    HELD = "held"  # kept in the node until a person lets it go: shadow mode
    PENDING = "pending"
    SENT = "sent"  # the peer has accepted it and is asked whether it keeps it
    COMMITTED = "committed"  # the peer has confirmed it by storage commitment
    FOUND = "found there"  # the peer lists it
    ACCEPTED = "accepted only"  # the peer has accepted it, and cannot be asked
    BLOCKED = "blocked"  # the study is gone there, or another patient's: waits for a person
    FAILED = "failed"  # waits for a person
    WITHDRAWN = "withdrawn"  # superseded before it was sent

    @property
    def is_there(self) -> bool:
        """All that can be done to know that the peer has it is done."""
        return self in (DeliveryState.COMMITTED, DeliveryState.FOUND, DeliveryState.ACCEPTED)

    @property
    def needs_a_person(self) -> bool:
        """Nothing more happens by itself, and the peer does not have it."""
        return self in (DeliveryState.BLOCKED, DeliveryState.FAILED)

    @property
    def is_on_its_way(self) -> bool:
        """More happens by itself."""
        return self in (DeliveryState.PENDING, DeliveryState.SENT)


class Superseded(StrEnum):
    """Why a result does not stand any more."""

    REPLACED = "replaced"  # a later revision says more, or better
    WITHDRAWN = "withdrawn"  # of the wrong patient or images, or taken back by a person


class Availability(StrEnum):
    """Instance Availability (0008,0056), PS3.3 C.4.23.1.1; the least available last."""

    ONLINE = "ONLINE"
    NEARLINE = "NEARLINE"  # on slow media, comes when it is asked for
    OFFLINE = "OFFLINE"  # needs a person
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class NamedInstance:
    """An instance that an availability notice names (PS3.4 R.3.2.1.1)."""

    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    availability: Availability


@dataclass(frozen=True, slots=True)
class NamedCounts:
    """Inputs of a series that notices name as available, and how many of them are here."""

    named: int
    here: int


@dataclass(frozen=True, slots=True)
class SeriesCount:
    """Current instances of a series, and those of them that a role may use."""

    instances: int
    inputs: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A stored instance that is to be recorded. ``received_at`` is aware UTC."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    key: str  # in the instance store
    sha256: str
    size: int  # bytes of the data set
    calling_ae: str
    received_at: datetime
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    accession_number: str = ""
    patient_mark: str = ""  # dicom.patient.patient_mark
    may_reject: bool = False  # the sender's rejection notes are applied


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """An instance that the node has. ``superseded_at``: when other bytes came for its UID.

    ``as_patient_of``: the SOP Instance UID whose patient and accession a person gave to it.
    """

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    key: str
    sha256: str
    size: int
    calling_ae: str
    received_at: datetime
    role_using: bool
    superseded_at: datetime | None
    accession_number: str = ""
    patient_mark: str = ""
    standing: Standing = Standing.READ
    standing_reason: str = ""
    as_patient_of: str = ""

    @property
    def is_current(self) -> bool:
        """No other bytes have come for this SOP Instance UID since."""
        return self.superseded_at is None


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study as the catalogue has it.

    ``input_count`` counts the arrivals of instances that a role may use, ``assembled_inputs`` is
    its value when the study last left receiving. ``inputs_digest`` is that of the last evaluated
    revision. ``change`` is the weightiest of what came since the study was assembled,
    ``revision_change`` of what came since its last results.
    """

    study_uid: str
    patient_id: str
    issuer_of_patient_id: str
    state: StudyState
    revision: int
    first_received_at: datetime
    last_received_at: datetime
    last_input_at: datetime | None
    input_count: int
    assembled_at: datetime | None
    assembled_inputs: int
    inputs_digest: str
    reason: str
    change: Change = Change.NONE
    revision_change: Change = Change.NONE
    issue: int = 0  # how often results of this study were withdrawn

    @property
    def has_late_input(self) -> bool:
        """Input has come since the study was assembled, and its state lets it reopen."""
        is_late = self.input_count > self.assembled_inputs
        return is_late and reopens(self.state, withdraws=self.change.withdraws)

    @property
    def changed_since_results(self) -> Change:
        """The weightiest of all that came since the study's last results."""
        return max(self.change, self.revision_change)


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One line of a study's history. ``source`` is None for its first."""

    study_uid: str
    revision: int
    source: StudyState | None
    target: StudyState
    cause: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ActRecord:
    """One thing that was done to a study's instances: by a note, a person or the node."""

    study_uid: str
    revision: int
    cause: str
    at: datetime


@dataclass(frozen=True, slots=True)
class NoteRecord:
    """A Key Object Selection Document that has not been read yet."""

    note_id: int
    study_uid: str
    sop_instance_uid: str
    key: str
    calling_ae: str
    authorised: bool


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A result object that this node made. ``key``: in the store.

    ``kind``: "sr", "seg", ... or "rejection"; ``profile``: the digest of the profile that it was
    made in.
    """

    sop_instance_uid: str
    sop_class_uid: str
    kind: str
    key: str
    sha256: str
    created_at: datetime
    profile: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """Where the objects of one profile go.

    ``is_held``: their deliveries wait until a person lets them go.
    """

    destination: str
    profile: str
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class RejectionRow:
    """A rejection note, the results that it takes back (SOP Instance UIDs), and who is told."""

    note: ResultRow
    rejected: frozenset[str]
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """A result object with the study and the revision that it belongs to.

    ``superseded_at``: when it was found that what it says does not hold any more, or a later
    revision's results took its place. ``rejected_by``: the note that takes it back.
    """

    study_uid: str
    revision: int
    result: ResultRow
    superseded_at: datetime | None = None
    rejected_by: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """One result on its way to one destination.

    ``transaction_uid``: the storage commitment that was asked for it last, since it was sent.
    ``confirm_attempts`` counts how often the peer did not have it after all.
    """

    delivery_id: int
    study_uid: str
    revision: int
    result: ResultRow
    destination: str
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    last_status: int | None
    last_error: str
    sent_at: datetime | None
    queued_at: datetime | None = None
    transaction_uid: str | None = None
    confirm_attempts: int = 0


@dataclass(frozen=True, slots=True)
class QueueRecord:
    """How the queue of one destination stands.

    ``failures`` counts the rounds that failed one after the other since ``failing_since``: the
    destination could not be reached, or sent us away.
    """

    name: str
    paused_at: datetime | None = None
    pause_cause: str = ""
    failures: int = 0
    failing_since: datetime | None = None
    next_attempt_at: datetime | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class UnconfirmedDelivery:
    """A delivery that the peer has accepted, and is to be asked about now.

    ``asked`` counts the requests for storage commitment that were not answered.
    """

    delivery: DeliveryRecord
    asked: int
