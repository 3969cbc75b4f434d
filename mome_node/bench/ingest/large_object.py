"""The memory of the process that receives: idle, with many small objects, with one of 2 GB."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from mome_node.bench.ingest.disk import check_disk, machine, settle_disk
from mome_node.bench.ingest.instances import PreparedStudy, write_huge_instance
from mome_node.bench.ingest.node import open_node
from mome_node.bench.ingest.race import Load, Progress, fresh_folder
from mome_node.bench.ingest.senders import tuned_sender

BYTES: Final = 2_000_000_000
ASSOCIATIONS: Final = 4


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """VmHWM of the receiving process in MB, after each step; and how the large object went."""

    machine: dict[str, object]
    load: Load
    object_bytes: int
    started_mb: float
    small_objects_mb: float
    large_object_mb: float
    large_object_s: float
    large_object_wait_s: float
    lost: int

    def to_json(self) -> dict[str, Any]:
        """The figures by their names."""
        return asdict(self)


def bench_large_object(
    load: Load, folder: Path, progress: Progress = lambda _: None, object_bytes: int = BYTES
) -> MemoryFigures:
    """Send the load over four associations, then an Enhanced MR object of ``object_bytes``.

    BenchmarkError as ``bench_ingest``.
    """
    check_disk(folder, 2 * load.total_bytes + 2 * object_bytes)
    with tempfile.TemporaryDirectory(prefix="mome-bench-", dir=folder) as place:
        root = Path(place).resolve()
        progress("writing what will be sent")
        study = PreparedStudy(root / "sent", load.instances, load.dataset_bytes, ASSOCIATIONS)
        huge = write_huge_instance(root / "huge", object_bytes)
        with fresh_folder(root) as work, open_node(work) as node:
            started = node.peak_memory_mb()
            parts = study.renew()
            settle_disk()
            progress("sending small objects")
            tuned_sender().send(node.address, None, parts, work)
            small = node.peak_memory_mb()
            progress("sending a large object")
            sent = tuned_sender().send(node.address, None, [[huge]], work)
            large = node.peak_memory_mb()
            lost = node.lost([huge, *(instance for part in parts for instance in part)])
        return MemoryFigures(
            machine=machine(root),
            load=load,
            object_bytes=object_bytes,
            started_mb=started,
            small_objects_mb=small,
            large_object_mb=large,
            large_object_s=sent.seconds,
            large_object_wait_s=sent.acknowledged[0].wait_s,
            lost=lost,
        )
