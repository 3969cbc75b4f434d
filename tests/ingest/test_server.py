"""The accept thread waits for nobody; connections that ask for nothing are few and not for long."""

from __future__ import annotations

import contextlib
import copy
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from structlog.testing import capture_logs

from mome_node.errors import SettingsError
from mome_node.ingest import server
from mome_node.ingest.peers import Admission
from mome_node.ingest.pending import PendingConnections
from mome_node.ingest.scp import ScpSettings, StorageScp
from mome_node.tls import server_context
from tests.ingest.certificates import Hospital
from tests.ingest.conftest import utc_now

LOOPBACK = "127.0.0.1"
WAIT_S = 20.0


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def listen(node) -> Iterator[Callable[..., StorageScp]]:
    """Start receivers on a free port, with settings and TLS as told."""
    with contextlib.ExitStack() as stack:

        def start(tls=None, admission=None, **settings) -> StorageScp:
            told = ScpSettings(**{"host": LOOPBACK, "port": 0, "tls_port": 0} | settings)
            return stack.enter_context(
                StorageScp(told, node.reception, admission or Admission(), tls)
            )

        yield start


@pytest.fixture
def silent() -> Iterator[Callable[[int, int], list[socket.socket]]]:
    """Open connections that say nothing."""
    with contextlib.ExitStack() as stack:

        def connect(port: int, count: int = 1) -> list[socket.socket]:
            address = (LOOPBACK, port)
            return [
                stack.enter_context(socket.create_connection(address, timeout=WAIT_S))
                for _ in range(count)
            ]

        yield connect


def echo(port: int, called: str = "MOME", tls=None, host: str = LOOPBACK) -> bool:
    """Whether a C-ECHO is answered."""
    caller = AE("SENDER")
    caller.add_requested_context(Verification)
    caller.acse_timeout = caller.dimse_timeout = WAIT_S
    tls_args = (tls, LOOPBACK) if tls else None
    association = caller.associate(host, port, ae_title=called, tls_args=tls_args)
    if not association.is_established:
        return False
    answered = association.send_c_echo().get("Status") == 0
    association.release()
    return answered


def is_closed(connection: socket.socket) -> bool:
    """Wait until the other side closes."""
    try:
        return connection.recv(1000) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("with_tls", [False, True])
def test_silent_connections_keep_nobody_out(listen, silent, tmp_path, with_tls) -> None:
    hospital = Hospital(tmp_path)
    tls = server_context(hospital.files(), utc_now()) if with_tls else None
    scp = listen(tls, plain=not with_tls, max_associations=4)
    port = scp.tls_port if with_tls else scp.port
    silent(port, 30)  # more than are allowed to wait
    began = time.monotonic()
    assert echo(port, tls=hospital.client() if with_tls else None)
    assert time.monotonic() - began < 5.0


def test_a_connection_without_a_handshake_is_closed_in_time(listen, silent, tmp_path) -> None:
    tls = server_context(Hospital(tmp_path).files(), utc_now())
    scp = listen(tls, handshake_timeout_s=0.2)
    with capture_logs() as logs:
        (connection,) = silent(scp.tls_port)
        assert is_closed(connection)
        eventually(lambda: any(e["event"] == "TLS handshake failed" for e in logs))
    assert "did not finish the handshake in time" in str(logs)


def test_a_connection_without_a_request_is_closed_in_time(listen, silent) -> None:
    scp = listen(acse_timeout_s=0.2)
    (connection,) = silent(scp.port)
    assert is_closed(connection)


def test_a_request_that_comes_byte_by_byte_is_closed_in_time(listen, silent) -> None:
    scp = listen(acse_timeout_s=0.5)
    (connection,) = silent(scp.port)
    connection.sendall(b"\x01\x00\x00\x00\x00\xff")  # an A-ASSOCIATE-RQ of 255 bytes
    ended = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not ended.wait(0.05):
                connection.sendall(b"\x00")

    feeder = threading.Thread(target=drip)
    feeder.start()
    began = time.monotonic()
    assert is_closed(connection)
    ended.set()
    feeder.join()
    assert time.monotonic() - began < 5.0


def test_a_pdu_that_does_not_come_whole_ends_the_association(listen) -> None:
    scp = listen(pdu_timeout_s=0.3)
    caller = AE("SENDER")
    caller.add_requested_context(Verification)
    association = caller.associate(LOOPBACK, scp.port, ae_title="MOME")
    assert association.is_established
    connection = association.dul.socket.socket
    connection.sendall(b"\x04\x00\x00\x00\x10\x00" + bytes(10))  # 4,086 bytes are missing
    eventually(lambda: not association.is_alive())
    assert association.is_aborted


def test_a_connection_copies_nothing_of_what_all_of_them_share(listen) -> None:
    listening = listen()._servers["plain"]
    assert len(listening.contexts) > 100
    assert copy.deepcopy(listening.contexts) is listening.contexts


