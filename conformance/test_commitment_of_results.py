"""Results that a real Orthanc is asked to commit to, and peers that take no such requests.

Orthanc looks at what it has after its answer, and reports on an association that it opens to us.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from conformance import objects
from mome_node.catalog.catalog import Catalog
from mome_node.delivery.commitment_request import DimseCommitment
from mome_node.delivery.destination import Destination
from mome_node.delivery.dimse import DimseSender
from mome_node.delivery.reports_elsewhere import ReportsElsewhere
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress
from mome_node.dicom.commitment import CommitmentAnswer, ReferencedInstance
from mome_node.errors import PermanentDeliveryError
from mome_node.ingest.commitment_results import CommitmentResults
from mome_node.ingest.peers import Admission, AllowedPeer
from mome_node.ingest.receipt import Reception
from mome_node.ingest.scp import ScpSettings, StorageScp
from mome_node.storage.local import LocalStore

REPORT_S = 60.0
NO_SUCH_INSTANCE = 0x0112


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Asked:
    """The transactions that Orthanc was asked for, and what it said."""

    answers: dict[str, CommitmentAnswer | None] = field(default_factory=dict)
    elsewhere: ReportsElsewhere = field(default_factory=ReportsElsewhere)

    def answer(
        self, transaction_uid: str, destination: str, answer: CommitmentAnswer, at: datetime
    ) -> bool:
        assert (destination, at.tzinfo) == ("orthanc", UTC)
        if transaction_uid not in self.answers:
            return False
        self.answers[transaction_uid] = answer
        return True


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def destination(tmp_path: Path, orthanc: Orthanc, asked: Asked) -> Iterator[Destination]:
    """Orthanc as a destination; a receiver of ours runs where it reports to."""
    peer = orthanc.address
    speakers = {"orthanc": Admission((AllowedPeer(peer.ae_title, peer.host),))}
    with Catalog.open(f"sqlite:///{tmp_path}/catalog.db") as catalog:
        scp = StorageScp(
            ScpSettings(host=LOOPBACK, port=0),
            Reception(LocalStore(tmp_path / "data"), catalog, now),
            Admission(),
            results=CommitmentResults(asked, now, speakers, asked.elsewhere.note),
        )
        with scp:
            orthanc.set_node(DicomAddress("MOME", LOOPBACK, scp.port))
            yield Destination("orthanc", peer.ae_title, peer.host, peer.port, "MOME")


def reference(path: Path) -> ReferencedInstance:
    header = dcmread(path, stop_before_pixels=True)
    return ReferencedInstance(str(header.SOPClassUID), str(header.SOPInstanceUID))


def delete(orthanc: Orthanc, sop_instance_uid: str) -> None:
    lookup = Request(f"{orthanc.url}/tools/lookup", sop_instance_uid.encode(), method="POST")
    with urlopen(lookup, timeout=30) as answer:
        (found,) = json.load(answer)
    path = f"{orthanc.url}/instances/{found['ID']}"
    with urlopen(Request(path, method="DELETE"), timeout=30) as answer:
        assert answer.status == 200


def told(
    destination: Destination, asked: Asked, named: list[ReferencedInstance]
) -> CommitmentAnswer | None:
    """Ask, and return what was told on another association, which ends the wait on ours."""
    transaction_uid = str(generate_uid())
    asked.answers[transaction_uid] = None  # known before the peer can report
    commitment = DimseCommitment(destination, wait_s=REPORT_S, elsewhere=asked.elsewhere)
    started = time.monotonic()
    assert commitment.ask(transaction_uid, named) is None
    assert time.monotonic() - started < REPORT_S
    return asked.answers[transaction_uid]


@pytest.mark.peer("Orthanc")
def test_orthanc_commits_to_what_it_has_and_says_what_it_has_not(
    orthanc: Orthanc, destination: Destination, asked: Asked, exam: objects.SmallExam
) -> None:
    receipts = DimseSender(destination).send([*map(objects.outgoing, exam.results)])
    assert all(receipt.stored for receipt in receipts)
    seg, sr = named = [reference(path) for path in exam.results]

    safe = CommitmentAnswer(frozenset({seg.sop_instance_uid, sr.sop_instance_uid}), {})
    assert told(destination, asked, named) == safe

    delete(orthanc, seg.sop_instance_uid)
    assert told(destination, asked, named) == CommitmentAnswer(
        frozenset({sr.sop_instance_uid}), {seg.sop_instance_uid: NO_SUCH_INSTANCE}
    )

    assert all(r.stored for r in DimseSender(destination).send([objects.outgoing(exam.seg)]))
    assert told(destination, asked, named) == safe


@pytest.mark.peer("DCMTK")
def test_storescp_takes_no_requests_for_commitment(start_storescp, exam) -> None:
    server = start_storescp()
    with pytest.raises(PermanentDeliveryError):
        DimseCommitment(server.destination).ask(str(generate_uid()), [reference(exam.sr)])
