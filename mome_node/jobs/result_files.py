"""The result objects that an evaluation left on disk: into the store, and back for a successor."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.filereader import read_file_meta_info, read_preamble

from mome_node.catalog.records import DeliveryRecord, ResultRecord, ResultRow, Route
from mome_node.errors import ResultError
from mome_node.jobs.requests import MadeObject
from mome_node.results.context import Predecessor
from mome_node.storage.local import LocalStore
from mome_node.storage.store import InstanceIdentity


def keep(objects: Sequence[MadeObject], store: LocalStore, made_at: datetime) -> list[ResultRow]:
    """Put result objects into the store, durable, under the catalogue's keys.

    Raises StorageError, ResultError, or OSError where one cannot be read back.
    """
    rows = []
    for made in objects:
        dataset, transfer_syntax = dataset_bytes(made.path)
        identity = InstanceIdentity(made.sop_class_uid, made.sop_instance_uid, transfer_syntax)
        stored = store.put(identity, dataset)
        rows.append(
            ResultRow(
                sop_instance_uid=made.sop_instance_uid,
                sop_class_uid=made.sop_class_uid,
                kind=made.kind,
                key=stored.key,
                sha256=stored.sha256,
                created_at=made_at,
                profile=made.profile,
            )
        )
        made.path.unlink()
    return rows


def predecessors(
    before: int,
    results: Sequence[ResultRecord],
    routes: Sequence[Route],
    deliveries: Sequence[DeliveryRecord],
    store: LocalStore,
) -> tuple[tuple[str, Predecessor], ...]:
    """By profile, the SR that its destinations were to get last before the revision ``before``.

    Where a destination's profile has changed since, that is one of its former profile. Raises
    StorageError if it is lost.
    """
    reports = {
        r.result.sop_instance_uid: r
        for r in results
        if r.result.kind == "sr" and r.revision < before
    }
    found: dict[str, ResultRecord] = {}
    for profile in {route.profile for route in routes}:
        names = {route.destination for route in routes if route.profile == profile}
        meant = [
            reports[d.result.sop_instance_uid]
            for d in deliveries
            if d.destination in names and d.result.sop_instance_uid in reports
        ]
        meant = meant or [r for r in reports.values() if r.result.profile in (profile, "")]
        if meant:
            found[profile] = max(meant, key=lambda r: r.revision)
    return tuple(
        (profile, _predecessor(report.result, store)) for profile, report in sorted(found.items())
    )


def _predecessor(report: ResultRow, store: LocalStore) -> Predecessor:
    with store.open(report.key) as file:
        return Predecessor(report.sop_class_uid, report.sop_instance_uid, series_uid_of(file))


def dataset_bytes(path: Path) -> tuple[bytes, str]:
    """The encoded data set of a DICOM file (PS3.10) and its Transfer Syntax UID."""
    meta = read_file_meta_info(path)
    with path.open("rb") as file:
        read_preamble(file, force=False)
        # (0002,0000): 4 bytes of tag, 4 of VR and length, 4 of value, which counts what follows.
        file.seek(12, 1)
        length = meta.get("FileMetaInformationGroupLength")
        if length is None:
            raise ResultError(f"{path.name} has no File Meta Information Group Length")
        file.seek(int(length), 1)
        return file.read(), str(meta.TransferSyntaxUID)


def series_uid_of(file: BinaryIO) -> str:
    """Series Instance UID of a DICOM file."""
    header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
    return str(header.SeriesInstanceUID)
