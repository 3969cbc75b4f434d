"""Reports on the association that the peer opened, against pynetdicom's own SCU."""

from __future__ import annotations

import threading

import pytest
from pydicom.uid import MRImageStorage
from pynetdicom import AE, evt

from mome_node.catalog.commitments import AskingPeer
from mome_node.dicom.commitment import (
    COMMITMENT_CLASS,
    COMMITMENT_INSTANCE,
    CommitmentResult,
    FailureReason,
    ReferencedInstance,
)
from mome_node.errors import TransientDeliveryError
from mome_node.ingest import event_reports
from tests.ingest.test_commitment import TRANSACTION, request

VERIFICATION = "1.2.840.10008.1.1"
PEER = AskingPeer("SENDER", "127.0.0.1")
HERE = ReferencedInstance(str(MRImageStorage), "1.2.3.4.5.1")
RESULT = CommitmentResult(TRANSACTION, (HERE,), ())


class Scu:
    """A peer that asks on one association, and what it was told there."""

    def __init__(self, port, answer=lambda _event: 0x0000):
        self.told = []
        self._answer = answer
        entity = AE("SENDER")
        entity.add_requested_context(COMMITMENT_CLASS)
        entity.add_requested_context(VERIFICATION)
        self.association = entity.associate(
            "127.0.0.1",
            port,
            ae_title="MOME",
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._on_report)],
        )
        status, _ = self.association.send_n_action(
            request(), 1, COMMITMENT_CLASS, COMMITMENT_INSTANCE
        )
        assert status.Status == 0x0000

    def _on_report(self, event):
        self.told.append((event.event_type, event.event_information))
        return self._answer(event), None


@pytest.fixture
def open_scu(scp):
    opened = []

    def start(**options):
        opened.append(Scu(scp.port, **options))
        return opened[-1]

    yield start
    for scu in opened:
        if scu.association.is_established:
            scu.association.abort()


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(event_reports, "SILENCE_S", 0.0)


@pytest.mark.usefixtures("at_once")
def test_report_goes_over_the_association_that_the_peer_left_open(open_scu, asking):
    scu = open_scu()
    missing = ReferencedInstance(str(MRImageStorage), "1.2.3.4.5.2")
    result = CommitmentResult(TRANSACTION, (HERE,), ((missing, FailureReason.NO_SUCH_INSTANCE),))
    assert asking.find(TRANSACTION, PEER).send(result) == 0x0000
    ((event_type, information),) = scu.told
    assert (event_type, information.TransactionUID) == (2, TRANSACTION)
    (good,), (bad,) = information.ReferencedSOPSequence, information.FailedSOPSequence
    assert good.ReferencedSOPInstanceUID == HERE.sop_instance_uid
    assert (bad.ReferencedSOPInstanceUID, bad.FailureReason) == ("1.2.3.4.5.2", 0x0112)


@pytest.mark.usefixtures("at_once")
def test_association_goes_on_after_a_report_and_during_it(open_scu, asking):
    asked_meanwhile = []

    def echo_first(event):
        asked_meanwhile.append(event.assoc.send_c_echo().Status)
        return 0x0000

    scu = open_scu(answer=echo_first)
    reports = asking.find(TRANSACTION, PEER)
    assert reports.send(RESULT) == 0x0000
    assert asked_meanwhile == [0x0000]
    assert reports.send(RESULT) == 0x0000
    assert scu.association.send_c_echo().Status == 0x0000


@pytest.mark.usefixtures("at_once")
def test_status_of_the_peer_is_handed_over(open_scu, asking):
    open_scu(answer=lambda _event: 0x0110)
    assert asking.find(TRANSACTION, PEER).send(RESULT) == 0x0110


def test_nothing_is_sent_while_the_peer_is_busy(open_scu, asking, monkeypatch):
    monkeypatch.setattr(event_reports, "SILENCE_S", 3600.0)
    monkeypatch.setattr(event_reports, "_TURN_S", 0.05)
    scu = open_scu()
    reports = asking.find(TRANSACTION, PEER)
    assert not reports.may_send()
    assert reports.send(RESULT) is None
    monkeypatch.setattr(event_reports, "SILENCE_S", 0.0)
    assert reports.send(RESULT) == 0x0000  # and only once
    assert len(scu.told) == 1


@pytest.mark.usefixtures("at_once")
def test_peer_that_does_not_answer_is_not_told_there_again(open_scu, asking, monkeypatch):
    monkeypatch.setattr(event_reports, "ANSWER_S", 0.2)
    release = threading.Event()
    open_scu(answer=lambda _event: 0x0000 if release.wait(10) else 0x0110)
    with pytest.raises(TransientDeliveryError, match="no answer"):
        asking.find(TRANSACTION, PEER).send(RESULT)
    release.set()
    assert asking.find(TRANSACTION, PEER) is None


@pytest.mark.usefixtures("at_once")
def test_association_that_ended_is_no_way_to_the_peer(open_scu, asking):
    scu = open_scu()
    reports = asking.find(TRANSACTION, PEER)
    scu.association.release()
    with pytest.raises(TransientDeliveryError):
        reports.send(RESULT)
    assert asking.find(TRANSACTION, PEER) is None


@pytest.mark.usefixtures("at_once")
def test_association_that_ends_instead_of_an_answer_is_noticed_at_once(open_scu, asking):
    def abort(event):
        event.assoc.abort()
        return 0x0000

    open_scu(answer=abort)
    with pytest.raises(TransientDeliveryError):
        asking.find(TRANSACTION, PEER).send(RESULT)


def test_another_peer_is_no_way_to_report(open_scu, asking):
    open_scu()
    assert asking.find(TRANSACTION, AskingPeer("OTHER", "127.0.0.1")) is None
