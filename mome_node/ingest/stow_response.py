"""The answer to a Store request (PS3.18 10.5.3 and annex I)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mome_node.ingest.media_types import DICOM_XML
from mome_node.ingest.outcome import Status
from mome_node.ingest.part_receipt import StoredPart
from mome_node.ingest.store_request import Received

RETRY_AFTER_S: Final = 60
_PASSING: Final = frozenset({Status.OUT_OF_RESOURCES, Status.PROCESSING_FAILURE})
"""Failures that are ours: the same instance may be taken later."""


@dataclass(frozen=True, slots=True)
class StowAnswer:
    """An answer, ready to be sent."""

    status: HTTPStatus
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def answer(received: Received, media_type: str) -> StowAnswer:
    """Answer for every instance, in DICOM JSON or XML."""
    status = _status(received)
    module = _response_module(received)
    body = _as_xml(module) if media_type == DICOM_XML else module.to_json().encode()
    headers = {"Content-Type": media_type}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return StowAnswer(status, body, headers)


def _status(received: Received) -> HTTPStatus:
    """PS3.18 table 10.5.3-1; a request with nothing but failures that pass may come again."""
    failures = {p.outcome.status for p in received.parts} - {Status.SUCCESS}
    is_whole = not failures and received.cut_by is None
    if any(p.outcome.status is Status.SUCCESS for p in received.parts):
        return HTTPStatus.OK if is_whole else HTTPStatus.ACCEPTED
    if received.cut_by is not None:
        return received.cut_by.status
    if not failures:
        return HTTPStatus.BAD_REQUEST  # there was no part
    if failures & _PASSING:
        return HTTPStatus.SERVICE_UNAVAILABLE
    if failures == {Status.TOO_LARGE}:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return HTTPStatus.CONFLICT


def _response_module(received: Received) -> Dataset:
    """Store Instances Response Module, PS3.18 table I.1-1.

    Retrieve URL is type 2, and empty: nothing can be retrieved here.
    """
    stored = [p for p in received.parts if p.outcome.status is Status.SUCCESS]
    failed = [p for p in received.parts if p.outcome.status is not Status.SUCCESS]
    module = Dataset()
    module.RetrieveURL = None
    if stored:
        module.ReferencedSOPSequence = Sequence(_stored(part) for part in stored)
    if named := [part for part in failed if part.sop_instance_uid]:
        module.FailedSOPSequence = Sequence(_failed(part) for part in named)
    others = [part.outcome.status for part in failed if not part.sop_instance_uid]
    if received.cut_by is not None:
        others.append(_reason(received.cut_by.status))
    if others:
        module.OtherFailuresSequence = Sequence(_items(others))
    return module


def _stored(part: StoredPart) -> Dataset:
    item = _reference(part)
    item.RetrieveURL = None
    return item


def _failed(part: StoredPart) -> Dataset:
    item = _reference(part)
    item.FailureReason = part.outcome.status.value
    return item


def _items(reasons: Iterable[Status]) -> Iterable[Dataset]:
    for reason in reasons:
        item = Dataset()
        item.FailureReason = reason.value
        yield item


def _reference(part: StoredPart) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = part.sop_class_uid
    item.ReferencedSOPInstanceUID = part.sop_instance_uid
    return item


def _reason(status: HTTPStatus) -> Status:
    """The failure reason of instances that were not read any more."""
    match status:
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return Status.TOO_LARGE
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return Status.OUT_OF_RESOURCES
    return Status.CANNOT_UNDERSTAND


def _as_xml(module: Dataset) -> bytes:
    """Native DICOM Model (PS3.19 A.1), as far as the module goes: sequences and single values."""
    root = ET.Element("NativeDicomModel", {"xml:space": "preserve"})
    _add_attributes(root, module)
    encoded: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return encoded


def _add_attributes(parent: ET.Element, dataset: Dataset) -> None:
    for element in dataset:
        attribute = ET.SubElement(
            parent,
            "DicomAttribute",
            {"tag": f"{element.tag:08X}", "vr": str(element.VR), "keyword": element.keyword},
        )
        if isinstance(element.value, Sequence):
            for number, item in enumerate(element.value, 1):
                _add_attributes(ET.SubElement(attribute, "Item", {"number": str(number)}), item)
        elif element.value is not None:
            ET.SubElement(attribute, "Value", {"number": "1"}).text = str(element.value)
