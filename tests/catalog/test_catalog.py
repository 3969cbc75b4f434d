"""The catalogue: arrivals, late input, results and outbox, several users of one file."""

import itertools
import subprocess
import sys
import threading
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, event, text

import mome_node.catalog
from mome_node.catalog import studies
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.database import Database
from mome_node.catalog.records import DeliveryState, Receipt, ResultRow, Route
from mome_node.catalog.states import StudyState
from mome_node.catalog.tables import Base
from mome_node.errors import CatalogError, TransitionRefusedError, UnknownStudyError

S = StudyState
SR = "1.2.840.10008.5.1.4.1.1.88.33"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
STEPS = [S.RECEIVING, S.ASSEMBLED, S.QUEUED, S.INFERRING, S.REPORTING]
ROUTES = (Route("PACS", "full"), Route("VIEWER", "brief"))


def bring_to_reporting(catalog, at, study="1.2"):
    for source, target in itertools.pairwise(STEPS):
        catalog.transition(study, source, target, "test", at(1))


def result_rows(at):
    return [
        ResultRow("1.9.1", SR, "sr", "k1", "s1", at(2), "full"),
        ResultRow("1.9.2", SEG, "seg", "k2", "s2", at(2), "full"),
        ResultRow("1.9.3", SR, "sr", "k3", "s3", at(2), "brief"),
    ]


# Migrations and the database


def test_migrations_lead_to_exactly_the_tables_of_the_code(url):
    Catalog.open(url).close()
    with create_engine(url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


OLD_ROWS = (
    (
        "INSERT INTO studies (study_uid, patient_id, issuer_of_patient_id, state, revision, "
        "first_received_at, last_received_at, input_count, assembled_inputs, inputs_digest, "
        "reason) VALUES ('1.2', 'P', '', 'delivering', 1, :at, :at, 1, 1, '', '')"
    ),
    (
        "INSERT INTO results (sop_instance_uid, sop_class_uid, kind, study_uid, revision, key, "
        "sha256, created_at) VALUES ('1.9', '1.8', 'sr', '1.2', 1, 'k', 's', :at)"
    ),
    (
        "INSERT INTO deliveries (sop_instance_uid, destination, state, attempts, next_attempt_at, "
        "last_error, sent_at) VALUES ('1.9', 'A', 'sent', 1, NULL, '', :at), "
        "('1.9', 'B', 'pending', 2, :at, 'away', NULL), ('1.9', 'C', 'pending', 0, :at, '', NULL)"
    ),
)


def test_what_was_sent_before_destinations_were_asked_was_accepted_only_and_may_be_there(url, at):
    """Rows as the version before wrote them."""
    config = Config()
    scripts = Path(mome_node.catalog.__file__).parent / "migrations"
    config.set_main_option("script_location", str(scripts))
    with create_engine(url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        for row in OLD_ROWS:
            connection.execute(text(row), {"at": "2026-01-01 12:00:00.000000"})
    with Catalog.open(url) as catalog:
        states = {d.destination: str(d.state) for d in catalog.deliveries.of_study("1.2")}
        assert states == {"A": "accepted only", "B": "pending", "C": "pending"}
        assert {d.queued_at for d in catalog.deliveries.of_study("1.2")} == {at(0)}
        catalog.withdrawals.withdraw("1.2", "wrong images", at(1))
        told = [destination for destination, *_ in catalog.withdrawals.to_reject("1.2")]
    assert told == ["A", "B"]


def test_database_of_a_later_version_is_refused(url):
    Catalog.open(url).close()
    with create_engine(url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(CatalogError, match="9999"):
        Catalog.open(url)


def test_database_is_durable_and_readable_beside_a_writer(url):
    Catalog.open(url).close()
    with Database(url).write() as session:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = [session.execute(text(f"PRAGMA {pragma}")).scalar() for pragma in pragmas]
    assert found == ["wal", 2, 1, 30_000]


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "nobody://x", "sqlite:////proc/x/c.db"])
def test_unusable_url_is_an_error_of_the_catalogue(url):
    with pytest.raises(CatalogError):
        Catalog.open(url)


def test_database_that_is_none_is_an_error_of_the_catalogue(tmp_path):
    (tmp_path / "c.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(CatalogError):
        Catalog.open(f"sqlite:///{tmp_path}/c.db")


def test_times_without_a_zone_are_refused_and_others_come_back_as_utc(catalog, arrival, at):
    east = at(0).astimezone(timezone(timedelta(hours=2)))
    catalog.record_instance(arrival())
    catalog.pause("test", east)
    with pytest.raises(CatalogError):
        catalog.transition(
            "1.2",
            S.RECEIVING,
            S.ASSEMBLED,
            "x",
            datetime(2026, 1, 1),  # noqa: DTZ001
        )
    assert catalog.study("1.2").first_received_at == at(0)
    assert catalog.study("1.2").first_received_at.utcoffset() == timedelta(0)


# Arrivals


def test_looking_at_the_studies_reads_none_of_their_instances(catalog, arrival):
    """The node looks twice a second, at studies that may have thousands."""
    catalog.record_instance(arrival())
    asked = []

    def note(_connection, _cursor, statement, *_):
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert len(catalog.studies_awaiting_assembly()) == 1
        assert catalog.studies_with_late_input() == ()
        assert len(catalog.studies_in(*S)) == 1
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    looks = [statement for statement in asked if "FROM studies" in statement]
    assert len(looks) == 3
    assert not any("instances" in statement for statement in looks)


def test_arrivals_are_new_duplicate_or_changed(catalog, arrival):
    assert catalog.record_instance(arrival()) is Receipt.NEW
    assert catalog.record_instance(arrival(seconds=5)) is Receipt.DUPLICATE
    assert catalog.record_instance(arrival(content="b", seconds=6)) is Receipt.CHANGED
    assert catalog.record_instance(arrival(seconds=7)) is Receipt.DUPLICATE
    old, new = catalog.instances_of("1.2", current_only=False)
    assert (old.sha256, new.sha256) == ("a", "b")
    assert catalog.instances_of("1.2") == (new,)
    assert catalog.instance_counts()["1.2"] == 1


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.sampled_from("123"), st.sampled_from("ab")), max_size=12))
def test_each_content_is_kept_once_and_each_uid_has_one_current(catalog, arrival, sent):
    study = f"2.25.{uuid.uuid4().int}"  # the catalogue outlives one example
    receipts = [
        catalog.record_instance(arrival(f"1.{uid}", content, study_uid=study))
        for uid, content in sent
    ]
    kept = [
        (r.sop_instance_uid[2:], r.sha256) for r in catalog.instances_of(study, current_only=False)
    ]
    assert kept == list(dict.fromkeys(sent))
    newest = dict(kept)  # the last new content of each UID
    current = catalog.instances_of(study)
    assert {r.sop_instance_uid[2:]: r.sha256 for r in current} == newest
    assert len(current) == len(newest)
    assert receipts.count(Receipt.DUPLICATE) == len(sent) - len(kept)
    if sent:
        assert catalog.study(study).input_count == len(kept)


