"""Asking a peer for storage commitment, against pynetdicom's own SCP with answers of our choice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from threading import Thread

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_ACTION_RSP
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.pdu import A_ABORT_RQ, A_RELEASE_RQ, P_DATA_TF
from pynetdicom.transport import ThreadedAssociationServer
from structlog.testing import capture_logs

from mome_node.delivery import commitment_request
from mome_node.delivery.commitment_request import DimseCommitment
from mome_node.delivery.destination import Destination
from mome_node.delivery.ports import CommitmentScu
from mome_node.delivery.reports_elsewhere import ReportsElsewhere
from mome_node.demonstration.pacs.pacs import free_port
from mome_node.dicom.commitment import (
    COMMITMENT_CLASS,
    COMMITMENT_INSTANCE,
    CommitmentAnswer,
    CommitmentResult,
    FailureReason,
    ReferencedInstance,
)
from mome_node.errors import CatalogError, PermanentDeliveryError, TransientDeliveryError
from tests.delivery.conftest import SHORT

MR = str(MRImageStorage)
TRANSACTION = "1.2.3.99"
NAMED = tuple(ReferencedInstance(MR, f"1.2.3.{n}") for n in (1, 2))
ALL = CommitmentResult(TRANSACTION, NAMED, ())
ONE_GONE = CommitmentResult(TRANSACTION, NAMED[:1], ((NAMED[1], FailureReason.NO_SUCH_INSTANCE),))
ALL_SAFE = CommitmentAnswer(frozenset({"1.2.3.1", "1.2.3.2"}), {})
LONG_S = 30.0  # longer than any test takes: what ends it is not the clock
SHORTLY_S = 0.05


@dataclass
class Archive:
    """A commitment SCP; ``before`` and ``after`` it answers it does more on the association."""

    status: int | None = 0x0000
    before: Callable[[Archive, Association], None] = lambda _archive, _association: None
    after: Callable[[Archive, Association], None] = lambda _archive, _association: None
    port: int = 0
    asked: list[tuple[int, str, str, Dataset]] = field(default_factory=list)
    answers: list[int | None] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    is_answering: bool = False
    server: ThreadedAssociationServer | None = None

    def commitment(self, wait_s: float = LONG_S, **options: object) -> CommitmentScu:
        destination = Destination("pacs", "PACS", "127.0.0.1", self.port, "MOME")
        return DimseCommitment(destination, SHORT, wait_s, **options)  # type: ignore[arg-type]

    def on_action(self, event: evt.Event) -> tuple[Dataset, None]:
        request = event.request
        self.asked.append(
            (
                event.action_type,
                str(request.RequestedSOPClassUID),
                str(request.RequestedSOPInstanceUID),
                event.action_information,
            )
        )
        self.before(self, event.assoc)
        if self.status is None:
            self.done.wait(LONG_S)
        answer = Dataset()
        answer.Status = 0x0000 if self.status is None else self.status
        answer.ErrorComment = "Doe^Jane is not here"
        return answer, None

    def on_received(self, event: evt.Event) -> None:
        if isinstance(event.pdu, A_RELEASE_RQ | A_ABORT_RQ):
            self.done.set()  # whoever releases or aborts waits for no answer any more

    def on_sending(self, event: evt.Event) -> None:
        self.is_answering = isinstance(event.message, N_ACTION_RSP)

    def on_sent(self, event: evt.Event) -> None:
        if self.is_answering and isinstance(event.pdu, P_DATA_TF):
            self.is_answering = False
            Thread(target=self.after, args=(self, event.assoc)).start()

    def report(self, association: Association, content: CommitmentResult) -> None:
        """Report, and keep how that was answered."""
        syntax = str(association.accepted_contexts[0].transfer_syntax[0])
        self.report_raw(association, content.encode(syntax), content.event_type)

    def report_raw(
        self,
        association: Association,
        information: bytes,
        event_type: int = 1,
        sop_class: str = COMMITMENT_CLASS,
        instance: str = COMMITMENT_INSTANCE,
    ) -> None:
        request = N_EVENT_REPORT()
        request.MessageID = 7
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(sop_class), UID(instance)
        request.EventTypeID = event_type
        request.EventInformation = BytesIO(information) if information else None
        association._reactor_checkpoint.clear()
        while not association._is_paused:
            time.sleep(0.0001)
        association.dimse.send_msg(request, 1)
        _, answer = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
        self.answers.append(None if answer is None else answer.Status)


def reporting(*contents: CommitmentResult) -> Callable[[Archive, Association], None]:
    def report(archive: Archive, association: Association) -> None:
        for content in contents:
            archive.report(association, content)

    return report


StartArchive = Callable[..., Archive]


@pytest.fixture
def start_archive() -> Iterator[StartArchive]:
    started: list[Archive] = []

    def start(
        syntaxes: tuple[UID, ...] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        sop_class: str = COMMITMENT_CLASS,
        **behaviour: object,
    ) -> Archive:
        archive = Archive(**behaviour)  # type: ignore[arg-type]  # a test's own keywords
        entity = AE(ae_title="PACS")
        entity.add_supported_context(sop_class, list(syntaxes))
        archive.server = entity.start_server(
            ("127.0.0.1", 0),
            block=False,
            evt_handlers=[
                (evt.EVT_N_ACTION, archive.on_action),
                (evt.EVT_PDU_RECV, archive.on_received),
                (evt.EVT_DIMSE_SENT, archive.on_sending),
                (evt.EVT_PDU_SENT, archive.on_sent),
                (evt.EVT_RELEASED, lambda _event: archive.released.set()),
            ],
        )
        archive.port = archive.server.socket.getsockname()[1]
        started.append(archive)
        return archive

    yield start
    for archive in started:
        archive.done.set()
        if archive.server is not None:
            Thread(target=archive.server.shutdown).start()  # it waits for half a second


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_the_peer_reads_what_is_asked_for(start_archive: StartArchive, syntax: UID) -> None:
    archive = start_archive((syntax,))
    assert archive.commitment(SHORTLY_S).ask(TRANSACTION, NAMED) is None
    ((action_type, sop_class, instance, information),) = archive.asked
    assert (action_type, sop_class, instance) == (1, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
    assert information.TransactionUID == TRANSACTION
    assert [
        ReferencedInstance(str(i.ReferencedSOPClassUID), str(i.ReferencedSOPInstanceUID))
        for i in information.ReferencedSOPSequence
    ] == list(NAMED)
    assert archive.released.wait(LONG_S)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_report_on_our_association_is_the_answer_before_and_after_the_response(
    start_archive: StartArchive, moment: str
) -> None:
    archive = start_archive(**{moment: reporting(ALL)})
    assert archive.commitment().ask(TRANSACTION, NAMED) == ALL_SAFE
    assert archive.released.wait(LONG_S)
    assert archive.answers == [0x0000]


def test_what_the_peer_has_not_is_told_with_its_reason(start_archive: StartArchive) -> None:
    archive = start_archive(after=reporting(ONE_GONE))
    answer = archive.commitment().ask(TRANSACTION, NAMED)
    assert answer == CommitmentAnswer(frozenset({"1.2.3.1"}), {"1.2.3.2": 0x0112})


def test_the_same_report_twice_is_answered_twice_and_told_once(
    start_archive: StartArchive,
) -> None:
    archive = start_archive(before=reporting(ALL, ALL))
    assert archive.commitment().ask(TRANSACTION, NAMED) == ALL_SAFE
    assert archive.answers == [0x0000, 0x0000]


def test_a_report_of_a_peer_that_does_not_answer_the_request_counts(
    start_archive: StartArchive,
) -> None:
    archive = start_archive(status=None, before=reporting(ALL))
    assert archive.commitment().ask(TRANSACTION, NAMED) == ALL_SAFE


def test_a_report_on_another_transaction_is_refused_and_ours_still_awaited(
    start_archive: StartArchive,
) -> None:
    other = CommitmentResult("1.2.3.98", NAMED, ())
    archive = start_archive(before=reporting(other, ALL))
    with capture_logs() as logs:
        assert archive.commitment().ask(TRANSACTION, NAMED) == ALL_SAFE
    assert archive.answers == [0x0115, 0x0000]
    assert [entry["status"] for entry in logs] == ["0115"]


def test_a_report_on_an_earlier_transaction_goes_to_those_who_know_it(
    start_archive: StartArchive,
) -> None:
    taken: list[tuple[str, CommitmentAnswer]] = []

    def take(transaction_uid: str, answer: CommitmentAnswer) -> bool:
        taken.append((transaction_uid, answer))
        return True

    archive = start_archive(before=reporting(CommitmentResult("1.2.3.98", NAMED, ())))
    assert archive.commitment(SHORTLY_S, take_other=take).ask(TRANSACTION, NAMED) is None
    assert taken == [("1.2.3.98", ALL_SAFE)]
    assert archive.answers == [0x0000]


def test_a_report_that_has_come_another_way_ends_the_wait(start_archive: StartArchive) -> None:
    elsewhere = ReportsElsewhere()
    archive = start_archive(after=lambda _archive, _association: elsewhere.note(TRANSACTION))
    started = time.monotonic()
    assert archive.commitment(elsewhere=elsewhere).ask(TRANSACTION, NAMED) is None
    assert time.monotonic() - started < LONG_S / 2
    elsewhere.note(TRANSACTION)  # nobody waits any more


def test_a_report_that_cannot_be_kept_is_not_acknowledged(start_archive: StartArchive) -> None:
    def fail(_transaction_uid: str, _answer: CommitmentAnswer) -> bool:
        raise CatalogError("the database failed")

    archive = start_archive(before=reporting(CommitmentResult("1.2.3.98", NAMED, ())))
    assert archive.commitment(SHORTLY_S, take_other=fail).ask(TRANSACTION, NAMED) is None
    assert archive.answers == [0x0110]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"event_type": 3}, 0x0113),
        ({"instance": "1.2.3"}, 0x0112),
        ({"sop_class": MR}, 0x0118),
    ],
)
def test_something_else_than_a_report_is_refused(
    start_archive: StartArchive, sent: dict[str, object], status: int
) -> None:
    def tell(archive: Archive, association: Association) -> None:
        archive.report_raw(association, ALL.encode(ExplicitVRLittleEndian), **sent)  # type: ignore[arg-type]

    archive = start_archive((ExplicitVRLittleEndian,), before=tell)
    assert archive.commitment(SHORTLY_S).ask(TRANSACTION, NAMED) is None
    assert archive.answers == [status]


@pytest.mark.parametrize(
    ("information", "status"),
    [
        (b"garbage", 0x0110),
        (b"", 0x0115),
        (b"\x08\x00\x99\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff", 0x0110),
    ],
)
def test_a_report_that_cannot_be_read_is_refused_and_told(
    start_archive: StartArchive, information: bytes, status: int
) -> None:
    archive = start_archive(
        (ExplicitVRLittleEndian,),
        after=lambda a, association: a.report_raw(association, information),
    )
    with pytest.raises(TransientDeliveryError, match=r"pacs .*report .*cannot be read"):
        archive.commitment().ask(TRANSACTION, NAMED)
    assert archive.answers == [status]


def test_a_peer_that_sends_without_end_is_cut_off(
    start_archive: StartArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitment_request, "_MAX_BYTES", 1 << 20)
    archive = start_archive(
        after=lambda a, association: a.report_raw(association, bytes(2 << 20)),
    )
    with pytest.raises(TransientDeliveryError, match="more than 1 MiB"):
        archive.commitment().ask(TRANSACTION, NAMED)


@pytest.mark.parametrize("status", [0x0112, 0x0115, 0x0118, 0x0122, 0x0123, 0x0124, 0x0211])
def test_a_peer_that_takes_no_such_requests_is_not_asked_again(
    start_archive: StartArchive, status: int
) -> None:
    archive = start_archive(status=status)
    with pytest.raises(PermanentDeliveryError, match=f"0x{status:04X}") as refused:
        archive.commitment().ask(TRANSACTION, NAMED)
    assert "Doe" not in str(refused.value)


@pytest.mark.parametrize("status", [0x0110, 0x0131, 0x0210, 0x0213, 0xA700, 0xC123])
def test_a_peer_that_cannot_now_is_asked_again(start_archive: StartArchive, status: int) -> None:
    archive = start_archive(status=status)
    with pytest.raises(TransientDeliveryError, match=f"0x{status:04X}"):
        archive.commitment().ask(TRANSACTION, NAMED)


@pytest.mark.parametrize("status", [0x0001, 0x0107, 0xB010])
def test_a_warning_is_no_refusal(start_archive: StartArchive, status: int) -> None:
    archive = start_archive(status=status, after=reporting(ALL))
    assert archive.commitment().ask(TRANSACTION, NAMED) == ALL_SAFE


def test_a_peer_without_the_class_takes_no_requests(start_archive: StartArchive) -> None:
    archive = start_archive(sop_class=SecondaryCaptureImageStorage)
    with pytest.raises(PermanentDeliveryError):
        archive.commitment().ask(TRANSACTION, NAMED)


def test_a_peer_that_does_not_answer_is_asked_again(start_archive: StartArchive) -> None:
    archive = start_archive(status=None)
    with pytest.raises(TransientDeliveryError, match="no answer to N-ACTION"):
        archive.commitment().ask(TRANSACTION, NAMED)


def test_a_peer_that_is_away_is_asked_again(start_archive: StartArchive) -> None:
    archive = start_archive()
    archive.port = free_port()
    with pytest.raises(TransientDeliveryError):
        archive.commitment().ask(TRANSACTION, NAMED)


@pytest.mark.parametrize("way", ["abort", "release"])
def test_a_peer_that_ends_the_association_will_report_on_another(
    start_archive: StartArchive, way: str
) -> None:
    archive = start_archive(after=lambda _archive, association: getattr(association, way)())
    started = time.monotonic()
    assert archive.commitment().ask(TRANSACTION, NAMED) is None
    assert time.monotonic() - started < LONG_S / 2  # noticed, not waited out
