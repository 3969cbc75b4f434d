"""C-STORE as bytes (PS3.7 9.1.1, 9.3.1; PS3.8 9.3.5): what a sender with little time needs.

Only what the tuned sender sends and reads: requests in P-DATA-TF PDUs of one PDV each, and
responses. Association negotiation is pynetdicom's.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from mome_node.errors import BenchmarkError

P_DATA_TF: Final = 0x04
PDU_HEADER: Final = struct.Struct(">BxI")
"""PDU type and length of what follows."""

_PDV_HEADER: Final = struct.Struct(">IBB")
FRAGMENT_HEADER_BYTES: Final = PDU_HEADER.size + _PDV_HEADER.size
_PDU_AND_PDV: Final = struct.Struct(">BxIIBB")
_COMMAND, _LAST = 0x01, 0x02  # message control header, PS3.8 E.2

_ELEMENT: Final = struct.Struct("<HHI")
_US: Final = struct.Struct("<H")
_AFFECTED_SOP_CLASS, _AFFECTED_SOP_INSTANCE = 0x0002, 0x1000
_COMMAND_FIELD, _MESSAGE_ID, _RESPONDED_TO = 0x0100, 0x0110, 0x0120
_PRIORITY, _DATA_SET_TYPE, _STATUS = 0x0700, 0x0800, 0x0900
_C_STORE_RQ, _C_STORE_RSP = 0x0001, 0x8001
_MEDIUM_PRIORITY, _DATA_SET_FOLLOWS = 0x0000, 0x0001


@dataclass(frozen=True, slots=True)
class StoreResponse:
    """What a C-STORE-RSP says. ``sop_instance_uid`` is empty where it does not name one."""

    message_id: int
    status: int
    sop_instance_uid: str


def store_request(
    context_id: int, message_id: int, sop_class_uid: str, sop_instance_uid: str
) -> bytes:
    """Return the P-DATA-TF PDU that holds the whole command set of a C-STORE-RQ."""
    elements = b"".join(
        (
            _uid(_AFFECTED_SOP_CLASS, sop_class_uid),
            _number(_COMMAND_FIELD, _C_STORE_RQ),
            _number(_MESSAGE_ID, message_id),
            _number(_PRIORITY, _MEDIUM_PRIORITY),
            _number(_DATA_SET_TYPE, _DATA_SET_FOLLOWS),
            _uid(_AFFECTED_SOP_INSTANCE, sop_instance_uid),
        )
    )
    command = _ELEMENT.pack(0, 0, 4) + struct.pack("<I", len(elements)) + elements
    header = _PDU_AND_PDV.pack(
        P_DATA_TF, len(command) + 6, len(command) + 2, context_id, _COMMAND | _LAST
    )
    return header + command


def write_fragment_header(
    buffer: bytearray, offset: int, context_id: int, size: int, *, is_last: bool
) -> None:
    """Write the 12 bytes before ``size`` bytes of a data set: one PDV in one PDU."""
    control = _LAST if is_last else 0
    _PDU_AND_PDV.pack_into(buffer, offset, P_DATA_TF, size + 6, size + 2, context_id, control)


def parse_store_response(pdu: bytes) -> StoreResponse:
    """Read a P-DATA-TF PDU, header included, that holds a whole C-STORE-RSP.

    BenchmarkError if it holds anything else.
    """
    try:
        kind, _, pdv_length, _, control = _PDU_AND_PDV.unpack_from(pdu)
        if kind != P_DATA_TF or control != _COMMAND | _LAST or pdv_length + 10 != len(pdu):
            raise BenchmarkError(f"the receiver answered with a PDU of type {kind:#04x}")
        values = _elements(pdu[FRAGMENT_HEADER_BYTES:])
        (command,) = _US.unpack(values[_COMMAND_FIELD])
        if command != _C_STORE_RSP:
            raise BenchmarkError(f"the receiver answered with command {command:#06x}")
        return StoreResponse(
            message_id=_US.unpack(values[_RESPONDED_TO])[0],
            status=_US.unpack(values[_STATUS])[0],
            sop_instance_uid=values.get(_AFFECTED_SOP_INSTANCE, b"").rstrip(b"\0 ").decode("ascii"),
        )
    except (struct.error, KeyError, UnicodeDecodeError) as error:
        raise BenchmarkError("the receiver's answer is no C-STORE-RSP") from error


def _elements(command: bytes) -> dict[int, bytes]:
    """Element numbers of group 0000 to their values (implicit VR little endian, PS3.7 6.3.1)."""
    values: dict[int, bytes] = {}
    offset = 0
    while offset < len(command):
        _, element, length = _ELEMENT.unpack_from(command, offset)
        offset += _ELEMENT.size
        values[element] = command[offset : offset + length]
        offset += length
    return values


def _uid(element: int, uid: str) -> bytes:
    value = uid.encode("ascii")
    value += b"\0" * (len(value) % 2)
    return _ELEMENT.pack(0, element, len(value)) + value


def _number(element: int, value: int) -> bytes:
    return _ELEMENT.pack(0, element, 2) + _US.pack(value)
