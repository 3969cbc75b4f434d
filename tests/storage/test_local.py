"""A local directory as instance store."""

import errno
import fcntl
import gc
import itertools
import os
import stat
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from mome_node.errors import StorageError, StorageFullError
from mome_node.storage.local import LocalStore
from mome_node.storage.store import InstanceIdentity

MR = "1.2.840.10008.5.1.4.1.1.4"
IDENTITY = InstanceIdentity(MR, "1.2.3", "1.2.840.10008.1.2.1")
# (0020,0013) Instance Number, IS, "7 "
DATASET = b"\x20\x00\x13\x00IS\x02\x007 "


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "data")


def files(tmp_path: Path) -> list[Path]:
    """What holds an instance; empty files are made ready for the next ones."""
    return [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size]


def test_stored_instance_is_a_part_10_file_of_the_bytes_that_came(store):
    stored = store.put(IDENTITY, DATASET)
    with store.open(stored.key) as file:
        content = file.read()
    assert content.endswith(DATASET)
    read = dcmread(store.path(stored.key))
    assert read.InstanceNumber == 7
    assert read.file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert read.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert stored.size == len(DATASET)


def test_content_alone_decides_the_path(store, tmp_path):
    stored = store.put(IDENTITY, DATASET)
    path = store.path(stored.key)
    assert path == tmp_path / "data/instances" / stored.sha256[:2] / f"{stored.sha256}.dcm"
    other_syntax = InstanceIdentity(MR, "1.2.3", "1.2.840.10008.1.2")
    assert store.put(other_syntax, DATASET).key != stored.key
    assert store.put(IDENTITY, DATASET + b"\0").key != stored.key
    assert store.put(IDENTITY, DATASET) == stored
    assert len(files(tmp_path)) == 3


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_file_and_digest_do_not_depend_on_how_the_bytes_came(store, data, cuts):
    incoming = store.begin(IDENTITY)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        incoming.write(data[start:end])
    stored, put = incoming.finish(), store.put(IDENTITY, data)
    store.publish([incoming])
    incoming.discard()
    assert (stored.sha256, stored.size) == (put.sha256, put.size)
    assert store.path(stored.key).read_bytes() == store.path(put.key).read_bytes()


def test_instance_that_is_discarded_leaves_nothing(store, tmp_path):
    incoming = store.begin(IDENTITY)
    incoming.write(DATASET)
    with incoming.open_dataset() as dataset:
        assert dataset.read() == DATASET
    incoming.finish()
    incoming.discard()
    incoming.discard()
    assert files(tmp_path) == []


def test_published_instance_stays_and_is_not_locked_any_more(store):
    incoming = store.begin(IDENTITY)
    incoming.write(DATASET)
    stored = incoming.finish()
    store.publish([incoming])
    incoming.discard()
    with store.open(stored.key) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert file.read().endswith(DATASET)


@pytest.fixture
def order(monkeypatch) -> list[str]:
    """What is synced and renamed, in this order."""
    seen = []
    sync, sync_data, rename = os.fsync, os.fdatasync, Path.rename

    def watched_sync(descriptor):
        seen.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def watched_data_sync(descriptor):
        seen.append("file")
        sync_data(descriptor)

    def watched_rename(path, target):
        seen.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(os, "fdatasync", watched_data_sync)
    monkeypatch.setattr(Path, "rename", watched_rename)
    return seen


def test_bytes_are_synced_before_the_rename_and_the_directory_after(store, order):
    store.put(IDENTITY, DATASET)
    assert order == ["file", "rename", "directory"]
    order.clear()
    store.put(IDENTITY, DATASET)  # there already, but perhaps not synced yet by who renamed it
    assert order == ["directory"]


def test_name_of_what_comes_is_durable_before_its_bytes_are(store, order):
    incoming = store.begin(IDENTITY)
    incoming.write(DATASET)
    assert order[0] == "directory"
    order.clear()
    incoming.finish()
    store.publish([incoming])
    incoming.discard()
    assert "file" in order
    assert "rename" not in order


def test_names_are_synced_for_many_instances_at_once(store, order):
    for number in range(100):
        incoming = store.begin(IDENTITY)
        incoming.write(DATASET + bytes([number]))
        incoming.finish()
        store.publish([incoming])
        incoming.discard()
    assert order.count("file") == 100
    assert order.count("directory") < 20


def test_withdrawn_instance_leaves_nothing(store, tmp_path):
    incoming = store.begin(IDENTITY)
    incoming.write(DATASET)
    incoming.finish()
    store.publish([incoming])
    incoming.withdraw()
    incoming.discard()
    assert files(tmp_path) == []


