"""Rejection notes are read and applied here, after they were acknowledged.

Whatever a note holds, it stops nobody: one that cannot be read, or is not allowed to do what it
asks, changes nothing, and the study's history says why.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import NoteRecord
from mome_node.dicom.rejection_note import read_rejection_note
from mome_node.errors import CatalogError, HeaderError, StorageError
from mome_node.storage.local import LocalStore

log = structlog.get_logger(__name__)


def apply_notes(
    catalog: Catalog,
    store: LocalStore,
    clock: Callable[[], datetime],
    study_uid: str | None = None,
) -> None:
    """Read each Key Object Selection Document that came, once; apply those that reject.

    CatalogError if the catalogue fails: the notes are then read again later.
    """
    for note in catalog.pending_notes(study_uid):
        try:
            _apply(catalog, store, note, clock())
        except (CatalogError, StorageError):
            raise
        except Exception as error:  # noqa: BLE001  # no document may hold up the others
            what = f"cannot be read, and is not applied: unexpected {type(error).__name__}"
            _refuse(catalog, note, what, clock())


def _apply(catalog: Catalog, store: LocalStore, note: NoteRecord, at: datetime) -> None:
    if catalog.is_ours(note.sop_instance_uid):
        catalog.settle_note(note.note_id, "", at)
        return
    try:
        said = read_rejection_note(store.path(note.key))
    except HeaderError as error:
        _refuse(catalog, note, f"cannot be read, and is not applied: {error}", at)
        return
    if said is None:  # key images, and what else such documents are for
        catalog.settle_note(note.note_id, "", at)
    elif not note.authorised:
        why = "not applied: its sender may not reject (dicom.allowed_peers, may_reject)"
        _refuse(catalog, note, f"{said.title.meaning}; {why}", at)
    elif said.study_uid != note.study_uid:
        _refuse(catalog, note, "not applied: it names another study than it came for", at)
    else:
        catalog.apply_note(note.note_id, said, at)
        log.info("rejection note applied", study=note.study_uid, title=said.title.meaning)


def _refuse(catalog: Catalog, note: NoteRecord, why: str, at: datetime) -> None:
    log.warning("rejection note not applied", study=note.study_uid, why=why)
    catalog.settle_note(note.note_id, why, at)
