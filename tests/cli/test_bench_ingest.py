"""`mome-node bench ingest` tells what was measured, and fails if something acknowledged is gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mome_node.bench.ingest import compare, large_catalogue, large_object
from mome_node.bench.ingest.figures import IngestFigures, rows_of
from mome_node.bench.ingest.race import Cell, Load, Race, Turn
from mome_node.bench.ingest.senders import Sent


@pytest.fixture
def ingest(run):
    """The command with options in one line."""
    return lambda options: run("bench", "ingest", *options.split())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[compare.Comparison]:
    """What the command asked to be compared; the answer is made up, with one loss if it is TLS."""
    seen: list[compare.Comparison] = []

    def measured(comparison: compare.Comparison, *_: object) -> IngestFigures:
        seen.append(comparison)
        race = Race()
        for receiver, seconds in (("node", 1.0), ("orthanc", 3.0)):
            race.turns.append(Turn(1, receiver, Cell("tuned", 1, False), 50.0, Sent(seconds)))
        race.note_end("node", 99.0, int(True in comparison.tls))
        return IngestFigures(
            machine={},
            load=comparison.load,
            rounds=comparison.rounds,
            receivers={"node": "mome-node", "orthanc": "Orthanc"},
            senders={"tuned": "tuned sender"},
            left_out=("storescp: DCMTK is not installed",),
            rows=rows_of(race),
            peak_memory_mb=race.peak_memory_mb,
            lost=race.lost,
        )

    monkeypatch.setattr(compare, "bench_ingest", measured)
    return seen


def test_without_options_it_compares_what_the_documentation_says(ingest, asked) -> None:
    ingest("")
    (comparison,) = asked
    assert comparison == compare.Comparison()
    assert comparison.load == Load(600, 427_000)


def test_options_choose_what_is_sent_and_how(ingest, asked) -> None:
    ingest("--small --rounds 2 --associations 2 --transports plain")
    ingest("--instances 10 --kilobytes 3 --senders tuned --receivers node")
    small, few = asked
    assert (small.load, small.rounds) == (Load(5_000, 40_000), 2)
    assert (small.associations, small.tls) == ((2,), (False,))
    assert few.load == Load(10, 3_000)
    assert (few.senders, few.receivers) == (("tuned",), ("node",))


def test_the_table_has_the_ratio_and_says_what_was_left_out(ingest, asked) -> None:
    done = ingest("--transports plain")
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[1].split("\t")[:5] == ["plain", "tuned", "1", "node", "50.0"]
    assert lines[2].split("\t")[-3:] == ["3.00", "3.00", "3.00"]
    assert "left out: storescp: DCMTK is not installed" in lines
    assert any("present after SIGKILL" in line for line in lines)


def test_a_lost_instance_is_told_and_the_command_fails(ingest, asked) -> None:
    done = ingest("--json --transports tls")
    assert done.status == 1
    assert json.loads(done.out)["all_present"] is False
    assert "node lost 1 instances" in done.err


def test_a_picture_is_written_where_it_was_asked_for(ingest, asked, tmp_path: Path) -> None:
    ingest(f"--png {tmp_path}/bars.png")
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")


def test_the_growth_with_a_full_catalogue_is_told(ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = large_catalogue.CatalogueFigures(
        machine={},
        load=Load(600, 427_000),
        rounds=1,
        associations=4,
        catalogue_instances=1_000_000,
        empty_s=(2.0,),
        full_s=(2.5,),
        growth=1.25,
        growth_spread=(1.25, 1.25),
        empty_wait_ms=None,
        full_wait_ms=None,
        lost=0,
    )
    monkeypatch.setattr(large_catalogue, "bench_large_catalogue", lambda *_: figures)
    done = ingest("--catalogue")
    assert done.status == 0
    assert "1,000,000 instances\t2.50" in done.out
    assert "1.25 (1.25 to 1.25)" in done.out


def test_the_memory_for_a_huge_object_is_told(ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = large_object.MemoryFigures(
        machine={},
        load=Load(600, 427_000),
        object_bytes=2_000_000_000,
        started_mb=90.0,
        small_objects_mb=95.0,
        large_object_mb=96.0,
        large_object_s=20.0,
        large_object_wait_s=0.5,
        lost=1,
    )
    monkeypatch.setattr(large_object, "bench_large_object", lambda *_: figures)
    done = ingest("--huge")
    assert done.status == 1  # it was lost
    assert "an object of 2 GB later\t96" in done.out
    assert "100 MB/s, 0.50 s to its answer" in done.out


@pytest.mark.parametrize("wrong", ["--instances 0", "--rounds 0", "--catalogue --huge"])
def test_wrong_usage_is_refused(ingest, wrong: str) -> None:
    assert ingest(wrong).status == 2
