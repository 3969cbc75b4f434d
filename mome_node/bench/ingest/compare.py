"""The comparison: who is there, what is sent, and the figures of the race."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mome_node.bench.ingest.disk import check_disk, machine
from mome_node.bench.ingest.figures import IngestFigures, rows_of
from mome_node.bench.ingest.node import node_receiver
from mome_node.bench.ingest.orthanc import orthanc_receiver
from mome_node.bench.ingest.race import Load, Progress, Racecourse
from mome_node.bench.ingest.receivers import Receiver
from mome_node.bench.ingest.senders import Sender, stock_sender, tuned_sender
from mome_node.bench.ingest.storescp import storescp_receiver
from mome_node.errors import BenchmarkError

LARGE: Final = Load(600, 427_000)
SMALL: Final = Load(5_000, 40_000)
ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is to be compared; every value is told in docs/performance.md."""

    load: Load = LARGE
    rounds: int = ROUNDS
    associations: tuple[int, ...] = (1, 4)
    tls: tuple[bool, ...] = (False, True)
    senders: tuple[str, ...] = ("tuned", "storescu")
    receivers: tuple[str, ...] = ("node", "orthanc", "storescp")


def bench_ingest(
    comparison: Comparison, folder: Path, progress: Progress = lambda _: None
) -> IngestFigures:
    """Measure; all files lie below ``folder``, and are gone afterwards. See Comparison.

    BenchmarkError if the disk is not one to measure on, or a peer fails.
    """
    load = comparison.load
    if load.instances < max(comparison.associations):
        raise BenchmarkError("there have to be as many instances as associations")
    ways = len(comparison.senders) * len(comparison.associations)
    check_disk(folder, load.total_bytes * (len(comparison.associations) + ways))
    with tempfile.TemporaryDirectory(prefix="mome-bench-", dir=folder) as place:
        root = Path(place).resolve()
        receivers, senders, left_out = _participants(comparison, root)
        course = Racecourse(receivers, senders, comparison.associations, comparison.tls, root)
        race = course.run(load, comparison.rounds, progress)
        return IngestFigures(
            machine=machine(root),
            load=load,
            rounds=comparison.rounds,
            receivers={r.key: r.name for r in receivers},
            senders={s.key: s.name for s in senders},
            left_out=left_out,
            rows=rows_of(race),
            peak_memory_mb=race.peak_memory_mb,
            lost=race.lost,
        )


def _participants(
    comparison: Comparison, root: Path
) -> tuple[Sequence[Receiver], Sequence[Sender], tuple[str, ...]]:
    """Who takes part, and why others that were asked for do not."""
    receivers: dict[str, Receiver | None] = {
        "node": node_receiver(),
        "orthanc": orthanc_receiver(),
        "storescp": storescp_receiver(root / "build"),
    }
    senders: dict[str, Sender | None] = {"tuned": tuned_sender(), "storescu": stock_sender()}
    reasons = {
        "orthanc": "Orthanc is not installed (apt install orthanc)",
        "storescp": "DCMTK or a C compiler is not installed (apt install dcmtk gcc)",
        "storescu": "DCMTK is not installed (apt install dcmtk)",
    }
    asked = (*comparison.receivers, *comparison.senders)
    found = {**receivers, **senders}
    left_out = tuple(f"{key}: {reasons[key]}" for key in asked if found[key] is None)
    return (
        [r for key in comparison.receivers if (r := receivers[key]) is not None],
        [s for key in comparison.senders if (s := senders[key]) is not None],
        left_out,
    )
