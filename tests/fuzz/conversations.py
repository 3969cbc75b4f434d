"""What a broken peer says on one connection, each conversation told by its seed and its number."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    MRImageStorage,
)

from tests.fuzz import pdus
from tests.fuzz.association_requests import broken_request
from tests.fuzz.byte_changes import change_bytes, deflated
from tests.fuzz.element_changes import change_elements
from tests.fuzz.elements import Coding, Element, Elements, encode
from tests.fuzz.messages import Fragment, broken_fragments, fragments_of, request
from tests.fuzz.pdus import Context

_MR = str(MRImageStorage)
_VERIFICATION = "1.2.840.10008.1.1"
_NOTICE = "1.2.840.10008.5.1.4.33"
_COMMITMENT = "1.2.840.10008.1.20.1"
STORE_CONTEXTS = (
    Context(1, _MR, (str(ExplicitVRLittleEndian),)),
    Context(3, _MR, (str(ImplicitVRLittleEndian),)),
    Context(5, _MR, (str(ExplicitVRBigEndian),)),
    Context(7, _MR, (str(DeflatedExplicitVRLittleEndian),)),
    Context(9, str(KeyObjectSelectionDocumentStorage), (str(ExplicitVRLittleEndian),)),
)
CONTEXTS = (
    *STORE_CONTEXTS,
    Context(21, _VERIFICATION, (str(ImplicitVRLittleEndian),)),
    Context(23, "1.2.3.4.5.6.7", (str(ImplicitVRLittleEndian),)),  # nobody's
    Context(25, _NOTICE, (str(ExplicitVRLittleEndian),)),
    Context(27, _COMMITMENT, (str(ImplicitVRLittleEndian),)),
)
ECHO_CONTEXT = 21


class Ending(StrEnum):
    """How the peer ends it."""

    RELEASE = "A-RELEASE-RQ"
    ABORT = "A-ABORT"
    CLOSE = "connection closed"
    RESET = "connection reset, answers unread"
    SILENCE = "nothing more is said"


@dataclass(frozen=True, slots=True)
class Conversation:
    """An association request, what follows it, and in which pieces it is written."""

    uid_root: str  # of the SOP Instance UIDs that it names
    request: bytes
    stream: bytes
    pieces: int = 1 << 20  # bytes written at once
    at_once: bool = False  # without waiting for the answer to the request
    ending: Ending = Ending.RELEASE
    made: tuple[str, ...] = ()

    @property
    def is_sound_request(self) -> bool:
        return self.request == pdus.associate_rq(CONTEXTS)


def conversation(random: Random, uid_root: str) -> Conversation:
    """Make a conversation of up to four requests. Its SOP Instance UIDs begin with ``uid_root``."""
    made: list[str] = []
    sound = pdus.associate_rq(CONTEXTS)
    opening = broken_request(random, CONTEXTS, made) if random.random() < 0.15 else sound
    fragments: list[Fragment] = []
    for number in range(random.choice((0, 1, 1, 2, 2, 4))):
        fragments += _message(random, number + 1, f"{uid_root}.{number}", made)
    if random.random() < 0.4:
        fragments = broken_fragments(random, fragments, made)
    stream = _in_pdus(random, fragments, made)
    if random.random() < 0.1:
        stream, what = change_bytes(random, stream)
        made.append(f"in the stream: {what}")
    endings = [Ending.RELEASE] * 6 + [Ending.CLOSE] * 3 + [Ending.ABORT, Ending.RESET] * 2
    ending = Ending.SILENCE if random.random() < 0.004 else random.choice(endings)
    pieces = (
        1 if len(stream) < 3000 and random.random() < 0.05 else random.choice((7, 4096, 1 << 20))
    )
    if len(stream) > 5000:
        pieces = max(pieces, 1000)
    at_once = random.random() < 0.1
    return Conversation(uid_root, opening, stream, pieces, at_once, ending, tuple(made))


def _message(random: Random, message_id: int, uid: str, made: list[str]) -> list[Fragment]:
    kind = random.choice(("store",) * 7 + ("echo", "echo", "notice", "other"))
    if kind != "store":
        made.append(kind)
        context = {"echo": ECHO_CONTEXT, "notice": 25}.get(kind, random.choice(CONTEXTS).context_id)
        return fragments_of(random, context, *request(random, kind, message_id, uid, b"", made))
    context = random.choice(STORE_CONTEXTS)
    elements = data_set(uid, context.abstract_syntax, bytes(random.choice((16, 16, 500, 40_000))))
    if random.random() < 0.25:
        elements, what = change_elements(random, elements)
        made.append(f"in the data set: {what}")
    syntax = UID(context.transfer_syntaxes[0])
    data = encode(elements, Coding(syntax.is_implicit_VR, syntax.is_little_endian))
    if syntax.is_deflated:
        data = deflated(random, data, sound=random.random() < 0.8)
    command, sent = request(random, "store", message_id, uid, data, made, context.abstract_syntax)
    return fragments_of(random, context.context_id, command, sent)


def data_set(
    sop_instance_uid: str, sop_class_uid: str = _MR, pixels: bytes = bytes(16)
) -> Elements:
    """A small sound data set."""
    study = pdus.ui(sop_instance_uid.rsplit(".", 1)[0])
    return (
        Element(0x00080005, b"CS", b"ISO_IR 192"),
        Element(0x00080016, b"UI", pdus.ui(sop_class_uid)),
        Element(0x00080018, b"UI", pdus.ui(sop_instance_uid)),
        Element(0x00100020, b"LO", b"P-1 "),
        Element(0x0020000D, b"UI", study),
        Element(0x0020000E, b"UI", study),
        Element(0x7FE00010, b"OW", pixels),
    )


def _in_pdus(random: Random, fragments: list[Fragment], made: list[str]) -> bytes:
    """Put PDVs into P-DATA-TF PDUs, one or more in each; sometimes with a lie or a stranger."""
    out: list[bytes] = []
    at = 0
    while at < len(fragments):
        count = random.choice((1, 1, 1, 2, 3))
        body = b"".join(fragments[at : at + count])
        declared = None
        if random.random() < 0.02:
            declared = random.choice((0, 5, len(body) - 1, len(body) + 1, 0x7FFFFFFF, 0xFFFFFFFF))
            made.append("a PDU length that lies")
        out.append(pdus.pdu(pdus.P_DATA, body, declared))
        at += count
    if random.random() < 0.12:
        out.insert(random.randrange(len(out) + 1), _stranger(random, made))
    return b"".join(out)


def _stranger(random: Random, made: list[str]) -> bytes:
    """A PDU that has no place here."""
    made.append("a PDU that has no place")
    kind = random.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 0x47, 0xFF))
    body = random.choice((b"", bytes(4), b"\0\0\x02\x06", b"\xff" * 4, bytes(68), b"\xff" * 700))
    if kind == pdus.ASSOCIATE_RQ and random.random() < 0.5:
        return pdus.associate_rq(CONTEXTS)
    if kind == pdus.P_DATA and random.random() < 0.5:
        body = struct.pack(">L", random.choice((0, 1, 2, 0xFFFFFFFF))) + body
    return pdus.pdu(kind, body)
