"""What tests of the outbox need: results in a store in memory, a catalogue that queues them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from sqlalchemy import event

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.database import Database
from mome_node.catalog.records import ResultRow
from mome_node.catalog.states import StudyState
from mome_node.catalog.tables import DeliveryTable, ResultTable, StudyTable
from mome_node.delivery.ports import StudyThere
from mome_node.errors import StorageError
from mome_node.storage.store import InstanceIdentity

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HERE = StudyThere("PAT-1", "HOSPITAL", "ACC-1")
"""The patient and accession of all results made here."""


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class MemoryFile(BytesIO):
    """Looks like a file to hashlib.file_digest, which takes the whole of other BytesIO."""

    @property
    def getbuffer(self):
        raise AttributeError


@dataclass
class MemoryStore:
    """DICOM files (PS3.10) by their keys."""

    files: dict[str, bytes] = field(default_factory=dict)

    def open(self, key: str) -> BinaryIO:
        if key not in self.files:
            raise StorageError(f"{key} is not in the store") from FileNotFoundError(key)
        return MemoryFile(self.files[key])

    def keep(self, uid: str, study_uid: str = "1.9", kind: str = "sr", **identity: str):
        """Keep a small object; its row for the catalogue."""
        dataset = Dataset()
        dataset.SOPClassUID = SecondaryCaptureImageStorage
        dataset.SOPInstanceUID = uid
        dataset.StudyInstanceUID = study_uid
        dataset.SeriesInstanceUID = f"{study_uid}.7"
        dataset.PatientID = identity.get("patient_id", "PAT-1 ")
        dataset.IssuerOfPatientID = identity.get("issuer", "HOSPITAL")
        dataset.AccessionNumber = identity.get("accession", "ACC-1")
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_dataset(buffer, dataset)
        syntax = str(ExplicitVRLittleEndian)
        digest = hashlib.sha256(syntax.encode() + b"\0" + buffer.getvalue()).hexdigest()
        meta = InstanceIdentity(SecondaryCaptureImageStorage, uid, syntax).file_meta()
        self.files[digest] = meta + buffer.getvalue()
        return ResultRow(uid, SecondaryCaptureImageStorage, kind, digest, digest, NOW)


@cache
def _empty_catalog() -> bytes:
    """The file of an empty catalogue, migrated once."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.db"
        Catalog.open(f"sqlite:///{path}").close()
        return path.read_bytes()


def opened(folder: Path) -> Catalog:
    """The catalogue in a folder, perhaps a new one, that does not wait for the disk."""
    path = folder / "catalog.db"
    if not path.exists():
        path.write_bytes(_empty_catalog())
    database = Database(f"sqlite:///{path}")
    event.listen(database.engine, "connect", lambda db, _: db.execute("PRAGMA synchronous=OFF"))
    return Catalog(database)


def queue_results(
    catalog: Catalog,
    study_uid: str,
    rows: Sequence[ResultRow],
    destinations: Sequence[str] = ("pacs",),
    at: datetime = NOW,
) -> None:
    """A study with results of its first revision on their way."""
    queue_studies(catalog, {study_uid: rows}, destinations, at)


def queue_studies(
    catalog: Catalog,
    results: Mapping[str, Sequence[ResultRow]],
    destinations: Sequence[str] = ("pacs",),
    at: datetime = NOW,
) -> None:
    """Several of them, in this order and in one transaction."""
    with catalog._database.write() as session:
        session.add_all(_study(uid, at) for uid in results)
        session.flush()
        session.add_all(_result(uid, row, at) for uid, rows in results.items() for row in rows)
        session.flush()
        session.add_all(
            _delivery(row, name, at)
            for rows in results.values()
            for row in rows
            for name in destinations
        )


def _study(uid: str, at: datetime) -> StudyTable:
    return StudyTable(
        study_uid=uid, patient_id="", issuer_of_patient_id="", state=StudyState.DELIVERING.value,
        revision=1, first_received_at=at, last_received_at=at, last_input_at=at, input_count=1,
        assembled_at=at, assembled_inputs=1, inputs_digest="", reason="", change=0,
        revision_change=0,
    )  # fmt: skip


def _result(study_uid: str, row: ResultRow, at: datetime) -> ResultTable:
    return ResultTable(
        sop_instance_uid=row.sop_instance_uid, sop_class_uid=row.sop_class_uid, kind=row.kind,
        study_uid=study_uid, revision=1, key=row.key, sha256=row.sha256, created_at=at,
        superseded_at=None,
    )  # fmt: skip


def _delivery(row: ResultRow, name: str, at: datetime) -> DeliveryTable:
    return DeliveryTable(
        sop_instance_uid=row.sop_instance_uid, destination=name, state="pending", attempts=0,
        next_attempt_at=at, last_status=None, last_error="", sent_at=None, transaction_uid=None,
        queued_at=at,
    )  # fmt: skip