def test_several_arrivals_are_recorded_together_or_not_at_all(catalog, arrival):
    batch = [arrival("1.1"), arrival("1.2"), arrival("1.1")]
    assert catalog.record_instances(batch) == (Receipt.NEW, Receipt.NEW, Receipt.DUPLICATE)
    broken = arrival("1.3", content=None)
    with pytest.raises(CatalogError):
        catalog.record_instances([arrival("1.4"), broken])
    assert catalog.instance_counts()["1.2"] == 2


def test_locks_on_studies_are_taken_in_one_order_and_receipts_told_in_that_of_arrival(
    catalog, arrival, monkeypatch
):
    """Two nodes with one database would wait for each other otherwise."""
    batch = [arrival(f"{study}.1", study_uid=study) for study in ("1.9", "1.3", "1.5")]
    catalog.record_instance(batch[1])
    taken = []
    note = studies.note_arrival
    monkeypatch.setattr(
        studies, "note_arrival", lambda session, a: (taken.append(a.study_uid), note(session, a))
    )
    assert catalog.record_instances(batch) == (Receipt.NEW, Receipt.DUPLICATE, Receipt.NEW)
    assert taken == ["1.3", "1.5", "1.9"]


def test_quiet_time_counts_from_the_last_instance_that_a_role_may_use(catalog, arrival, at):
    catalog.record_instance(arrival("1.1", seconds=1))
    catalog.record_instance(arrival("1.2", seconds=2, sop_class_uid=SR))
    catalog.record_instance(arrival("1.1", seconds=3))
    study = catalog.study("1.2")
    assert study.last_input_at == at(1)
    assert study.last_received_at == at(3)
    assert [s.study_uid for s in catalog.studies_awaiting_assembly()] == ["1.2"]


