"""Bodies go to the disk as fast as they are taken in, and no faster into memory."""

from __future__ import annotations

import struct
import threading
import tracemalloc
from contextlib import suppress

import pytest

from mome_node.ingest.receipt import ReceiptLimits, Reception
from mome_node.ingest.store_request import StowLimits
from tests.ingest.stow_client import BOUNDARY, Door, multipart, part10, until_closed

MIB = 1 << 20
END = f"\r\n--{BOUNDARY}--\r\n".encode()


@pytest.fixture
def limits() -> ReceiptLimits:
    """Those of a node: large instances are taken."""
    return ReceiptLimits()


def begun_image(make_dataset, encode, pixel_bytes: int) -> bytes:
    """A body up to the first byte of one large image's pixels."""
    dataset = make_dataset()
    del dataset.PixelData
    pixels = struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OW", pixel_bytes)
    return multipart([part10(encode(dataset) + pixels)]).removesuffix(END)


def test_memory_stays_flat_while_a_large_instance_comes(node, open_door, make_dataset, encode):
    size, chunk = 48 * MIB, bytes(MIB)
    begin = begun_image(make_dataset, encode, size)
    door: Door = open_door(node.reception, StowLimits(max_request_bytes=2 * size))
    with door.connect() as connection:
        length = len(begin) + size + len(END)
        connection.sendall(door.head(f"Content-Length: {length}", "Connection: close") + begin)
        tracemalloc.start()
        for _ in range(size // MIB):
            connection.sendall(chunk)
        connection.sendall(END)
        answer = until_closed(connection)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert peak < 4 * MIB
    (record,) = node.catalog.instances_of("1.2.3.4")
    assert record.size > size


def test_sender_is_slowed_down_to_the_disk_and_others_are_answered_meanwhile(
    node, open_door, make_dataset, encode
):
    disk_works = threading.Event()

    class SlowReception(Reception):
        def begin(self, identity):
            disk_works.wait()
            return super().begin(identity)

    slow = SlowReception(node.store, node.catalog, lambda: None)
    door: Door = open_door(slow, StowLimits(max_request_bytes=2 << 30))
    try:
        with door.connect() as connection:
            connection.sendall(door.head(f"Content-Length: {1 << 30}"))
            connection.sendall(begun_image(make_dataset, encode, 1 << 29))
            connection.settimeout(0.5)
            sent = 0
            with suppress(TimeoutError):
                while sent < 200 * MIB:
                    sent += connection.send(bytes(MIB))
            assert sent < 32 * MIB  # what the two sockets' buffers hold
            assert door.post(b"", token="guessed").status_code == 401
    finally:
        disk_works.set()
