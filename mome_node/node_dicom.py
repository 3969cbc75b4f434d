"""The node's DIMSE door, and the receipt behind all doors, built from the settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from mome_node.catalog.catalog import Catalog
from mome_node.ingest.availability import NoticeReception
from mome_node.ingest.commitment import CommitmentReception
from mome_node.ingest.commitment_results import AskedTransactions, CommitmentResults
from mome_node.ingest.event_reports import AskingAssociations
from mome_node.ingest.host_names import HostNames
from mome_node.ingest.peers import Admission, AllowedPeer
from mome_node.ingest.rates import PeerRates, RateLimits
from mome_node.ingest.receipt import ReceiptLimits, Reception
from mome_node.ingest.scp import ScpSettings, StorageScp
from mome_node.settings import Settings
from mome_node.settings_dicom import TlsSettings
from mome_node.storage.local import LocalStore
from mome_node.storage.room import Room
from mome_node.tls import TlsFiles, server_context


def instance_room(settings: Settings) -> Room:
    """The room that instances find on the disk of the data directory."""
    storage = settings.storage
    return Room(settings.node.data_dir, storage.min_free_mb << 20, storage.resume_mb << 20)


def tls_files(tls: TlsSettings) -> TlsFiles | None:
    """The files of TLS for the DICOM receiver; None where it is off."""
    if tls.certificate is None or tls.key is None:
        return None
    return TlsFiles(tls.certificate, tls.key, tls.client_ca, tls.minimum)


def scp_settings(settings: Settings) -> ScpSettings:
    """How the DICOM receiver is reached and what it bears."""
    dicom = settings.dicom
    return ScpSettings(
        ae_title=settings.node.ae_title,
        host=dicom.host,
        port=dicom.port,
        max_associations=dicom.max_associations,
        acse_timeout_s=dicom.request_timeout_s,
        network_timeout_s=dicom.network_timeout_s,
        handshake_timeout_s=dicom.handshake_timeout_s,
        pdu_timeout_s=dicom.pdu_timeout_s,
        plain=dicom.plain,
        tls_port=dicom.tls.port,
        also_called=dicom.also_called,
        peer_associations={
            p.ae: p.max_associations for p in dicom.allowed_peers if p.max_associations
        },
    )


def peer_rates(settings: Settings) -> PeerRates:
    """How much each peer may send a minute."""
    return PeerRates(
        {
            p.ae: RateLimits(p.max_objects_a_minute, p.max_mb_a_minute and p.max_mb_a_minute << 20)
            for p in settings.dicom.allowed_peers
        }
    )


def receiving(
    settings: Settings, store: LocalStore, catalog: Catalog, clock: Callable[[], datetime]
) -> Reception:
    """The one receipt, which every door leads to."""
    limits = ReceiptLimits(max_dataset_bytes=settings.dicom.max_instance_mb << 20)
    return Reception(store, catalog, clock, limits, rates=peer_rates(settings))


def receiver(
    settings: Settings,
    reception: Reception,
    catalog: Catalog,
    clock: Callable[[], datetime],
    asking: AskingAssociations,
    results: CommitmentResults | None = None,
) -> StorageScp:
    """The DIMSE receiver, not started; SettingsError for files of TLS that are no good.

    ``results`` takes reports on commitment that we asked for; without it nobody may report.
    """
    dicom = settings.dicom
    files = tls_files(dicom.tls)
    return StorageScp(
        scp_settings(settings),
        reception,
        Admission(
            tuple(AllowedPeer(p.ae, p.host, p.may_reject) for p in dicom.allowed_peers),
            dicom.allow_any_peer,
        ),
        tls=server_context(files, clock()) if files else None,
        notices=NoticeReception(catalog, clock),
        commitment=CommitmentReception(catalog.commitments, clock, asking),
        results=results,
    )


def commitment_results(
    settings: Settings,
    transactions: AskedTransactions,
    clock: Callable[[], datetime],
    kept: Callable[[str], None],
) -> CommitmentResults:
    """The receipt of reports on commitment that we asked our destinations for.

    ``kept`` is called with the Transaction UID of each report that was kept.

    A destination speaks from where we send to, and from where the entries of its AE title in
    dicom.allowed_peers say that it calls from: an archive of several machines, or behind a NAT.
    """
    names = HostNames()
    speakers = {
        destination.name: Admission(
            (
                AllowedPeer(destination.ae or "", destination.host or ""),
                *(
                    AllowedPeer(peer.ae, peer.host)
                    for peer in settings.dicom.allowed_peers
                    if peer.ae == destination.ae
                ),
            ),
            names=names,
        )
        for destination in settings.destination
        if destination.kind == "dimse"
    }
    return CommitmentResults(transactions, clock, speakers, kept)
