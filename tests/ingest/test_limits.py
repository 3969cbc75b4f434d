"""Open files and slow peers: what a receiver can bear is known before it has to."""

from __future__ import annotations

import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress

import pytest
from pydicom.uid import MRImageStorage
from pynetdicom import AE

from mome_node.errors import SettingsError
from mome_node.ingest import open_files
from mome_node.ingest.open_files import allow_open_files, needed_files
from mome_node.ingest.peers import Admission
from mome_node.ingest.pending import PendingConnections
from mome_node.ingest.scp import ScpSettings, StorageScp


def test_more_associations_need_more_open_files() -> None:
    assert needed_files(25, 41) < 1024 < needed_files(1000, 1016)


def test_the_soft_limit_is_raised_where_the_system_lets_us() -> None:
    program = (
        "import resource; from mome_node.ingest.open_files import allow_open_files\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\n"
        "allow_open_files(200); allow_open_files(100)\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("200\n", "")


def test_a_hard_limit_that_is_too_low_is_told(monkeypatch) -> None:
    monkeypatch.setattr(open_files.resource, "getrlimit", lambda _: (256, 512))
    with pytest.raises(SettingsError, match=r"needs 600 open files, .* process 512: allow"):
        allow_open_files(600)


def test_no_limit_is_enough(monkeypatch) -> None:
    monkeypatch.setattr(open_files.resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    allow_open_files(1 << 20)


@pytest.mark.parametrize("is_associated", [False, True], ids=["before a request", "associated"])
def test_a_peer_that_sends_a_byte_now_and_then_is_given_up(node, is_associated) -> None:
    """Each byte comes in time, and the PDU never ends: the time is that of the whole PDU."""
    settings = ScpSettings(host="127.0.0.1", port=0, pdu_timeout_s=0.3)
    request, kind = AE("SENDER"), 0x04 if is_associated else 0x01
    request.add_requested_context(MRImageStorage)
    with StorageScp(settings, node.reception, Admission()) as scp, ExitStack() as stack:
        if is_associated:
            association = request.associate("127.0.0.1", scp.port, ae_title="MOME")
            stack.callback(association.abort)
            connection = association.dul.socket.socket
        else:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", scp.port)))
        connection.sendall(struct.pack(">BxL", kind, 1000))
        began, pause = time.monotonic(), threading.Event()
        with suppress(OSError):  # a reset, or a broken pipe
            while time.monotonic() - began < 20:
                connection.sendall(b"\0")
                pause.wait(0.02)
        assert time.monotonic() - began < 20, "nobody gave it up"
        assert node.files() == []


def test_the_busiest_place_loses_its_oldest_connection_and_others_none() -> None:
    pending = PendingConnections(3, lambda: 0.0)
    pairs = [socket.socketpair() for _ in range(4)]
    (first, of_first), (second, _), (third, of_third), (fourth, _) = pairs
    assert pending.add(first, "10.0.0.1", 10.0) is None
    assert pending.add(second, "10.0.0.9", 10.0) is None
    assert pending.add(third, "10.0.0.9", 10.0) is None
    assert pending.add(fourth, "10.0.0.2", 10.0) == "10.0.0.9"
    assert second.recv(1) == b""
    of_first.sendall(b"1")
    of_third.sendall(b"3")
    assert (first.recv(1), third.recv(1)) == (b"1", b"3")
    for pair in pairs:
        for connection in pair:
            connection.close()
    assert len(pending) == 0


def test_a_machine_counts_once_however_many_addresses_of_ipv6_it_takes() -> None:
    pending = PendingConnections(2, lambda: 0.0)
    kept = [socket.socketpair() for _ in range(3)]
    assert pending.add(kept[0][0], "2001:db8::1", 10.0) is None
    assert pending.add(kept[1][0], "2001:db8::2%eth0", 10.0) is None
    assert pending.add(kept[2][0], "::ffff:10.0.0.2", 10.0) == "2001:db8::/64"
    for pair in kept:
        for connection in pair:
            connection.close()


def test_a_connection_has_until_its_time_is_over() -> None:
    now = [0.0]
    pending = PendingConnections(9, lambda: now[0])
    (early, of_early), (late, of_late), (asked, of_asked) = (socket.socketpair() for _ in range(3))
    pending.add(early, "10.0.0.1", 10.0)
    pending.add(late, "10.0.0.2", 10.0)
    pending.add(asked, "10.0.0.3", 10.0)
    now[0] = 9.0
    assert pending.close_overdue() == []
    pending.extend(late, 30.0)
    pending.remove(asked)
    now[0] = 10.0
    assert pending.close_overdue() == ["10.0.0.1"]
    assert of_early.recv(1) == b""
    assert len(pending) == 1
    pending.close_all()
    assert of_late.recv(1) == b""
    of_asked.sendall(b"x")
    assert asked.recv(1) == b"x"
    for connection in (early, of_early, late, of_late, asked, of_asked):
        connection.close()


def test_a_connection_that_was_reset_is_closed_all_the_same() -> None:
    pending = PendingConnections(9)
    with socket.create_server(("127.0.0.1", 0)) as server:
        caller = socket.create_connection(server.getsockname())
        connection, _ = server.accept()
        pending.add(connection, "127.0.0.1", 0.0)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        caller.close()
        assert pending.close_overdue() == ["127.0.0.1"]
        connection.close()
