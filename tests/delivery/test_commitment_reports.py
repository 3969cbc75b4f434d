"""Reports on storage commitment: to the peer that asked, when it can be told, and no sooner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from structlog.testing import capture_logs

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.commitments import AskingPeer
from mome_node.catalog.records import Arrival
from mome_node.delivery.commitment_check import CommitmentCheck
from mome_node.delivery.commitment_reports import CommitmentReports, ReportingPolicy
from mome_node.delivery.destination import Destination
from mome_node.dicom.commitment import COMMITMENT_CLASS, CommitmentResult, ReferencedInstance
from mome_node.errors import TransientDeliveryError
from mome_node.storage.local import LocalStore
from mome_node.storage.store import InstanceIdentity
from tests.delivery.conftest import SHORT

MR = str(MRImageStorage)
EXPLICIT = str(ExplicitVRLittleEndian)
START = datetime(2026, 1, 1, tzinfo=UTC)
PEER = AskingPeer("PACS", "127.0.0.1")
WAIT_S = 30.0
GIVE_UP_S = 3600.0


@dataclass
class Channel:
    """An association that the peer left open."""

    is_silent: bool = True
    status: int | Exception | None = 0x0000
    told: list[CommitmentResult] = field(default_factory=list)

    def may_send(self) -> bool:
        return self.is_silent

    def send(self, content: CommitmentResult) -> int | None:
        self.told.append(content)
        if isinstance(self.status, Exception):
            raise self.status
        return self.status


@dataclass
class Site:
    """A node with a clock in hand, and what it knows of its peers."""

    folder: Path
    now: datetime = START
    channels: dict[tuple[str, AskingPeer], Channel] = field(default_factory=dict)
    listeners: dict[AskingPeer, Destination] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Make every object anew on what is in the folder, as a restart does."""
        self.catalog = Catalog.open(f"sqlite:///{self.folder}/catalog.db")
        self.store = LocalStore(self.folder / "data")
        ledger = self.catalog.commitments
        self.reports = CommitmentReports(
            ledger,
            CommitmentCheck(ledger, self.store.open, frozenset({MR})),
            channel_of=lambda uid, peer: self.channels.get((uid, peer)),
            listener_of=self.listeners.get,
            clock=lambda: self.now,
            policy=ReportingPolicy(WAIT_S, GIVE_UP_S),
            timeouts=SHORT,
        )

    def restart(self) -> None:
        self.catalog.close()
        self.channels.clear()
        self.open()

    def receive(self, number: int) -> Path:
        uid = f"1.2.3.{number}"
        stored = self.store.put(InstanceIdentity(MR, uid, EXPLICIT), f"image {uid}".encode())
        self.catalog.record_instance(
            Arrival(
                study_uid="1.2",
                series_uid="1.2.0",
                sop_instance_uid=uid,
                sop_class_uid=MR,
                transfer_syntax_uid=EXPLICIT,
                key=stored.key,
                sha256=stored.sha256,
                size=stored.size,
                calling_ae="PACS",
                received_at=self.now,
            )
        )
        return self.store.path(stored.key)

    def ask(self, *numbers: int, transaction: str = "1.2.9", peer: AskingPeer = PEER) -> None:
        named = [ReferencedInstance(MR, f"1.2.3.{n}") for n in numbers]
        self.catalog.commitments.open(transaction, peer, named, self.now)

    def round(self, after_s: float = 0) -> None:
        self.now += timedelta(seconds=after_s)
        self.reports.run_round()

    def is_open(self) -> bool:
        return bool(self.catalog.commitments.due(self.now + timedelta(days=365)))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.catalog.close()


@pytest.fixture
def channel(site: Site) -> Channel:
    """The association that the transaction of ``ask`` came on, left open."""
    return site.channels.setdefault(("1.2.9", PEER), Channel())


