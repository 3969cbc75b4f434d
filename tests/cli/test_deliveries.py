from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Arrival, DeliveryState, ResultRow, Route
from mome_node.catalog.states import StudyState
from mome_node.settings import load_settings

SR = "1.2.840.10008.5.1.4.1.1.88.34"
S, D = StudyState, DeliveryState
STEPS = (S.RECEIVING, S.ASSEMBLED, S.QUEUED, S.INFERRING, S.REPORTING)
TWO = "".join(
    f'[[destination]]\nname = "{name}"\nae = "PEER"\nhost = "10.0.0.5"\nport = 104\n'
    for name in ("pacs", "viewer")
)
COMMITMENT = "2.25.77"


def at(seconds: float) -> datetime:
    return datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=seconds)


def deliver(catalog: Catalog, study: str, **ends: DeliveryState) -> None:
    """One result of a study, to destinations where it ends so."""
    catalog.record_instance(
        Arrival(study, f"{study}.1", f"{study}.2", "1.2.840.10008.5.1.4.1.1.4",
                "1.2.840.10008.1.2.1", f"key-{study}", "0", 1, "PACS", at(0))
    )  # fmt: skip
    for source, target in pairwise(STEPS):
        catalog.transition(study, source, target, "test", at(1))
    routes = [Route(name, "", is_held=end is D.HELD) for name, end in ends.items()]
    row = ResultRow(f"{study}.9", SR, "sr", f"sr-{study}", "f", at(2))
    catalog.add_results(study, 1, [row], routes, "reported", at(3))
    ledger = catalog.deliveries
    for delivery in ledger.of_study(study):
        end, number = ends[delivery.destination], delivery.delivery_id
        if end is D.BLOCKED:
            ledger.block([number], "another patient's")
        elif end is D.FAILED:
            ledger.mark(number, D.FAILED, at(4), last_error="refused")
        elif end not in (D.HELD, D.PENDING):
            ledger.mark(number, D.SENT, at(4))
            if end is D.COMMITTED:
                ledger.open_confirmation(delivery.destination, [number], COMMITMENT, at(9), at(5))
            ledger.confirm([number], end)


@pytest.fixture
def config_path(config) -> Path:
    return config(TWO)


@pytest.fixture
def catalog(config_path: Path) -> Iterator[Catalog]:
    with Catalog.open(load_settings(config_path).database_url) as opened:
        yield opened


@pytest.fixture
def on(run, config_path: Path):
    """Run a command on the catalogue."""
    return lambda *arguments: run(*arguments, "--config", config_path)


def states(catalog: Catalog, study: str = "1.2") -> dict[str, DeliveryState]:
    return {d.destination: d.state for d in catalog.deliveries.of_study(study)}


def test_destinations_are_listed_though_nothing_was_ever_sent(on) -> None:
    assert on("destinations").out == (
        "destination\tqueue\tdeliveries\tlast error\npacs\trunning\t\t\nviewer\trunning\t\t\n"
    )


def test_destinations_tell_how_their_queues_stand(on, catalog: Catalog) -> None:
    deliver(catalog, "1.2", pacs=D.PENDING, viewer=D.BLOCKED, old=D.FAILED)
    catalog.deliveries.note_failure("pacs", "no connection", at(60), at(10))
    catalog.deliveries.pause("viewer", "by hand", at(11))
    lines = on("destinations").out.splitlines()[1:]
    assert lines == [
        "pacs\tfailing since 2026-01-01 12:00 UTC\t1 pending\tno connection",
        "viewer\tpaused since 2026-01-01 12:00 UTC: by hand\t1 blocked\t",
        "old\tno destination any more\t1 failed\t",
    ]
    pacs, viewer, old = json.loads(on("destinations", "--json").out)
    assert pacs == {
        "destination": "pacs",
        "configured": True,
        "paused_since": None,
        "failing_since": at(10).isoformat(),
        "next_attempt_at": at(60).isoformat(),
        "last_error": "no connection",
        "deliveries": {"pending": 1},
    }
    assert viewer["paused_since"] == at(11).isoformat()
    assert old["configured"] is False


