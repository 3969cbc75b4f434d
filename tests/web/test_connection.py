"""Connections of strangers, slow and broken ones, over real sockets: each ends, the rest go on."""

from __future__ import annotations

import itertools
import socket
from contextlib import suppress

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.conftest import connect, request, until_closed

MIB = 1 << 20


def answers(server) -> bool:
    return httpx.post(f"{server.url}/count", content=b"abc", timeout=20).text == "3 bytes"


# What a peer is promised


def test_body_comes_whole_whatever_its_length(serve, application):
    server = serve()
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for size in (0, 1, 5 * MIB):
            assert client.post("/count", content=bytes(size)).text == f"{size} bytes"
        chunks = (bytes(1000) for _ in range(300))
        assert client.post("/count", content=chunks).text == "300000 bytes"
        assert client.head("/count").status_code == 405
    assert application.largest_piece <= 3 << 17


def test_chunks_of_one_byte_are_gathered_before_they_are_handed_on(serve, application):
    server = serve()
    body = b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n"
    with connect(server) as connection:
        head = request("POST", "/count", "Transfer-Encoding: chunked", "Connection: close")
        connection.sendall(head + body)
        assert until_closed(connection).endswith(b"100000 bytes")
    assert application.largest_piece > 1000


def test_requests_may_follow_each_other_without_waiting(serve):
    server = serve()
    one = request("POST", "/count", "Content-Length: 3") + b"abc"
    with connect(server) as connection:
        connection.sendall(one * 3 + request("GET", "/nowhere", "Connection: close"))
        received = until_closed(connection)
    assert received.count(b"3 bytes") == 3
    assert b"HTTP/1.1 404 Not Found" in received


def test_old_peer_that_speaks_http_1_0_gets_its_answer_and_the_end(serve):
    server = serve(linger_s=30.0)
    with connect(server) as connection:
        connection.sendall(b"POST /count HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc")
        assert until_closed(connection).endswith(b"3 bytes")


def test_peer_sees_an_early_answer_although_it_sends_on(serve):
    server = serve(linger_s=20.0)
    answer = httpx.post(f"{server.url}/early", content=bytes(30 * MIB), timeout=30)
    assert (answer.status_code, answer.text) == (413, "not wanted")
    assert answer.headers["connection"] == "close"


def test_fault_of_ours_is_told_without_details_and_ends_only_its_own_request(serve):
    server = serve()
    answer = httpx.get(f"{server.url}/broken", timeout=20)
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert answers(server)


# Deadlines


@pytest.mark.parametrize(
    "beginning", [b"", b"POST /count HT", b"POST /count HTTP/1.1\r\nHost: n\r\n"]
)
def test_header_that_does_not_come_to_its_end_closes_the_connection(serve, beginning):
    server = serve(header_s=0.3)
    with connect(server) as connection:
        connection.sendall(beginning)
        assert until_closed(connection) == b""
    assert answers(server)


def test_header_that_trickles_closes_the_connection_all_the_same(serve):
    server = serve(header_s=0.5)
    with connect(server) as connection:
        connection.settimeout(0.05)
        with suppress(ConnectionError):
            for sent in itertools.count():
                connection.sendall(b"POST /count HTTP/1.1\r\nA: b\r\n" if not sent else b"A: b\r\n")
                with suppress(TimeoutError):
                    if connection.recv(100) == b"":
                        break
        assert sent > 1
    assert answers(server)


def test_idle_connection_is_closed(serve):
    server = serve(idle_s=0.3)
    with connect(server) as connection:
        connection.sendall(request("POST", "/count", "Content-Length: 0"))
        assert until_closed(connection).endswith(b"0 bytes")


def test_body_that_pauses_is_given_up_and_its_sender_told(serve, application):
    server = serve(body_window_s=0.3, linger_s=0.1)
    with connect(server) as connection:
        connection.sendall(request("POST", "/count", "Content-Length: 1000") + b"abc")
        assert until_closed(connection).startswith(b"HTTP/1.1 408 Request Timeout")
    assert application.cut == 1


