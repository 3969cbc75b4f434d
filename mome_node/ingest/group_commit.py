"""Names and rows of instances that come at the same time, made durable together.

Every instance costs a sync of its bytes, which several threads have done at the same time. A sync
of the directory and one of the catalogue's transaction would follow one after another: here
whoever comes while another writes waits, and then one writer does it for all that wait. Nobody is
answered before the transaction that holds its row is committed.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Arrival, Receipt
from mome_node.errors import CatalogError, StorageError
from mome_node.storage.soundness import Soundness, examine
from mome_node.storage.store import IncomingInstance, InstanceStore

log = structlog.get_logger(__name__)

_SYNCED_SOON_BYTES: Final = 4 << 20


@dataclass(slots=True)
class _Waiting:
    """One instance that waits to be written, and how that ended."""

    incoming: IncomingInstance
    arrival: Arrival
    receipt: Receipt | None = None
    error: StorageError | CatalogError | None = None

    @property
    def is_settled(self) -> bool:
        return self.receipt is not None or self.error is not None


class GroupCommit:
    """Publishes files, then commits their rows: a row never names a file that is not there.

    Safe for several threads. Who finds nobody writing writes at once, rows first, while the disk
    syncs the bytes. Who finds somebody waits for the bytes meanwhile, and is written with the one
    that is being written, or with all that wait after it: nobody waits for another one's bytes.
    """

    def __init__(self, store: InstanceStore, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog
        self._turn = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._list = threading.Lock()

    def commit(self, incoming: IncomingInstance, arrival: Arrival) -> Receipt:
        """Make a finished instance visible; durable when this returns.

        StorageError or CatalogError if that failed, whatever became of those beside it.
        """
        mine = _Waiting(incoming, arrival)
        # A large one's bytes take seconds, in which nobody else could write.
        if incoming.size <= _SYNCED_SOON_BYTES and self._turn.acquire(blocking=False):
            try:
                self._write_with_all_waiting(mine)
            finally:
                self._turn.release()
        else:
            self._store.publish([incoming])
            with self._list:
                self._waiting.append(mine)
            with self._turn:
                if not mine.is_settled:
                    self._write_with_all_waiting()
        if mine.error is not None:
            raise mine.error
        assert mine.receipt is not None  # settled, and not by an error
        return mine.receipt

    def _write_with_all_waiting(self, *also: _Waiting) -> None:
        group = [*self._all_waiting(), *also]
        late: list[_Waiting] = []
        try:
            self._write(group, late)
        except (StorageError, CatalogError):
            # One that fails must not take the others along.
            for one in (*group, *late):
                self._write_alone(one)
        finally:
            for one in group:
                if not one.is_settled:
                    one.error = CatalogError("the writer failed before it came to this instance")
            with self._list:
                self._waiting += [one for one in late if not one.is_settled]

    def _all_waiting(self) -> list[_Waiting]:
        with self._list:
            waiting, self._waiting = self._waiting, []
            return waiting

    def _write_alone(self, one: _Waiting) -> None:
        try:
            self._write([one])
        except (StorageError, CatalogError) as error:
            one.error = error
            self._withdraw_unless_recorded(one)

    def _withdraw_unless_recorded(self, one: _Waiting) -> None:
        """Leave no file behind with every try while the catalogue takes no rows.

        A commit that fails may have happened: only the catalogue knows whether a row names it.
        """
        with suppress(CatalogError):
            if self._catalog.unused_keys([one.arrival.key]):
                one.incoming.withdraw()

    def _write(self, group: Sequence[_Waiting], late: list[_Waiting] | None = None) -> None:
        """Write a group, and whom ``late`` takes: those that come to wait meanwhile."""

        def publish() -> Sequence[Arrival]:
            # Rows are written while the disk syncs the files, and committed once it has.
            self._store.publish([one.incoming for one in group])
            if late is not None:
                late.extend(self._all_waiting())
            return [one.arrival for one in late or ()]

        arrivals = [one.arrival for one in group]
        receipts = self._catalog.record_instances(arrivals, before_commit=publish)
        for one, receipt in zip((*group, *(late or ())), receipts, strict=True):
            one.receipt = self._kept_once(one) if receipt is Receipt.DUPLICATE else receipt

    def _kept_once(self, one: _Waiting) -> Receipt:
        """Keep one file of two that hold the same: the one that was here, unless it is damaged."""
        arrival = one.arrival
        key = self._catalog.key_of(arrival)
        if key == arrival.key:
            return Receipt.NEW  # its row is its own, of a commit that failed only afterwards
        digest = (arrival.transfer_syntax_uid, arrival.sha256)
        found = examine(self._store.open, key, size=arrival.size, sha256_in=digest)
        if found is Soundness.SOUND:
            one.incoming.withdraw()
        else:
            log.warning(
                "a damaged file is replaced by the instance that came again",
                sop_instance_uid=arrival.sop_instance_uid,
                found=found.name.lower(),
            )
            self._store.replace(key, one.incoming)
        return Receipt.DUPLICATE