def test_one_destination_is_paused_and_the_other_is_not(on, catalog: Catalog) -> None:
    deliver(catalog, "1.2", pacs=D.PENDING, viewer=D.PENDING)
    assert on("pause", "--destination", "pacs").status == 0
    assert not catalog.paused()
    assert catalog.deliveries.due("pacs", at(5)) == ()
    assert len(catalog.deliveries.due("viewer", at(5))) == 1
    assert on("resume", "--destination", "pacs").out == "delivery to pacs goes on\n"
    assert len(catalog.deliveries.due("pacs", at(5))) == 1


@pytest.mark.parametrize(
    "arguments",
    [("pause",), ("resume",), ("resend", "--failed"), ("resend", "1.2")],
)
def test_destination_that_is_not_configured_is_wrong_usage(on, arguments) -> None:
    done = on(*arguments, "--destination", "old")
    assert (done.status, done.out) == (2, "")
    assert "--destination: found 'old'; allowed: 'pacs', 'viewer'" in done.err


@pytest.mark.parametrize("arguments", [(), ("1.2", "--failed")])
def test_resend_is_of_one_study_or_of_all_that_failed(on, arguments) -> None:
    done = on("resend", *arguments)
    assert (done.status, done.out) == (2, "")
    assert "usage: mome-node resend" in done.err


def test_all_that_waits_for_a_person_is_sent_again(on, catalog: Catalog) -> None:
    deliver(catalog, "1.2", pacs=D.FAILED, viewer=D.BLOCKED)
    deliver(catalog, "1.3", pacs=D.FAILED, viewer=D.COMMITTED)
    catalog.transition("1.3", S.DELIVERING, S.FAILED, "refused", at(6))
    done = on("resend", "--failed", "--destination", "viewer")
    assert (done.status, done.out) == (0, "1 delivery is made again\n")
    assert states(catalog) == {"pacs": D.FAILED, "viewer": D.PENDING}
    assert on("resend", "--failed").out == "2 deliveries are made again\n"
    assert states(catalog, "1.3") == {"pacs": D.PENDING, "viewer": D.COMMITTED}
    assert catalog.study("1.3").state is S.DELIVERING
    assert on("resend", "--failed").out == "0 deliveries are made again\n"


def test_study_is_sent_again_to_one_destination(on, catalog: Catalog) -> None:
    deliver(catalog, "1.2", pacs=D.COMMITTED, viewer=D.FOUND)
    assert on("resend", "1.2", "--destination", "pacs").status == 0
    assert states(catalog) == {"pacs": D.PENDING, "viewer": D.FOUND}


def test_retry_sends_again_what_was_blocked(on, catalog: Catalog) -> None:
    deliver(catalog, "1.2", pacs=D.BLOCKED)
    catalog.transition("1.2", S.DELIVERING, S.FAILED, "blocked", at(6))
    assert on("retry", "1.2").out == "1 delivery is tried again\n"
    assert states(catalog) == {"pacs": D.PENDING}


def test_held_results_are_let_go_by_hand(on, catalog: Catalog) -> None:
    deliver(catalog, "1.2", pacs=D.HELD, viewer=D.HELD)
    catalog.transition("1.2", S.DELIVERING, S.DELIVERED, "kept in the node", at(6))
    done = on("release", "1.2", "--destination", "viewer")
    assert (done.status, done.out) == (0, "1 delivery is let go\n")
    assert states(catalog) == {"pacs": D.HELD, "viewer": D.PENDING}
    assert on("release", "1.2").out == "1 delivery is let go\n"
    done = on("release", "1.2")
    assert (done.status, done.out) == (1, "")
    assert "no result of it is held back" in done.err
    assert on("release", "1.2", "--destination", "x", "--instance", "1").status == 2


def test_show_tells_how_it_is_known_that_a_destination_has_a_result(on, catalog: Catalog) -> None:
    deliver(catalog, "1.2", pacs=D.COMMITTED, viewer=D.BLOCKED)
    lines = on("show", "1.2").out.splitlines()
    assert f"sr\t1\tpacs\tcommitted\t1\t\tby storage commitment {COMMITMENT}" in lines
    assert "sr\t1\tviewer\tblocked\t0\tanother patient's\t" in lines
    pacs, viewer = json.loads(on("show", "1.2", "--json").out)["deliveries"]
    assert pacs["confirmation"] == f"by storage commitment {COMMITMENT}"
    assert pacs["sent_at"] == at(4).isoformat()
    assert (viewer["state"], viewer["confirmation"], viewer["sent_at"]) == ("blocked", None, None)
