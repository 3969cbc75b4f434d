"""Benchmarks compare like with like."""

from __future__ import annotations

from mome_node.bench.timing import Seconds, in_turns, ratio


def test_ways_take_turns_and_the_first_round_does_not_count() -> None:
    done: list[str] = []
    seconds = in_turns({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, 2)
    assert done == ["a", "b"] * 3
    assert {name: len(s.turns) for name, s in seconds.items()} == {"a": 2, "b": 2}


def test_ratio_is_taken_turn_by_turn() -> None:
    found = ratio(Seconds((4.0, 9.0, 100.0)), Seconds((2.0, 3.0, 50.0)))
    assert (found.median, found.spread) == (2.0, (2.0, 3.0))
