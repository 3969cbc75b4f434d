"""Reports on storage commitment are a turn of their own."""

from __future__ import annotations

from datetime import timedelta

from mome_node.catalog.commitments import AskingPeer
from mome_node.delivery.commitment_check import CommitmentCheck
from mome_node.delivery.commitment_reports import CommitmentReports
from mome_node.delivery.confirmation import Confirmations
from mome_node.delivery.outbox import Outbox
from mome_node.dicom.commitment import ReferencedInstance
from mome_node.jobs.runner import Runner

PEER = AskingPeer("PACS", "10.0.0.5")
MISSING = ReferencedInstance("1.2.840.10008.5.1.4.1.1.4", "1.2.3")


class Channel:
    """A peer that waits for its report."""

    def __init__(self):
        self.told = []

    def may_send(self):
        return True

    def send(self, content):
        self.told.append(content)
        return 0x0000


def test_peers_are_told_also_while_the_node_is_paused(bench):
    ledger, channel = bench.catalog.commitments, Channel()
    reports = CommitmentReports(
        ledger,
        CommitmentCheck(ledger, bench.store.open, frozenset()),
        channel_of=lambda _uid, _peer: channel,
        listener_of=lambda _peer: None,
        clock=bench.clock.wall,
    )
    deliveries = bench.catalog.deliveries
    runner = Runner(
        bench.catalog,
        bench.stages,
        Outbox(deliveries, bench.store.open, {}),
        Confirmations(deliveries, bench.store.open, {}),
        reports=reports,
    )
    ledger.open("1.2.9", PEER, [MISSING], bench.clock.now)
    bench.catalog.pause("maintenance", bench.clock.now)
    bench.clock.advance(60)
    runner.commitment_turn()
    assert [result.event_type for result in channel.told] == [2]
    bench.clock.now += timedelta(days=31)
    runner.cleanup_turn()
    assert ledger.remove_settled(bench.clock.now) == 0


def test_node_without_commitment_has_nothing_to_do(bench):
    bench.runner.commitment_turn()
    bench.runner.cleanup_turn()
