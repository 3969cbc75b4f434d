"""The messages of a C-STORE as they cross the network (PS3.7 9.3.1, PS3.8 9.3.5).

A P-DATA-TF PDU holds presentation data values (PDVs); each begins with a message control header
that says whether it is of a command or of a data set, and whether it is the last fragment. A
command set is encoded in Implicit VR Little Endian (PS3.7 6.3.1). What is not plainly a C-STORE
request is none here: the library reads it, and answers it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

P_DATA_TF: Final = 0x04
PDU_HEADER: Final = struct.Struct(">BxL")  # type, length of what follows
PDV_HEADER: Final = struct.Struct(">LBB")  # length of what follows, context, control header
IS_COMMAND: Final = 0x01
IS_LAST: Final = 0x02

_ELEMENT: Final = struct.Struct("<HHL")
_US: Final = struct.Struct("<H")
_COMMAND_GROUP_LENGTH: Final = 0x0000
_AFFECTED_SOP_CLASS_UID: Final = 0x0002
_COMMAND_FIELD: Final = 0x0100
_MESSAGE_ID: Final = 0x0110
_MESSAGE_ID_BEING_RESPONDED_TO: Final = 0x0120
_COMMAND_DATA_SET_TYPE: Final = 0x0800
_STATUS: Final = 0x0900
_ERROR_COMMENT: Final = 0x0902
_AFFECTED_SOP_INSTANCE_UID: Final = 0x1000
_C_STORE_RQ: Final = 0x0001
_C_STORE_RSP: Final = 0x8001
_NO_DATA_SET: Final = 0x0101
MAX_COMMENT: Final = 64  # Error Comment (0000,0902) is LO
_MAX_UID: Final = 64


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE request whose data set follows."""

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str


def read_store_request(command_set: bytes) -> StoreRequest | None:
    """Read a whole command set; None if it is not plainly a C-STORE request."""
    found: dict[int, bytes] = {}
    position = 0
    while position < len(command_set):
        if position + 8 > len(command_set):
            return None
        group, element, length = _ELEMENT.unpack_from(command_set, position)
        position += 8
        if group != 0 or element in found or position + length > len(command_set):
            return None
        found[element] = command_set[position : position + length]
        position += length
    if _us(found, _COMMAND_FIELD) != _C_STORE_RQ:
        return None
    data_set_type, message_id = _us(found, _COMMAND_DATA_SET_TYPE), _us(found, _MESSAGE_ID)
    sop_class = _uid(found, _AFFECTED_SOP_CLASS_UID)
    sop_instance = _uid(found, _AFFECTED_SOP_INSTANCE_UID)
    if data_set_type in (None, _NO_DATA_SET) or message_id is None:
        return None
    if not sop_class or not sop_instance:
        return None
    return StoreRequest(message_id, sop_class, sop_instance)


def store_response(request: StoreRequest, context_id: int, status: int, comment: str = "") -> bytes:
    """Encode the answer to a request: one P-DATA-TF PDU that holds its whole command set."""
    elements = [
        _element(_AFFECTED_SOP_CLASS_UID, _even(request.sop_class_uid, b"\0")),
        _element(_COMMAND_FIELD, _US.pack(_C_STORE_RSP)),
        _element(_MESSAGE_ID_BEING_RESPONDED_TO, _US.pack(request.message_id)),
        _element(_COMMAND_DATA_SET_TYPE, _US.pack(_NO_DATA_SET)),
        _element(_STATUS, _US.pack(status)),
    ]
    if comment:
        elements.append(_element(_ERROR_COMMENT, _even(comment[:MAX_COMMENT], b" ")))
    elements.append(_element(_AFFECTED_SOP_INSTANCE_UID, _even(request.sop_instance_uid, b"\0")))
    body = b"".join(elements)
    command_set = _element(_COMMAND_GROUP_LENGTH, struct.pack("<L", len(body))) + body
    value = PDV_HEADER.pack(len(command_set) + 2, context_id, IS_COMMAND | IS_LAST) + command_set
    return PDU_HEADER.pack(P_DATA_TF, len(value)) + value


def _us(found: dict[int, bytes], element: int) -> int | None:
    value = found.get(element, b"")
    return int(_US.unpack(value)[0]) if len(value) == 2 else None


def _uid(found: dict[int, bytes], element: int) -> str:
    """Return a UID of the command; empty if it is absent, too long or not ASCII."""
    text = found.get(element, b"").rstrip(b"\0 ")
    return text.decode("ascii") if len(text) <= _MAX_UID and text.isascii() else ""


def _element(element: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0x0000, element, len(value)) + value


def _even(text: str, padding: bytes) -> bytes:
    encoded = text.encode("ascii", "replace")
    return encoded + padding * (len(encoded) % 2)