@dataclass
class Listener:
    """A peer that takes reports on a port of its own."""

    told: list[tuple[int, Dataset]] = field(default_factory=list)
    associations: int = 0
    roles: list[tuple[bool, bool]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    port: int = 0

    def on_report(self, event: evt.Event) -> tuple[int, None]:
        self.told.append((event.event_type, event.event_information))
        return (self.answers.pop(0) if self.answers else 0x0000), None

    def on_requested(self, event: evt.Event) -> None:
        self.associations += 1
        proposed = event.assoc.requestor.role_selection[COMMITMENT_CLASS]
        self.roles.append((proposed.scu_role, proposed.scp_role))


@pytest.fixture
def listen(site: Site) -> Iterator[Callable[..., Listener]]:
    servers = []

    def start(*, takes_role: bool = True) -> Listener:
        listener = Listener()
        entity = AE("PACS")
        roles = {"scu_role": False, "scp_role": True} if takes_role else {}
        entity.add_supported_context(COMMITMENT_CLASS, **roles)
        handlers = [
            (evt.EVT_N_EVENT_REPORT, listener.on_report),
            (evt.EVT_REQUESTED, listener.on_requested),
        ]
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        servers.append(server)
        listener.port = server.socket.getsockname()[1]
        site.listeners[PEER] = Destination("PACS", "PACS", "127.0.0.1", listener.port, "MOME")
        return listener

    yield start
    for server in servers:
        Thread(target=server.shutdown).start()  # it waits for half a second; no test has to


def test_peer_that_waits_is_told_on_its_own_association(site, channel, listen):
    listener = listen()
    site.receive(1)
    site.ask(1)
    site.round()
    (result,) = channel.told
    assert result.committed == (ReferencedInstance(MR, "1.2.3.1"),)
    assert result.failed == ()
    assert listener.told == []
    site.round(after_s=100)
    assert len(channel.told) == 1
    assert not site.is_open()


def test_peer_that_has_left_is_called_back(site, listen):
    listener = listen()
    site.receive(1)
    site.ask(1)
    site.ask(1, transaction="1.2.10")
    site.round()
    assert [event_type for event_type, _ in listener.told] == [1, 1]
    assert {told.TransactionUID for _, told in listener.told} == {"1.2.9", "1.2.10"}
    assert (listener.associations, listener.roles) == (1, [(False, True)])
    assert not site.is_open()


def test_peer_that_says_nothing_of_roles_is_told_all_the_same(site, listen):
    listener = listen(takes_role=False)
    site.receive(1)
    site.ask(1)
    site.round()
    assert len(listener.told) == 1


def test_busy_peer_is_told_when_it_is_silent(site, channel):
    site.receive(1)
    site.ask(1)
    channel.is_silent = False
    site.round()
    assert channel.told == []
    channel.is_silent, channel.status = True, None  # it became busy just then
    site.round(after_s=2)
    channel.status = 0x0000
    site.round(after_s=2)
    assert not site.is_open()


def test_association_that_breaks_is_followed_by_a_call(site, channel, listen):
    listener = listen()
    site.receive(1)
    site.ask(1)
    channel.status = TransientDeliveryError("the association ended")
    site.round()
    assert listener.told == []
    site.channels.clear()
    site.round(after_s=5)
    assert len(listener.told) == 1


def test_instance_on_its_way_is_waited_for_and_then_committed(site, channel):
    site.receive(1)
    site.ask(1, 2)
    site.round()
    site.round(after_s=5)
    assert channel.told == []
    site.receive(2)
    site.round(after_s=5)
    assert [len(r.committed) for r in channel.told] == [2]


def test_instance_that_does_not_come_is_reported_after_the_wait(site, channel):
    site.receive(1)
    site.ask(1, 2)
    site.round(after_s=WAIT_S - 1)
    assert channel.told == []
    site.round(after_s=1)
    (result,) = channel.told
    assert [i.sop_instance_uid for i in result.committed] == ["1.2.3.1"]
    assert [(i.sop_instance_uid, reason) for i, reason in result.failed] == [("1.2.3.2", 0x0112)]


def test_request_survives_a_restart_and_is_reported_once(site, listen):
    site.receive(1)
    site.ask(1)
    site.restart()
    listener = listen()
    site.round()
    assert len(listener.told) == 1
    site.restart()
    site.round(after_s=1000)
    assert len(listener.told) == 1


def test_report_that_was_delayed_tells_what_is_there_then(site, listen):
    path = site.receive(1)
    site.ask(1)
    site.listeners[PEER] = Destination("PACS", "PACS", "127.0.0.1", 1, "MOME")
    site.round()
    path.unlink()
    listener = listen()
    site.round(after_s=5)
    ((event_type, told),) = listener.told
    assert event_type == 2
    assert "ReferencedSOPSequence" not in told
    assert told.FailedSOPSequence[0].FailureReason == 0x0112


def test_failed_report_is_tried_again_ever_more_rarely_and_given_up_visibly(site):
    site.listeners[PEER] = Destination("PACS", "PACS", "127.0.0.1", 1, "MOME")
    site.receive(1)
    site.ask(1)
    with capture_logs() as logs:
        while site.is_open():
            site.round(after_s=1000)
    failed = [line for line in logs if line["event"] == "commitment report failed"]
    (given_up,) = [line for line in logs if line["event"] == "commitment report given up"]
    assert len(failed) == 3
    assert "no connection" in given_up["cause"]
    assert given_up["log_level"] == "error"
    assert site.now - START <= timedelta(seconds=GIVE_UP_S + 1000)


@pytest.mark.parametrize("status", [0x0110, 0x0112, 0x0213])
def test_peer_that_refuses_the_report_is_told_again(site, listen, status):
    listener = listen()
    listener.answers = [status]
    site.receive(1)
    site.ask(1)
    site.round()
    assert site.is_open()
    site.round(after_s=5)
    assert len(listener.told) == 2
    assert not site.is_open()


def test_peer_without_port_that_has_left_is_given_up_with_the_reason(site):
    site.receive(1)
    site.ask(1)
    with capture_logs() as logs:
        site.round()
    (line,) = [entry for entry in logs if entry["event"] == "commitment report given up"]
    assert "dicom.allowed_peers has no port" in line["cause"]
    assert not site.is_open()


def test_request_that_comes_again_is_reported_once_more(site, listen):
    listener = listen()
    site.receive(1)
    for _ in range(2):
        site.ask(1)
        site.round(after_s=10)
    assert len(listener.told) == 2


def test_request_that_comes_again_while_it_is_reported_is_reported_once_more(site, channel):
    site.receive(1)
    site.ask(1)

    def ask_meanwhile(content: CommitmentResult) -> int:
        site.ask(1)
        return 0x0000

    channel.send = ask_meanwhile
    site.round()
    assert site.is_open()


def test_only_the_peer_that_asked_is_told(site, listen, channel):
    other = AskingPeer("OTHER", "127.0.0.1")
    listener = listen()
    site.receive(1)
    site.ask(1, transaction="1.2.77", peer=other)
    site.round()
    assert listener.told == []
    assert channel.told == []


def test_one_peer_that_is_away_does_not_keep_another_from_its_report(site, listen):
    listener = listen()
    away = AskingPeer("AWAY", "127.0.0.1")
    site.listeners[away] = replace(site.listeners[PEER], port=1)
    site.receive(1)
    site.ask(1, transaction="1.2.8", peer=away)
    site.ask(1)
    site.round()
    assert [told.TransactionUID for _, told in listener.told] == ["1.2.9"]


def test_settled_transactions_are_forgotten_after_a_month(site, channel):
    site.receive(1)
    site.ask(1)
    site.round()
    site.now += timedelta(days=29)
    site.reports.remove_old()
    assert site.catalog.commitments.remove_settled(site.now) == 1
    site.ask(2)  # as new: its UID is free again
    assert site.is_open()
