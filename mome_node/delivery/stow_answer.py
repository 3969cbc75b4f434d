"""What the answer to a Store request says of one instance (PS3.18 10.5.3 and annex I).

Stored is what the answer names as stored, and nothing else: behind a proxy, "200" may be the word
of somebody who never saw the instance.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from mome_node.delivery.destination import Receipt
from mome_node.delivery.status import judge
from mome_node.errors import PermanentDeliveryError, TransientDeliveryError

MAX_ITEMS: Final = 10_000

_STORED: Final = "00081199"  # Referenced SOP Sequence
_FAILED: Final = "00081198"  # Failed SOP Sequence
_OTHERS: Final = "0008119A"  # Other Failures Sequence: of instances that it cannot name
_INSTANCE: Final = "00081155"
_WARNING: Final = "00081196"
_REASON: Final = "00081197"
_SUCCESS: Final = 0x0000
_DUPLICATE: Final = 0x0111
_LARGEST_US: Final = 0xFFFF
_WORDS: Final = {
    HTTPStatus.BAD_REQUEST: "it does not understand the request",
    HTTPStatus.NOT_ACCEPTABLE: "it answers neither in DICOM JSON nor in XML",
    HTTPStatus.CONFLICT: "it refuses the instance",
    HTTPStatus.LENGTH_REQUIRED: "it wants a length that was sent: is there a proxy between?",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the instance is too large for it; raise its limit",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "it does not take the instance's transfer syntax; see "
    "`encoding` of the [[destination]]",
}

Attributes = Mapping[str, Any]
"""A data set by tags such as 0008119A: values are texts, numbers, or lists of items."""


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """A Store Instances Response Module (PS3.18 table I.1-1), by SOP Instance UID.

    ``stored`` has the Warning Reason of each, ``failed`` the Failure Reason, None where there is
    none; ``others`` the Failure Reasons of instances that are not named.
    """

    stored: Mapping[str, int | None] = field(default_factory=dict)
    failed: Mapping[str, int | None] = field(default_factory=dict)
    others: tuple[int | None, ...] = ()


def parse_store_answer(body: bytes) -> StoreAnswer | None:
    """The module in DICOM JSON (PS3.18 annex F) or XML (PS3.19 A.1); None for what is neither."""
    module = _from_xml(body) if body.lstrip().startswith(b"<") else _from_json(body)
    if module is None:
        return None
    return StoreAnswer(
        stored={uid: _reason(item, _WARNING) for uid, item in _named(module, _STORED)},
        failed={uid: _reason(item, _REASON) for uid, item in _named(module, _FAILED)},
        others=tuple(_reason(item, _REASON) for item in _items(module, _OTHERS)),
    )


def outcome(
    sop_instance_uid: str, http_status: int, answer: StoreAnswer | None, peer: str
) -> Receipt:
    """What became of the one instance that was sent, by the HTTP status and the answer to it."""
    known = answer or StoreAnswer()
    if sop_instance_uid in known.failed:
        return _refused(sop_instance_uid, http_status, known.failed[sop_instance_uid], peer)
    if HTTPStatus.OK <= http_status < HTTPStatus.MULTIPLE_CHOICES:
        if sop_instance_uid in known.stored:
            return _stored(sop_instance_uid, known.stored[sop_instance_uid], peer)
        if not known.others:
            return _not_named(sop_instance_uid, http_status, answer, peer)
    reasons = [reason for reason in known.others if reason is not None]
    return _refused(sop_instance_uid, http_status, reasons[0] if reasons else None, peer)


def _stored(uid: str, warning: int | None, peer: str) -> Receipt:
    if warning is None:
        return Receipt(uid, _SUCCESS)
    told = judge(uid, warning, peer)
    return told if told.stored else Receipt(uid, warning, note=f"0x{warning:04X}, warning")


def _not_named(uid: str, http_status: int, answer: StoreAnswer | None, peer: str) -> Receipt:
    said = "does not name it" if answer is not None else "is neither DICOM JSON nor XML"
    error = TransientDeliveryError(
        f"{peer}: did not say that it stored instance {uid}: HTTP {http_status}, but its answer "
        f"{said}; is there a proxy between?"
    )
    return Receipt(uid, None, error=error)


def _refused(uid: str, http_status: int, reason: int | None, peer: str) -> Receipt:
    said = f"{peer}: did not store instance {uid}"
    if reason is not None:
        told = judge(uid, reason, peer)
        if not told.stored or reason == _DUPLICATE:
            return told
        # It is named as failed, with the code of a success.
        error = TransientDeliveryError(f"{said}: failure reason 0x{reason:04X}")
        return Receipt(uid, reason, error=error)
    if HTTPStatus.BAD_REQUEST <= http_status < HTTPStatus.INTERNAL_SERVER_ERROR:
        words = next((w for s, w in _WORDS.items() if s == http_status), "it refuses the request")
        refusal = PermanentDeliveryError(f"{said}: HTTP {http_status}: {words}")
        return Receipt(uid, None, error=refusal)
    error = TransientDeliveryError(f"{said}: HTTP {http_status}, without a reason")
    return Receipt(uid, None, error=error)


def _named(module: Attributes, tag: str) -> Iterator[tuple[str, Attributes]]:
    for item in _items(module, tag):
        uid = item.get(_INSTANCE)
        if isinstance(uid, str) and uid.strip(" \0"):
            yield uid.strip(" \0"), item


def _items(module: Attributes, tag: str) -> list[Attributes]:
    items = module.get(tag)
    return items if isinstance(items, list) else []


def _reason(item: Attributes, tag: str) -> int | None:
    """A value of VR US; None for what is none."""
    value = item.get(tag)
    if isinstance(value, str) and value.strip().isdecimal() and len(value) <= len("65535 "):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _LARGEST_US else None


def _from_json(body: bytes) -> Attributes | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, list) and len(found) == 1:  # some servers put it into a list
        found = found[0]
    return _json_attributes(found) if isinstance(found, dict) else None


def _json_attributes(found: Mapping[str, Any], *, nested: bool = False) -> Attributes:
    attributes: dict[str, Any] = {}
    for tag, element in found.items():
        values = element.get("Value") if isinstance(element, dict) else None
        if not isinstance(values, list) or not values:
            continue
        if isinstance(values[0], str | int):
            attributes[tag.upper()] = values[0]
        elif isinstance(values[0], dict) and not nested:
            items = (item for item in values[:MAX_ITEMS] if isinstance(item, dict))
            attributes[tag.upper()] = [_json_attributes(item, nested=True) for item in items]
    return attributes


class _WithoutDoctype(ET.TreeBuilder):
    """Refuses a document type, which may define entities that grow."""

    def doctype(self, _name: str, _public: str | None, _system: str | None) -> None:
        raise ET.ParseError("a document type")


def _from_xml(body: bytes) -> Attributes | None:
    try:
        # No entity can be defined without a document type; the caller bounds the length.
        root = ET.fromstring(body, ET.XMLParser(target=_WithoutDoctype()))  # noqa: S314
    except (ET.ParseError, ValueError, LookupError):
        return None
    return _xml_attributes(root) if _local(root) == "NativeDicomModel" else None


def _xml_attributes(parent: ET.Element, *, nested: bool = False) -> Attributes:
    attributes: dict[str, Any] = {}
    for element in parent:
        children = [child for child in element if _local(child) in ("Item", "Value")]
        if _local(element) != "DicomAttribute" or not children:
            continue
        tag = element.get("tag", "").upper()
        if _local(children[0]) == "Value":
            attributes[tag] = children[0].text
        elif not nested:
            items = children[:MAX_ITEMS]
            attributes[tag] = [_xml_attributes(item, nested=True) for item in items]
    return attributes


def _local(element: ET.Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]
