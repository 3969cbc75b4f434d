"""Retrieving single instances by WADO-RS (PS3.18 section 10.4)."""

from __future__ import annotations

import mmap
from email.message import Message
from pathlib import Path

from mome_node.errors import MalformedAnswerError
from mome_node.query.dicom_json import parse_answer
from mome_node.query.dicomweb import DicomWeb
from mome_node.query.records import askable_uid

MAX_INSTANCE_BYTES = 512 << 20
"""An enhanced object holds a whole dynamic."""

_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_END_OF_HEADER = b"\r\n\r\n"


class WadoSource:
    """Single instances of an archive, as files. Its methods raise QueryError."""

    def __init__(self, web: DicomWeb) -> None:
        self._web = web

    def one_of_series(self, study_uid: str, series_uid: str, into: Path) -> bool:
        """Write any instance of the series to the new file ``into``; False if there is none."""
        path = _instances(study_uid, series_uid)
        found = parse_answer(self._web.search(path, {"limit": "1"}).body)
        uid = next((entry.text("SOPInstanceUID") for entry in found), None)
        if uid is None:
            return False
        self.instance(study_uid, series_uid, uid, into)
        return True

    def instance(self, study_uid: str, series_uid: str, instance_uid: str, into: Path) -> None:
        """Write this instance, as the archive keeps it, to the new file ``into``."""
        uid = askable_uid(instance_uid, "SOP Instance UID")
        path = f"{_instances(study_uid, series_uid)}/{uid}"
        body = into.with_suffix(".multipart")
        try:
            with body.open("xb") as file:
                content_type = self._web.download(path, _ACCEPT, file, MAX_INSTANCE_BYTES)
            _write_only_part(body, content_type, into)
        finally:
            body.unlink(missing_ok=True)


def _instances(study_uid: str, series_uid: str) -> str:
    study = askable_uid(study_uid, "Study Instance UID")
    return f"studies/{study}/series/{askable_uid(series_uid, 'Series Instance UID')}/instances"


def _write_only_part(body: Path, content_type: str, into: Path) -> None:
    """Take the one part out of a multipart body (RFC 2046 5.1)."""
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() == "application/dicom":  # some send the part without its wrapping
        body.replace(into)
        return
    boundary = header.get_boundary()
    if header.get_content_maintype() != "multipart" or not boundary:
        raise MalformedAnswerError("an instance did not come as multipart/related")
    if not body.stat().st_size:
        raise MalformedAnswerError("an instance came as an empty answer")
    with body.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        begin = content.find(_END_OF_HEADER)
        end = content.rfind(b"\r\n--" + boundary.encode("latin-1", "replace") + b"--")
        if begin < 0 or end < begin + len(_END_OF_HEADER):
            raise MalformedAnswerError("an instance came as a broken multipart body")
        with (
            into.open("xb") as part,
            memoryview(content) as whole,
            whole[begin + len(_END_OF_HEADER) : end] as wanted,
        ):
            part.write(wanted)
