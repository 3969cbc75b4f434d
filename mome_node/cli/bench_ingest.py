"""`bench ingest`: receiving, against Orthanc and `storescp`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from mome_node.cli.arguments import add_command, add_json
from mome_node.cli.output import complain, progress, say, say_json, say_table

if TYPE_CHECKING:
    from mome_node.bench.ingest.figures import IngestFigures, Percentiles, Row
    from mome_node.bench.ingest.race import Load
    from mome_node.cli.arguments import Commands

COLUMNS = (
    *("transport", "sender", "associations", "receiver", "MB/s", "least", "most"),
    *("wait p50 ms", "wait p99 ms", "node is times as fast", "least", "most"),
)


def add_verb(verbs: Commands) -> None:
    """Add `ingest` to the benchmarks."""
    parser = add_command(
        verbs,
        "ingest",
        "receive what Orthanc and storescp receive, too: a quarter of an hour, 5 GB of disk",
        "bench ingest --json --png ingest.png",
        bench_ingest,
    )
    parser.add_argument("--rounds", type=int, choices=range(1, 100), default=5, metavar="N")
    parser.add_argument(
        "--small", action="store_true", help="5,000 instances of 40 kB, not 600 of 427 kB"
    )
    apart = parser.add_mutually_exclusive_group()
    apart.add_argument(
        "--catalogue", action="store_true", help="only the node: empty and with a million instances"
    )
    apart.add_argument(
        "--huge", action="store_true", help="only the node: its memory with an object of 2 GB"
    )
    parser.add_argument("--instances", type=_count, metavar="N", help="how many a sending has")
    parser.add_argument("--kilobytes", type=_count, metavar="N", help="size of each, in 1000 bytes")
    parser.add_argument("--associations", type=_count, nargs="+", default=[1, 4], metavar="N")
    for option, values in (
        ("transports", ("plain", "tls")),
        ("senders", ("tuned", "storescu")),
        ("receivers", ("node", "orthanc", "storescp")),
    ):
        parser.add_argument(f"--{option}", nargs="+", choices=values, default=values)
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk to measure (.)")
    parser.add_argument("--png", type=Path, metavar="FILE", help="write the bars to a picture")
    add_json(parser)


def bench_ingest(options: argparse.Namespace) -> int:
    """Measure; 0 only if every receiver held in the end what it had acknowledged."""
    if options.catalogue:
        return _bench_catalogue(options)
    if options.huge:
        return _bench_huge(options)
    return _bench_receivers(options)


def _bench_receivers(options: argparse.Namespace) -> int:
    from mome_node.bench.ingest import compare

    comparison = compare.Comparison(
        load=_load(options),
        rounds=options.rounds,
        associations=tuple(dict.fromkeys(options.associations)),
        tls=tuple(name == "tls" for name in dict.fromkeys(options.transports)),
        senders=tuple(dict.fromkeys(options.senders)),
        receivers=tuple(dict.fromkeys(options.receivers)),
    )
    with _steps() as say_step:
        figures = compare.bench_ingest(comparison, options.folder, say_step)
    if options.png is not None:
        from mome_node.bench.ingest.chart import ingest_chart

        ingest_chart(figures).save(options.png)
    if options.json:
        say_json(figures.to_json())
    else:
        _tell(figures)
    return _verdict(figures.lost)


def _bench_catalogue(options: argparse.Namespace) -> int:
    from mome_node.bench.ingest import large_catalogue

    with _steps() as say_step:
        figures = large_catalogue.bench_large_catalogue(
            _load(options), options.rounds, options.folder, say_step
        )
    if options.json:
        say_json(figures.to_json())
    else:
        rows = (
            ("empty", figures.empty_s, figures.empty_wait_ms),
            (f"{figures.catalogue_instances:,} instances", figures.full_s, figures.full_wait_ms),
        )
        say_table(
            ("catalogue", "s", "least", "most", "wait p50 ms", "wait p99 ms"),
            (
                (name, *(f"{s:.2f}" for s in (median(found), min(found), max(found))), *_ms(waits))
                for name, found, waits in rows
            ),
        )
        low, high = figures.growth_spread
        say(f"times as long with a full one: {figures.growth:.2f} ({low:.2f} to {high:.2f})")
    return _verdict({"node": figures.lost})


def _bench_huge(options: argparse.Namespace) -> int:
    from mome_node.bench.ingest import large_object

    with _steps() as say_step:
        figures = large_object.bench_large_object(_load(options), options.folder, say_step)
    if options.json:
        say_json(figures.to_json())
    else:
        rate = figures.object_bytes / 1e6 / figures.large_object_s
        size = f"{figures.object_bytes / 1e9:g} GB"
        say_table(
            ("receiving process", "MB at most"),
            (
                ("started", f"{figures.started_mb:.0f}"),
                (f"{figures.load.instances:,} instances later", f"{figures.small_objects_mb:.0f}"),
                (f"an object of {size} later", f"{figures.large_object_mb:.0f}"),
            ),
        )
        say(f"the large object: {rate:.0f} MB/s, {figures.large_object_wait_s:.2f} s to its answer")
    return _verdict({"node": figures.lost})


@contextmanager
def _steps() -> Iterator[Callable[[str], None]]:
    with progress("measuring") as bar:
        task = bar.task_ids[0]
        yield lambda step: bar.update(task, description=step)


def _verdict(lost: dict[str, int]) -> int:
    for receiver, count in lost.items():
        if count:
            complain("bench ingest", f"{receiver} lost {count} instances that it acknowledged")
    return 1 if any(lost.values()) else 0


def _tell(figures: IngestFigures) -> None:
    say_table(COLUMNS, (_cells(row) for row in figures.rows))
    for receiver, megabytes in figures.peak_memory_mb.items():
        say(f"{receiver}: at most {megabytes:.0f} MB of memory")
    for reason in figures.left_out:
        say(f"left out: {reason}")
    if figures.all_present:
        say("node: all that was acknowledged is present after SIGKILL, byte for byte")


def _cells(row: Row) -> tuple[str, ...]:
    cell, against = row.cell, row.node_against
    ratios = (against.ratio, *against.spread) if against else ()
    return (
        *("TLS" if cell.tls else "plain", cell.sender, str(cell.associations), row.receiver),
        *(f"{rate:.1f}" for rate in (row.mb_per_s, *row.mb_per_s_spread)),
        *_ms(row.wait_ms),
        *((f"{number:.2f}" for number in ratios) if ratios else ("", "", "")),
    )


def _ms(found: Percentiles | None) -> tuple[str, str]:
    return (f"{found.p50:.1f}", f"{found.p99:.1f}") if found else ("", "")


def _load(options: argparse.Namespace) -> Load:
    from mome_node.bench.ingest.compare import LARGE, SMALL
    from mome_node.bench.ingest.race import Load

    usual = SMALL if options.small else LARGE
    size = options.kilobytes * 1000 if options.kilobytes else usual.dataset_bytes
    return Load(options.instances or usual.instances, size)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
