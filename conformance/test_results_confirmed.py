"""What becomes of results at real archives: whose study it is there, kept, listed, or lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from pydicom import dcmread

from conformance import dcmtk, objects
from conformance.delivering import DeliveringNode, write_settings
from conformance.node import dataset_digest
from conformance.waiting import wait_until
from mome_node.assembly.rules import AssemblyRules
from mome_node.catalog.records import DeliveryState
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress, free_port
from mome_node.dicom.rejection_note import RejectionTitle, read_rejection_note
from mome_node.jobs.rejection_notes import reject_superseded
from mome_node.jobs.site_policy import SitePolicy
from mome_node.settings import load_settings

Start = Callable[[str], DeliveringNode]
END_S = 60.0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a node that delivers to the destination of some TOML."""
    with ExitStack() as stack:

        def open_node(destination: str) -> DeliveringNode:
            path = write_settings(tmp_path / "node", free_port(), destination)
            return stack.enter_context(DeliveringNode(load_settings(path)))

        yield open_node


def dimse(peer: DicomAddress) -> str:
    return f'ae = "{peer.ae_title}"\nhost = "{peer.host}"\nport = {peer.port}'


@pytest.fixture
def node(orthanc: Orthanc, start: Start, exam: objects.SmallExam) -> DeliveringNode:
    """One that delivers to Orthanc, which has the exam, and knows where to report to."""
    started = start(dimse(orthanc.address))
    port = started.settings.dicom.port
    orthanc.set_node(DicomAddress("MOME", LOOPBACK, port))
    orthanc.store_study(exam.images)
    return started


def queued(node: DeliveringNode, exam: objects.SmallExam, folder: Path) -> str:
    """Queue copies of the exam's results: keeping them in the store takes the files."""
    folder.mkdir()
    copies = [Path(shutil.copy(path, folder)) for path in exam.results]
    node.queue(exam.study_uid, copies)
    return exam.study_uid


def turn_until(node: DeliveringNode, study_uid: str, *states: DeliveryState) -> None:
    def arrived() -> bool:
        node.turn()
        return node.states(study_uid) == {str(state) for state in states}

    wait_until(arrived, f"deliveries become {states}, they are {node.states(study_uid)}", END_S)


def rest(orthanc: Orthanc, method: str, path: str, body: object = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"{orthanc.url}{path}", data, method=method), timeout=60) as answer:
        content = answer.read()
    return json.loads(content) if content else None


def identifier_of(orthanc: Orthanc, uid: str) -> str:
    with urlopen(Request(f"{orthanc.url}/tools/lookup", uid.encode(), method="POST")) as answer:
        (found,) = json.load(answer)
    return f"/{found['Type'].lower().replace('study', 'studie')}s/{found['ID']}"


def same_data_sets(orthanc: Orthanc, exam: objects.SmallExam, folder: Path) -> bool:
    folder.mkdir(exist_ok=True)
    for path in exam.results:
        back = folder / path.name
        back.write_bytes(orthanc.file_of(path.stem))
        if dataset_digest(back) != dataset_digest(path):
            return False
    return True


@pytest.mark.peer("Orthanc")
def test_orthanc_commits_to_results_and_has_their_bytes(
    node: DeliveringNode, orthanc: Orthanc, exam: objects.SmallExam, tmp_path: Path
) -> None:
    study_uid = queued(node, exam, tmp_path / "results")
    turn_until(node, study_uid, DeliveryState.COMMITTED)
    assert all(d.transaction_uid for d in node.deliveries(study_uid))
    assert same_data_sets(orthanc, exam, tmp_path / "back")


@pytest.mark.peer("Orthanc")
def test_result_that_is_deleted_before_the_request_is_sent_again(
    node: DeliveringNode, orthanc: Orthanc, exam: objects.SmallExam, tmp_path: Path
) -> None:
    study_uid = queued(node, exam, tmp_path / "results")
    node.send()
    assert node.states(study_uid) == {"sent"}
    rest(orthanc, "DELETE", identifier_of(orthanc, exam.seg.stem))
    node.confirm()

    def told() -> bool:
        return {str(d.state) for d in node.deliveries(study_uid)} == {"committed", "pending"}

    wait_until(told, "Orthanc tells that it has one of two", END_S)
    turn_until(node, study_uid, DeliveryState.COMMITTED)
    assert same_data_sets(orthanc, exam, tmp_path / "back")


