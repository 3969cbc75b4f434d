"""How the settings become the node's HTTP door."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from mome_node.catalog.catalog import Catalog
from mome_node.demonstration.pacs.pacs import free_port
from mome_node.errors import SettingsError
from mome_node.ingest.receipt import Reception
from mome_node.node import Node, utc_now
from mome_node.node_web import WebDoor, server_settings
from mome_node.settings import parse_settings
from mome_node.storage.local import LocalStore

TOKEN = "a-token-of-the-gateway-0123"


def web_settings(folder: Path, **keys: object):
    token = folder / "gateway.token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    tokens = [{"name": "gateway", "file": str(token)}]
    web = {"enabled": True, "port": free_port(), "tokens": tokens, **keys}
    return parse_settings({"web": web}, base=folder).web


@pytest.fixture
def reception(tmp_path: Path):
    with Catalog.open(f"sqlite:///{tmp_path}/catalog.db") as catalog:
        yield Reception(LocalStore(tmp_path / "data"), catalog, utc_now)


def test_node_without_the_section_has_no_http_door(tmp_path: Path) -> None:
    node = Node(parse_settings({}, base=tmp_path))
    assert node.web_url is None
    node.stop()


def test_door_opens_where_the_settings_say_and_closes(tmp_path: Path, reception) -> None:
    settings = web_settings(tmp_path)
    door = WebDoor(settings, reception, utc_now())
    door.start()
    assert door.url == f"http://127.0.0.1:{settings.port}"
    studies = f"{door.url}/dicom-web/studies"
    assert httpx.post(studies).status_code == 401
    mine = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.post(studies, headers=mine).status_code == 415
    door.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.post(studies)


def test_door_speaks_https_with_a_certificate(tmp_path: Path, reception) -> None:
    authority = trustme.CA()
    ours = authority.issue_cert("127.0.0.1")
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "node.pem")
    (tmp_path / "node.pem").chmod(0o600)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    files = {"certificate": "node.pem", "key": "node.pem"}
    door = WebDoor(web_settings(tmp_path, **files), reception, utc_now())
    door.start()
    try:
        url = f"{door.url}/dicom-web/studies"
        assert url.startswith("https://")
        trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        assert httpx.post(url, verify=trusting).status_code == 401
    finally:
        door.stop()


def test_certificate_or_token_that_is_no_good_is_told_before_anything_opens(
    tmp_path: Path, reception
) -> None:
    (tmp_path / "node.pem").write_text("no certificate")
    (tmp_path / "node.pem").chmod(0o600)
    files = {"certificate": "node.pem", "key": "node.pem"}
    with pytest.raises(SettingsError, match=r"web\.certificate: .*node\.pem"):
        WebDoor(web_settings(tmp_path, **files), reception, utc_now())
    settings = web_settings(tmp_path)
    settings.tokens[0].file.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        WebDoor(settings, reception, utc_now())


def test_times_of_the_settings_reach_the_connections(tmp_path: Path) -> None:
    times = {"header_timeout_s": 1, "idle_timeout_s": 2, "body_timeout_s": 3, "min_kb_per_s": 4}
    found = server_settings(web_settings(tmp_path, max_connections=5, **times))
    assert (found.max_connections, found.connection.header_s, found.connection.idle_s) == (5, 1, 2)
    assert (found.connection.body_window_s, found.connection.min_body_bytes_per_s) == (3, 4096)
