"""`mome-node bench ingest` tells what was measured, and fails if something acknowledged is gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mome_node.bench.ingest import compare, large_catalogue, large_object
from mome_node.bench.ingest.figures import IngestFigures, rows_of
from mome_node.bench.ingest.race import Cell, Load, Race, Turn
from mome_node.bench.ingest.senders import Sent
from mome_node.cli.main import main


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


def run(options: str = "") -> int:
    return main(["bench", "ingest", *options.split()])


def test_without_options_it_compares_what_the_documentation_says(asked, capsys) -> None:
    run()
    (comparison,) = asked
    assert comparison == compare.Comparison()
    assert comparison.load == Load(600, 427_000)


def test_options_choose_what_is_sent_and_how(asked) -> None:
    run("--small --rounds 2 --associations 2 --transports plain")
    run("--instances 10 --kilobytes 3 --senders tuned --receivers node")
    small, few = asked
    assert (small.load, small.rounds) == (Load(5_000, 40_000), 2)
    assert (small.associations, small.tls) == ((2,), (False,))
    assert few.load == Load(10, 3_000)
    assert (few.senders, few.receivers) == (("tuned",), ("node",))


def test_the_table_has_the_ratio_and_says_what_was_left_out(asked, capsys) -> None:
    assert run("--transports plain") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split("\t")[:5] == ["plain", "tuned", "1", "node", "50.0"]
    assert lines[2].split("\t")[-3:] == ["3.00", "3.00", "3.00"]
    assert "left out: storescp: DCMTK is not installed" in lines
    assert any("present after SIGKILL" in line for line in lines)


def test_a_lost_instance_is_told_and_the_command_fails(asked, capsys) -> None:
    assert run("--json --transports tls") == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["all_present"] is False
    assert "node lost 1 instances" in said.err


def test_a_picture_is_written_where_it_was_asked_for(asked, tmp_path: Path) -> None:
    run(f"--png {tmp_path}/bars.png")
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")


def test_the_growth_with_a_full_catalogue_is_told(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
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
    assert run("--catalogue") == 0
    out = capsys.readouterr().out
    assert "1,000,000 instances\t2.50" in out
    assert "1.25 (1.25 to 1.25)" in out


def test_the_memory_for_a_huge_object_is_told(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    figures = large_object.MemoryFigures(
        {}, Load(1, 1), 2_000_000_000, 90.0, 95.0, 96.0, 20.0, 0.5, 1
    )
    monkeypatch.setattr(large_object, "bench_large_object", lambda *_: figures)
    assert run("--huge") == 1  # it was lost
    out = capsys.readouterr().out
    assert "an object of 2 GB later\t96" in out
    assert "100 MB/s, 0.50 s to its answer" in out


@pytest.mark.parametrize("wrong", ["--instances 0", "--rounds 0", "--catalogue --huge"])
def test_wrong_usage_is_refused(wrong: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        run(wrong)
    assert ended.value.code == 2
