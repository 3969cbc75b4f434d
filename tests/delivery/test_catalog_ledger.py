"""The catalogue keeps the outbox's promises as the in-memory ledger does, over restarts too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Arrival, DeliveryState, ResultRow, Route
from mome_node.catalog.states import StudyState
from mome_node.delivery.doubles import MemorySender
from mome_node.delivery.outbox import Outbox, RoundOutcome
from mome_node.delivery.retry import RetryPolicy
from mome_node.errors import StorageError, TransientDeliveryError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STUDY = "1.9"
SC = "1.2.840.10008.5.1.4.1.1.7"
TO_DELIVERING = (
    StudyState.RECEIVING,
    StudyState.ASSEMBLED,
    StudyState.QUEUED,
    StudyState.INFERRING,
    StudyState.REPORTING,
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'catalog.db'}"


@pytest.fixture
def catalog(url: str) -> Catalog:
    catalog = Catalog.open(url)
    catalog.record_instance(
        Arrival(STUDY, "1.8", "1.7", SC, "1.2.840.10008.1.2.1", "key", "0" * 64, 1, "PACS", NOW)
    )
    for source, target in pairwise(TO_DELIVERING):
        catalog.transition(STUDY, source, target, "test", NOW)
    rows = [ResultRow(uid, SC, "sr", f"key-{uid}", "1" * 64, NOW) for uid in ("1.1", "1.2")]
    revision = catalog.study(STUDY).revision
    catalog.add_results(STUDY, revision, rows, [Route("pacs", "")], "test", NOW)
    return catalog


def box(catalog, pacs, now=NOW) -> Outbox:
    def no_file(key):
        raise StorageError(key)

    return Outbox(catalog, no_file, {"pacs": pacs}, RetryPolicy(), lambda: now)


def test_outcome_of_each_instance_outlives_a_restart(catalog, url):
    pacs = MemorySender(link_error=TransientDeliveryError("cable"), link_after=1)
    assert box(catalog, pacs).run_round() == RoundOutcome(sent=1, retrying=1)
    catalog.close()
    pacs.link_error = None
    with Catalog.open(url) as restarted:
        assert box(restarted, pacs).run_round() == RoundOutcome()
        later = NOW + timedelta(seconds=10)
        assert box(restarted, pacs, later).run_round() == RoundOutcome(sent=1)
        states = [delivery.state for delivery in restarted.deliveries_of(STUDY)]
    assert states == [DeliveryState.SENT] * 2
    assert sorted(pacs.received) == ["1.1", "1.2"]


def test_study_whose_results_are_sent_again_delivers_again(catalog):
    pacs = MemorySender()
    box(catalog, pacs).run_round()
    assert catalog.resend(STUDY, "asked for", NOW) == 2
    assert box(catalog, pacs).run_round() == RoundOutcome(sent=2)
