"""`kill -9` of the node at the worst moments: every image it acknowledged, and one result."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import generate_uid

from conformance.gate import Gate
from conformance.node import ServedNode, dataset_digest, introduce
from mome_node.catalog.states import StudyState
from mome_node.delivery.destination import Destination, Outgoing
from mome_node.delivery.dimse import DimseSender
from mome_node.errors import DeliveryError
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import Protocol, Vendor
from mome_node.phantom.render import render_exam

SMALL = Protocol((64, 64, 16), (32, 32, 10), (64, 64, 12))
SR = "1.2.840.10008.5.1.4.1.1.88.34"
KILLS, LONGEST_LIFE_S, SEED = 20, 8.0, 2026

pytestmark = pytest.mark.peer("Orthanc")


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, ...]]:
    """Three small studies of different makers: Study Instance UID → files."""
    written = {}
    for seed, vendor in enumerate(Vendor):
        exam = render_exam(seed, protocol=SMALL, with_lesions=False)
        uid = generate_uid(prefix=None)
        folder = tmp_path_factory.mktemp(vendor)
        written[str(uid)] = write_study(exam, folder, vendor=vendor, study_uid=uid)
    return written


@pytest.fixture
def gate(orthanc) -> Iterator[Gate]:
    with Gate(orthanc.address) as opened:
        yield opened


def send(node: ServedNode, paths: tuple[Path, ...]) -> list[Path]:
    """Send until all is sent or the link breaks; what was acknowledged."""
    peer = node.address
    destination = Destination("node", peer.ae_title, peer.host, peer.port, "SENDER")
    by_uid = {str(dcmread(p, stop_before_pixels=True).SOPInstanceUID): p for p in paths}
    outgoing = [Outgoing(uid, lambda p=p: p.open("rb")) for uid, p in by_uid.items()]
    acknowledged: list[Path] = []
    try:
        acknowledged.extend(
            by_uid[receipt.sop_instance_uid]
            for receipt in DimseSender(destination).send(outgoing)
            if receipt.stored
        )
    except DeliveryError:
        return acknowledged
    return acknowledged


def lost(node: ServedNode, paths: Iterable[Path]) -> list[Path]:
    """Those of the files whose data set the node does not have, byte for byte, and indexed."""
    kept = {}
    with node.catalog() as catalog:
        for study in catalog.studies():
            kept |= {i.sop_instance_uid: i.key for i in catalog.instances_of(study.study_uid)}
    return [path for path in paths if not _is_kept(node, path, kept)]


def _is_kept(node: ServedNode, path: Path, kept: dict[str, str]) -> bool:
    key = kept.get(str(read_file_meta_info(path).MediaStorageSOPInstanceUID))
    if key is None:
        return False
    stored = node.folder / "data" / "instances" / key[:2] / f"{key}.dcm"
    return dataset_digest(stored) == dataset_digest(path)


def reports_in(orthanc, study_uid: str, folder: Path) -> int:
    """SRs of a study in the PACS; it may hold nothing twice."""
    found = [dcmread(path) for path in orthanc.results_of(study_uid, folder)]
    assert len({d.SOPInstanceUID for d in found}) == len(found)
    return sum(d.SOPClassUID == SR for d in found)


def test_result_that_the_pacs_took_without_our_knowing_arrives_once(
    gate, orthanc, studies, tmp_path
):
    study_uid, paths = next(iter(studies.items()))
    archive = orthanc.address  # asked directly: only the answers to what is sent are held
    asked = f'ae = "{archive.ae_title}"\nhost = "{archive.host}"\nport = {archive.port}\n'
    settings = f'verify = "archive"\n[[pacs]]\nname = "archive"\n{asked}'
    node = ServedNode(tmp_path / "node", gate.address, more_settings=settings)
    introduce(node, orthanc, paths)
    node.start()
    try:
        gate.hold()
        assert len(send(node, paths)) == len(paths)
        assert gate.held.wait(300), node.log_tail()
        node.kill()
        gate.release()
        node.start()
        node.wait_for(study_uid, StudyState.DELIVERED)
    finally:
        node.stop()
    assert reports_in(orthanc, study_uid, tmp_path / "back") == 1


@pytest.mark.long
def test_twenty_kills_at_any_moment_lose_nothing_and_double_nothing(
    orthanc, studies, tmp_path, record_property
):
    chance = random.Random(SEED)
    node = ServedNode(tmp_path / "node", orthanc.address, quiet_s=10.0)
    introduce(node, orthanc, [path for paths in studies.values() for path in paths])
    node.start()
    acknowledged: set[Path] = set()
    stop, pause = threading.Event(), threading.Event()

    def send_until_all_is_there(paths: tuple[Path, ...]) -> None:
        while not stop.is_set():
            done = send(node, paths)
            acknowledged.update(done)
            if len(done) == len(paths):
                return
            pause.wait(0.2)

    with ThreadPoolExecutor(len(studies)) as pool:
        sending = [pool.submit(send_until_all_is_there, paths) for paths in studies.values()]
        try:
            for _ in range(KILLS):
                pause.wait(chance.uniform(0, LONGEST_LIFE_S))
                node.kill()
                assert lost(node, set(acknowledged)) == []
                node.start()
            for future in sending:
                future.result(300)
            for study_uid in studies:
                node.wait_for(study_uid, StudyState.DELIVERED)
        finally:
            stop.set()
            node.stop()
    record_property("instances_acknowledged", len(acknowledged))
    assert len(acknowledged) == sum(map(len, studies.values()))
    assert lost(node, acknowledged) == []
    for number, study_uid in enumerate(studies):
        assert reports_in(orthanc, study_uid, tmp_path / f"back-{number}") == 1
