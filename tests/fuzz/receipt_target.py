"""Fuzzed data sets through the one receipt, and what is promised of every one of them."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from pydicom import dcmread

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import InstanceRecord
from mome_node.dicom.header_reading import read_facts
from mome_node.errors import HeaderError
from mome_node.ingest.identity import HeaderLimits
from mome_node.ingest.outcome import Outcome, Status
from mome_node.ingest.receipt import ReceiptLimits, Reception
from mome_node.storage.local import LocalStore
from tests.fuzz.datasets import FuzzedDataSet

ANSWER_S = 5.0
_LIMITS = ReceiptLimits(max_dataset_bytes=4 << 20, header=HeaderLimits(max_inflated_bytes=2 << 20))
_PIECES = 16_382
_UIDS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]


def _now() -> datetime:
    return datetime(2030, 1, 1, tzinfo=UTC)


@contextmanager
def fast_folder() -> Iterator[Path]:
    """A temporary folder, in memory where there is such a place: syncs are not what is tested."""
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="mome-fuzz-", dir=where) as folder:
        yield Path(folder)


def open_instances(process: str, root: Path) -> list[str]:
    """Files below ``root`` that a process has open and that hold something."""
    found = []
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile, or deleted
            path = descriptor.readlink()
            if path.suffix == ".dcm" and path.is_relative_to(root) and path.stat().st_size:
                found.append(path.name)
    return found


@dataclass(frozen=True)
class FuzzedNode:
    """A store, a catalogue and a reception, all real."""

    root: Path
    store: LocalStore
    catalog: Catalog
    reception: Reception

    def incoming(self) -> list[str]:
        """Files that are open and hold something: instances on their way in."""
        return open_instances("self", self.root)

    def files(self) -> list[Path]:
        """Files that hold something, finished or not."""
        return [p for p in self.root.rglob("*") if p.is_file() and p.stat().st_size]

    def keys(self) -> set[str]:
        """The keys of all files in the store that hold something; empty ones are made ready."""
        keys = (key for key, _ in self.store.list_keys())
        return {key for key in keys if self.store.path(key).stat().st_size}

    def is_consistent(self) -> bool:
        """Tell whether every file has its row, and every row its file."""
        return {record.key for record in self.records()} == self.keys()

    def records(self) -> list[InstanceRecord]:
        """All rows of the catalogue, superseded ones, too."""
        studies = [s.study_uid for s in self.catalog.studies()]
        return [r for s in studies for r in self.catalog.instances_of(s, current_only=False)]


@contextmanager
def fuzzed_node() -> Iterator[FuzzedNode]:
    """A node in a folder of its own."""
    with ExitStack() as stack:
        folder = stack.enter_context(fast_folder())
        store = LocalStore(folder / "data", min_free_bytes=0)
        stack.callback(store.close)
        catalog = stack.enter_context(Catalog.open(f"sqlite:///{folder}/catalog.db"))
        yield FuzzedNode(folder / "data", store, catalog, Reception(store, catalog, _now, _LIMITS))


def receive(node: FuzzedNode, fuzzed: FuzzedDataSet) -> Outcome:
    """Let a data set come in pieces, and hold the receipt to its promises."""
    began = time.monotonic()
    arriving = node.reception.begin(fuzzed.identity)
    for at in range(0, len(fuzzed.data), _PIECES):
        arriving.write(fuzzed.data[at : at + _PIECES])
    outcome = node.reception.receive(arriving, "FUZZER")
    assert time.monotonic() - began < ANSWER_S, "the receipt took too long"
    assert isinstance(outcome.status, Status)
    assert node.incoming() == [], "something is left of an instance"
    assert outcome.comment.isprintable()
    assert len(outcome.comment) < 200
    if outcome.status is Status.SUCCESS:
        _check_stored(node, fuzzed, outcome)
    else:
        assert outcome.comment, "a refusal without a reason"
    return outcome


def _check_stored(node: FuzzedNode, fuzzed: FuzzedDataSet, outcome: Outcome) -> None:
    syntax = fuzzed.identity.transfer_syntax_uid.encode("ascii")
    digest = sha256(syntax + b"\0" + fuzzed.data).hexdigest()
    records = node.catalog.instances_of(outcome.study_uid, current_only=False)
    (record,) = [r for r in records if r.sha256 == digest]
    path = node.store.path(record.key)
    assert path.read_bytes() == fuzzed.identity.file_meta() + fuzzed.data, "not stored whole"
    assert (record.size, outcome.size) == (len(fuzzed.data),) * 2
    _check_readable(path, record)


def _check_readable(path: Path, record: InstanceRecord) -> None:
    """What later stages read is what the catalogue says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = dcmread(path, stop_before_pixels=True, specific_tags=_UIDS)
        assert read.SOPClassUID == record.sop_class_uid
        assert read.SOPInstanceUID == record.sop_instance_uid
        assert read.StudyInstanceUID == record.study_uid
        assert read.SeriesInstanceUID == record.series_uid
        try:
            facts = read_facts(path)
        except HeaderError:
            return  # its study is quarantined, which is an answer
    assert facts.sop_instance_uid == record.sop_instance_uid
