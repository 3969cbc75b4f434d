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
from mome_node.jobs.deadline import is_freed_by_hand
from mome_node.settings import load_settings

MR = "1.2.840.10008.5.1.4.1.1.4"
SR = "1.2.840.10008.5.1.4.1.1.88.34"
S = StudyState
TO_REPORTING = (S.RECEIVING, S.ASSEMBLED, S.QUEUED, S.INFERRING, S.REPORTING)
NAME = "DOE^JANE"


def at(seconds: float) -> datetime:
    return datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=seconds)


def arrive(catalog: Catalog, study: str, instances: int) -> None:
    for n in range(instances):
        catalog.record_instance(
            Arrival(
                study_uid=study,
                series_uid=f"{study}.1",
                sop_instance_uid=f"{study}.1.{n}",
                sop_class_uid=MR,
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                key=f"key-{study}-{n}",
                sha256=f"{n}",
                size=100,
                calling_ae="PACS",
                received_at=at(n),
                patient_id=NAME,
            )
        )


def walk(catalog: Catalog, study: str, *states: StudyState, reason: str = "") -> None:
    for n, (source, target) in enumerate(pairwise(states)):
        catalog.transition(study, source, target, f"to {target}", at(100 + n), reason=reason)


def deliver(catalog: Catalog, study: str, *ends: DeliveryState) -> None:
    """One result to as many destinations as there are ends."""
    row = ResultRow(f"{study}.9", SR, "sr", f"sr-{study}", "f", at(200))
    routes = [Route(f"pacs-{n}", "") for n in range(len(ends))]
    catalog.add_results(study, 1, [row], routes, "reported", at(201))
    for delivery, end in zip(catalog.deliveries.of_study(study), ends, strict=True):
        catalog.deliveries.mark(delivery.delivery_id, end, at(202), last_error="refused")


@pytest.fixture
def config_path(config) -> Path:
    return config("")


@pytest.fixture
def catalog(config_path: Path) -> Iterator[Catalog]:
    with Catalog.open(load_settings(config_path).database_url) as opened:
        yield opened


@pytest.fixture
def on(run, config_path: Path):
    """Run a command on the catalogue."""
    return lambda *arguments: run(*arguments, "--config", config_path)


def test_an_empty_catalogue_lists_nothing(on) -> None:
    assert json.loads(on("studies", "--json").out) == []
    assert on("studies").out == "Study Instance UID\tinstances\tstate\trevision\treason\n"


def test_studies_have_the_keys_that_others_build_on(on, catalog: Catalog) -> None:
    arrive(catalog, "1.2", 3)
    arrive(catalog, "1.3", 1)
    walk(catalog, "1.3", S.RECEIVING, S.NOT_EVALUABLE, reason="no dynamic")
    done = on("studies", "--json")
    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out) == [
        {
            "StudyInstanceUID": "1.2",
            "instances": 3,
            "state": "receiving",
            "revision": 1,
            "reason": "",
        },
        {
            "StudyInstanceUID": "1.3",
            "instances": 1,
            "state": "not evaluable",
            "revision": 1,
            "reason": "no dynamic",
        },
    ]
    assert "1.3\t1\tnot evaluable\t1\tno dynamic" in on("studies").out.splitlines()


def test_show_tells_history_results_and_deliveries(on, catalog: Catalog) -> None:
    arrive(catalog, "1.2", 2)
    walk(catalog, "1.2", *TO_REPORTING)
    deliver(catalog, "1.2", DeliveryState.SENT, DeliveryState.FAILED)
    shown = json.loads(on("show", "1.2", "--json").out)
    assert [event["to"] for event in shown["events"]] == [*TO_REPORTING, S.DELIVERING]
    assert shown["events"][0]["from"] is None
    assert {datetime.fromisoformat(e["at"]).tzinfo for e in shown["events"]} != {None}
    assert shown["results"] == [
        {"kind": "sr", "revision": 1, "SOPInstanceUID": "1.2.9", "superseded": False}
    ]
    assert [(d["destination"], d["state"]) for d in shown["deliveries"]] == [
        ("pacs-0", "sent"),
        ("pacs-1", "failed"),
    ]
    text = on("show", "1.2").out
    assert text.startswith("1.2: delivering, revision 1\n2 instances; \n")
    assert "sr\t1\tpacs-1\tfailed\t1\trefused\t" in text


