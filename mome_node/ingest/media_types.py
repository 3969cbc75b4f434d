"""Media types of requests and answers (RFC 9110 8.3 and 12.5.1, PS3.18 8.7)."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.request import parse_http_list

from python_multipart.multipart import parse_options_header

from mome_node.ingest.http_refusal import RequestRefusal

DICOM: Final = "application/dicom"
DICOM_JSON: Final = "application/dicom+json"
DICOM_XML: Final = "application/dicom+xml"
MULTIPART: Final = "multipart/related"
_MAX_BOUNDARY: Final = 200  # RFC 2046 5.1.1 allows 70; Orthanc sends 73

_ANSWERS: Final = {
    DICOM_JSON: (DICOM_JSON, "application/json", "application/*", "*/*"),
    DICOM_XML: (DICOM_XML, "application/xml", "text/xml"),
}
"""What we answer in, first choice first, and the media ranges that accept it."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What a request says that its body is: one file, or several parted by ``boundary``."""

    boundary: str | None = None


def payload_of(content_type: str) -> Payload:
    """Read Content-Type; RequestRefusal 415 for anything but PS3.10 files (PS3.18 10.5.1.2)."""
    media_type, parameters = media_type_of(content_type)
    if media_type == DICOM:
        return Payload()
    root = parameters.get("type", "").lower()
    if media_type == MULTIPART and root == DICOM:
        boundary = parameters.get("boundary", "")
        if not 0 < len(boundary) <= _MAX_BOUNDARY or not boundary.isascii():
            told = "Content-Type needs a boundary in ASCII, of 200 characters at most"
            raise RequestRefusal(HTTPStatus.BAD_REQUEST, told)
        return Payload(boundary)
    if {media_type, root} & {DICOM_JSON, DICOM_XML}:
        told = "metadata with bulk data is not taken: send PS3.10 files, "
    else:
        told = "this media type is not taken: send PS3.10 files, "
    told += f'as {MULTIPART}; type="{DICOM}"; boundary=..., or one as {DICOM}'
    raise RequestRefusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, told)


def media_type_of(text: str) -> tuple[str, dict[str, str]]:
    """Return a media type in lower case and its parameters."""
    media_type, parameters = parse_options_header(text)
    told = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in parameters.items()}
    return media_type.decode("latin-1").strip().lower(), told


def answer_type(accept: str) -> str:
    """Choose what to answer in; RequestRefusal 406 where nothing that we have is accepted."""
    weights: dict[str, float] = {}
    for entry in parse_http_list(accept or "*/*"):
        media_range, parameters = media_type_of(entry)
        weights[media_range] = _weight(parameters.get("q", "1"))
    chosen, best = "", 0.0
    for answer, ranges in _ANSWERS.items():
        # The most specific range that is named decides (RFC 9110 12.5.1).
        weight = next((weights[r] for r in ranges if r in weights), 0.0)
        if weight > best:
            chosen, best = answer, weight
    if not chosen:
        told = f"answers are {DICOM_JSON} or {DICOM_XML}: Accept names neither"
        raise RequestRefusal(HTTPStatus.NOT_ACCEPTABLE, told)
    return chosen


def _weight(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
