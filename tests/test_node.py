"""How settings become the node's parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mome_node.assembly.completeness import OnDeadline
from mome_node.catalog.commitments import AskingPeer
from mome_node.errors import SettingsError
from mome_node.jobs.archive_counts import QueriedCounts
from mome_node.node import archive_counts, report_listener, series_counts, site_policy
from mome_node.settings import parse_settings


def settings_with(tmp_path: Path, **assembly: object):
    return parse_settings({"assembly": assembly}, base=tmp_path)


@pytest.mark.parametrize("policy", OnDeadline)
def test_policy_at_the_deadline_is_what_the_settings_say(tmp_path: Path, policy) -> None:
    settings = settings_with(tmp_path, on_deadline=policy.value, hard_limit_s=9000)
    patience = site_policy(settings).patience
    assert (patience.on_deadline, patience.hard_limit_s) == (policy, 9000)


def test_no_pacs_is_asked_where_none_is_set_or_asking_is_switched_off(tmp_path: Path) -> None:
    source = QueriedCounts(lambda _: ())
    assert archive_counts(settings_with(tmp_path), source) is not None
    assert archive_counts(settings_with(tmp_path, ask_pacs_every_s=0), source) is None
    assert series_counts(settings_with(tmp_path)) is None
    assert archive_counts(settings_with(tmp_path), None) is None


def test_one_archive_may_be_asked_for_counts(tmp_path: Path) -> None:
    pacs = {"name": "a", "ae": "PACS", "host": "10.0.0.5", "port": 104}
    asked = {**pacs, "name": "b", "counts": True}
    only_surveyed = parse_settings({"pacs": [pacs]}, base=tmp_path)
    assert series_counts(only_surveyed) is None
    assert isinstance(
        series_counts(parse_settings({"pacs": [pacs, asked]}, base=tmp_path)), QueriedCounts
    )
    with pytest.raises(SettingsError, match=r"pacs\.counts: found true for several archives"):
        parse_settings({"pacs": [asked, {**asked, "name": "c"}]}, base=tmp_path)


def test_reports_go_where_the_peer_asked_from_at_the_port_of_its_entry(tmp_path: Path) -> None:
    peers = [
        {"ae": "PACS", "host": "10.0.0.4", "port": 104},
        {"ae": "PACS", "host": "10.0.0.5", "port": 11112},
        {"ae": "CT", "host": "10.0.0.5"},
    ]
    settings = parse_settings({"dicom": {"allowed_peers": peers}}, base=tmp_path)
    found = report_listener(settings, AskingPeer("PACS", "10.0.0.5"))
    assert found is not None
    assert (found.ae_title, found.host, found.port) == ("PACS", "10.0.0.5", 11112)
    assert found.calling_ae_title == "MOME"
    assert report_listener(settings, AskingPeer("CT", "10.0.0.5")) is None
    assert report_listener(settings, AskingPeer("PACS", "10.0.0.6")) is None
