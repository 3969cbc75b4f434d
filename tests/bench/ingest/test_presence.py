"""What was acknowledged counts as present only if its row is there and its file is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mome_node.bench.ingest.instances import TRANSFER_SYNTAX, PreparedInstance, PreparedStudy
from mome_node.bench.ingest.job import SendJob
from mome_node.bench.ingest.presence import count_whole
from mome_node.bench.ingest.sender import send


@pytest.fixture
def received(start_scp, make_study: Callable[..., PreparedStudy]) -> tuple[PreparedInstance, ...]:
    (part,) = make_study(instances=3).renew()
    outbound = tuple(i.outbound for i in part)
    address = ("127.0.0.1", start_scp().port)
    send(SendJob(*address, "MOME", "BENCH", TRANSFER_SYNTAX, (outbound,)))
    return part


def test_all_is_there_that_was_received(
    data_dir: Path, received: tuple[PreparedInstance, ...]
) -> None:
    assert count_whole(data_dir, received) == 3


def test_an_instance_that_never_came_is_missed(
    data_dir: Path, received: tuple[PreparedInstance, ...]
) -> None:
    other = replace(received[0].outbound, sop_instance_uid="1.2.3")
    assert count_whole(data_dir, [*received, replace(received[0], outbound=other)]) == 3


@pytest.mark.parametrize("damage", ["torn", "altered", "gone", "empty"])
def test_a_file_that_is_not_what_was_sent_is_missed(
    data_dir: Path, received: tuple[PreparedInstance, ...], damage: str
) -> None:
    files = data_dir.glob("instances/??/*.dcm")
    path = next(p for p in files if p.stat().st_size)  # others are made ready
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(content[:-1])
    elif damage == "altered":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        path.write_bytes(b"")
    assert count_whole(data_dir, received) == 2
