"""What senders were told, compared with what is there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError

from conformance.node import dataset_digest
from conformance.receiver_process import CATALOG
from conformance.sent_images import Ledger
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import InstanceRecord
from mome_node.storage.local import LocalStore


@dataclass(frozen=True)
class Audit:
    """What is wrong, by kind, each as a sentence; and how much there is.

    ``lost``: acknowledged, but not indexed with these bytes. ``torn``: a row whose file is not
    there or holds what nobody sent. ``doubled``: several rows of one instance and content, or
    none or several that count. ``left_over``: files that no row names.
    """

    lost: tuple[str, ...]
    torn: tuple[str, ...]
    doubled: tuple[str, ...]
    left_over: tuple[str, ...]
    held: frozenset[tuple[str, str]]  # SOP Instance UID and SHA-256 of the data set
    rows: int
    bytes: int

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.torn or self.doubled or self.left_over)


class Auditor:
    """Compares a data directory with a ledger; a file is read once, unless ``afresh``."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._digests: dict[str, str] = {}

    def look(self, data_dir: Path, catalog: Catalog, store: LocalStore) -> Audit:
        """Compare; nothing may be on its way."""
        entries = tuple(self._ledger.entries)
        sent = defaultdict(set)
        for told in entries:
            sent[told.sop_instance_uid].add(told.digest)
        rows = list(_rows(catalog))
        held: Counter[tuple[str, str]] = Counter()
        torn = []
        for row in rows:
            digest = self._digest(row, store)
            held[row.sop_instance_uid, digest] += 1
            if digest not in sent[row.sop_instance_uid]:
                torn.append(f"{row.sop_instance_uid}: {digest or 'no whole file'}")
        return Audit(
            lost=tuple(
                f"{told.sop_instance_uid} with {told.digest}"
                for told in entries
                if told.is_acknowledged and not held[told.sop_instance_uid, told.digest]
            ),
            torn=tuple(torn),
            doubled=(*(f"{uid}: {n} rows" for (uid, _), n in held.items() if n > 1), *_odd(rows)),
            left_over=tuple(_left_over(data_dir, {store.path(row.key) for row in rows})),
            held=frozenset(held),
            rows=len(rows),
            bytes=sum(row.size for row in rows),
        )

    def afresh(self) -> None:
        """Read every file again at the next look."""
        self._digests.clear()

    def _digest(self, row: InstanceRecord, store: LocalStore) -> str:
        if row.key not in self._digests:
            try:
                self._digests[row.key] = dataset_digest(store.path(row.key))
            except (OSError, EOFError, InvalidDicomError, AttributeError):
                return ""
        return self._digests[row.key]


def _rows(catalog: Catalog) -> Iterator[InstanceRecord]:
    for study in catalog.studies():
        yield from catalog.instances_of(study.study_uid, current_only=False)


def _odd(rows: list[InstanceRecord]) -> Iterator[str]:
    """Instances of which not exactly one copy counts."""
    current = Counter(row.sop_instance_uid for row in rows if row.superseded_at is None)
    for uid in {row.sop_instance_uid for row in rows}:
        if current[uid] != 1:
            yield f"{uid}: {current[uid]} copies count"


def _left_over(data_dir: Path, named: set[Path]) -> Iterator[str]:
    for path in data_dir.rglob("*"):
        if path.is_file() and path not in named and not path.name.startswith(CATALOG):
            yield str(path.relative_to(data_dir))
