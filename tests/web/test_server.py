"""The server as a whole: TLS, ports, start and stop."""

from __future__ import annotations

import socket
import ssl
import threading

import httpx
import pytest
import trustme

from mome_node.errors import SettingsError
from mome_node.web.server import WebServer, WebServerSettings
from tests.web.conftest import connect, until_closed


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ours(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def theirs(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_bodies_come_over_tls(serve, ours, theirs):
    server = serve(tls=ours)
    assert server.url.startswith("https://")
    with httpx.Client(verify=theirs, timeout=30) as client:
        for size in (0, 3 << 20):
            answer = client.post(f"{server.url}/count", content=bytes(size))
            assert answer.text == f"{size} bytes"
        assert client.post(f"{server.url}/early", content=bytes(3 << 20)).status_code == 413


def test_peer_that_does_not_trust_us_or_speaks_no_tls_disturbs_nobody(serve, ours, theirs):
    server = serve(tls=ours)
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"{server.url}/count")
    with connect(server) as connection:
        connection.sendall(b"POST /count HTTP/1.1\r\nHost: node\r\n\r\n")
        assert not until_closed(connection).startswith(b"HTTP")
    assert httpx.post(f"{server.url}/count", verify=theirs, timeout=20).text == "0 bytes"


def test_handshake_that_does_not_begin_gives_its_place_back(serve, ours, theirs):
    server = serve(tls=ours, header_s=0.3, max_connections=1)
    with connect(server) as connection:
        answer = httpx.post(f"{server.url}/count", verify=theirs, timeout=20)
        assert answer.text == "0 bytes"
        assert until_closed(connection) == b""


def test_port_that_is_taken_is_told(serve, application):
    server = serve()
    second = WebServer(application.asgi, WebServerSettings(port=server.port))
    with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1 port {server.port}"):
        second.start()
    second.stop()


def test_stopped_server_is_gone_with_its_thread(serve):
    server = serve()
    port = server.port
    assert any(t.name == "web" for t in threading.enumerate())
    server.stop()
    server.stop()
    assert not any(t.name == "web" for t in threading.enumerate())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with pytest.raises(SettingsError):
        assert server.port
