"""A receiver in a temporary directory, small data sets, and senders to it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    MRImageStorage,
)
from pynetdicom import AE
from pynetdicom.association import Association

from mome_node.catalog.catalog import Catalog
from mome_node.ingest.availability import NoticeReception
from mome_node.ingest.commitment import CommitmentReception
from mome_node.ingest.event_reports import AskingAssociations
from mome_node.ingest.identity import HeaderLimits
from mome_node.ingest.outcome import Outcome
from mome_node.ingest.peers import Admission
from mome_node.ingest.receipt import ReceiptLimits, Reception
from mome_node.ingest.scp import ScpSettings, StorageScp
from mome_node.ingest.store_request import StowLimits
from mome_node.ingest.stow import StowDoor
from mome_node.node_web import application
from mome_node.storage.local import LocalStore
from mome_node.storage.store import InstanceIdentity
from mome_node.web.limits import ConnectionLimits
from mome_node.web.server import WebServer, WebServerSettings
from mome_node.web.tokens import read_token
from tests.ingest.stow_client import TOKEN, Door, part10

EXPLICIT = str(ExplicitVRLittleEndian)
STUDY = "1.2.3.4"
STOW_LIMITS = StowLimits(max_request_bytes=16 << 20, max_parts=20)


def utc_now() -> datetime:
    """The time at which certificates of a test are valid."""
    return datetime.now(UTC)


class Clock:
    """A clock that goes one second a look."""

    def __init__(self) -> None:
        self._seconds = itertools.count()

    def __call__(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self._seconds))


def _make_dataset(sop_instance_uid: str = "1.2.3.4.5.1", **elements: object) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = UID(sop_instance_uid)
    dataset.PatientID = "P-1"
    dataset.IssuerOfPatientID = "HOSPITAL"
    dataset.StudyInstanceUID = UID(STUDY)
    dataset.SeriesInstanceUID = UID("1.2.3.4.5")
    dataset.Rows = 4
    dataset.Columns = 4
    dataset.BitsAllocated = 16
    dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = bytes(32)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def _encode(dataset: Dataset, transfer_syntax: str = EXPLICIT) -> bytes:
    syntax = UID(transfer_syntax)
    stream = DicomBytesIO()
    stream.is_implicit_VR = syntax.is_implicit_VR
    stream.is_little_endian = syntax.is_little_endian
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
    write_dataset(stream, dataset)
    return stream.getvalue()


@pytest.fixture
def make_dataset() -> Callable[..., Dataset]:
    """A small MR image; keyword arguments set elements."""
    return _make_dataset


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Encodes a data set, in Explicit VR Little Endian unless told."""
    return _encode


@dataclass
class Node:
    """What a receiver consists of; ``receive`` is its receipt without a network."""

    root: Path
    store: LocalStore
    catalog: Catalog
    reception: Reception

    def receive(
        self,
        data: bytes,
        sop_instance_uid: str = "1.2.3.4.5.1",
        transfer_syntax: str = EXPLICIT,
        sop_class: str = str(MRImageStorage),
    ) -> Outcome:
        arriving = self.reception.begin(
            InstanceIdentity(sop_class, sop_instance_uid, transfer_syntax)
        )
        stream = BytesIO(data)
        while chunk := stream.read(1000):
            arriving.write(chunk)
        return self.reception.receive(arriving, "PACS")

    def files(self) -> list[Path]:
        """What holds an instance; empty files are made ready for the next ones.

        A receiver that runs may take a file away while they are looked at.
        """
        holding = []
        for path in (*self.root.glob("instances/*/*"), *self.root.glob("incoming/*")):
            with suppress(FileNotFoundError):
                if path.stat().st_size:
                    holding.append(path)
        return holding


@pytest.fixture
def limits() -> ReceiptLimits:
    return ReceiptLimits(max_dataset_bytes=4 << 20, header=HeaderLimits(max_inflated_bytes=2 << 20))


@pytest.fixture
def node(tmp_path: Path, limits: ReceiptLimits) -> Iterator[Node]:
    store = LocalStore(tmp_path / "data")
    with Catalog.open(f"sqlite:///{tmp_path}/catalog.db") as catalog:
        yield Node(tmp_path / "data", store, catalog, Reception(store, catalog, Clock(), limits))


@pytest.fixture
def asking() -> AskingAssociations:
    return AskingAssociations()


@pytest.fixture
def scp(node: Node, asking: AskingAssociations) -> Iterator[StorageScp]:
    settings = ScpSettings(host="127.0.0.1", port=0, max_associations=4, acse_timeout_s=5)
    notices = NoticeReception(node.catalog, Clock())
    commitment = CommitmentReception(node.catalog.commitments, Clock(), asking)
    with StorageScp(
        settings, node.reception, Admission(), notices=notices, commitment=commitment
    ) as running:
        yield running


@pytest.fixture
def connect(scp: StorageScp) -> Iterator[Callable[..., Association]]:
    opened: list[Association] = []

    def open_association(
        sop_classes: tuple[str, ...] = (str(MRImageStorage),),
        transfer_syntaxes: tuple[str, ...] = (EXPLICIT,),
        called: str = "MOME",
    ) -> Association:
        sender = AE("SENDER")
        for sop_class in sop_classes:
            sender.add_requested_context(sop_class, list(transfer_syntaxes))
        association = sender.associate("127.0.0.1", scp.port, ae_title=called)
        opened.append(association)
        return association

    yield open_association
    for association in opened:
        if association.is_established:
            association.abort()


# The HTTP door


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def open_door(token_file: Path):
    """Open a door to a receipt; all are closed at the end."""
    opened = []

    def open_one(
        reception: Reception, limits: StowLimits = STOW_LIMITS, *, patience_s: float = 30.0
    ) -> Door:
        stow = StowDoor(reception, limits)
        app = application(stow, [read_token("gateway", token_file)])
        connection = ConnectionLimits(body_window_s=patience_s, linger_s=5.0)
        settings = WebServerSettings(port=0, connection=connection)
        server = WebServer(app, settings)
        server.start()

        def close() -> None:
            server.stop()
            stow.close()

        opened.append(Door(server.port, close))
        return opened[-1]

    yield open_one
    for door in opened:
        door.close()


@pytest.fixture
def door(node, open_door) -> Door:
    return open_door(node.reception)


@pytest.fixture
def file(make_dataset, encode):
    """A PS3.10 file of a small image with this SOP Instance UID."""

    def make(uid: str = "1.2.3.4.5.1", **elements: object) -> bytes:
        return part10(encode(make_dataset(uid, **elements)), uid)

    return make