def test_body_that_trickles_is_given_up(serve, application):
    server = serve(body_window_s=0.5, min_body_bytes_per_s=1000.0, linger_s=0.1)
    with connect(server) as connection:
        connection.settimeout(0.05)
        connection.sendall(request("POST", "/count", "Content-Length: 100000"))
        received = b""
        with suppress(ConnectionError):
            while not received:
                connection.sendall(b"x")
                with suppress(TimeoutError):
                    received = connection.recv(100)
        assert received.startswith(b"HTTP/1.1 408 ")
    assert application.cut == 1


def test_peer_that_does_not_take_its_answer_is_cut_off(serve):
    server = serve(answer_s=0.3, max_connections=1)
    with connect(server) as connection:
        connection.sendall(request("GET", "/large"))
        assert answers(server)  # only when the one place is free again
        assert len(until_closed(connection)) < 64 * MIB


def test_peer_that_sends_on_after_its_answer_is_cut_off(serve):
    server = serve(linger_s=0.3)
    with connect(server) as connection:
        connection.sendall(request("POST", "/early", f"Content-Length: {1 << 40}"))
        with suppress(ConnectionError):
            while True:
                connection.sendall(bytes(1 << 16))
    assert answers(server)


# Bounds


def test_connections_beyond_the_limit_wait_for_a_place(serve):
    server = serve(max_connections=2, header_s=30.0)
    with connect(server) as one, connect(server) as other:
        third = connect(server)
        third.sendall(request("POST", "/count", "Content-Length: 0", "Connection: close"))
        third.settimeout(0.3)
        with pytest.raises(TimeoutError):
            third.recv(1)
        one.close()
        third.settimeout(20)
        assert until_closed(third).endswith(b"0 bytes")
        assert other.fileno() > 0


def test_body_is_not_read_before_it_is_asked_for(serve, application):
    """A peer whose request is answered early cannot push its body into our memory."""
    server = serve(linger_s=0.2)
    with connect(server) as connection:
        fields = ("Content-Length: 5", "Expect: 100-continue")
        connection.sendall(request("POST", "/early", *fields))
        received = until_closed(connection)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in received


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"A" * 100_000, b"431"),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 100_000, b"431"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10 + b"\r\n\r\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        (request("POST", "/count", "Content-Length: x"), b"400"),
        (request("POST", "/count", "Content-Length: 1", "Content-Length: 2"), b"400"),
        (request("POST", "/count", "Transfer-Encoding: gzip"), b"501"),
        (request("POST", "/count", "Transfer-Encoding: chunked") + b"x\r\n", b"400"),
        (request("POST", "/count", "Transfer-Encoding: chunked") + b"f" * 30 + b"\r\n", b"400"),
        (request("POST", "/count", "Content-Length: 10") + b"abc", b"400"),
    ],
)
def test_what_is_no_http_is_refused_and_closed(serve, sent, status):
    server = serve(linger_s=0.3)
    with connect(server) as connection:
        with suppress(ConnectionError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        assert until_closed(connection).startswith(b"HTTP/1.1 " + status)
    assert answers(server)


chunked_bodies = st.binary(max_size=80).map(
    lambda body: request("POST", "/count", "Transfer-Encoding: chunked") + body
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.one_of(st.binary(max_size=200), chunked_bodies))
def test_any_bytes_at_all_end_in_an_answer_or_a_close(serve_once, sent):
    with connect(serve_once) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = until_closed(connection)
    assert received == b"" or received.startswith(b"HTTP/1.1 ")
    assert answers(serve_once)


@pytest.fixture
def serve_once(serve):
    return serve(linger_s=0.3)


def test_stop_cuts_off_what_is_open_and_returns(serve, application):
    server = serve()
    idle, busy = connect(server), connect(server)
    busy.sendall(request("POST", "/count", "Content-Length: 1000", "Expect: 100-continue"))
    assert busy.recv(100).startswith(b"HTTP/1.1 100")
    server.stop()
    assert until_closed(idle) == until_closed(busy) == b""
    assert application.seen == []
