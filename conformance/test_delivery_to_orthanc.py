"""The node's outbox against a real Orthanc: what was sent is there, once, and unchanged."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info

from conformance import objects
from conformance.waiting import wait_until
from mome_node.catalog.records import DeliveryRecord, DeliveryState, ResultRow
from mome_node.delivery.destination import Destination
from mome_node.delivery.dimse import DimseSender
from mome_node.delivery.doubles import MemoryLedger
from mome_node.delivery.outbox import Outbox, RoundOutcome
from mome_node.delivery.ping import ping
from mome_node.delivery.ports import Port
from mome_node.delivery.retry import RetryPolicy
from mome_node.demonstration.pacs.archive import Archive
from mome_node.demonstration.pacs.orthanc import Orthanc

pytestmark = pytest.mark.peer("Orthanc")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def destination(orthanc: Orthanc) -> Destination:
    peer = orthanc.address
    return Destination("orthanc", peer.ae_title, peer.host, peer.port, "MOME")


def outbox(orthanc: Orthanc, ledger: MemoryLedger, folder: Path, now: datetime) -> Outbox:
    return Outbox(
        ledger=ledger,
        open_instance=lambda key: (folder / key).open("rb"),
        ports={"orthanc": Port(DimseSender(destination(orthanc)))},
        policy=RetryPolicy(),
        clock=lambda: now,
    )


def ledger_of(exam: objects.SmallExam) -> MemoryLedger:
    ledger = MemoryLedger()
    for number, path in enumerate(exam.results, start=1):
        result = ResultRow(path.stem, "", "sr", path.name, digest_of(path), NOW)
        ledger.add(
            DeliveryRecord(
                delivery_id=number,
                study_uid=exam.study_uid,
                revision=1,
                result=result,
                destination="orthanc",
                state=DeliveryState.PENDING,
                attempts=0,
                next_attempt_at=NOW,
                last_status=None,
                last_error="",
                sent_at=None,
                queued_at=NOW,
            )
        )
    return ledger


def digest_of(path: Path) -> str:
    """What the store says of a file: the SHA-256 of transfer syntax and data set."""
    content = path.read_bytes()
    syntax = read_file_meta_info(path).TransferSyntaxUID.encode("ascii")
    return hashlib.sha256(syntax + b"\0" + content[_data_set_offset(content) :]).hexdigest()


def test_results_are_found_by_qido_and_retrieved_by_wado_unchanged(orthanc, exam):
    receipts = list(DimseSender(destination(orthanc)).send([*map(objects.outgoing, exam.results)]))
    assert [r.status for r in receipts] == [0x0000, 0x0000]
    client = DICOMwebClient(orthanc.dicomweb_url)
    found = client.search_for_instances(exam.study_uid)
    assert sorted(entry["00080018"]["Value"][0] for entry in found) == sorted(
        path.stem for path in exam.results
    )
    for path in exam.results:
        sent = dcmread(path)
        back = client.retrieve_instance(
            exam.study_uid,
            sent.SeriesInstanceUID,
            sent.SOPInstanceUID,
            media_types=(("application/dicom", "*"),),
        )
        assert back == sent


def test_orthanc_keeps_the_bytes_of_the_data_set(orthanc, exam):
    list(DimseSender(destination(orthanc)).send([*map(objects.outgoing, exam.results)]))
    for path in exam.results:
        sent, kept = path.read_bytes(), orthanc.file_of(path.stem)
        data_set = sent[_data_set_offset(sent) :]
        assert kept[_data_set_offset(kept) :] == data_set


def _data_set_offset(part10: bytes) -> int:
    """Preamble 128, prefix 4, and the File Meta Information that its first element measures."""
    return 144 + int.from_bytes(part10[140:144], "little")


def test_pacs_that_was_down_gets_every_result_once_when_it_is_back(own_orthanc, exam):
    orthanc = own_orthanc()
    orthanc.stop()
    ledger = ledger_of(exam)
    folder = exam.sr.parent
    assert outbox(orthanc, ledger, folder, NOW).run_round("orthanc").fails
    orthanc.start()
    later = NOW + timedelta(seconds=30)
    assert outbox(orthanc, ledger, folder, later).run_round("orthanc") == RoundOutcome(sent=2)
    assert outbox(orthanc, ledger, folder, later).run_round("orthanc") == RoundOutcome()
    assert orthanc.instance_count(exam.study_uid) == 2


def test_crash_after_the_send_leaves_one_instance_in_the_pacs(orthanc, exam):
    for _ in range(2):
        ledger = ledger_of(exam)  # nothing recorded: as after a crash
        assert outbox(orthanc, ledger, exam.sr.parent, NOW).run_round("orthanc") == RoundOutcome(
            sent=2
        )
    assert orthanc.instance_count(exam.study_uid) == 2


def test_orthanc_answers_our_echo(orthanc):
    assert ping(destination(orthanc)).reached


def test_orthanc_gives_back_what_came_beyond_the_exam(orthanc, exam, tmp_path):
    assert orthanc.store_study(exam.images) == len(exam.images)
    list(DimseSender(destination(orthanc)).send([*map(objects.outgoing, exam.results)]))
    back = orthanc.results_of(exam.study_uid, tmp_path / "back")
    assert sorted(path.stem for path in back) == sorted(path.stem for path in exam.results)
    for path in back:
        assert dcmread(path) == dcmread(path.parents[1] / "exam" / path.name)


def test_orthanc_forwards_a_study_to_the_node(orthanc, exam, tmp_path):
    orthanc.store_study(exam.images)
    with Archive(tmp_path / "node") as node:
        assert orthanc.forward(exam.study_uid, node.address) == len(exam.images)
        assert node.instance_count(exam.study_uid) == len(exam.images)


def test_orthanc_that_routes_everything_sends_results_back_too(own_orthanc, exam, tmp_path):
    orthanc = own_orthanc(auto_forward=True)
    with Archive(tmp_path / "node") as node:
        orthanc.set_node(node.address)
        orthanc.store_study(exam.images)
        list(DimseSender(destination(orthanc)).send([*map(objects.outgoing, exam.results)]))
        everything = len(exam.images) + len(exam.results)
        wait_until(
            lambda: node.instance_count(exam.study_uid) == everything,
            "images and results arrive at the node",
        )
