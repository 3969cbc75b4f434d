"""A node's receiver in this process, and small prepared studies."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mome_node.bench.ingest.instances import PreparedStudy
from mome_node.catalog.catalog import Catalog
from mome_node.ingest.peers import Admission
from mome_node.ingest.receipt import ReceiptLimits, Reception
from mome_node.ingest.scp import ScpSettings, StorageScp
from mome_node.storage.local import LocalStore

StartScp = Callable[..., StorageScp]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Where the receiver keeps what it has."""
    return tmp_path / "data"


@pytest.fixture
def start_scp(data_dir: Path) -> Iterator[StartScp]:
    with ExitStack() as stack:

        def start(
            tls: ssl.SSLContext | None = None,
            max_dataset_bytes: int = 1 << 30,
            max_pdu_bytes: int = 131_072,
        ) -> StorageScp:
            catalog = stack.enter_context(Catalog.open(f"sqlite:///{data_dir}/catalog.db"))
            reception = Reception(
                LocalStore(data_dir, min_free_bytes=0),
                catalog,
                lambda: datetime(2026, 1, 1, tzinfo=UTC),
                ReceiptLimits(max_dataset_bytes=max_dataset_bytes),
            )
            settings = ScpSettings(
                host="127.0.0.1",
                port=0,
                max_pdu_bytes=max_pdu_bytes,
                plain=tls is None,
                tls_port=0,
            )
            return stack.enter_context(StorageScp(settings, reception, Admission(), tls))

        yield start


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., PreparedStudy]:
    def make(instances: int = 3, dataset_bytes: int = 4_000, parts: int = 1) -> PreparedStudy:
        return PreparedStudy(tmp_path / "sent", instances, dataset_bytes, parts)

    return make
