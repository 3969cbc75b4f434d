"""Reports on storage commitment that we asked for, from pynetdicom's own SCP and hostile ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, build_context, build_role
from pynetdicom.dimse_messages import N_EVENT_REPORT_RQ
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from structlog.testing import capture_logs

from mome_node.dicom.commitment import (
    COMMITMENT_CLASS,
    COMMITMENT_INSTANCE,
    CommitmentAnswer,
    CommitmentRequest,
    CommitmentResult,
    FailureReason,
    ReferencedInstance,
)
from mome_node.errors import CatalogError
from mome_node.ingest.availability import MAX_NOTICE_BYTES
from mome_node.ingest.commitment import CommitmentReception
from mome_node.ingest.commitment_results import CommitmentResults
from mome_node.ingest.peers import Admission, AllowedPeer
from mome_node.ingest.scp import ScpSettings, StorageScp

VERIFICATION = "1.2.840.10008.1.1"
MR = str(MRImageStorage)
EXPLICIT = str(ExplicitVRLittleEndian)
TRANSACTION, OTHERS = "1.2.3.99", "1.2.3.98"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HERE, GONE = (ReferencedInstance(MR, f"1.2.3.{n}") for n in (1, 2))
RESULT = CommitmentResult(TRANSACTION, (HERE,), ((GONE, FailureReason.NO_SUCH_INSTANCE),))
ANSWER = CommitmentAnswer(frozenset({"1.2.3.1"}), {"1.2.3.2": 0x0112})


@dataclass
class Asked:
    """AskedTransactions in memory; ``fails`` once."""

    destination_of: dict[str, str] = field(
        default_factory=lambda: {TRANSACTION: "pacs", OTHERS: "other"}
    )
    kept: list[tuple[str, str, CommitmentAnswer, datetime]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    fails: bool = False

    def answer(
        self, transaction_uid: str, destination: str, answer: CommitmentAnswer, at: datetime
    ) -> bool:
        if self.fails:
            self.fails = False
            raise CatalogError("the database failed")
        if self.destination_of.get(transaction_uid) != destination:
            return False
        self.kept.append((transaction_uid, destination, answer, at))
        return True


class OnlyNamed(Admission):
    """An allow-list for which this machine is no exception, so that a test can be a stranger."""

    def admits(self, ae_title: str, address: str) -> bool:
        return self.named(ae_title, address) is not None


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def scp(node, asked, asking) -> Iterator[StorageScp]:
    """A receiver that asked PACS and OTHER, and lets MODALITY in, but neither of the two."""
    speakers = {
        "pacs": Admission((AllowedPeer("PACS", "127.0.0.1"),)),
        "elsewhere": Admission((AllowedPeer("PACS", "10.0.0.5"),)),
        "other": Admission((AllowedPeer("OTHER", "localhost"),)),
    }
    with StorageScp(
        ScpSettings(host="127.0.0.1", port=0, acse_timeout_s=5),
        node.reception,
        OnlyNamed((AllowedPeer("MODALITY", "127.0.0.1"),)),
        commitment=CommitmentReception(node.catalog.commitments, lambda: NOW, asking),
        results=CommitmentResults(asked, lambda: NOW, speakers, asked.told.append),
    ) as running:
        yield running


@pytest.fixture
def peer(scp):
    """Open an association as a peer that would be SCP of commitment, unless told."""

    @contextmanager
    def opened(ae_title="PACS", role=(False, True), classes=(COMMITMENT_CLASS, VERIFICATION, MR)):
        roles = []
        if role is not None:
            roles = [build_role(COMMITMENT_CLASS, scu_role=role[0], scp_role=role[1])]
        association = AE(ae_title).associate(
            "127.0.0.1",
            scp.port,
            ae_title="MOME",
            contexts=[build_context(uid, [ExplicitVRLittleEndian]) for uid in classes],
            ext_neg=roles,
        )
        yield association
        if association.is_established:
            association.release()

    return opened


def send(association, content=RESULT, **options):
    """Report as the content says; the status, and the comment if there is one."""
    return send_raw(association, content.encode(EXPLICIT), content.event_type, **options)


def send_raw(
    association,
    information,
    event_type=1,
    *,
    sop_class=COMMITMENT_CLASS,
    instance=COMMITMENT_INSTANCE,
    context_of=COMMITMENT_CLASS,
    edit=lambda _command: None,
    message_ids=(7,),
):
    """Send encoded bytes as they are; the statuses, one for each message ID, in their order."""
    context_id = next(
        c.context_id for c in association.accepted_contexts if c.abstract_syntax == context_of
    )
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.001)
    for message_id in message_ids:
        request = N_EVENT_REPORT()
        request.MessageID = message_id
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(sop_class), UID(instance)
        request.EventTypeID = event_type
        request.EventInformation = BytesIO(information) if information else None
        message = N_EVENT_REPORT_RQ()
        message.primitive_to_message(request)
        edit(message.command_set)
        for pdata in message.encode_msg(context_id, 131_072):
            association.dul.send_pdu(pdata)
    answers = [association.dimse.get_msg(block=True)[1] for _ in message_ids]
    association._reactor_checkpoint.set()
    assert [a.MessageIDBeingRespondedTo for a in answers] == list(message_ids)
    return answers[0].Status if len(answers) == 1 else [a.Status for a in answers]


def test_report_of_a_destination_is_kept_and_then_acknowledged(peer, asked):
    with peer() as association, capture_logs() as logs:
        assert send(association) == 0x0000
        assert asked.kept == [(TRANSACTION, "pacs", ANSWER, NOW)]
    (line,) = [entry for entry in logs if entry["event"] == "commitment report"]
    assert (line["destination"], line["committed"], line["failed"]) == ("pacs", 1, 1)
    assert line["reasons"] == ["0112"]


def test_the_same_report_again_is_acknowledged_again(peer, asked):
    with peer() as association:
        assert [send(association), send(association)] == [0x0000, 0x0000]
    with peer() as association:
        assert send(association) == 0x0000
    assert [kept[2] for kept in asked.kept] == [ANSWER] * 3


def test_reports_that_come_one_upon_another_are_answered_one_after_another(peer, asked):
    with peer() as association:
        numbers = tuple(range(1, 7))
        statuses = send_raw(association, RESULT.encode(EXPLICIT), message_ids=numbers)
    assert statuses == [0x0000] * len(numbers)
    assert len(asked.kept) == len(numbers)


@pytest.mark.parametrize("role", [(False, True), (True, True), None])
def test_peer_may_be_scp_and_is_heard_without_having_proposed_it(peer, asked, role):
    with peer(role=role) as association:
        assert send(association) == 0x0000
    assert len(asked.kept) == 1


def test_roles_are_answered_as_they_were_proposed(peer):
    for ae_title, role, answered in (
        ("MODALITY", (True, True), (True, True)),
        ("MODALITY", (False, True), (False, True)),
        ("MODALITY", (True, False), (True, False)),
        ("PACS", (True, True), (False, True)),
        ("PACS", (False, True), (False, True)),
    ):
        with peer(ae_title, role) as association:
            said = association.acceptor.role_selection[COMMITMENT_CLASS]
            assert (said.scu_role, said.scp_role) == answered


@pytest.mark.parametrize("transaction_uid", [OTHERS, "1.2.3.97"])
def test_report_on_a_transaction_that_this_peer_was_not_asked_for_is_refused(
    peer, asked, transaction_uid
):
    with peer() as association, capture_logs() as logs:
        assert send(association, CommitmentResult(transaction_uid, (HERE,), ())) == 0x0115
        assert send(association) == 0x0000
    assert [kept[0] for kept in asked.kept] == asked.told == [TRANSACTION]
    assert [e["status"] for e in logs if e["event"] == "commitment report refused"] == ["0115"]


def test_report_of_a_peer_that_was_never_asked_is_refused_like_one_on_no_transaction(peer, asked):
    with peer("MODALITY") as association:
        assert send(association) == 0x0115
        assert send_raw(association, b"garbage") == 0x0115
    assert asked.kept == []


def test_destination_that_is_no_allowed_peer_may_report_and_nothing_else(peer, asked, node):
    with peer(role=None) as association:
        accepted = {c.abstract_syntax for c in association.accepted_contexts}
        assert accepted == {COMMITMENT_CLASS, VERIFICATION}
        assert association.send_c_echo().Status == 0x0000
        status, _ = association.send_n_action(_request(), 1, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
        assert status.Status == 0x0124
        assert send(association) == 0x0000
    assert node.catalog.commitments.due(datetime(2027, 1, 1, tzinfo=UTC)) == ()


def test_allowed_peer_may_still_store_and_ask(peer, node, make_dataset):
    with peer():
        pass  # what it is offered is its association's only
    with peer("MODALITY", role=None) as association:
        image = make_dataset()
        image.ensure_file_meta()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        assert association.send_c_store(image).Status == 0x0000
        status, _ = association.send_n_action(_request(), 1, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
        assert status.Status == 0x0000
    assert len(node.catalog.commitments.due(datetime(2027, 1, 1, tzinfo=UTC))) == 1


def _request() -> Dataset:
    information = Dataset()
    information.TransactionUID = UID("1.2.3.50")
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = MRImageStorage, UID("1.2.3.4.5.1")
    information.ReferencedSOPSequence = [item]
    return information


def test_peer_that_is_neither_is_not_let_in(peer):
    with peer("STRANGER") as association:
        assert association.is_rejected


def test_report_that_cannot_be_kept_is_not_acknowledged(peer, asked):
    asked.fails = True
    with peer() as association:
        assert send(association) == 0x0110
        assert asked.kept == []
        assert send(association) == 0x0000
    assert len(asked.kept) == 1


def test_other_events_instances_classes_and_contexts_are_told_apart(peer, asked):
    def without(keyword):
        return lambda command: command.pop(keyword)

    data = RESULT.encode(EXPLICIT)
    with peer("PACS") as association:
        assert send_raw(association, data, event_type=3) == 0x0113
        assert send_raw(association, data, edit=without("EventTypeID")) == 0x0113
        assert send_raw(association, data, instance="1.2.3") == 0x0112
        assert send_raw(association, data, edit=without("AffectedSOPInstanceUID")) == 0x0112
        assert send_raw(association, data, sop_class=MR) == 0x0118
        assert send_raw(association, data, edit=without("AffectedSOPClassUID")) == 0x0118
        assert send_raw(association, data, context_of=VERIFICATION) == 0x0118
        assert association.send_c_echo().Status == 0x0000
    assert asked.kept == []


@pytest.mark.parametrize(
    ("information", "status"),
    [
        (b"", 0x0115),
        (b"garbage", 0x0110),
        (RESULT.encode(EXPLICIT)[:-5], 0x0110),
        (RESULT.encode(EXPLICIT).replace(b"1.2.3.99", b"1.2.3.9x"), 0x0115),
        (CommitmentResult(TRANSACTION, (), ()).encode(EXPLICIT), 0x0115),
        (RESULT.encode(EXPLICIT) + bytes(MAX_NOTICE_BYTES), 0x0213),
    ],
)
def test_report_that_is_none_is_refused_and_the_association_goes_on(
    peer, asked, information, status
):
    with peer() as association:
        assert send_raw(association, information) == status
        assert asked.kept == []
        assert send(association) == 0x0000


def test_no_patient_data_is_logged(peer):
    information = CommitmentRequest(TRANSACTION, (HERE,)).encode(EXPLICIT)
    name = b"\x10\x00\x10\x00PN\x08\x00Doe^Jane"
    with peer() as association, capture_logs() as logs:
        assert send_raw(association, information + name) == 0x0000
        assert send_raw(association, information + name + b"\x10\x00\x20\x00LO\xff\xff") == 0x0110
    assert "Doe" not in str(logs)


def test_receiver_that_asks_nobody_takes_no_reports(node, asking):
    with StorageScp(
        ScpSettings(host="127.0.0.1", port=0),
        node.reception,
        Admission(),
        commitment=CommitmentReception(node.catalog.commitments, lambda: NOW, asking),
    ) as running:
        association = AE("PACS").associate(
            "127.0.0.1",
            running.port,
            ae_title="MOME",
            contexts=[build_context(COMMITMENT_CLASS, [ExplicitVRLittleEndian])],
        )
        assert send(association) == 0x0118
        association.release()
