"""The node stores by STOW-RS: to a real Orthanc, and to a node of its own kind."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from conformance import objects
from conformance.node import ServedNode
from mome_node.delivery.destination import Outgoing, Receipt
from mome_node.delivery.stow import StowSender
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress, free_port
from mome_node.errors import PermanentDeliveryError
from mome_node.http_client import Service
from mome_node.node_delivery import QueriedArchive
from mome_node.query.dicomweb import DicomWeb
from mome_node.query.qido import QidoQuery
from mome_node.query.rate import RateLimiter


def sender(orthanc: Orthanc) -> StowSender:
    return StowSender("orthanc", Service(orthanc.dicomweb_url))


def archive(orthanc: Orthanc) -> QueriedArchive:
    web = DicomWeb(Service(orthanc.dicomweb_url), RateLimiter(1000.0))
    return QueriedArchive(QidoQuery(web), "orthanc")


def send(to: StowSender, *paths: Path) -> list[Receipt]:
    return list(to.send([*map(objects.outgoing, paths)]))


@pytest.mark.peer("Orthanc")
def test_orthanc_keeps_what_was_stored_and_says_so(orthanc, exam):
    receipts = send(sender(orthanc), *exam.results)
    assert [(r.sop_instance_uid, r.status, r.note) for r in receipts] == [
        (path.stem, 0x0000, "") for path in exam.results
    ]
    for path in exam.results:
        sent, kept = path.read_bytes(), orthanc.file_of(path.stem)
        assert kept[_data_set_offset(kept) :] == sent[_data_set_offset(sent) :]


@pytest.mark.peer("Orthanc")
def test_orthanc_takes_the_same_instance_again_as_stored(orthanc, exam):
    for _ in range(2):
        (receipt,) = send(sender(orthanc), exam.sr)
        assert receipt.stored, receipt
    assert orthanc.instance_count(exam.study_uid) == 1


@pytest.mark.peer("Orthanc")
def test_orthanc_that_cannot_read_an_instance_is_not_taken_to_have_it(orthanc, exam, tmp_path):
    """A file whose header is whole and whose data set is cut inside its first element."""
    whole = exam.sr.read_bytes()
    cut = tmp_path / exam.sr.name
    cut.write_bytes(whole[: _data_set_offset(whole) + 10])
    broken = Outgoing(exam.sr.stem, lambda: cut.open("rb"))
    first, second = sender(orthanc).send([broken, objects.outgoing(exam.seg)])
    assert not first.stored
    assert second.stored
    assert orthanc.instance_count(exam.study_uid) == 1


@pytest.mark.peer("Orthanc")
def test_orthanc_tells_whose_study_it_is_and_which_instances_it_has(orthanc, exam):
    asked = archive(orthanc)
    report = dcmread(exam.sr)
    assert asked.study(exam.study_uid) is None
    assert asked.instances(exam.study_uid, report.SeriesInstanceUID) == frozenset()
    send(sender(orthanc), *exam.results)
    study = asked.study(exam.study_uid)
    assert study is not None
    assert study.patient_id == report.PatientID
    assert study.accession_number == report.AccessionNumber
    assert asked.instances(exam.study_uid, report.SeriesInstanceUID) == {exam.sr.stem}


@pytest.mark.peer("Orthanc")
def test_a_probe_of_orthanc_stores_nothing(orthanc):
    assert "takes STOW-RS" in sender(orthanc).probe()
    nowhere = StowSender("orthanc", Service(f"{orthanc.url}/nowhere"))
    with pytest.raises(PermanentDeliveryError, match="no STOW-RS service"):
        nowhere.probe()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[ServedNode, StowSender]]:
    """A node that takes instances by HTTP, and the sender to it."""
    token, port = secrets.token_hex(32), free_port()
    (tmp_path / "token").write_text(token)
    (tmp_path / "token").chmod(0o600)
    served = ServedNode(
        tmp_path / "node",
        DicomAddress("NOBODY", LOOPBACK, free_port()),
        quiet_s=600.0,
        more_settings=f"[web]\nenabled = true\nport = {port}\n"
        f'tokens = [{{ name = "sender", file = "{tmp_path / "token"}" }}]\n',
    )
    served.start()
    yield served, StowSender("node", Service(f"http://{LOOPBACK}:{port}/dicom-web", token))
    served.stop()


def test_a_node_takes_what_a_node_sends(node, exam):
    served, to = node
    files = [*exam.images, *exam.results]
    assert "takes STOW-RS" in to.probe()
    for _ in range(2):
        assert [r.status for r in send(to, *files)] == [0x0000] * len(files)
    assert all(served.holds(path) for path in files)
    with pytest.raises(PermanentDeliveryError, match="token_file"):
        send(StowSender("node", Service(to.service.url, "another token")), *files)


def _data_set_offset(part10: bytes) -> int:
    """Preamble 128, prefix 4, and the File Meta Information that its first element measures."""
    return 144 + int.from_bytes(part10[140:144], "little")
