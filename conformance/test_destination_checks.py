"""`mome-node check` of destinations that are real: what they take is told, and nothing stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.conftest import StartDcmtk
from mome_node.cli.destination_checks import destinations
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress
from mome_node.settings import Settings, parse_settings

Check = Callable[..., list[tuple[bool | None, str]]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    def found(address: DicomAddress | None = None, **more: object) -> list[tuple[bool | None, str]]:
        named: dict[str, object] = {"name": "pacs", "visibility": "research", **more}
        if address is not None:
            named |= {"ae": address.ae_title, "host": address.host, "port": address.port}
        settings: Settings = parse_settings({"destination": [named]}, base=tmp_path)
        return list(destinations(settings))

    return found


@pytest.mark.peer("Orthanc")
def test_orthanc_takes_everything_commits_and_is_asked(orthanc: Orthanc, check: Check):
    orthanc.set_node(DicomAddress("MOME", LOOPBACK, 11112))
    told = check(orthanc.address, objects=["sr", "seg", "summary", "map", "key_objects"])
    assert [works for works, _ in told] == [True, True, True], told
    assert "takes sr, seg, summary, map, key_objects" in told[0][1]
    assert "by C-FIND" in told[1][1]
    assert "storage commitment" in told[2][1]


@pytest.mark.peer("Orthanc")
def test_orthanc_is_asked_over_http(orthanc: Orthanc, check: Check):
    told = check(kind="dicomweb", url=orthanc.dicomweb_url)
    assert [works for works, _ in told] == [True, True], told
    assert "takes STOW-RS" in told[0][1]
    assert "answered QIDO-RS" in told[1][1]
    assert orthanc.instance_count("1.2.3") == 0


@pytest.mark.peer("DCMTK")
def test_storescp_takes_storage_and_cannot_be_asked(start_storescp: StartDcmtk, check: Check):
    server = start_storescp()
    told = check(server.address)
    assert [works for works, _ in told] == [True, False, None], told
    assert "takes sr, seg" in told[0][1]
    assert "takes no C-FIND" in told[1][1]
    assert "takes no storage commitment: nothing confirms results" in told[2][1]
    quiet = check(server.address, verify="none", commitment=False)
    assert [works for works, _ in quiet] == [True, None], quiet
    assert server.received() == []


@pytest.mark.peer("DCMTK")
def test_dcmqrscp_is_asked_and_does_not_commit(start_dcmqrscp: StartDcmtk, check: Check):
    told = check(start_dcmqrscp().address)
    assert [works for works, _ in told if works is False] == [], told
    assert any("confirmed by C-FIND" in words for _, words in told), told
