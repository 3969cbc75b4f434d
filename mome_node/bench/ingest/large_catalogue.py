"""Receiving into an empty catalogue and into one with a million instances, in turns."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mome_node.bench.ingest.disk import check_disk, machine, settle_disk
from mome_node.bench.ingest.figures import Percentiles
from mome_node.bench.ingest.instances import TRANSFER_SYNTAX, PreparedStudy
from mome_node.bench.ingest.node import open_node
from mome_node.bench.ingest.race import Load, Progress, fresh_folder
from mome_node.bench.ingest.senders import Sent, tuned_sender
from mome_node.bench.timing import Seconds, ratio
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Arrival
from mome_node.catalog.states import StudyState
from mome_node.dicom.uids import derived_uid

INSTANCES: Final = 1_000_000
ASSOCIATIONS: Final = 4
_STUDY_INSTANCES: Final = 500
_BYTES_A_ROW: Final = 2_000
_CACHE_KB: Final = 512 << 10
_WHEN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_MR_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.4"


@dataclass(frozen=True, slots=True)
class CatalogueFigures:
    """How receiving slows down as the catalogue grows: ``growth`` is full by empty, in seconds."""

    machine: dict[str, object]
    load: Load
    rounds: int
    associations: int
    catalogue_instances: int
    empty_s: tuple[float, ...]
    full_s: tuple[float, ...]
    growth: float
    growth_spread: tuple[float, float]
    empty_wait_ms: Percentiles | None
    full_wait_ms: Percentiles | None
    lost: int

    def to_json(self) -> dict[str, Any]:
        """The figures by their names."""
        return asdict(self)


def bench_large_catalogue(
    load: Load,
    rounds: int,
    folder: Path,
    progress: Progress = lambda _: None,
    catalogue_instances: int = INSTANCES,
) -> CatalogueFigures:
    """Measure, with the tuned sender and without TLS. BenchmarkError as ``bench_ingest``."""
    check_disk(folder, load.total_bytes * (rounds + 3) + catalogue_instances * _BYTES_A_ROW)
    with tempfile.TemporaryDirectory(prefix="mome-bench-", dir=folder) as place:
        root = Path(place).resolve()
        progress(f"filling a catalogue with {catalogue_instances:,} instances")
        full = root / "full"
        fill_catalogue(full, catalogue_instances)
        study = PreparedStudy(root / "sent", load.instances, load.dataset_bytes, ASSOCIATIONS)
        empty_turns: list[Sent] = []
        full_turns: list[Sent] = []
        lost = 0
        for number in range(rounds + 1):  # the first does not count
            for turns, data_dir in ((empty_turns, None), (full_turns, full)):
                progress(f"round {number}: {'full' if data_dir else 'empty'}")
                sent, missing = _turn(root, study, data_dir)
                lost += missing
                turns += [sent] if number else []
        return _figures(machine(root), load, catalogue_instances, empty_turns, full_turns, lost)


def _figures(
    facts: dict[str, object],
    load: Load,
    catalogue_instances: int,
    empty: Sequence[Sent],
    full: Sequence[Sent],
    lost: int,
) -> CatalogueFigures:
    empty_s, full_s = (Seconds(tuple(s.seconds for s in turns)) for turns in (empty, full))
    waits = (
        Percentiles.of(a.wait_s for sent in turns for a in sent.acknowledged)
        for turns in (empty, full)
    )
    empty_wait, full_wait = waits
    return CatalogueFigures(
        machine=facts,
        load=load,
        rounds=len(empty),
        associations=ASSOCIATIONS,
        catalogue_instances=catalogue_instances,
        empty_s=empty_s.turns,
        full_s=full_s.turns,
        growth=full_s.median / empty_s.median,
        growth_spread=ratio(full_s, empty_s).spread,
        empty_wait_ms=empty_wait,
        full_wait_ms=full_wait,
        lost=lost,
    )


def _turn(root: Path, study: PreparedStudy, data_dir: Path | None) -> tuple[Sent, int]:
    """Send a study to a node with this data directory, or an empty one; what it lost."""
    with fresh_folder(root) as work, open_node(work, data_dir=data_dir) as node:
        parts = study.renew()
        settle_disk()
        sent = tuned_sender().send(node.address, None, parts, work)
        return sent, node.lost([instance for part in parts for instance in part])


def fill_catalogue(data_dir: Path, instances: int) -> None:
    """Make a catalogue of ``instances`` rows, in delivered studies of 500, without their files.

    One study is recorded as if it had come; the others are copies of its rows with new UIDs and
    digests, in no order, as those of real studies are.
    """
    data_dir.mkdir(parents=True)
    with Catalog.open(f"sqlite:///{data_dir}/catalog.db") as catalog:
        catalog.record_instances(_arrivals(min(_STUDY_INSTANCES, instances)))
    with closing(sqlite3.connect(data_dir / "catalog.db", isolation_level=None)) as database:
        database.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        database.execute("BEGIN")
        # Nothing is late: the node would reopen them all.
        database.execute(
            "UPDATE studies SET state = ?, assembled_inputs = input_count, "
            "assembled_at = last_received_at",
            (StudyState.DELIVERED.value,),
        )
        study_copy = _copying(database, "studies", {"study_uid": "?"})
        row_copy = _copying(
            database,
            "instances",
            {
                "study_uid": "?",
                "series_uid": "?",
                "sop_instance_uid": "'2.25.1' || abs(random()) || '1' || abs(random() % 1000000)",
                "key": "lower(hex(randomblob(32)))",
                "sha256": "lower(hex(randomblob(32)))",
            },
        )
        original = derived_uid("bench", "0")
        for number in range(1, -(-instances // _STUDY_INSTANCES)):
            study = derived_uid("bench", str(number))
            database.execute(study_copy, (study, original))
            database.execute(row_copy, (study, f"{study}.1", original))
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copying(database: sqlite3.Connection, table: str, new: dict[str, str]) -> str:
    """SQL that copies the rows of one study, with these expressions in place of their values."""
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    columns = [name for name in columns if name != "id"]
    values = ", ".join(new.get(name, name) for name in columns)
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} WHERE study_uid = ?"  # noqa: S608 # names are of our own tables


def _arrivals(count: int) -> list[Arrival]:
    study = derived_uid("bench", "0")
    return [
        Arrival(
            study_uid=study,
            series_uid=f"{study}.1",
            sop_instance_uid=f"{study}.1.{number + 1}",
            sop_class_uid=_MR_IMAGE,
            transfer_syntax_uid=TRANSFER_SYNTAX,
            key=f"{number:064x}",
            sha256=f"{number:064x}",
            size=427_000,
            calling_ae="BENCH",
            received_at=_WHEN,
            patient_id="PHANTOM-BENCH",
        )
        for number in range(count)
    ]
