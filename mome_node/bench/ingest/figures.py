"""Medians, spreads and ratios of a race."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from mome_node.bench.ingest.race import Cell, Load, Race, Turn
from mome_node.bench.timing import Seconds, ratio

NODE: Final = "node"


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of times in milliseconds, by nearest rank."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Percentiles | None:
        """Of all times; None if there are none."""
        ordered = sorted(seconds)
        if not ordered:
            return None
        return cls(*(1e3 * ordered[math.ceil(len(ordered) * q) - 1] for q in (0.5, 0.99)))


@dataclass(frozen=True, slots=True)
class Against:
    """How many times as fast the node is: the ratio of the medians, and the rounds' own spread."""

    ratio: float
    spread: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Row:
    """What one receiver did with one way to send.

    ``wait_ms``: from the last byte of a data set, handed to the network, to its C-STORE-RSP;
    ``store_ms``: from the first byte of the request. Of all instances of all rounds; None where
    the sender does not tell. ``node_against``: of the node by this receiver.
    """

    cell: Cell
    receiver: str
    seconds: tuple[float, ...]
    mb_per_s: float
    mb_per_s_spread: tuple[float, float]
    wait_ms: Percentiles | None
    store_ms: Percentiles | None
    node_against: Against | None


@dataclass(frozen=True, slots=True)
class IngestFigures:
    """A whole comparison; see docs/performance.md. ``left_out``: what could not take part."""

    machine: dict[str, object]
    load: Load
    rounds: int
    receivers: dict[str, str]
    senders: dict[str, str]
    left_out: tuple[str, ...]
    rows: tuple[Row, ...]
    peak_memory_mb: dict[str, float]
    lost: dict[str, int]

    @property
    def all_present(self) -> bool:
        """Whether the node held all that it had acknowledged, after SIGKILL, byte for byte."""
        return self.lost.get(NODE, 0) == 0

    def to_json(self) -> dict[str, Any]:
        """The figures by their names."""
        rows = [{**asdict(row.cell), **asdict(row)} for row in self.rows]
        for row in rows:
            del row["cell"]
        return {**asdict(self), "rows": rows, "all_present": self.all_present}


def rows_of(race: Race) -> tuple[Row, ...]:
    """Return a row for each way to send and receiver, in the order in which they first ran."""
    turns: dict[tuple[Cell, str], list[Turn]] = {}
    for turn in sorted(race.turns, key=_order):
        turns.setdefault((turn.cell, turn.receiver), []).append(turn)
    return tuple(
        _row(cell, receiver, found, turns.get((cell, NODE)))
        for (cell, receiver), found in turns.items()
    )


def _order(turn: Turn) -> tuple[bool, str, int, bool, str, int]:
    cell = turn.cell
    is_other = turn.receiver != NODE
    return cell.tls, cell.sender, cell.associations, is_other, turn.receiver, turn.round


def _row(cell: Cell, receiver: str, turns: Sequence[Turn], node: Sequence[Turn] | None) -> Row:
    seconds = _seconds(turns)
    rates = Seconds(tuple(turn.megabytes / turn.sent.seconds for turn in turns))
    acknowledged = [a for turn in turns for a in turn.sent.acknowledged]
    return Row(
        cell=cell,
        receiver=receiver,
        seconds=seconds.turns,
        mb_per_s=rates.median,
        mb_per_s_spread=rates.spread,
        wait_ms=Percentiles.of(a.wait_s for a in acknowledged),
        store_ms=Percentiles.of(a.store_s for a in acknowledged),
        node_against=_against(seconds, _seconds(node)) if node and receiver != NODE else None,
    )


def _seconds(turns: Sequence[Turn]) -> Seconds:
    return Seconds(tuple(turn.sent.seconds for turn in turns))


def _against(other: Seconds, node: Seconds) -> Against:
    return Against(other.median / node.median, ratio(other, node).spread)
