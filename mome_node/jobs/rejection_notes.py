"""Rejection notes of our own: what was sent and does not stand any more is taken back by them.

A destination is told of exactly what it may have got. Destinations that got the same get the same
note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pydicom
import structlog
from pydicom.dataset import Dataset

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import RejectionRow, ResultRecord, Superseded
from mome_node.catalog.withdrawals import REJECTION_KIND
from mome_node.dicom.rejection_note import RejectionTitle
from mome_node.jobs.reading import SourceInstance
from mome_node.jobs.requests import MadeObject
from mome_node.jobs.result_files import keep, series_uid_of
from mome_node.jobs.site_policy import SitePolicy
from mome_node.results.profile import ResultProfile
from mome_node.results.rejection import RejectedInstance, make_rejection
from mome_node.results.result_set import encode
from mome_node.results.validation import refuse_invalid
from mome_node.storage.local import LocalStore

log = structlog.get_logger(__name__)

_TITLES: Final = {
    Superseded.REPLACED: RejectionTitle.QUALITY,
    Superseded.WITHDRAWN: RejectionTitle.PATIENT_SAFETY,
}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One note to make: why, what it takes back, and who is told."""

    why: Superseded
    results: tuple[ResultRecord, ...]
    destinations: tuple[str, ...]


def reject_superseded(
    study_uid: str,
    sources: Sequence[SourceInstance],
    catalog: Catalog,
    store: LocalStore,
    policy: SitePolicy,
) -> int:
    """Put the notes of one study that are missing into the outbox; how many.

    ``sources`` are the images that the study is read from now: a note has the patient that they
    have. Without any it has that of what it rejects. Doing it twice makes the same notes.
    Raises CatalogError, StorageError, ResultError.
    """
    wanted = list(_wanted(catalog.withdrawals.to_reject(study_uid)))
    if not wanted:
        return 0
    at = max(r.superseded_at for w in wanted for r in w.results if r.superseded_at is not None)
    with TemporaryDirectory(prefix="rejection-") as folder:
        rows = [
            _row(each, sources, store, policy, Path(folder) / f"{number}.dcm")
            for number, each in enumerate(wanted)
        ]
    catalog.withdrawals.add(study_uid, rows, at)
    log.info("rejection notes made", study=study_uid, notes=len(rows))
    return len(rows)


def _wanted(found: Sequence[tuple[str, Superseded, ResultRecord]]) -> Iterator[_Wanted]:
    """Group what each destination has to be told by what that is."""
    told: dict[tuple[str, Superseded], list[ResultRecord]] = {}
    for destination, why, result in found:
        told.setdefault((destination, why), []).append(result)
    same: dict[tuple[Superseded, tuple[ResultRecord, ...]], list[str]] = {}
    for (destination, why), results in told.items():
        same.setdefault((why, tuple(results)), []).append(destination)
    for (why, results_of), destinations in same.items():
        yield _Wanted(why, results_of, tuple(destinations))


def _row(
    wanted: _Wanted,
    sources: Sequence[SourceInstance],
    store: LocalStore,
    policy: SitePolicy,
    path: Path,
) -> RejectionRow:
    profile = _profile(wanted, policy)
    at = max(r.superseded_at for r in wanted.results if r.superseded_at is not None)
    headers = [_header(store.path(record.result.key)) for record in wanted.results]
    patient = _patient(sources, headers[0])
    note = make_rejection(
        _TITLES[wanted.why],
        [_rejected(record, store) for record in wanted.results],
        patient,
        recorded_at=at.astimezone(),
        profile=profile,
        synthetic=any(h.get("SyntheticData") == "YES" for h in (patient, *headers)),
        station_name=policy.station_name,
    )
    content = encode(note)
    path.write_bytes(content)
    refuse_invalid(REJECTION_KIND, path)
    made = MadeObject(
        REJECTION_KIND,
        profile.digest,
        str(note.SOPClassUID),
        str(note.SOPInstanceUID),
        str(note.SeriesInstanceUID),
        path,
    )
    (row,) = keep([made], store, at)
    rejected = frozenset(r.result.sop_instance_uid for r in wanted.results)
    return RejectionRow(row, rejected, wanted.destinations)


def _profile(wanted: _Wanted, policy: SitePolicy) -> ResultProfile:
    """How the first of the destinations wants it now; one that is gone, as by default."""
    by_name: Mapping[str, ResultProfile] = {d.name: d.profile for d in policy.destinations}
    return by_name.get(wanted.destinations[0], ResultProfile(label=policy.label))


def _rejected(record: ResultRecord, store: LocalStore) -> RejectedInstance:
    with store.open(record.result.key) as file:
        series_uid = series_uid_of(file)
    return RejectedInstance(
        record.study_uid,
        series_uid,
        record.result.sop_class_uid,
        record.result.sop_instance_uid,
    )


def _patient(sources: Sequence[SourceInstance], rejected: Dataset) -> Dataset:
    """The header that says whose study it is now."""
    if not sources:
        return rejected
    by_uid = {s.sop_instance_uid: s for s in sources}
    first = min(sources, key=lambda source: source.sop_instance_uid)
    return _header(by_uid.get(first.as_patient_of, first).path)


def _header(path: Path) -> Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True)
