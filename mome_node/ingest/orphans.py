"""Files that nothing names: what a crash between storing and indexing leaves behind."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Final

import structlog

from mome_node.catalog.catalog import Catalog
from mome_node.storage.store import InstanceStore

_AT_ONCE: Final = 500
log = structlog.get_logger(__name__)


def remove_unindexed(
    store: InstanceStore, catalog: Catalog, now: datetime, min_age: timedelta
) -> int:
    """Delete files of the store that no row names; how many.

    Only files older than ``min_age`` go, so that one whose row is just being written stays. To be
    called before receivers start.
    """
    removed = 0
    old = (key for key, written_at in store.list_keys() if now - written_at >= min_age)
    while keys := tuple(itertools.islice(old, _AT_ONCE)):
        for key in catalog.unused_keys(keys):
            removed += store.delete_abandoned(key)
    if removed:
        log.info("removed files that were never acknowledged", files=removed)
    return removed