@pytest.mark.peer("Orthanc")
def test_results_of_a_study_that_was_deleted_there_are_not_sent(
    node: DeliveringNode, orthanc: Orthanc, exam: objects.SmallExam, tmp_path: Path
) -> None:
    study_uid = queued(node, exam, tmp_path / "results")
    rest(orthanc, "DELETE", identifier_of(orthanc, study_uid))
    turn_until(node, study_uid, DeliveryState.BLOCKED)
    assert orthanc.instance_count(study_uid) == 0
    orthanc.store_study(exam.images)
    node.catalog.deliveries.resend(study_uid, "by hand", node.outbox.clock())
    turn_until(node, study_uid, DeliveryState.COMMITTED)


@pytest.mark.peer("Orthanc")
def test_results_never_reach_a_study_that_was_given_to_another_patient(
    node: DeliveringNode, orthanc: Orthanc, exam: objects.SmallExam, tmp_path: Path
) -> None:
    study_uid = queued(node, exam, tmp_path / "results")
    rest(orthanc, "DELETE", identifier_of(orthanc, study_uid))
    moved = []
    for path in exam.images:
        image = dcmread(path)
        image.PatientID = "PHANTOM-2"
        image.save_as(tmp_path / path.name)
        moved.append(tmp_path / path.name)
    orthanc.store_study(moved)
    turn_until(node, study_uid, DeliveryState.BLOCKED)
    assert orthanc.instance_count(study_uid) == len(moved)
    (why,) = {d.last_error for d in node.deliveries(study_uid)}
    assert "PHANTOM" not in why


@pytest.mark.peer("Orthanc")
def test_results_stored_by_stow_are_found_there(
    orthanc: Orthanc, start: Start, exam: objects.SmallExam, tmp_path: Path
) -> None:
    node = start(f'kind = "dicomweb"\nurl = "{orthanc.dicomweb_url}"')
    orthanc.store_study(exam.images)
    study_uid = queued(node, exam, tmp_path / "results")
    turn_until(node, study_uid, DeliveryState.FOUND)
    assert same_data_sets(orthanc, exam, tmp_path / "back")


@pytest.mark.peer("DCMTK")
def test_a_second_kind_of_pacs_stores_lists_and_gives_back_what_was_sent(
    start_dcmqrscp: Callable[..., dcmtk.DcmtkServer],
    start: Start,
    exam: objects.SmallExam,
    tmp_path: Path,
) -> None:
    archive = start_dcmqrscp()
    node = start(dimse(archive.address))
    assert dcmtk.dcmsend(archive.address, exam.images).returncode == 0
    study_uid = queued(node, exam, tmp_path / "results")
    turn_until(node, study_uid, DeliveryState.FOUND)
    digests = {dataset_digest(path) for path in archive.received()}
    assert {dataset_digest(path) for path in exam.results} <= digests


@pytest.mark.peer("DCMTK")
def test_peer_that_cannot_be_asked_is_said_to_have_accepted_only(
    start_storescp: Callable[..., dcmtk.DcmtkServer],
    start: Start,
    exam: objects.SmallExam,
    tmp_path: Path,
) -> None:
    peer = start_storescp()
    node = start(f'{dimse(peer.address)}\nverify = "none"')
    study_uid = queued(node, exam, tmp_path / "results")
    turn_until(node, study_uid, DeliveryState.ACCEPTED)
    assert len(peer.received()) == len(exam.results)


@pytest.mark.peer("Orthanc")
def test_note_that_takes_results_back_arrives_and_names_what_orthanc_has(
    node: DeliveringNode, orthanc: Orthanc, exam: objects.SmallExam, tmp_path: Path
) -> None:
    study_uid = queued(node, exam, tmp_path / "results")
    turn_until(node, study_uid, DeliveryState.COMMITTED)
    node.catalog.withdrawals.withdraw(study_uid, "wrong images", node.outbox.clock())
    policy = SitePolicy(AssemblyRules(), 60.0, 1800.0, "MOME")
    assert reject_superseded(study_uid, (), node.catalog, node.store, policy) == 1
    turn_until(node, study_uid, DeliveryState.COMMITTED)
    (made,) = [r for r in node.catalog.results_of(study_uid) if r.result.kind == "rejection"]
    back = tmp_path / "note.dcm"
    back.write_bytes(orthanc.file_of(made.result.sop_instance_uid))
    note = read_rejection_note(back)
    assert note is not None
    assert note.title is RejectionTitle.PATIENT_SAFETY
    assert note.instances == {path.stem for path in exam.results}
    assert (note.study_uid, note.patient_id) == (study_uid, "PHANTOM-1")
