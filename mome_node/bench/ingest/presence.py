"""What a data directory holds after its node was killed: rows, and whole files under them."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from typing import Final

from mome_node.bench.ingest.instances import FILE_HEAD_BYTES, PreparedInstance, dataset_offset
from mome_node.catalog.catalog import Catalog
from mome_node.errors import StorageError
from mome_node.storage.local import LocalStore

_CHUNK: Final = 1 << 20


def count_whole(data_dir: Path, sent: Collection[PreparedInstance]) -> int:
    """Count the instances that the catalogue names and whose file holds the bytes that were sent.

    The catalogue and the store are opened as the next start would open them.
    """
    digests = {instance.outbound.sop_instance_uid: instance.sha256 for instance in sent}
    store, whole = LocalStore(data_dir), set[str]()
    with Catalog.open(f"sqlite:///{data_dir}/catalog.db") as catalog:
        for study_uid in {instance.study_uid for instance in sent}:
            for record in catalog.instances_of(study_uid):
                digest = digests.get(record.sop_instance_uid)
                if digest is not None and _dataset_digest(store, record.key) == digest:
                    whole.add(record.sop_instance_uid)
    return len(whole)


def _dataset_digest(store: LocalStore, key: str) -> str:
    """SHA-256 over the data set of a stored file; empty if there is no such file."""
    try:
        with store.open(key) as file:
            file.seek(dataset_offset(file.read(FILE_HEAD_BYTES)))
            digest = sha256()
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
            return digest.hexdigest()
    except (StorageError, OSError):
        return ""
