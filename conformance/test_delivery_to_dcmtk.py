"""The node's C-STORE SCU against DCMTK's servers, and DCMTK's senders against a PACS of ours."""

from __future__ import annotations

import pytest
from pydicom import dcmread

from conformance import dcmtk, objects
from mome_node.delivery.destination import Destination
from mome_node.delivery.dimse import DimseSender
from mome_node.delivery.ping import ping
from mome_node.demonstration.pacs.archive import Archive
from mome_node.errors import PermanentDeliveryError, TransientDeliveryError

pytestmark = pytest.mark.peer("DCMTK")


def test_storescp_writes_the_bytes_that_were_sent(start_storescp, exam):
    server = start_storescp()
    receipts = DimseSender(server.destination).send([*map(objects.outgoing, exam.results)])
    assert [r.status for r in receipts] == [0x0000, 0x0000]
    received = {dcmread(path).SOPInstanceUID: dcmread(path) for path in server.received()}
    assert received == {path.stem: dcmread(path) for path in exam.results}


def test_storescp_that_speaks_only_implicit_vr_gets_the_results(start_storescp, exam):
    server = start_storescp("+xi")
    receipts = DimseSender(server.destination).send([*map(objects.outgoing, exam.results)])
    assert all(receipt.stored for receipt in receipts)


def test_storescp_that_refuses_the_association_is_told_apart(start_storescp, exam):
    server = start_storescp("--refuse")
    with pytest.raises(PermanentDeliveryError, match="rejected"):
        list(DimseSender(server.destination).send([objects.outgoing(exam.sr)]))


def test_storescp_that_aborts_while_storing_is_transient(start_storescp, exam):
    server = start_storescp("--abort-during")
    with pytest.raises(TransientDeliveryError):
        list(DimseSender(server.destination).send([objects.outgoing(exam.sr)]))


def test_dcmqrscp_that_does_not_know_the_called_ae_title_is_permanent(start_dcmqrscp, exam):
    peer = start_dcmqrscp().address
    wrong = Destination("dcmqrscp", "WRONG", peer.host, peer.port, "MOME")
    assert "AE title WRONG" in ping(wrong).words
    for _ in range(30):  # its rejection may come before the association looks for an answer
        with pytest.raises(PermanentDeliveryError, match="AE title WRONG"):
            list(DimseSender(wrong).send([objects.outgoing(exam.sr)]))


def test_dcmqrscp_takes_the_results(start_dcmqrscp, exam):
    server = start_dcmqrscp()
    receipts = list(DimseSender(server.destination).send([*map(objects.outgoing, exam.images)]))
    assert [r.status for r in receipts] == [0x0000] * len(exam.images)
    assert len(server.received()) == len(exam.images)


@pytest.mark.parametrize("send", [dcmtk.storescu, dcmtk.dcmsend])
def test_embedded_archive_takes_what_dcmtk_sends(send, exam, tmp_path):
    with Archive(tmp_path / "archive") as archive:
        outcome = send(archive.address, exam.images)
        assert outcome.returncode == 0, outcome.stderr
        assert archive.instance_count(exam.study_uid) == len(exam.images)