def test_half_open_connections_take_no_places_of_associations(listen, silent) -> None:
    scp = listen(max_associations=1)
    silent(scp.port, 10)
    assert echo(scp.port)


def test_who_comes_beyond_the_limit_is_told_so_and_may_come_again(listen) -> None:
    scp = listen(max_associations=1)
    caller = AE("SENDER")
    caller.add_requested_context(Verification)
    first = caller.associate(LOOPBACK, scp.port, ae_title="MOME")
    assert first.is_established
    second = caller.associate(LOOPBACK, scp.port, ae_title="MOME")
    assert second.is_rejected
    answer = second.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
    first.release()
    assert echo(scp.port)


def test_a_peer_has_its_own_limit(listen) -> None:
    scp = listen(max_associations=4, peer_associations={"GREEDY": 1})
    opened = []
    for title in ("GREEDY", "GREEDY", "MODEST", "MODEST"):
        caller = AE(title)
        caller.add_requested_context(Verification)
        opened.append(caller.associate(LOOPBACK, scp.port, ae_title="MOME"))
    assert [a.is_established for a in opened] == [True, False, True, True]
    for association in opened:
        association.abort()


def test_we_answer_to_further_titles_of_our_own(listen) -> None:
    scp = listen(also_called=("MOME_TEST",))
    assert echo(scp.port, called="MOME")
    assert echo(scp.port, called="MOME_TEST")
    assert not echo(scp.port, called="OTHER")


def test_peers_may_move_to_tls_one_after_another(listen, tmp_path) -> None:
    hospital = Hospital(tmp_path)
    tls = server_context(hospital.files(), utc_now())
    both = listen(tls)
    assert echo(both.port)
    assert echo(both.tls_port, tls=hospital.client())
    closed = listen(tls, plain=False)
    assert echo(closed.tls_port, tls=hospital.client())
    with pytest.raises(SettingsError):
        _ = closed.port


@pytest.mark.parametrize("host", [LOOPBACK, "::1"])
def test_one_socket_takes_both_versions_of_ip(listen, host) -> None:
    if not socket.has_dualstack_ipv6():
        host = LOOPBACK  # a machine without IPv6 still has the other one
    scp = listen(host="::" if socket.has_dualstack_ipv6() else LOOPBACK)
    assert echo(scp.port, host=host)


def test_a_tls_port_in_use_is_told_and_leaves_nothing_open(listen, node, tmp_path) -> None:
    tls = server_context(Hospital(tmp_path).files(), utc_now())
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        scp = StorageScp(
            ScpSettings(host=LOOPBACK, port=0, tls_port=port), node.reception, Admission(), tls
        )
        with pytest.raises(SettingsError, match=str(port)):
            scp.start()
    with pytest.raises(SettingsError):
        _ = scp.port


def test_running_out_of_open_files_is_survived(listen, monkeypatch) -> None:
    scp = listen()
    accept = socket.socket.accept
    failures = iter([OSError(errno.EMFILE, "Too many open files")] * 3)

    def failing_accept(listening: socket.socket):
        if failure := next(failures, None):
            raise failure
        return accept(listening)

    monkeypatch.setattr(server, "_PAUSE_S", 0.01)
    monkeypatch.setattr(socket.socket, "accept", failing_accept)
    with capture_logs() as logs:
        assert echo(scp.port)
    told = [e for e in logs if e["event"] == "no connection can be accepted"]
    assert [e["why"] for e in told] == ["Too many open files"]


def test_stopping_does_not_wait_for_silent_connections(node, silent) -> None:
    scp = StorageScp(ScpSettings(host=LOOPBACK, port=0), node.reception, Admission())
    scp.start()
    connections = silent(scp.port, 5)
    began = time.monotonic()
    scp.stop()
    assert time.monotonic() - began < 10.0
    assert all(is_closed(c) for c in connections)


def test_a_connection_that_comes_while_it_stops_is_not_waited_for(node, monkeypatch) -> None:
    scp = StorageScp(ScpSettings(host=LOOPBACK, port=0), node.reception, Admission())
    scp.start()
    port, late = scp.port, []
    close_all = PendingConnections.close_all

    def close_all_and_let_one_in(pending: PendingConnections) -> None:
        close_all(pending)
        with contextlib.suppress(ConnectionRefusedError):
            late.append(socket.create_connection((LOOPBACK, port), timeout=WAIT_S))
            eventually(lambda: len(pending))

    monkeypatch.setattr(PendingConnections, "close_all", close_all_and_let_one_in)
    began = time.monotonic()
    scp.stop()
    assert time.monotonic() - began < 10.0
    assert late == []


def test_nothing_is_left_of_connections_that_ended(listen, silent) -> None:
    scp = listen()
    before = threading.active_count()
    for connection in silent(scp.port, 10):
        connection.close()
    for _ in range(3):
        assert echo(scp.port)
    eventually(lambda: threading.active_count() <= before)
    assert len(scp._pending) == 0
