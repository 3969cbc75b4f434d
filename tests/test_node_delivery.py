"""Destinations as the settings describe them: what they are sent by, and who is asked for them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydicom.uid import SecondaryCaptureImageStorage
from pynetdicom.ae import ApplicationEntity

from mome_node.delivery.association import Timeouts
from mome_node.delivery.destination import Destination
from mome_node.delivery.dimse import DimseSender
from mome_node.delivery.ports import CommitmentScu, Port, StudyThere
from mome_node.delivery.probe import probe
from mome_node.delivery.stow import StowSender
from mome_node.errors import (
    AnswerTooLargeError,
    ArchiveUnavailableError,
    ContradictoryAnswerError,
    MalformedAnswerError,
    PermanentDeliveryError,
    QueryError,
    QueryRefusedError,
    SettingsError,
    TransientDeliveryError,
)
from mome_node.node_delivery import QueriedArchive, dimse_peer, limiters_of, ports
from mome_node.query.cfind import CFindQuery
from mome_node.query.doubles import MemoryArchive
from mome_node.query.qido import QidoQuery
from mome_node.query.records import StudyRecord
from mome_node.settings import Settings, parse_settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIMSE = {"name": "pacs", "ae": "PACS", "host": "127.0.0.1", "port": 104}
WEB = {"name": "vna", "kind": "dicomweb", "url": "https://vna.example.org/dicom-web"}


def settings_of(folder: Path, *destinations: dict[str, Any], **more: Any) -> Settings:
    return parse_settings({"destination": list(destinations), **more}, base=folder)


def ports_of(settings: Settings, now: datetime = NOW) -> dict[str, Port]:
    return dict(ports(settings, now, limiters_of(settings)))


# What an archive says, as deliveries need it


def test_an_archive_tells_whose_study_it_is_and_what_is_there() -> None:
    known = StudyRecord("1.2", patient_id="7", issuer_of_patient_id="H", accession_number="A1")
    memory = MemoryArchive([known])
    memory.held_instances[("1.2", "1.2.1")] = {"1.2.1.1"}
    archive = QueriedArchive(memory, "pacs")
    assert archive.study("1.2") == StudyThere("7", "H", "A1")
    assert archive.study("1.3") is None
    assert archive.instances("1.2", "1.2.1") == {"1.2.1.1"}
    assert archive.instances("1.2", "1.2.9") == frozenset()


def test_what_an_archive_does_not_tell_is_not_known_and_an_empty_issuer_tells_nothing() -> None:
    memory = MemoryArchive([StudyRecord("1.2", patient_id="", issuer_of_patient_id="")])
    assert QueriedArchive(memory, "pacs").study("1.2") == StudyThere("", None, None)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ArchiveUnavailableError("away"), TransientDeliveryError),
        (MalformedAnswerError("a page of a proxy"), TransientDeliveryError),
        (QueryRefusedError("no"), PermanentDeliveryError),
        (AnswerTooLargeError("too much"), PermanentDeliveryError),
        (ContradictoryAnswerError("two patients"), PermanentDeliveryError),
    ],
)
def test_an_archive_that_fails_is_told_as_a_delivery_that_fails(
    error: QueryError, kind: type[Exception]
) -> None:
    class Failing(MemoryArchive):
        def _ask(self) -> None:
            raise error

    archive = QueriedArchive(Failing(), "pacs")
    with pytest.raises(kind, match=f"pacs: asked what it has: {error}"):
        archive.study("1.2")
    with pytest.raises(kind, match=f"pacs: asked what it has: {error}"):
        archive.instances("1.2", "1.2.1")


# Ports


def test_each_destination_is_sent_to_and_asked_as_its_kind_says(tmp_path: Path) -> None:
    made = ports_of(settings_of(tmp_path, {**DIMSE, "timeout_s": 7}, WEB))
    sender, web = made["pacs"].sender, made["vna"].sender
    assert isinstance(sender, DimseSender)
    assert str(sender.destination) == "pacs (PACS at 127.0.0.1:104)"
    assert sender.timeouts == Timeouts(answer_s=7)
    assert isinstance(web, StowSender)
    assert web.service.timeout_s == 60
    queries = [p.archive.query for p in made.values() if isinstance(p.archive, QueriedArchive)]
    assert [type(query) for query in queries] == [CFindQuery, QidoQuery]
    assert [p.commitment for p in made.values()] == [None, None]


def test_the_archive_of_a_destinations_name_is_asked_in_its_place_or_nobody_is(
    tmp_path: Path,
) -> None:
    stand_in = {**WEB, "name": "pacs"}
    made = ports_of(settings_of(tmp_path, DIMSE, pacs=[stand_in]))
    assert isinstance(made["pacs"].archive, QueriedArchive)
    assert isinstance(made["pacs"].archive.query, QidoQuery)
    assert ports_of(settings_of(tmp_path, {**DIMSE, "verify": "none"}))["pacs"].archive is None


def test_commitment_is_asked_for_where_the_settings_say_so(tmp_path: Path) -> None:
    class Asked:
        def ask(self, *_: object) -> None:
            return None

    peers: list[Destination] = []

    def commitment(peer: Destination, _: Timeouts) -> CommitmentScu:
        peers.append(peer)
        return Asked()

    off = {**DIMSE, "name": "other", "commitment": False}
    settings = settings_of(tmp_path, DIMSE, off, WEB)
    made = ports(settings, NOW, limiters_of(settings), commitment)
    assert [name for name, port in made.items() if port.commitment] == ["pacs"]
    assert [peer.name for peer in peers] == ["pacs"]


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "cannot be read"), ("", "no bearer token"), ("two words", "no bearer token")],
)
def test_a_token_that_is_none_stops_the_start_and_is_not_told(
    tmp_path: Path, content: str | None, told: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(SettingsError, match=f"destination 'vna': token_file: .*{told}") as caught:
        ports_of(settings_of(tmp_path, {**WEB, "token_file": "token"}))
    assert "two words" not in str(caught.value)


@pytest.mark.parametrize("destination", [WEB, {**DIMSE, "tls": True}])
def test_certificates_that_cannot_be_read_stop_the_start(
    tmp_path: Path, destination: dict[str, Any]
) -> None:
    named = {**destination, "ca_file": "ca.pem"}
    with pytest.raises(SettingsError, match=r"ca_file: .*ca\.pem: no such file"):
        ports_of(settings_of(tmp_path, named))
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(SettingsError, match="holds no certificate"):
        ports_of(settings_of(tmp_path, named))


# TLS to a destination


class Hospital:
    """An authority whose certificates a PACS and a node have, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(folder / "ca.pem")

    def issue(self, name: str, *hosts: str, **validity: datetime) -> trustme.LeafCert:
        issued = self.authority.issue_cert(*hosts, **validity)
        issued.cert_chain_pems[0].write_to_path(self.folder / f"{name}.pem")
        issued.private_key_pem.write_to_path(self.folder / f"{name}.key")
        (self.folder / f"{name}.key").chmod(0o600)
        return issued

    @contextmanager
    def pacs(self, *hosts: str, mutual: bool = False) -> Iterator[int]:
        """A storage SCP that speaks TLS; its port."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.issue("pacs", *hosts).configure_cert(context)
        if mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            self.authority.configure_trust(context)
        entity = ApplicationEntity("PACS")
        entity.add_supported_context(SecondaryCaptureImageStorage)
        entity.add_supported_context("1.2.840.10008.1.1")
        server = entity.start_server(("127.0.0.1", 0), block=False, ssl_context=context)
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()


def peer_at(
    port: int, folder: Path, host: str = "127.0.0.1", now: datetime | None = None, **more: Any
) -> Destination:
    named = {**DIMSE, "host": host, "port": port, "tls": True, "ca_file": "ca.pem"}
    settings = settings_of(folder, named, **more)
    return dimse_peer(settings.destination[0], settings, now or datetime.now(UTC))


SHORT = Timeouts(connect_s=5.0, associate_s=5.0, answer_s=5.0)
PROPOSED = [(SecondaryCaptureImageStorage, "1.2.840.10008.1.2.1")]


def test_a_destination_over_tls_is_reached_with_our_certificate(tmp_path: Path) -> None:
    hospital = Hospital(tmp_path)
    hospital.issue("node", "127.0.0.1")
    ours = {"tls": {"certificate": "node.pem", "key": "node.key"}}
    with hospital.pacs("127.0.0.1", mutual=True) as port:
        taken = probe(peer_at(port, tmp_path, dicom=ours), PROPOSED, SHORT)
        assert taken.echo_ms is not None
        with pytest.raises(TransientDeliveryError):
            probe(peer_at(port, tmp_path), PROPOSED, SHORT)


def test_a_destination_whose_certificate_is_of_another_host_or_authority_is_not_trusted(
    tmp_path: Path,
) -> None:
    hospital = Hospital(tmp_path)
    with hospital.pacs("10.0.0.5") as port:
        with pytest.raises(PermanentDeliveryError, match="certificate is not trusted: IP address"):
            probe(peer_at(port, tmp_path), PROPOSED, SHORT)
        trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
        with pytest.raises(PermanentDeliveryError, match="see ca_file"):
            probe(peer_at(port, tmp_path), PROPOSED, SHORT)


def test_a_port_that_speaks_no_tls_is_told(tmp_path: Path) -> None:
    Hospital(tmp_path)
    entity = ApplicationEntity("PACS")
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        with pytest.raises(PermanentDeliveryError, match="is this its port for TLS"):
            probe(peer_at(int(server.server_address[1]), tmp_path), PROPOSED, SHORT)
    finally:
        server.shutdown()


def test_our_certificate_that_has_expired_stops_the_start(tmp_path: Path) -> None:
    hospital = Hospital(tmp_path)
    hospital.issue("node", "127.0.0.1", not_after=NOW)
    ours = {"tls": {"certificate": "node.pem", "key": "node.key"}}
    with pytest.raises(SettingsError, match=r"dicom\.tls\.certificate: .* expired on 2026-01-01"):
        peer_at(104, tmp_path, dicom=ours, now=NOW + timedelta(days=1))