def test_study_of_classes_without_a_role_makes_no_work(catalog, arrival):
    catalog.record_instance(arrival(sop_class_uid=SR))
    assert catalog.studies_awaiting_assembly() == ()
    assert catalog.studies_with_late_input() == ()
    assert catalog.instance_counts()["1.2"] == 1


def test_threads_recording_the_same_keep_one(catalog, arrival):
    receipts = []
    threads = [
        threading.Thread(
            target=lambda: receipts.extend(
                catalog.record_instance(arrival(f"1.{n}")) for n in range(10)
            )
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert receipts.count(Receipt.NEW) == 10
    assert receipts.count(Receipt.DUPLICATE) == 30
    assert catalog.study("1.2").input_count == 10


OTHER_PROCESS = """
import sys
from datetime import UTC, datetime
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Arrival

with Catalog.open(sys.argv[1]) as catalog:
    for n in range(10):
        uid = f"1.2.{n}"
        catalog.record_instance(Arrival(
            "1.2", "1.2.0", uid, "1.2.840.10008.5.1.4.1.1.4", "1.2", uid, uid, 1, "PACS",
            datetime.now(UTC),
        ))
"""


def test_several_processes_share_one_file(url, arrival):
    other = subprocess.Popen([sys.executable, "-c", OTHER_PROCESS, url])
    with Catalog.open(url) as catalog:
        for n in range(10):
            catalog.record_instance(arrival(f"1.1.{n}"))
        assert other.wait() == 0
        assert catalog.study("1.2").input_count == 20
        assert len(catalog.events_of("1.2")) == 1


# Late input


def test_late_input_is_found_and_reopens_with_the_next_revision(catalog, arrival, at):
    catalog.record_instance(arrival())
    bring_to_reporting(catalog, at)
    assert catalog.studies_with_late_input() == ()
    catalog.record_instance(arrival("1.5", seconds=9))
    assert catalog.studies_with_late_input() == ()  # not while it is worked on
    catalog.add_results("1.2", 1, [], (), "made", at(10))
    catalog.transition("1.2", S.DELIVERING, S.DELIVERED, "sent", at(11), inputs_digest="d")
    (late,) = catalog.studies_with_late_input()
    assert late.has_late_input
    assert late.inputs_digest == "d"
    reopened = catalog.transition("1.2", S.DELIVERED, S.RECEIVING, "late input", at(12))
    assert (reopened.revision, reopened.has_late_input) == (2, False)
    catalog.transition("1.2", S.RECEIVING, S.ASSEMBLED, "complete", at(13))
    assert not catalog.study("1.2").has_late_input


def test_corrected_instance_is_late_input_and_a_repeated_one_is_not(catalog, arrival, at):
    catalog.record_instance(arrival())
    catalog.transition("1.2", S.RECEIVING, S.QUARANTINED, "identity", at(1))
    catalog.record_instance(arrival(seconds=2))
    assert catalog.studies_with_late_input() == ()
    catalog.record_instance(arrival(content="b", seconds=3))
    assert len(catalog.studies_with_late_input()) == 1


def test_input_that_comes_while_the_plan_is_made_refuses_the_step(catalog, arrival, at):
    catalog.record_instance(arrival())
    seen = catalog.study("1.2").input_count
    catalog.record_instance(arrival("1.5", seconds=-5))  # an earlier clock, a later commit
    with pytest.raises(TransitionRefusedError, match="input has come"):
        catalog.transition("1.2", S.RECEIVING, S.ASSEMBLED, "x", at(1), inputs_seen=seen)
    seen = catalog.study("1.2").input_count
    after = catalog.transition("1.2", S.RECEIVING, S.ASSEMBLED, "x", at(1), inputs_seen=seen)
    assert (after.assembled_inputs, after.assembled_at) == (2, at(1))


# Results and the outbox


def test_results_deliveries_and_state_come_in_one_transaction(catalog, arrival, at):
    catalog.record_instance(arrival())
    bring_to_reporting(catalog, at)
    study = catalog.add_results("1.2", 1, result_rows(at), ROUTES, "made", at(3))
    assert study.state is S.DELIVERING
    report, seg, brief = result_rows(at)
    assert [r.result for r in catalog.results_of("1.2")] == [seg, report, brief]
    pairs = [(d.result.kind, d.destination) for d in catalog.deliveries.of_study("1.2")]
    assert pairs == [("sr", "PACS"), ("seg", "PACS"), ("sr", "VIEWER")]
    assert catalog.is_ours("1.9.1")
    assert not catalog.is_ours("1.2.3")
    assert catalog.events_of("1.2")[-1].target is S.DELIVERING


def test_adding_the_same_results_again_changes_nothing(catalog, arrival, at):
    catalog.record_instance(arrival())
    bring_to_reporting(catalog, at)
    catalog.add_results("1.2", 1, result_rows(at), ROUTES, "made", at(3))
    before = catalog.deliveries.of_study("1.2"), catalog.events_of("1.2")
    catalog.add_results("1.2", 1, result_rows(at), ROUTES, "made", at(4))
    assert (catalog.deliveries.of_study("1.2"), catalog.events_of("1.2")) == before


def test_other_bytes_for_a_result_or_another_revision_are_refused(catalog, arrival, at):
    catalog.record_instance(arrival())
    bring_to_reporting(catalog, at)
    with pytest.raises(TransitionRefusedError, match="revision"):
        catalog.add_results("1.2", 2, result_rows(at), ROUTES, "made", at(3))
    catalog.add_results("1.2", 1, result_rows(at), ROUTES, "made", at(3))
    other = [ResultRow("1.9.1", SR, "sr", "k", "other", at(2))]
    with pytest.raises(CatalogError, match="other bytes"):
        catalog.add_results("1.2", 1, other, ROUTES, "made", at(3))


def test_resend_puts_everything_in_the_outbox_again(catalog, arrival, at):
    catalog.record_instance(arrival())
    bring_to_reporting(catalog, at)
    with pytest.raises(CatalogError, match="nothing to send"):
        catalog.deliveries.resend("1.2", "by hand", at(2))
    catalog.add_results("1.2", 1, result_rows(at), ROUTES, "made", at(3))
    for delivery in catalog.deliveries.of_study("1.2"):
        catalog.deliveries.mark(delivery.delivery_id, DeliveryState.SENT, at(4))
    catalog.transition("1.2", S.DELIVERING, S.DELIVERED, "sent", at(5))
    assert catalog.deliveries.resend("1.2", "by hand", at(6)) == 3
    assert catalog.study("1.2").state is S.DELIVERING
    assert len(catalog.deliveries.due("PACS", at(6))) == 2
    with pytest.raises(UnknownStudyError):
        catalog.deliveries.resend("9.9", "by hand", at(6))


def test_retry_after_a_refusal_for_good_sends_again_what_failed(catalog, arrival, at):
    catalog.record_instance(arrival())
    bring_to_reporting(catalog, at)
    catalog.add_results("1.2", 1, result_rows(at), ROUTES, "made", at(3))
    one, *others = catalog.deliveries.of_study("1.2")
    catalog.deliveries.mark(one.delivery_id, DeliveryState.FAILED, at(4), last_error="refused")
    for delivery in others:
        catalog.deliveries.mark(delivery.delivery_id, DeliveryState.SENT, at(4))
    catalog.transition("1.2", S.DELIVERING, S.FAILED, "refused for good", at(5))
    catalog.transition("1.2", S.FAILED, S.QUEUED, "retry", at(6))
    catalog.transition("1.2", S.QUEUED, S.INFERRING, "worker", at(6))
    catalog.transition("1.2", S.INFERRING, S.REPORTING, "predicted", at(6))
    catalog.add_results("1.2", 1, result_rows(at), ROUTES, "made", at(7))
    assert [d.delivery_id for d in catalog.deliveries.due("PACS", at(7))] == [one.delivery_id]
    assert catalog.deliveries.due("VIEWER", at(7)) == ()


# Flags and keys


def test_pause_is_seen_by_every_process_and_ends(url, at):
    with Catalog.open(url) as one, Catalog.open(url) as other:
        assert not other.paused()
        one.pause("maintenance", at(0))
        one.pause("again", at(1))
        assert other.paused()
        other.resume()
        other.resume()
        assert not one.paused()


def test_unused_keys_are_those_of_neither_instances_nor_results(catalog, arrival, at):
    catalog.record_instance(arrival())
    bring_to_reporting(catalog, at)
    catalog.add_results("1.2", 1, result_rows(at), (), "made", at(3))
    keys = ["key-1.2.3-a", "k1", "k2", "nobody's"]
    assert catalog.unused_keys(keys) == {"nobody's"}