def test_no_command_shows_who_the_patient_is(on, catalog: Catalog) -> None:
    arrive(catalog, "1.2", 1)
    for arguments in (
        ("studies",),
        ("studies", "--json"),
        ("show", "1.2"),
        ("show", "1.2", "--json"),
    ):
        done = on(*arguments)
        assert done.status == 0
        assert NAME not in done.out + done.err


@pytest.mark.parametrize("command", ["show", "retry", "resend"])
@pytest.mark.parametrize("uid", ["1.2.3", "", "no uid", "1' OR '1'='1", "\x1b[2J"])
def test_an_unknown_study_is_told(on, command: str, uid: str) -> None:
    done = on(command, uid)
    assert (done.status, done.out) == (1, "")
    assert "the catalogue holds no study" in done.err
    assert "\x1b" not in done.err


def test_retry_evaluates_a_study_again_that_failed_before_it_had_results(
    on, catalog: Catalog
) -> None:
    arrive(catalog, "1.2", 1)
    walk(catalog, "1.2", *TO_REPORTING[:-1], S.FAILED)
    done = on("retry", "1.2")
    assert (done.status, done.out) == (0, "the study is evaluated again\n")
    assert catalog.study("1.2").state is S.QUEUED
    assert catalog.events_of("1.2")[-1].cause == "retry by hand"


def test_retry_delivers_again_what_was_refused(on, catalog: Catalog) -> None:
    arrive(catalog, "1.2", 1)
    walk(catalog, "1.2", *TO_REPORTING)
    deliver(catalog, "1.2", DeliveryState.FAILED)
    walk(catalog, "1.2", S.DELIVERING, S.FAILED)
    done = on("retry", "1.2")
    assert (done.status, done.out) == (0, "1 delivery is tried again\n")
    assert catalog.study("1.2").state is S.DELIVERING
    assert [d.state for d in catalog.deliveries.of_study("1.2")] == [DeliveryState.PENDING]


def test_retry_frees_a_held_study(on, catalog: Catalog) -> None:
    arrive(catalog, "1.2", 1)
    walk(catalog, "1.2", S.RECEIVING, S.HELD)
    done = on("retry", "1.2")
    assert (done.status, done.err) == (0, "")
    assert "evaluated with what is here" in done.out
    assert catalog.study("1.2").state is S.RECEIVING
    assert is_freed_by_hand(catalog.events_of("1.2"))


@pytest.mark.parametrize("states", [(), (S.RECEIVING, S.QUARANTINED), TO_REPORTING])
def test_retry_leaves_a_study_alone_that_has_not_failed(
    on, catalog: Catalog, states: tuple[StudyState, ...]
) -> None:
    arrive(catalog, "1.2", 1)
    walk(catalog, "1.2", *states)
    before = catalog.study("1.2")
    done = on("retry", "1.2")
    assert (done.status, done.out) == (1, "")
    assert (
        f"the study is {before.state}; only a failed, held or withdrawn one is retried" in done.err
    )
    assert catalog.study("1.2") == before


def test_resend_delivers_what_was_delivered_once_more(on, catalog: Catalog) -> None:
    arrive(catalog, "1.2", 1)
    walk(catalog, "1.2", *TO_REPORTING)
    deliver(catalog, "1.2", DeliveryState.SENT, DeliveryState.SENT)
    walk(catalog, "1.2", S.DELIVERING, S.DELIVERED)
    done = on("resend", "1.2")
    assert (done.status, done.out) == (0, "2 deliveries are made again\n")
    assert catalog.study("1.2").state is S.DELIVERING


def test_resend_without_results_is_refused(on, catalog: Catalog) -> None:
    arrive(catalog, "1.2", 1)
    done = on("resend", "1.2")
    assert (done.status, done.out) == (1, "")
    assert "nothing to send again" in done.err


def test_pause_and_resume_may_be_said_twice(on, catalog: Catalog) -> None:
    for _ in range(2):
        assert on("pause").status == 0
        assert catalog.paused()
    for _ in range(2):
        assert on("resume").status == 0
        assert not catalog.paused()


@pytest.mark.parametrize("command", ["studies", "pause"])
def test_a_database_that_is_none_is_told(on, config_path: Path, command: str) -> None:
    folder = config_path.parent / "mome-data"
    folder.mkdir()
    (folder / "catalog.db").write_bytes(b"no database" * 1000)
    done = on(command)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"mome-node {command}: the database failed")
    assert "Traceback" not in done.err
