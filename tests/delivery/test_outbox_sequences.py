"""Whatever fails, breaks off and is paused in between: each result is there once, and in order."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from mome_node.catalog.records import DeliveryState
from mome_node.delivery.confirmation import Confirmations
from mome_node.delivery.destination import Receipt
from mome_node.delivery.doubles import MemoryArchive, MemoryCommitment
from mome_node.delivery.outbox import Outbox
from mome_node.delivery.ports import Port, StudyThere
from mome_node.errors import TransientDeliveryError
from tests.delivery.outboxes import HERE, Clock, MemoryStore, opened, queue_results

D = DeliveryState
AWAY = TransientDeliveryError("away")
NAMES = ("committing", "listing", "silent")
MOST_LOSSES = 3  # below the number after which a person is needed


class CrashError(Exception):
    """The process ends here."""


class Fuse:
    """Burns after so many steps, if it is lit."""

    def __init__(self):
        self.left = None

    def step(self):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise CrashError


class BreakingLedger:
    """The real ledger, with a place to crash before and after everything it does."""

    def __init__(self, ledger, fuse):
        self._ledger, self._fuse = ledger, fuse

    def __getattr__(self, name):
        def call(*arguments, **rest):
            self._fuse.step()
            answer = getattr(self._ledger, name)(*arguments, **rest)
            self._fuse.step()
            return answer

        return call


class Pacs:
    """A peer that keeps one copy of each UID; checks at each arrival that it may come."""

    def __init__(self, name: str, fuse: Fuse, world: World):
        self.name, self.fuse, self.world = name, fuse, world
        self.kept: list[str] = []
        self.arrived: list[str] = []
        self.first: list[str] = []
        self.is_up = True
        self.link_after: int | None = None
        self.archive = MemoryArchive(kept=self.kept)
        self.commitment = MemoryCommitment(kept=self.kept, is_late=True)

    def send(self, objects: Sequence):
        for number, item in enumerate(objects):
            if not self.is_up or number == self.link_after:
                raise AWAY
            self.fuse.step()
            self.arrive(item.sop_instance_uid)
            self.fuse.step()
            yield Receipt(item.sop_instance_uid, 0x0000)

    def arrive(self, uid: str) -> None:
        study = uid.rpartition(".")[0]
        if self.port.archive is not None:
            assert self.archive.studies.get(study) == HERE, "sent to another patient's study"
        (state,) = {
            d.state
            for d in self.world.catalog.deliveries.of_study(study)
            if d.destination == self.name and d.result.sop_instance_uid == uid
        }
        assert state is D.PENDING, f"sent again, though {state}"
        self.arrived.append(uid)
        if uid not in self.first:
            self.first.append(uid)
        if uid not in self.kept:
            self.kept.append(uid)

    @property
    def port(self) -> Port:
        archive = None if self.name == "silent" else self.archive
        return Port(self, archive, self.commitment if self.name == "committing" else None)


names = st.sampled_from(NAMES)
fuses = st.none() | st.integers(0, 25)


class World(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        structlog.configure(processors=[self._unsaid])
        self.folder = Path(mkdtemp())
        self.clock, self.store, self.fuse = Clock(), MemoryStore(), Fuse()
        self.studies: list[str] = []
        self.queued: list[str] = []
        self.disturbed: set[tuple[str, str]] = set()
        self.losses: Counter[tuple[str, str]] = Counter()
        self.crashes = 0
        self.peers = {name: Pacs(name, self.fuse, self) for name in NAMES}
        self.begin()

    @staticmethod
    def _unsaid(*_):
        raise structlog.DropEvent

    def begin(self):
        self.fuse.left = None
        self.catalog = opened(self.folder)
        ledger = BreakingLedger(self.catalog.deliveries, self.fuse)
        ports = {name: peer.port for name, peer in self.peers.items()}
        self.outbox = Outbox(ledger, self.store.open, ports, clock=self.clock)
        self.confirmations = Confirmations(ledger, self.store.open, ports, clock=self.clock)

    def crash(self):
        self.crashes += 1
        self.catalog.close()
        self.begin()

    def until_it_breaks(self, work, fuse):
        self.fuse.left = fuse
        try:
            work()
        except CrashError:
            self.crash()
        self.fuse.left = None

    @initialize(results=st.integers(1, 3))
    def first_study(self, results):
        self.study_is_evaluated(results)

    @rule(results=st.integers(1, 3))
    def study_is_evaluated(self, results):
        study = f"1.2.{len(self.studies)}"
        rows = [self.store.keep(f"{study}.{n}", study) for n in range(results)]
        self.studies.append(study)
        self.queued += [row.sop_instance_uid for row in rows]
        for peer in self.peers.values():
            peer.archive.studies[study] = HERE
        queue_results(self.catalog, study, rows, NAMES, self.clock.now)

    @rule(name=names, fuse=fuses)
    def a_round_of_delivery(self, name, fuse):
        self.until_it_breaks(lambda: self.outbox.run_round(name), fuse)

    @rule(name=names, fuse=fuses)
    def a_round_of_confirmation(self, name, fuse):
        self.until_it_breaks(lambda: self.confirmations.run_round(name), fuse)

    @rule(name=names, link_after=st.none() | st.integers(0, 2))
    def link(self, name, link_after):
        self.peers[name].link_after = link_after

    @rule(name=names, up=st.booleans())
    def peer_goes_down_or_comes_up(self, name, up):
        self.peers[name].is_up = up
        self.peers[name].archive.error = None if up else AWAY
        self.peers[name].commitment.error = None if up else AWAY

    @rule(twice=st.booleans())
    def reports_come(self, twice):
        commitment = self.peers["committing"].commitment
        for uid in list(commitment.open):
            answer = commitment.report(uid)
            for _ in range(1 + twice):
                assert self.catalog.deliveries.answer(uid, "committing", answer, self.clock.now)
            assert not self.catalog.deliveries.answer(uid, "listing", answer, self.clock.now)

    def deliveries(self, name: str, state: DeliveryState) -> list[str]:
        """SOP Instance UIDs of what stands so with a peer."""
        return [
            d.result.sop_instance_uid
            for study in self.studies
            for d in self.catalog.deliveries.of_study(study)
            if d.destination == name and d.state is state
        ]

    @rule(name=st.sampled_from(NAMES[:2]), which=st.integers(0, 20))
    def peer_loses_what_it_has_not_confirmed(self, name, which):
        if sent := self.deliveries(name, D.SENT):
            uid = sent[which % len(sent)]
            if uid in self.peers[name].kept and self.losses[name, uid] < MOST_LOSSES:
                self.peers[name].kept.remove(uid)
                self.losses[name, uid] += 1

    @rule(name=st.sampled_from(NAMES[:2]), which=st.integers(0, 20), there=st.booleans())
    def study_is_merged_or_deleted_at_a_peer_before_its_results_come(self, name, which, there):
        if pending := self.deliveries(name, D.PENDING):
            study = pending[which % len(pending)].rpartition(".")[0]
            studies = self.peers[name].archive.studies
            studies.pop(study, None)
            if there:
                studies[study] = StudyThere("PAT-2", None, None)
            self.disturbed.add((name, study))

    @rule()
    def person_mends_all_studies_and_sends_again(self):
        for peer in self.peers.values():
            peer.archive.studies.update(dict.fromkeys(self.studies, HERE))
        self.catalog.deliveries.resend_waiting("by hand", self.clock.now)

    @rule(name=names)
    def person_pauses(self, name):
        self.catalog.deliveries.pause(name, "by hand", self.clock.now)
        before = len(self.peers[name].arrived)
        self.outbox.run_round(name)
        assert len(self.peers[name].arrived) == before

    @rule(name=names)
    def person_resumes(self, name):
        self.catalog.deliveries.resume(name)

    @rule(seconds=st.sampled_from([1, 5, 60, 900, 20_000, 100_000]))
    def time_passes(self, seconds):
        self.clock.advance(seconds)

    @rule()
    def restart(self):
        self.catalog.close()
        self.begin()

    @invariant()
    def each_arrived_in_the_order_of_the_queue(self):
        for name, peer in self.peers.items():
            undisturbed = [
                uid for uid in peer.first if (name, uid.rpartition(".")[0]) not in self.disturbed
            ]
            assert undisturbed == [uid for uid in self.queued if uid in undisturbed]

    @invariant()
    def nothing_is_said_to_be_kept_that_is_not(self):
        for study in self.studies:
            for d in self.catalog.deliveries.of_study(study):
                if d.state in (D.COMMITTED, D.FOUND):
                    assert d.result.sop_instance_uid in self.peers[d.destination].kept

    def teardown(self):
        for name, peer in self.peers.items():
            self.peer_goes_down_or_comes_up(name, True)
            peer.link_after = None
            self.catalog.deliveries.resume(name)
        self.person_mends_all_studies_and_sends_again()
        for _ in range(8):
            for name in NAMES:
                while self.outbox.run_round(name).sent:
                    pass
                self.confirmations.run_round(name)
            self.reports_come(False)
            self.clock.advance(2000)
        for name, peer in self.peers.items():
            assert sorted(peer.kept) == sorted(self.queued), f"not each once at {name}"
            for uid, times in Counter(peer.arrived).items():
                assert times <= 1 + self.crashes + self.losses[name, uid]
        known = {"committing": {D.COMMITTED, D.FOUND}, "listing": {D.FOUND}, "silent": {D.ACCEPTED}}
        for study in self.studies:
            for d in self.catalog.deliveries.of_study(study):
                assert d.state in known[d.destination], f"{d.destination}: {d.state}"
        self.catalog.close()
        shutil.rmtree(self.folder)
        structlog.reset_defaults()


FEW = settings(
    max_examples=10,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_each_result_is_there_once_and_in_order_whatever_happens():
    run_state_machine_as_test(World, settings=FEW)


@pytest.mark.long
def test_each_result_is_there_once_and_in_order_in_hundreds_of_stories():
    run_state_machine_as_test(World, settings=settings(FEW, max_examples=300))