@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_damaged_file_is_replaced_by_what_comes_again(store, tmp_path, harm):
    first = store.put(IDENTITY, DATASET)
    path = store.path(first.key)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3]) if harm == "cut" else path.unlink()
    again = store.begin(IDENTITY)
    again.write(DATASET)
    again.finish()
    store.publish([again])
    store.replace(first.key, again)
    again.discard()
    assert path.read_bytes() == whole
    assert files(tmp_path) == [path]


def test_store_that_is_forgotten_keeps_nothing_open(tmp_path):
    def still_open():
        gc.collect()  # those that are made in the background come to their end first
        links = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
        return [link for link in links if link.startswith(str(tmp_path))]

    for number in range(5):
        LocalStore(tmp_path / str(number)).begin(IDENTITY).discard()
    deadline, pause = time.monotonic() + 20, threading.Event()
    while still_open():
        assert time.monotonic() < deadline, still_open()
        pause.wait(0.01)


def test_closed_store_takes_nothing_more(store):
    begun = store.begin(IDENTITY)
    store.close()
    with pytest.raises(StorageError):
        store.begin(IDENTITY)
    with pytest.raises(StorageError, match="closed"):
        begun.finish()
    begun.discard()


def test_file_that_a_living_receiver_writes_is_not_taken_for_abandoned(store):
    incoming = store.begin(IDENTITY)
    incoming.write(DATASET)
    key = incoming.finish().key
    other = LocalStore(store.path(key).parent.parent.parent)
    assert not other.delete_abandoned(key)
    store.publish([incoming])
    incoming.discard()
    assert other.delete_abandoned(key)
    assert not other.delete_abandoned(key)


def test_what_was_made_ready_and_not_needed_goes_when_the_store_is_closed(store, tmp_path):
    store.begin(IDENTITY).discard()
    assert list(store.list_keys())
    store.close()
    assert list(store.list_keys()) == []


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_failure_on_the_way_leaves_nothing_half_and_says_so(store, tmp_path, monkeypatch, step):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path if step == "rename" else os, step, fail)
    with pytest.raises(StorageError) as caught:
        store.put(IDENTITY, DATASET)
    assert not isinstance(caught.value, StorageFullError)
    assert files(tmp_path) == []


def test_full_disk_has_its_own_error(store, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFullError):
        store.put(IDENTITY, DATASET)
    assert files(tmp_path) == []


def test_new_instances_are_refused_below_the_watermark(tmp_path):
    free = [100]
    store = LocalStore(tmp_path, min_free_bytes=100, free_bytes=lambda _: free[0])
    stored = store.put(IDENTITY, DATASET)
    free[0] = 99
    with pytest.raises(StorageFullError, match="100"):
        store.begin(IDENTITY)
    with store.open(stored.key) as file:
        assert file.read()


def test_watermark_counts_while_a_big_instance_arrives(tmp_path):
    free = [100]
    store = LocalStore(tmp_path, min_free_bytes=100, free_bytes=lambda _: free[0])
    incoming = store.begin(IDENTITY)
    free[0] = 0
    with pytest.raises(StorageFullError):
        incoming.write(bytes(17 << 20))
    incoming.discard()


def test_only_this_user_may_read(store, tmp_path):
    store.put(IDENTITY, DATASET)
    for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]:
        expected = 0o600 if path.is_file() else 0o700
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_leftovers_of_a_dead_receiver_go_at_the_next_start_and_those_of_a_living_stay(
    store, tmp_path
):
    living = store.begin(IDENTITY)
    dead = tmp_path / "data/incoming/dead.part"
    dead.write_bytes(b"half an instance")
    LocalStore(tmp_path / "data")
    assert not dead.exists()
    living.write(DATASET)
    assert living.finish().size == len(DATASET)
    store.publish([living])


def test_incoming_file_is_locked_while_it_arrives(store, tmp_path):
    incoming = store.begin(IDENTITY)
    (path,) = files(tmp_path)
    with path.open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    incoming.discard()


def test_damaged_file_is_replaced_when_the_instance_comes_again(store):
    stored = store.put(IDENTITY, DATASET)
    path = store.path(stored.key)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    store.put(IDENTITY, DATASET)
    assert path.read_bytes() == whole


def test_keys_are_listed_with_their_time_and_deleted(store):
    stored = store.put(IDENTITY, DATASET)
    ((key, written_at),) = store.list_keys()
    assert key == stored.key
    assert abs(datetime.now(UTC) - written_at) < timedelta(minutes=5)
    store.delete(key)
    store.delete(key)
    assert list(store.list_keys()) == []
    with pytest.raises(StorageError):
        store.open(key)


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "ab", "A" * 64, "1.2.3"])
def test_what_is_no_key_is_refused(store, key):
    for use in (store.open, store.delete, store.path):
        with pytest.raises(StorageError):
            use(key)


def test_unusable_directory_is_an_error_of_the_store(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(StorageError, match="file"):
        LocalStore(tmp_path / "file")
