"""Rejection notes: Key Object Selection Documents that take instances back (IHE IOCM).

A note's title says why (PS3.16 CID 7011, IHE RAD TF-2 4.66), its content tree (PS3.3 C.17.6.2,
TID 2010) and its Current Requested Procedure Evidence Sequence (PS3.3 C.17.2.3) say what.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydicom.datadict import tag_for_keyword

from mome_node.dicom.element_values import Elements
from mome_node.dicom.header_stream import open_header
from mome_node.dicom.uids import is_valid_uid
from mome_node.errors import HeaderError

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"

MAX_SEQUENCE_BYTES = 4 << 20
"""A sequence of 14,000 references is smaller; the longest breast exams have some 5,000 images."""

MAX_REFERENCES = 15_000
"""References that a note may hold in all."""

MAX_DEPTH = 16
"""Content items in content items: an honest note has two levels."""

_WANTED = (
    "ConceptNameCodeSequence",
    "ContentSequence",
    "CurrentRequestedProcedureEvidenceSequence",
    "IssuerOfPatientID",
    "PatientID",
    "SpecificCharacterSet",
    "StudyInstanceUID",
)


class RejectionTitle(StrEnum):
    """Document titles by which a note rejects (DCM; PS3.16 CID 7011). The value is the code."""

    QUALITY = "113001"
    PATIENT_SAFETY = "113037"
    INCORRECT_WORKLIST_ENTRY = "113038"
    RETENTION_EXPIRED = "113039"

    @property
    def meaning(self) -> str:
        """The code's meaning."""
        return {
            RejectionTitle.QUALITY: "Rejected for Quality Reasons",
            RejectionTitle.PATIENT_SAFETY: "Rejected for Patient Safety Reasons",
            RejectionTitle.INCORRECT_WORKLIST_ENTRY: "Incorrect Modality Worklist Entry",
            RejectionTitle.RETENTION_EXPIRED: "Data Retention Policy Expired",
        }[self]

    @property
    def withdraws(self) -> bool:
        """Something is wrong with the instances; otherwise the sender only keeps them no more."""
        return self is not RejectionTitle.RETENTION_EXPIRED


@dataclass(frozen=True, slots=True)
class RejectionNote:
    """What a rejection note says. ``elsewhere`` counts references to instances of other studies."""

    title: RejectionTitle
    study_uid: str
    patient_id: str
    issuer_of_patient_id: str
    instances: frozenset[str]
    elsewhere: int = 0


def read_rejection_note(path: Path) -> RejectionNote | None:
    """Read a Key Object Selection Document; None if it rejects nothing.

    HeaderError if it cannot be read, or holds more than any honest note.
    """
    tags = [tag for keyword in _WANTED if (tag := tag_for_keyword(keyword)) is not None]
    with open_header(path, tags, longest_value=MAX_SEQUENCE_BYTES) as stream:
        top = stream.top
        title = _title(top)
        if title is None:
            return None
        study_uid = top.text("StudyInstanceUID")
        named = _References()
        own, elsewhere = _evidence(top, study_uid, named)
        content: set[str] = set()
        _walk_content(top, content, named, depth=0)
        return RejectionNote(
            title=title,
            study_uid=study_uid,
            patient_id=top.text("PatientID"),
            issuer_of_patient_id=top.text("IssuerOfPatientID"),
            # The tree names what is rejected, the evidence where it belongs. Some senders fill
            # only one of them: what either names, and nothing places elsewhere, is meant.
            instances=frozenset((own | content) - elsewhere),
            elsewhere=len(elsewhere),
        )


class _References:
    """Counts what a note names."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, item: Elements) -> set[str]:
        """The instances that an item's Referenced SOP Sequence names."""
        found = set()
        for reference in _items(item, "ReferencedSOPSequence"):
            self.look()
            uid = reference.text("ReferencedSOPInstanceUID")
            if is_valid_uid(uid):
                found.add(uid)
        return found

    def look(self) -> None:
        """Count one more item; HeaderError if there are too many."""
        self._count += 1
        if self._count > 3 * MAX_REFERENCES:  # twice in the tree, once in the evidence
            raise HeaderError(f"the note has more than {MAX_REFERENCES} references")


def _title(top: Elements) -> RejectionTitle | None:
    for concept in _items(top, "ConceptNameCodeSequence"):
        if concept.text("CodingSchemeDesignator") == "DCM":
            code = concept.text("CodeValue")
            return next((title for title in RejectionTitle if title.value == code), None)
    return None


def _evidence(top: Elements, study_uid: str, named: _References) -> tuple[set[str], set[str]]:
    """The instances of the note's own study, and those of others."""
    own: set[str] = set()
    others: set[str] = set()
    for study in _items(top, "CurrentRequestedProcedureEvidenceSequence"):
        found = own if study.text("StudyInstanceUID") == study_uid else others
        for series in _items(study, "ReferencedSeriesSequence"):
            named.look()
            found |= named.of(series)
    return own, others


def _walk_content(item: Elements, found: set[str], named: _References, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise HeaderError(f"the note's content is nested more than {MAX_DEPTH} levels deep")
    for child in _items(item, "ContentSequence"):
        named.look()
        found |= named.of(child)
        _walk_content(child, found, named, depth + 1)


def _items(elements: Elements, keyword: str) -> tuple[Elements, ...]:
    """The items of a sequence, () if it is absent; HeaderError if it cannot be read."""
    stated = keyword in elements and not elements.is_empty(keyword)
    items = elements.items(keyword, longest=MAX_SEQUENCE_BYTES, most=3 * MAX_REFERENCES)
    if stated and not items:
        raise HeaderError(f"the note's {keyword} is too long, or not well formed")
    return items
