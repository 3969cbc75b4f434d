"""The sender's own bytes are C-STORE as others read and write it."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID
from pynetdicom.dimse_messages import C_STORE_RSP, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF

from mome_node.bench.ingest.cstore import (
    FRAGMENT_HEADER_BYTES,
    StoreResponse,
    parse_store_response,
    store_request,
    write_fragment_header,
)
from mome_node.errors import BenchmarkError

UIDS = st.integers(0, 10**38).map(lambda number: f"2.25.{number}")
CONTEXTS = st.integers(0, 127).map(lambda number: 2 * number + 1)
NUMBERS = st.integers(1, 0xFFFF)


def decoded(*pdus: bytes) -> DIMSEMessage:
    """A message as pynetdicom makes it from PDUs."""
    message = DIMSEMessage()
    message.data_set = BytesIO()
    for pdu in pdus:
        data = P_DATA_TF()
        data.decode(pdu)
        message.decode_msg(data.to_primitive())
    return message


def encoded_response(message_id: int, status: int, uid: str) -> bytes:
    """A C-STORE-RSP as pynetdicom sends it."""
    primitive = C_STORE()
    primitive.MessageIDBeingRespondedTo = message_id
    primitive.AffectedSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.4")
    primitive.AffectedSOPInstanceUID = UID(uid)
    primitive.Status = status
    message = C_STORE_RSP()
    message.primitive_to_message(primitive)
    (fragment,) = message.encode_msg(1, 16384)
    pdu = P_DATA_TF()
    pdu.from_primitive(fragment)
    return bytes(pdu.encode())


@given(context=CONTEXTS, message_id=NUMBERS, sop_class=UIDS, instance=UIDS)
def test_a_request_says_to_others_what_it_was_made_from(
    context: int, message_id: int, sop_class: str, instance: str
) -> None:
    data = bytearray(FRAGMENT_HEADER_BYTES) + b"some bytes"
    write_fragment_header(data, 0, context, 10, is_last=True)
    message = decoded(store_request(context, message_id, sop_class, instance), bytes(data))
    request = message.message_to_primitive()
    assert isinstance(request, C_STORE)
    assert request.MessageID == message_id
    assert request.AffectedSOPClassUID == sop_class
    assert request.AffectedSOPInstanceUID == instance
    assert request.DataSet is not None
    assert request.DataSet.getvalue() == b"some bytes"
    assert message.context_id == context


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=5))
def test_fragments_are_put_together_again(sizes: list[int]) -> None:
    pdus = [store_request(1, 1, "1.2", "1.3")]
    for number, size in enumerate(sizes):
        pdu = bytearray(FRAGMENT_HEADER_BYTES) + bytes([number]) * size
        write_fragment_header(pdu, 0, 1, size, is_last=number == len(sizes) - 1)
        pdus.append(bytes(pdu))
    found = decoded(*pdus).data_set
    assert found.getvalue() == b"".join(bytes([n]) * size for n, size in enumerate(sizes))


@given(message_id=NUMBERS, status=st.sampled_from([0x0000, 0xA700, 0xC000, 0x0124]), uid=UIDS)
def test_a_response_of_others_is_understood(message_id: int, status: int, uid: str) -> None:
    found = parse_store_response(encoded_response(message_id, status, uid))
    assert found == StoreResponse(message_id, status, uid)


@given(st.binary(max_size=200))
def test_anything_else_is_a_clear_error(pdu: bytes) -> None:
    with pytest.raises(BenchmarkError):
        parse_store_response(pdu)


@given(cut=st.integers(0, 1000))
def test_a_response_that_is_cut_is_a_clear_error(cut: int) -> None:
    whole = encoded_response(1, 0, "1.2.3")
    with pytest.raises(BenchmarkError):
        parse_store_response(whole[: cut % len(whole)])
