"""How settings become the node's parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mome_node.assembly.completeness import OnDeadline
from mome_node.catalog.commitments import AskingPeer
from mome_node.errors import SettingsError
from mome_node.jobs.archive_counts import QueriedCounts
from mome_node.node import (
    Node,
    archive_counts,
    report_listener,
    series_counts,
    site_policy,
    utc_now,
)
from mome_node.node_delivery import limiters_of
from mome_node.node_dicom import (
    commitment_results,
    instance_room,
    peer_rates,
    scp_settings,
    tls_files,
)
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
    assert series_counts(settings_with(tmp_path), {}) is None
    assert archive_counts(settings_with(tmp_path), None) is None


def test_one_archive_may_be_asked_for_counts(tmp_path: Path) -> None:
    pacs = {"name": "a", "ae": "PACS", "host": "10.0.0.5", "port": 104}
    asked = {**pacs, "name": "b", "counts": True}
    only_surveyed = parse_settings({"pacs": [pacs]}, base=tmp_path)
    assert series_counts(only_surveyed, limiters_of(only_surveyed)) is None
    both = parse_settings({"pacs": [pacs, asked]}, base=tmp_path)
    assert isinstance(series_counts(both, limiters_of(both)), QueriedCounts)
    with pytest.raises(SettingsError, match=r"pacs\.counts: found true for several archives"):
        parse_settings({"pacs": [asked, {**asked, "name": "c"}]}, base=tmp_path)


def test_what_the_settings_say_of_doors_reaches_the_receiver(tmp_path: Path) -> None:
    peers = [{"ae": "PACS", "host": "10.0.0.0/24", "max_associations": 2}]
    told = {"plain": False, "also_called": ["OLD"], "allowed_peers": peers, "pdu_timeout_s": 7}
    times = {"handshake_timeout_s": 5, "request_timeout_s": 6}
    tls = {"certificate": "a.pem", "key": "a.key", "minimum": "1.3", "port": 2763}
    settings = parse_settings({"dicom": {**told, **times, "tls": tls}}, base=tmp_path)
    scp = scp_settings(settings)
    assert (scp.plain, scp.tls_port, scp.also_called) == (False, 2763, ("OLD",))
    assert scp.peer_associations == {"PACS": 2}
    assert (scp.times.handshake_s, scp.times.request_s, scp.times.pdu_s) == (5, 6, 7)
    files = tls_files(settings.dicom.tls)
    assert files is not None
    assert (files.certificate, files.minimum) == (tmp_path / "a.pem", "1.3")
    assert tls_files(settings_with(tmp_path).dicom.tls) is None


def test_limits_of_a_peer_are_counted_a_minute(tmp_path: Path) -> None:
    peers = [{"ae": "PACS", "host": "10.0.0.5", "max_mb_a_minute": 60}]
    rates = peer_rates(parse_settings({"dicom": {"allowed_peers": peers}}, base=tmp_path))
    assert rates.delay_s("PACS", 1000, 5 << 20) == 0.0
    assert rates.delay_s("PACS", 1, 5 << 20) == pytest.approx(4.0, abs=0.5)


def test_a_node_on_a_full_disk_gives_an_alarm(tmp_path: Path) -> None:
    data = {"node": {"data_dir": "data"}, "storage": {"min_free_mb": 100_000_000}}
    settings = parse_settings({**data, "dicom": {"host": "127.0.0.1"}}, base=tmp_path)
    node = Node(settings)
    try:
        assert "new instances need" in str(instance_room(settings).fault())
        node.alarms.look()
        assert [a.name for a in node.catalog.alarms()] == ["disk"]
    finally:
        node.stop()


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


class NobodyAsked:
    """No destination was asked for anything."""

    def answer(self, *_: object) -> bool:
        return False


def test_a_destination_reports_from_where_it_is_and_from_where_its_entries_say(
    tmp_path: Path,
) -> None:
    peers = [{"ae": "PACS", "host": "10.1.2.0/24"}, {"ae": "CT", "host": "10.0.0.7"}]
    destinations = [
        {"name": "archive", "ae": "PACS", "host": "10.0.0.5", "port": 104},
        {"name": "research", "ae": "PACS", "host": "10.0.0.6", "port": 104},
    ]
    settings = parse_settings(
        {"dicom": {"allowed_peers": peers}, "destination": destinations}, base=tmp_path
    )
    results = commitment_results(settings, NobodyAsked(), utc_now, lambda _transaction_uid: None)
    assert results.speaks("PACS", "10.0.0.5") == ("archive",)
    assert results.speaks("PACS", "10.0.0.6") == ("research",)
    assert results.speaks("PACS", "10.1.2.9") == ("archive", "research")
    assert results.speaks("PACS", "10.0.0.7") == ()
    assert results.speaks("CT", "10.0.0.7") == ()
