"""Plays a timeline to the node, whose timers take their turns meanwhile, on a clock in hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from mome_node.catalog.states import StudyState
from tests.jobs.conftest import DEADLINE_S, QUIET_S, Bench
from tests.simulator.timeline import Event, What

STEP_S = 20.0
"""Turns are so far apart here; the node takes them twice a second."""

LONG_S = 1000.0


@dataclass
class Replay:
    """The node under a timeline. ``watch`` is called after every turn."""

    bench: Bench
    watch: Callable[[], None] = lambda: None
    second: float = 0.0

    def play(self, timeline: Iterable[Event]) -> None:
        """Everything that happens, each thing at its second; an image not yet sent is not there."""
        for at, events in groupby(timeline, key=lambda e: e.at):
            self.advance_to(at)
            for what, of_kind in groupby(events, key=lambda e: e.what):
                self._happen(what, list(of_kind))
            self.turn()

    def settle(self) -> None:
        """Let the quiet time and the deadline pass, and what they set off."""
        self.advance_to(self.second + QUIET_S + STEP_S)
        waiting = [s for s in self.bench.catalog.studies() if s.state is StudyState.RECEIVING]
        if waiting:
            self.bench.clock.advance(DEADLINE_S)
            self.second += DEADLINE_S
            self.turn()
            self.turn()

    def advance_to(self, second: float) -> None:
        """Let time pass, turn by turn."""
        while self.second < second:
            left = second - self.second
            # Hours in which nothing happens pass in fewer turns.
            step = min(max(STEP_S, left / 2 if left > LONG_S else 0), left)
            self.bench.clock.advance(step)
            self.second += step
            self.turn()

    def turn(self) -> None:
        self.bench.turn()
        self.watch()

    def _happen(self, what: What, events: list[Event]) -> None:
        if what is What.SEND:
            self.bench.receive(e.image for e in events if e.image is not None)
        elif what is What.RESTART:
            self.bench.restart()
            self.bench.runner._recover("restart")
        elif what is What.SET_CLOCK:
            self.bench.clock.now += timedelta(seconds=sum(e.seconds for e in events))
