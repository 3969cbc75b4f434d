"""Seconds of several ways to do a thing, in turns, so that a busy machine slows them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long one way took in each turn."""

    turns: tuple[float, ...]

    @property
    def median(self) -> float:
        """The turn in the middle."""
        return median(self.turns)

    @property
    def spread(self) -> tuple[float, float]:
        """The shortest and the longest turn."""
        return min(self.turns), max(self.turns)


def ratio(above: Seconds, below: Seconds) -> Seconds:
    """The ratio of two ways, turn by turn."""
    return Seconds(tuple(a / b for a, b in zip(above.turns, below.turns, strict=True)))


def in_turns(
    ways: Mapping[str, Callable[[], object]],
    turns: int,
    *,
    settle: Callable[[], None] = lambda: None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Seconds]:
    """Seconds of each way: one round that is not counted, then ``turns`` rounds.

    ``settle`` waits until a device has done what it was given.
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, work in ways.items():
            progress(f"{name}, turn {turn} of {turns}")
            settle()
            began = time.perf_counter()
            work()
            settle()
            if turn:
                found[name].append(time.perf_counter() - began)
    return {name: Seconds(tuple(seconds)) for name, seconds in found.items()}
