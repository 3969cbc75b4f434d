"""A DICOM peer on a free loopback port whose answers a test chooses, and objects to send it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from threading import Thread

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)
from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

from mome_node.delivery.association import Timeouts
from mome_node.delivery.destination import Destination, Outgoing

SHORT = Timeouts(connect_s=2.0, associate_s=2.0, answer_s=1.0)


@dataclass
class Peer:
    """A storage SCP that keeps what it is sent and answers ``answer(number)``."""

    port: int = 0
    answer: Callable[[int], int] = lambda _number: 0x0000
    stored: list[str] = field(default_factory=list)
    datasets: list[bytes] = field(default_factory=list)
    associations: int = 0
    abort_at: int | None = None
    server: ThreadedAssociationServer | None = None

    def destination(self, ae_title: str = "PACS") -> Destination:
        return Destination("pacs", ae_title, "127.0.0.1", self.port, "MOME")

    def on_store(self, event: evt.Event) -> int:
        number = len(self.stored)
        if self.abort_at == number:
            event.assoc.abort()
            return 0xA700
        status = self.answer(number)
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        self.datasets.append(event.request.DataSet.getvalue())
        return status

    def on_established(self, _event: evt.Event) -> None:
        self.associations += 1


StartPeer = Callable[..., Peer]


@pytest.fixture
def start_peer() -> Iterator[StartPeer]:
    peers: list[Peer] = []

    def start(
        syntaxes: Sequence[UID] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        sop_classes: Sequence[UID] = (SecondaryCaptureImageStorage,),
        *,
        known_callers: Sequence[str] = (),
        check_called: bool = False,
        **behaviour: object,
    ) -> Peer:
        peer = Peer(**behaviour)  # type: ignore[arg-type]  # a test's own keywords
        entity = AE(ae_title="PACS")
        entity.require_called_aet = check_called
        entity.require_calling_aet = list(known_callers)
        for sop_class in sop_classes:
            entity.add_supported_context(sop_class, list(syntaxes))
        entity.add_supported_context("1.2.840.10008.1.1")
        server = entity.start_server(
            ("127.0.0.1", 0),
            block=False,
            evt_handlers=[
                (evt.EVT_C_STORE, peer.on_store),
                (evt.EVT_ESTABLISHED, peer.on_established),
            ],
        )
        peer.server = server
        peer.port = server.socket.getsockname()[1]
        peers.append(peer)
        return peer

    yield start
    for peer in peers:
        if peer.server is not None:
            # It waits for the server's next poll, half a second; no test has to.
            Thread(target=peer.server.shutdown).start()


def secondary_capture(
    folder: Path,
    sop_class: UID = SecondaryCaptureImageStorage,
    transfer_syntax: UID = ExplicitVRLittleEndian,
) -> Outgoing:
    """Write a 4 × 4 picture and return it as the outbox would name it."""
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.PatientName = "Phantom^Delivery"
    dataset.Rows = dataset.Columns = 4
    dataset.SamplesPerPixel = 1
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = bytes(range(16))
    if transfer_syntax == JPEG2000Lossless:
        dataset.PixelData = encapsulate([b"not really a codestream"])
        dataset["PixelData"].is_undefined_length = True
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return Outgoing(str(dataset.SOPInstanceUID), partial(path.open, "rb"))


MakeObject = Callable[..., Outgoing]


@pytest.fixture
def make_object(tmp_path: Path) -> MakeObject:
    def make(**properties: UID) -> Outgoing:
        return secondary_capture(tmp_path, **properties)

    return make


def stored_bytes(item: Outgoing) -> bytes:
    """The data set of the file, without preamble and File Meta Information."""
    with item.open() as file:
        whole = file.read()
    meta_length = dcmread(
        BytesIO(whole), stop_before_pixels=True
    ).file_meta.FileMetaInformationGroupLength
    return whole[128 + 4 + 12 + meta_length :]


@pytest.fixture
def data_set_of() -> Callable[[Outgoing], bytes]:
    return stored_bytes


@pytest.fixture
def short() -> Timeouts:
    return SHORT
