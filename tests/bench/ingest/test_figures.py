"""Figures are what the rounds say: medians, spreads, percentiles, and ratios turn by turn."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.bench.ingest.chart import WIDTH, ingest_chart
from mome_node.bench.ingest.figures import IngestFigures, Percentiles, rows_of
from mome_node.bench.ingest.job import Acknowledged
from mome_node.bench.ingest.race import Cell, Load, Race, Turn
from mome_node.bench.ingest.senders import Sent

CELL = Cell("tuned", 4, tls=False)


def turn(number: int, receiver: str, seconds: float, waits: tuple[float, ...] = ()) -> Turn:
    told = tuple(Acknowledged(f"1.2.{n}", wait, 2 * wait) for n, wait in enumerate(waits))
    return Turn(number, receiver, CELL, 100.0, Sent(seconds, told))


@pytest.fixture
def race() -> Race:
    race = Race()
    for number, node_s, orthanc_s in ((1, 1.0, 3.0), (2, 2.0, 4.0), (3, 4.0, 20.0)):
        race.turns.append(turn(number, "orthanc", orthanc_s))
        race.turns.append(turn(number, "node", node_s, (0.001 * number,)))
    race.note_end("node", 120.0, 0)
    race.note_end("node", 100.0, 0)
    race.note_end("orthanc", None, 2)
    race.note_end("orthanc", None, 1)
    return race


@pytest.fixture
def figures(race: Race) -> IngestFigures:
    return IngestFigures(
        machine={"cores": 2},
        load=Load(600, 427_000),
        rounds=3,
        receivers={"node": "mome-node 1", "orthanc": "Orthanc 1"},
        senders={"tuned": "tuned sender"},
        left_out=("storescp: DCMTK is not installed",),
        rows=rows_of(race),
        peak_memory_mb=race.peak_memory_mb,
        lost=race.lost,
    )


def test_the_node_is_compared_by_medians_with_the_spread_of_the_rounds(race: Race) -> None:
    node, orthanc = rows_of(race)
    assert (node.receiver, orthanc.receiver) == ("node", "orthanc")
    assert node.seconds == (1.0, 2.0, 4.0)
    assert (node.mb_per_s, node.mb_per_s_spread) == (50.0, (25.0, 100.0))
    assert node.node_against is None
    assert orthanc.node_against is not None
    assert (orthanc.node_against.ratio, orthanc.node_against.spread) == (2.0, (2.0, 5.0))


def test_waits_are_those_of_all_rounds_and_none_where_the_sender_tells_none(race: Race) -> None:
    node, orthanc = rows_of(race)
    assert node.wait_ms == Percentiles(2.0, 3.0)
    assert node.store_ms == Percentiles(4.0, 6.0)
    assert orthanc.wait_ms is None


def test_the_most_memory_and_all_losses_of_the_rounds_count(race: Race) -> None:
    assert race.peak_memory_mb == {"node": 120.0}
    assert race.lost == {"node": 0, "orthanc": 3}


@given(st.lists(st.floats(0, 10), min_size=1, max_size=300))
def test_a_percentile_is_a_time_that_so_many_do_not_exceed(times: list[float]) -> None:
    found = Percentiles.of(times)
    assert found is not None
    for share, value in ((0.5, found.p50), (0.99, found.p99)):
        assert sum(1e3 * t <= value for t in times) >= math.ceil(share * len(times))
        assert value in [1e3 * t for t in times]


def test_programs_get_every_figure_by_its_name(figures: IngestFigures) -> None:
    told = json.loads(json.dumps(figures.to_json(), allow_nan=False))
    assert set(told) == {
        *("machine", "load", "rounds", "receivers", "senders", "left_out"),
        *("rows", "peak_memory_mb", "lost", "all_present"),
    }
    node, orthanc = told["rows"]
    assert (node["sender"], node["associations"], node["tls"]) == ("tuned", 4, False)
    assert node["wait_ms"] == {"p50": 2.0, "p99": 3.0}
    assert orthanc["node_against"] == {"ratio": 2.0, "spread": [2.0, 5.0]}
    assert told["all_present"] is True


def test_the_nodes_own_losses_are_not_hidden(figures: IngestFigures) -> None:
    assert not replace(figures, lost={"node": 1}).all_present


def test_the_picture_has_a_bar_for_each_row(figures: IngestFigures) -> None:
    picture = ingest_chart(figures)
    colours = {colour for _, colour in picture.getcolors(1 << 16) or ()}
    assert picture.width == WIDTH
    assert {(0, 110, 190), (225, 140, 40)} <= colours
    more = replace(figures, rows=(*figures.rows, replace(figures.rows[0], cell=Cell("x", 1, True))))
    assert ingest_chart(more).height > picture.height
