"""A DICOMweb sender that says exactly what a test wants, and the door that it speaks to."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import httpx

from mome_node.storage.store import InstanceIdentity

TOKEN = "a-token-of-the-gateway-0123"
BOUNDARY = "0f3cf5c0"
MULTIPART = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
STUDIES = "/dicom-web/studies"
MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"


def part10(data: bytes, uid: str = "1.2.3.4.5.1", *, sop_class: str = MR, syntax: str = EXPLICIT):
    """A PS3.10 file around an encoded data set."""
    return InstanceIdentity(sop_class, uid, syntax).file_meta() + data


def multipart(files: Iterable[bytes], boundary: str = BOUNDARY, headers: str = "") -> bytes:
    """A body with a part for each file."""
    headers = headers or "Content-Type: application/dicom\r\n"
    parts = [f"--{boundary}\r\n{headers}\r\n".encode() + file + b"\r\n" for file in files]
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


@dataclass(frozen=True)
class Told:
    """An answer: its status and what it says of the instances."""

    status: int
    stored: tuple[str, ...]
    failed: dict[str, int]
    others: tuple[int, ...]


def told(response: httpx.Response) -> Told:
    """Read an answer in DICOM JSON."""
    assert response.headers["content-type"] == "application/dicom+json", response.text
    module = json.loads(response.content)

    def items(tag: str):
        return module.get(tag, {}).get("Value", [])

    def uid(item) -> str:
        return item["00081155"]["Value"][0]

    def reason(item) -> int:
        return item["00081197"]["Value"][0]

    return Told(
        response.status_code,
        tuple(uid(item) for item in items("00081199")),
        {uid(item): reason(item) for item in items("00081198")},
        tuple(reason(item) for item in items("0008119A")),
    )


@dataclass(frozen=True)
class Door:
    """Where a test's door listens. ``close`` waits for what is being received."""

    port: int
    close: Callable[[], None]

    def post(self, content, *, path: str = STUDIES, token: str = TOKEN, **headers: str):
        fields = {"Content-Type": MULTIPART, "Authorization": f"Bearer {token}"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        fields = {name: value for name, value in fields.items() if value}
        url = f"http://127.0.0.1:{self.port}{path}"
        return httpx.post(url, content=content, headers=fields, timeout=30)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def head(self, *fields: str) -> bytes:
        """The header of a request, without what says how long its body is."""
        lines = (
            f"POST {STUDIES} HTTP/1.1",
            "Host: node",
            f"Authorization: Bearer {TOKEN}",
            f"Content-Type: {MULTIPART}",
            *fields,
        )
        return "\r\n".join(lines).encode() + b"\r\n\r\n"


def until_closed(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    received = b""
    try:
        while data := connection.recv(1 << 16):
            received += data
    except ConnectionResetError:
        pass
    return received
