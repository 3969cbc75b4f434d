"""The whole way of a request: stored, asked for, reported, over real associations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association

from mome_node.catalog.catalog import Catalog
from mome_node.delivery.commitment_check import CommitmentCheck
from mome_node.delivery.commitment_reports import CommitmentReports
from mome_node.delivery.destination import Destination
from mome_node.dicom.commitment import COMMITMENT_CLASS, COMMITMENT_INSTANCE
from mome_node.ingest import event_reports
from mome_node.ingest.commitment import CommitmentReception
from mome_node.ingest.event_reports import AskingAssociations
from mome_node.ingest.peers import Admission
from mome_node.ingest.receipt import Reception
from mome_node.ingest.scp import ScpSettings, StorageScp
from mome_node.storage.local import LocalStore


def now() -> datetime:
    return datetime.now(UTC)


class Modality:
    """Stores and asks, and takes reports: on its own associations and on a port."""

    def __init__(self) -> None:
        self.on_own: list[Dataset] = []
        self.on_port: list[Dataset] = []
        entity = AE("MODALITY")
        entity.add_supported_context(COMMITMENT_CLASS, scu_role=False, scp_role=True)
        self.server = entity.start_server(
            ("127.0.0.1", 0),
            block=False,
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._told, [self.on_port])],
        )
        self.port = self.server.socket.getsockname()[1]

    def _told(self, event: evt.Event, kept: list[Dataset]) -> tuple[int, None]:
        kept.append(event.event_information)
        return 0x0000, None

    def associate(self, port: int) -> Association:
        entity = AE("MODALITY")
        entity.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
        entity.add_requested_context(COMMITMENT_CLASS)
        return entity.associate(
            "127.0.0.1",
            port,
            ae_title="MOME",
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._told, [self.on_own])],
        )


def image() -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = MRImageStorage, generate_uid()
    made.StudyInstanceUID = made.SeriesInstanceUID = generate_uid()
    made.PatientID = "P-1"
    made.PixelData = bytes(32)
    made["PixelData"].VR = "OW"
    return made


def ask(association: Association, *images: Dataset) -> None:
    information = Dataset()
    information.TransactionUID = generate_uid()
    information.ReferencedSOPSequence = []
    for sent in images:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
            sent.SOPClassUID,
            sent.SOPInstanceUID,
        )
        information.ReferencedSOPSequence.append(item)
    status, _ = association.send_n_action(information, 1, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
    assert status.Status == 0x0000


def rounds_until(reports: CommitmentReports, told: list[Dataset]) -> Dataset:
    deadline = time.monotonic() + 20
    while not told:
        assert time.monotonic() < deadline, "no report came"
        reports.run_round()
    return told[0]


@pytest.fixture
def modality() -> Iterator[Modality]:
    made = Modality()
    yield made
    Thread(target=made.server.shutdown).start()  # it waits for half a second; no test has to


@pytest.fixture
def site(tmp_path: Path, modality: Modality, monkeypatch) -> Iterator[tuple]:
    monkeypatch.setattr(event_reports, "SILENCE_S", 0.05)
    store, asking = LocalStore(tmp_path / "data"), AskingAssociations()
    with Catalog.open(f"sqlite:///{tmp_path}/catalog.db") as catalog:
        ledger = catalog.commitments
        reports = CommitmentReports(
            ledger,
            CommitmentCheck(ledger, store.open, frozenset({str(MRImageStorage)})),
            channel_of=asking.find,
            listener_of=lambda peer: Destination(
                "modality", peer.ae_title, peer.address, modality.port, "MOME"
            ),
            clock=now,
        )
        scp = StorageScp(
            ScpSettings(host="127.0.0.1", port=0),
            Reception(store, catalog, now),
            Admission(),
            commitment=CommitmentReception(ledger, now, asking),
        )
        with scp:
            yield scp, reports


def test_what_was_stored_is_committed_on_the_association_that_stays_open(site, modality) -> None:
    scp, reports = site
    association = modality.associate(scp.port)
    sent = [image(), image()]
    for dataset in sent:
        assert association.send_c_store(dataset).Status == 0x0000
    ask(association, *sent)
    told = rounds_until(reports, modality.on_own)
    assert {i.ReferencedSOPInstanceUID for i in told.ReferencedSOPSequence} == {
        dataset.SOPInstanceUID for dataset in sent
    }
    assert association.send_c_store(image()).Status == 0x0000  # it goes on
    association.release()
    assert modality.on_port == []


def test_peer_that_releases_at_once_is_told_where_it_listens(site, modality) -> None:
    scp, reports = site
    association = modality.associate(scp.port)
    sent = image()
    assert association.send_c_store(sent).Status == 0x0000
    ask(association, sent)
    association.release()
    told = rounds_until(reports, modality.on_port)
    assert told.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == sent.SOPInstanceUID
    assert modality.on_own == []
