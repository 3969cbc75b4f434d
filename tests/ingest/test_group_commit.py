"""Names and rows of instances that come at the same time: what fails, fails alone."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mome_node.catalog.arrivals import ArrivalWriter
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Arrival, Receipt
from mome_node.errors import CatalogError, StorageError
from mome_node.ingest.group_commit import GroupCommit
from mome_node.storage.local import LocalStore
from mome_node.storage.store import InstanceIdentity

SYNTAX = "1.2.840.10008.1.2.1"
MR = "1.2.840.10008.5.1.4.1.1.4"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Sending:
    """Instances on their way to a group commit."""

    def __init__(self, node):
        self.store, self.catalog = node.store, node.catalog
        self.commits = GroupCommit(self.store, self.catalog)

    def begun(self, uid, data=b"data", sop_class=MR, **told):
        incoming = self.store.begin(InstanceIdentity(sop_class, uid, SYNTAX))
        incoming.write(data)
        stored = incoming.finish()
        arrival = Arrival(
            study_uid="1.2",
            series_uid="1.2.3",
            sop_instance_uid=uid,
            sop_class_uid=sop_class,
            transfer_syntax_uid=SYNTAX,
            key=stored.key,
            sha256=stored.sha256,
            size=stored.size,
            calling_ae="PACS",
            received_at=NOW,
            **told,
        )
        return incoming, arrival

    def send(self, uid, data=b"data", **told):
        incoming, arrival = self.begun(uid, data, **told)
        try:
            return self.commits.commit(incoming, arrival)
        finally:
            incoming.discard()

    def send_together(self, *begun):
        """Commit several in one group: all wait while somebody else has the turn."""
        ended = {}

        def commit(incoming, arrival):
            try:
                ended[arrival.sop_instance_uid] = self.commits.commit(incoming, arrival)
            except (StorageError, CatalogError) as error:
                ended[arrival.sop_instance_uid] = error
            finally:
                incoming.discard()

        threads = [threading.Thread(target=commit, args=one) for one in begun]
        with self.commits._turn:
            for thread in threads:
                thread.start()
            until = threading.Event()
            while len(self.commits._waiting) < len(begun):
                until.wait(0.001)
        for thread in threads:
            thread.join()
        return ended

    def send_while_another_is_written(self, first, *late, disk_fails=False):
        """Commit one whose bytes are durable, or lost, only once the others wait behind it."""
        ended = {}
        publish, syncing, go_on = self.store.publish, threading.Event(), threading.Event()

        def slow(finished):
            if first[0] in finished:
                syncing.set()
                assert go_on.wait(30)
                if disk_fails:
                    raise StorageError("the disk failed")
            publish(finished)

        def commit(incoming, arrival):
            try:
                ended[arrival.sop_instance_uid] = self.commits.commit(incoming, arrival)
            except StorageError as error:
                ended[arrival.sop_instance_uid] = error
            finally:
                incoming.discard()

        self.store.publish = slow
        threads = [threading.Thread(target=commit, args=one) for one in (first, *late)]
        threads[0].start()
        assert syncing.wait(30)
        for thread in threads[1:]:
            thread.start()
        until = threading.Event()
        while len(self.commits._waiting) < len(late):
            until.wait(0.001)
        go_on.set()
        for thread in threads:
            thread.join()
        self.store.publish = publish
        return ended

    def whole(self):
        """Every row names a file that is there; how many rows."""
        rows = self.catalog.instances_of("1.2", current_only=False)
        assert all(self.store.path(r.key).is_file() for r in rows), "a row names no file"
        return len(rows)


@pytest.fixture
def sending(node):
    made = Sending(node)
    made.send("1.1")  # the study is known: what follows is plain
    return made


def test_group_is_committed_at_once_and_every_file_stays(sending, node):
    ended = sending.send_together(*(sending.begun(f"1.{n}") for n in range(10, 16)))
    assert set(ended.values()) == {Receipt.NEW}
    assert sending.whole() == 7
    assert len(node.files()) == 7


def test_what_fails_after_the_commit_takes_no_file_of_those_beside_it(sending, node, monkeypatch):
    def fail(*_):
        raise StorageError("the disk failed")

    again = sending.begun("1.1")
    node.store.path(node.catalog.instances_of("1.2")[0].key).unlink()  # so it is to be replaced
    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "replace", fail)
        ended = sending.send_together(again, sending.begun("1.2"))
    assert isinstance(ended["1.1"], StorageError)
    assert isinstance(ended["1.2"], Receipt)
    (beside,) = [r for r in node.catalog.instances_of("1.2") if r.sop_instance_uid == "1.2"]
    assert node.store.path(beside.key).is_file()


def test_commit_that_happened_though_it_failed_keeps_its_file(sending, monkeypatch):
    record = Catalog.record_instances

    def record_and_fail(catalog, arrivals, before_commit):
        record(catalog, arrivals, before_commit)
        monkeypatch.setattr(Catalog, "record_instances", record)
        raise CatalogError("the answer was lost")

    monkeypatch.setattr(Catalog, "record_instances", record_and_fail)
    assert isinstance(sending.send("1.2"), Receipt)
    assert sending.whole() == 2


@pytest.fixture
def transactions(monkeypatch):
    """How many instances each transaction of plainly new ones held."""
    seen = []
    record = ArrivalWriter.record

    def counted(writer, arrivals, before_commit):
        receipts = record(writer, arrivals, before_commit)
        seen.append(sum(r is not None for r in receipts or ()))
        return receipts

    monkeypatch.setattr(ArrivalWriter, "record", counted)
    return seen


def test_who_comes_while_the_disk_syncs_another_is_committed_with_it(sending, transactions):
    begun = [sending.begun(f"1.{n}") for n in (2, 3, 4)]
    ended = sending.send_while_another_is_written(*begun)
    assert ended == dict.fromkeys(("1.2", "1.3", "1.4"), Receipt.NEW)
    assert transactions == [3]
    assert sending.whole() == 4


def test_who_comes_late_and_is_not_plainly_new_is_written_after_it(sending, transactions):
    again, changed = sending.begun("1.1"), sending.begun("1.5", b"first")
    sending.send("1.5", b"second")
    transactions.clear()
    elsewhere, arrival = sending.begun("1.6")
    other_study = (elsewhere, replace(arrival, study_uid="9.9"))
    ended = sending.send_while_another_is_written(
        sending.begun("1.2"), again, sending.begun("1.3"), changed, other_study
    )
    assert ended["1.1"] is Receipt.DUPLICATE
    assert ended["1.5"] is Receipt.CHANGED
    assert {ended[uid] for uid in ("1.2", "1.3", "1.6")} == {Receipt.NEW}
    assert transactions[0] == 2
    assert sending.whole() == 5
    assert [r.sop_instance_uid for r in sending.catalog.instances_of("9.9")] == ["1.6"]


def test_disk_that_fails_under_one_fails_nobody_who_came_late(sending, node):
    begun = [sending.begun(f"1.{n}") for n in (2, 3, 4)]
    ended = sending.send_while_another_is_written(*begun, disk_fails=True)
    assert isinstance(ended.pop("1.2"), StorageError)
    assert ended == dict.fromkeys(("1.3", "1.4"), Receipt.NEW)
    assert sending.whole() == 3
    assert len(node.files()) == 3


def test_commit_that_fails_takes_nobody_along_who_came_late(sending, monkeypatch):
    record = ArrivalWriter.record

    def fail_once(writer, arrivals, before_commit):
        before_commit()
        monkeypatch.setattr(ArrivalWriter, "record", record)
        raise CatalogError("the database failed")

    monkeypatch.setattr(ArrivalWriter, "record", fail_once)
    ended = sending.send_while_another_is_written(sending.begun("1.2"), sending.begun("1.3"))
    assert ended == dict.fromkeys(("1.2", "1.3"), Receipt.NEW)
    assert sending.whole() == 3


def test_catalogue_that_is_full_leaves_no_file_with_every_try(sending, node, monkeypatch):
    def full(catalog, arrivals, before_commit):
        before_commit()
        raise CatalogError("the database failed: disk full")

    monkeypatch.setattr(Catalog, "record_instances", full)
    for _ in range(3):
        with pytest.raises(CatalogError):
            sending.send("1.2")
    assert len(node.files()) == 1


def test_catalogue_that_says_nothing_any_more_keeps_the_file(sending, node, monkeypatch):
    def gone(*_args, **_named):
        raise CatalogError("the database is gone")

    monkeypatch.setattr(Catalog, "record_instances", gone)
    monkeypatch.setattr(Catalog, "unused_keys", gone)
    incoming, arrival = sending.begun("1.2")
    incoming.publish()
    with pytest.raises(CatalogError):
        sending.commits.commit(incoming, arrival)
    incoming.discard()
    assert len(node.files()) == 2  # its row may be there: the next start will know


def test_file_with_other_bytes_of_the_same_length_is_replaced_by_what_comes_again(sending, node):
    path = node.store.path(node.catalog.instances_of("1.2")[0].key)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"X")
    assert sending.send("1.1") is Receipt.DUPLICATE
    assert path.read_bytes() == whole
    assert len(node.files()) == 1


def test_large_instance_does_not_keep_small_ones_waiting_for_its_bytes(sending, monkeypatch):
    monkeypatch.setattr("mome_node.ingest.group_commit._SYNCED_SOON_BYTES", 100)
    large = sending.begun("1.2", bytes(101))
    publish, syncing, go_on = LocalStore.publish, threading.Event(), threading.Event()

    def slow(store, finished):
        if large[0] in finished:
            syncing.set()
            assert go_on.wait(30)
        publish(store, finished)

    monkeypatch.setattr(LocalStore, "publish", slow)
    waiting = threading.Thread(target=sending.commits.commit, args=large)
    waiting.start()
    assert syncing.wait(30)
    assert sending.send("1.3") is Receipt.NEW
    go_on.set()
    waiting.join()
    large[0].discard()
    assert sending.whole() == 3


def test_rejection_note_that_comes_again_is_no_second_note(sending, node):
    note = "1.2.840.10008.5.1.4.1.1.88.59"
    for _ in range(3):
        sending.send("1.9", sop_class=note, may_reject=True)
    (pending,) = node.catalog.pending_notes()
    assert node.store.path(pending.key).is_file()
