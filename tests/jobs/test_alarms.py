"""Alarms: told once when they begin, shown until they are over."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mome_node.catalog.catalog import Catalog
from mome_node.errors import CatalogError
from mome_node.jobs.alarms import Alarms, Condition

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def catalog(tmp_path: Path):
    with Catalog.open(f"sqlite:///{tmp_path}/catalog.db") as opened:
        yield opened


def names(catalog: Catalog) -> list[str]:
    return [a.name for a in catalog.alarms()]


def test_an_alarm_is_told_once_and_kept_until_it_is_over(catalog: Catalog) -> None:
    fault: list[str | None] = [None]
    alarms = Alarms(catalog, lambda: NOW, Condition("disk", lambda: fault[0]))
    with capture_logs() as logs:
        alarms.look()
        assert (logs, names(catalog)) == ([], [])
        for free in (9, 8, 7):
            fault[0] = f"{free} MiB are free"
            alarms.look()
        (alarm,) = catalog.alarms()
        assert (alarm.name, alarm.cause, alarm.since) == ("disk", "9 MiB are free", NOW)
        fault[0] = None
        alarms.look()
        alarms.look()
    assert [(e["event"], e["log_level"]) for e in logs] == [
        ("alarm", "error"),
        ("alarm over", "warning"),
    ]
    assert names(catalog) == []


def test_an_alarm_of_an_earlier_run_is_over_with_its_cause(catalog: Catalog) -> None:
    catalog.begin_alarm("disk", "full", NOW)
    Alarms(catalog, lambda: NOW, Condition("disk", lambda: "still")).look()
    assert catalog.alarms()[0].cause == "full"
    Alarms(catalog, lambda: NOW, Condition("disk", lambda: None)).look()
    assert names(catalog) == []


def test_a_pause_is_no_alarm(catalog: Catalog) -> None:
    catalog.pause("by hand", NOW)
    assert names(catalog) == []
    catalog.begin_alarm("disk", "full", NOW)
    assert catalog.paused()
    catalog.end_alarm("disk")
    assert catalog.paused()


def test_a_condition_that_cannot_be_looked_at_is_told_and_hides_no_other(catalog: Catalog) -> None:
    def gone() -> None:
        raise OSError(2, "No such file or directory")

    Alarms(
        catalog, lambda: NOW, Condition("disk", gone), Condition("certificate", lambda: "expired")
    ).look()
    assert names(catalog) == ["certificate", "disk"]


def test_a_catalogue_that_fails_hears_of_the_alarm_later(catalog: Catalog, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise CatalogError("the database is locked")

    alarms = Alarms(catalog, lambda: NOW, Condition("disk", lambda: "full"))
    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(Catalog, "begin_alarm", fail)
        alarms.look()
        alarms.look()
        assert [e["event"] for e in logs].count("alarm") == 1
    alarms.look()
    assert names(catalog) == ["disk"]
