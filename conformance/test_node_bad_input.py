"""Broken objects and no DICOM at all, over the wire: a clear answer, and the node goes on."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom.dimse_primitives import C_STORE

from conformance import dcmtk, peers
from conformance.node import ServedNode
from conformance.raw_store import associated, raw_instance, send_bytes, store
from conformance.waiting import wait_until
from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress, free_port
from mome_node.dicom.classes import storage_classes
from tests.fuzz.receipt_target import open_instances

DATA = Path(__file__).parents[1] / "tests" / "data" / "dicom"
SOUND = DATA / "malformed" / "generated" / "BASELINE_valid_ct.dcm"
KNOWN_REFUSALS = {0xA900, 0xC000, 0xC001, 0xC002}
# Its transfer syntax is no UID: nobody can propose it. Proposed as what it is, it is sound.
CANNOT_BE_PROPOSED = {"malformed/generated/TC0401_invalid_ts.dcm"}
NO_DICOM = {
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n",
    "zeros": bytes(4096),
    "a PDU of 4 GiB": b"\x01\x00\xff\xff\xff\xff" + b"A" * 1000,
    "half an association request": b"\x01\x00\x00\x00\x00\xcd\x00\x01\x00\x00MOME",
    "data before an association": b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03",
    "a PDU type that is none": b"\x77\x00\x00\x00\x00\x04abcd",
    "nothing": b"",
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    """One node for all of it: it has to stay up. It has no PACS, and needs none."""
    nowhere = DicomAddress("NOBODY", LOOPBACK, free_port())
    served = ServedNode(tmp_path_factory.mktemp("bad") / "node", nowhere, quiet_s=600.0)
    served.start()
    yield served
    served.stop()


def answers_echo(node: ServedNode) -> bool:
    peer = node.address
    outcome = dcmtk.run_tool(peers.ECHOSCU, "-aec", peer.ae_title, peer.host, str(peer.port))
    return outcome.returncode == 0


def stored_files(node: ServedNode) -> int:
    """Instances on their way in: files that are open and hold something."""
    data = (node.folder / "data").resolve()
    return len(open_instances(str(node.process.pid), data))


def refused_ones() -> set[str]:
    with (DATA / "expected.csv").open(newline="") as table:
        refused = {row["file"] for row in csv.DictReader(table) if row["outcome"] == "refused"}
    return refused - CANNOT_BE_PROPOSED


@pytest.mark.peer("DCMTK echoscu")
def test_every_broken_object_gets_its_answer_and_the_node_answers_echo_after_it(node, tmp_path):
    refused, pid = refused_ones(), node.process.pid
    files = sorted((DATA / "malformed").rglob("*.dcm"))
    assert len(files) > 50
    for path in files:
        instance = raw_instance(path)
        status = store(node.address, instance, tmp_path)
        if path.relative_to(DATA).as_posix() in refused:
            assert status is None or status in KNOWN_REFUSALS, (path.name, status)
        else:
            is_ours = instance.sop_class_uid in storage_classes()
            assert status == (0 if is_ours else None), (path.name, status)
    assert answers_echo(node)
    assert (node.process.pid, node.process.poll()) == (pid, None)
    assert stored_files(node) == 0


@pytest.mark.peer("DCMTK echoscu")
@pytest.mark.parametrize("what", list(NO_DICOM))
def test_bytes_that_are_no_dicom_disturb_nobody(node, what):
    for _ in range(5):
        send_bytes(node.address, NO_DICOM[what])
    assert answers_echo(node)


@pytest.mark.peer("DCMTK echoscu")
def test_connection_that_is_cut_in_the_middle_of_a_data_set_leaves_nothing(node):
    sound = raw_instance(SOUND)
    with associated(node.address, sound.sop_class_uid, sound.transfer_syntax_uid) as association:
        request = C_STORE()
        request.MessageID, request.Priority = 1, 0
        request.AffectedSOPClassUID = sound.sop_class_uid
        request.AffectedSOPInstanceUID = "2.25.1"
        # A data set without end: the last fragment never comes.
        begun = [*_fragments(request, sound.data_set * 100)][:-1]
        for fragment in begun:
            association.dul.send_pdu(fragment)
        wait_until(lambda: stored_files(node) == 1, "the instance is on its way")
        association.dul.socket.close()
    wait_until(lambda: stored_files(node) == 0, "what was on its way is gone")
    with node.catalog() as catalog:
        known = {s.study_uid for s in catalog.studies()}
        uids = {i.sop_instance_uid for s in known for i in catalog.instances_of(s)}
    assert "2.25.1" not in uids
    assert answers_echo(node)


def _fragments(request: C_STORE, data_set: bytes):
    """The P-DATA primitives of a request, as pynetdicom makes them."""
    from io import BytesIO

    from pynetdicom.dimse_messages import C_STORE_RQ

    request.DataSet = BytesIO(data_set)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    yield from message.encode_msg(1, 16384)


def test_sound_object_is_taken_after_all_of_them(node, tmp_path):
    assert store(node.address, raw_instance(SOUND), tmp_path) == 0
