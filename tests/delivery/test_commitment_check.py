"""What is reported is what is there: any mixture of instances, present, missing and damaged."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.filereader import read_dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.commitments import AskingPeer, Commitment, CommitmentState
from mome_node.catalog.records import Arrival
from mome_node.delivery.commitment_check import CommitmentCheck
from mome_node.dicom.commitment import CommitmentResult, FailureReason, ReferencedInstance
from mome_node.storage.local import LocalStore
from mome_node.storage.store import InstanceIdentity

MR, CT = str(MRImageStorage), str(CTImageStorage)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNIQUE = itertools.count(1)


class Fate(Enum):
    """What became of an instance, with the reason that has to be told."""

    HERE = auto()
    TWICE_HERE = auto()
    NEVER_CAME = auto()
    NEVER_COULD_COME = auto()
    FILE_GONE = auto()
    FILE_CUT = auto()
    FILE_LONGER = auto()
    BIT_FLIPPED = auto()
    NO_DICOM = auto()
    OLD_COPY_GONE = auto()
    OTHER_CLASS = auto()


REASONS = {
    Fate.HERE: None,
    Fate.TWICE_HERE: None,
    Fate.NEVER_CAME: FailureReason.NO_SUCH_INSTANCE,
    Fate.NEVER_COULD_COME: FailureReason.CLASS_NOT_SUPPORTED,
    Fate.FILE_GONE: FailureReason.NO_SUCH_INSTANCE,
    Fate.FILE_CUT: FailureReason.PROCESSING_FAILURE,
    Fate.FILE_LONGER: FailureReason.PROCESSING_FAILURE,
    Fate.BIT_FLIPPED: FailureReason.PROCESSING_FAILURE,
    Fate.NO_DICOM: FailureReason.PROCESSING_FAILURE,
    Fate.OLD_COPY_GONE: FailureReason.NO_SUCH_INSTANCE,
    Fate.OTHER_CLASS: FailureReason.CLASS_INSTANCE_CONFLICT,
}


@dataclass
class Archive:
    """A catalogue and a store, and ways to harm what is in them."""

    catalog: Catalog
    store: LocalStore

    def check(self, digest_bytes: int = 1 << 30) -> CommitmentCheck:
        ledger = self.catalog.commitments
        return CommitmentCheck(ledger, self.store.open, frozenset({MR, CT}), digest_bytes)

    def bring(self, fate: Fate) -> ReferencedInstance:
        """Let an instance have this fate; what its sender says of it."""
        uid = f"1.2.3.{next(UNIQUE)}"
        if fate is Fate.NEVER_CAME:
            return ReferencedInstance(MR, uid)
        if fate is Fate.NEVER_COULD_COME:
            return ReferencedInstance("1.2.3.4.5", uid)
        path = self.receive(uid, b"first of " + uid.encode())
        if fate in (Fate.TWICE_HERE, Fate.OLD_COPY_GONE):
            self.receive(uid, b"second of " + uid.encode())
        content = path.read_bytes()
        match fate:
            case Fate.FILE_GONE | Fate.OLD_COPY_GONE:
                path.unlink()
            case Fate.FILE_CUT:
                path.write_bytes(content[:-1])
            case Fate.FILE_LONGER:
                path.write_bytes(content + b"\0")
            case Fate.BIT_FLIPPED:
                path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            case Fate.NO_DICOM:
                path.write_bytes(bytes(len(content)))
        return ReferencedInstance(CT if fate is Fate.OTHER_CLASS else MR, uid)

    def receive(self, uid: str, data: bytes) -> Path:
        stored = self.store.put(InstanceIdentity(MR, uid, str(ExplicitVRLittleEndian)), data)
        self.catalog.record_instance(
            Arrival(
                study_uid="1.2",
                series_uid="1.2.0",
                sop_instance_uid=uid,
                sop_class_uid=MR,
                transfer_syntax_uid=str(ExplicitVRLittleEndian),
                key=stored.key,
                sha256=stored.sha256,
                size=stored.size,
                calling_ae="PACS",
                received_at=NOW,
                patient_id="P-1",
                issuer_of_patient_id="",
            )
        )
        return self.store.path(stored.key)

    def ask(self, *named: ReferencedInstance) -> Commitment:
        transaction = f"1.2.9.{next(UNIQUE)}"
        self.catalog.commitments.open(transaction, AskingPeer("PACS", "10.0.0.5"), named, NOW)
        return next(
            c for c in self.catalog.commitments.due(NOW) if c.transaction_uid == transaction
        )

    def result_of(self, *named: ReferencedInstance, digest_bytes: int = 1 << 30):
        commitment = self.ask(*named)
        try:
            return self.check(digest_bytes).result_of(commitment)
        finally:
            self.catalog.commitments.settle(commitment, CommitmentState.REPORTED, NOW)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("archive")
    with Catalog.open(f"sqlite:///{folder}/catalog.db") as catalog:
        yield Archive(catalog, LocalStore(folder / "data"))


@pytest.mark.parametrize("fate", Fate)
def test_each_fate_has_its_reason(archive: Archive, fate: Fate) -> None:
    instance = archive.bring(fate)
    result = archive.result_of(instance)
    if REASONS[fate] is None:
        assert (result.committed, result.failed, result.event_type) == ((instance,), (), 1)
    else:
        assert (result.committed, result.event_type) == ((), 2)
        assert result.failed == ((instance, REASONS[fate]),)


@settings(max_examples=15)
@given(fates=st.lists(st.sampled_from(Fate), min_size=1, max_size=5))
def test_any_mixture_is_reported_exactly(archive: Archive, fates: list[Fate]) -> None:
    named = {archive.bring(fate): REASONS[fate] for fate in fates}
    result = archive.result_of(*named)
    assert set(result.committed) == {i for i, reason in named.items() if reason is None}
    assert dict(result.failed) == {i: reason for i, reason in named.items() if reason}
    assert len(result.committed) + len(result.failed) == len(named)
    assert result.event_type == (2 if any(named.values()) else 1)


def test_one_uid_with_two_classes_is_committed_for_its_own_only(archive: Archive) -> None:
    right = archive.bring(Fate.HERE)
    wrong = ReferencedInstance(CT, right.sop_instance_uid)
    result = archive.result_of(right, wrong)
    assert result.committed == (right,)
    assert result.failed == ((wrong, FailureReason.CLASS_INSTANCE_CONFLICT),)


def test_beyond_the_allowance_only_size_is_compared(archive: Archive) -> None:
    first, second = archive.bring(Fate.HERE), archive.bring(Fate.BIT_FLIPPED)
    assert archive.result_of(second, digest_bytes=0).event_type == 1
    enough_for_both = 200
    assert archive.result_of(first, second, digest_bytes=enough_for_both).committed == (first,)


def test_store_that_cannot_be_read_commits_nothing(archive: Archive) -> None:
    instance = archive.bring(Fate.HERE)

    def fail(_key: str):
        raise OSError(5, "Input/output error")

    commitment = archive.ask(instance)
    check = CommitmentCheck(archive.catalog.commitments, fail, frozenset({MR}))
    result = check.result_of(commitment)
    assert result == CommitmentResult(
        commitment.transaction_uid, (), ((instance, FailureReason.PROCESSING_FAILURE),)
    )


def test_result_of_a_large_transaction_is_encoded_as_the_standard_has_it() -> None:
    named = tuple(ReferencedInstance(MR, f"1.2.3.{n}") for n in range(2000))
    failed = tuple((i, FailureReason.NO_SUCH_INSTANCE) for i in named[:7])
    result = CommitmentResult("1.2.9", named[7:], failed)
    for syntax, implicit, little in (
        ("1.2.840.10008.1.2", True, True),
        ("1.2.840.10008.1.2.1", False, True),
        ("1.2.840.10008.1.2.2", False, False),
    ):
        read = read_dataset(BytesIO(result.encode(syntax)), implicit, little)
        assert [e.keyword for e in read] == [
            "TransactionUID",
            "FailedSOPSequence",
            "ReferencedSOPSequence",
        ]
        assert {i.FailureReason for i in read.FailedSOPSequence} == {0x0112}
        told = [i.ReferencedSOPInstanceUID for i in read.ReferencedSOPSequence]
        assert told == [i.sop_instance_uid for i in named[7:]]
        assert read.ReferencedSOPSequence[0].ReferencedSOPClassUID == MR
