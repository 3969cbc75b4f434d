"""The file of a result, looked at just before it is sent: is it whole, and whose is it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from pydicom import dcmread

from mome_node.catalog.records import ResultRow
from mome_node.delivery.instance_file import UNREADABLE
from mome_node.delivery.ports import StudyThere
from mome_node.errors import PermanentDeliveryError
from mome_node.storage.soundness import Soundness, examine

_READ: Final = ["PatientID", "IssuerOfPatientID", "AccessionNumber", "SeriesInstanceUID"]


@dataclass(frozen=True, slots=True)
class ResultHeader:
    """What a result says of itself; "" for what it does not say."""

    series_uid: str
    transfer_syntax_uid: str
    patient_id: str = field(repr=False)
    issuer_of_patient_id: str = field(repr=False)
    accession_number: str = field(repr=False)


def header_of(open_instance: Callable[[str], BinaryIO], result: ResultRow) -> ResultHeader:
    """Read the header of a result's file; PermanentDeliveryError if it cannot be read."""
    try:
        with open_instance(result.key) as file:
            header = dcmread(file, stop_before_pixels=True, specific_tags=_READ)
        return ResultHeader(
            series_uid=_text(header.get("SeriesInstanceUID")),
            transfer_syntax_uid=str(header.file_meta.TransferSyntaxUID),
            patient_id=_text(header.get("PatientID")),
            issuer_of_patient_id=_text(header.get("IssuerOfPatientID")),
            accession_number=_text(header.get("AccessionNumber")),
        )
    except UNREADABLE as error:
        raise PermanentDeliveryError(
            f"the file of instance {result.sop_instance_uid} cannot be read "
            f"({type(error).__name__}); nothing was sent"
        ) from error


def check_bytes(
    open_instance: Callable[[str], BinaryIO], result: ResultRow, header: ResultHeader
) -> None:
    """Raise PermanentDeliveryError unless the file still holds what was made."""
    found = examine(
        open_instance,
        result.key,
        size=None,
        sha256_in=(header.transfer_syntax_uid, result.sha256),
    )
    if found is not Soundness.SOUND:
        raise PermanentDeliveryError(
            f"the file of instance {result.sop_instance_uid} is not what was made; nothing was "
            "sent: evaluate the study again"
        )


def identity_fault(header: ResultHeader, there: StudyThere | None) -> str | None:
    """Say why a result must not go where ``there`` is its study, None if it may.

    The Patient ID must be told, and be what the result says. An issuer counts where both name one
    (PS3.3 table 10-18: without it a Patient ID is the institution's own), an accession number, too:
    an order that a PACS entered after it routed the images is no other one. None is quoted.
    """
    if there is None:
        return "the destination has no such study (deleted there?): nothing is re-created"
    if there.patient_id is None:
        return "the destination does not tell whose the study is"
    if _text(there.patient_id) != header.patient_id:
        return "the study is another patient's there (merged, or corrected?)"
    if _contradict(there.issuer_of_patient_id, header.issuer_of_patient_id):
        return "the study's patient is of another issuer there"
    if _contradict(there.accession_number, header.accession_number):
        return "the study has another accession number there"
    return None


def _contradict(there: str | None, here: str) -> bool:
    """An empty value says nothing: type 2 attributes are empty where they are not known."""
    said = _text(there)
    return bool(said and here) and said != here


def _text(value: object) -> str:
    """A value without its padding (PS3.5 6.2: blanks are not significant in LO and SH)."""
    return "" if value is None else str(value).strip(" \0")
