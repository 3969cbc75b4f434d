"""A catalogue in a temporary directory, and arrivals for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Arrival

MR = "1.2.840.10008.5.1.4.1.1.4"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/catalog.db"


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    with Catalog.open(url) as opened:
        yield opened


@pytest.fixture
def at() -> Callable[[float], datetime]:
    """Seconds after the start of the test's time."""
    return lambda seconds: datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=seconds)


@pytest.fixture
def arrival(at: Callable[[float], datetime]) -> Callable[..., Arrival]:
    def make(
        sop_instance_uid: str = "1.2.3",
        content: str = "a",
        seconds: float = 0,
        study_uid: str = "1.2",
        sop_class_uid: str = MR,
    ) -> Arrival:
        return Arrival(
            study_uid=study_uid,
            series_uid="1.2.0",
            sop_instance_uid=sop_instance_uid,
            sop_class_uid=sop_class_uid,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            key=f"key-{sop_instance_uid}-{content}",
            sha256=content,
            size=100,
            calling_ae="PACS",
            received_at=at(seconds),
            patient_id="P-1",
            issuer_of_patient_id="HOSPITAL",
        )

    return make
