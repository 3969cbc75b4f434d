"""What happens on the way to the node, as data: who sends what, and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum, auto

from pydicom.dataset import Dataset


class What(StrEnum):
    """One thing that a peer does, or that befalls the node."""

    OPEN = auto()
    SEND = auto()
    CLOSE = auto()
    DROP = auto()  # the line breaks: the image on it was never acknowledged
    RESTART = auto()  # the node goes down and comes up on what is on its disk
    SET_CLOCK = auto()  # somebody sets the machine's clock by ``seconds``


@dataclass(frozen=True)
class Event:
    """Something at a second of the timeline. ``association`` names the line it happens on."""

    at: float
    what: What
    association: str = "A"
    image: Dataset | None = None
    seconds: float = 0.0


Timeline = Sequence[Event]


def merged(*timelines: Timeline) -> list[Event]:
    """All of them together: what happens at one moment keeps its order."""
    return sorted((e for t in timelines for e in t), key=lambda e: e.at)


def later(timeline: Timeline, seconds: float) -> list[Event]:
    """The same, put off."""
    return [replace(e, at=e.at + seconds) for e in timeline]


def over(timeline: Timeline, association: str) -> list[Event]:
    """The same on another line."""
    return [replace(e, association=association) for e in timeline]


def images_of(timeline: Timeline) -> list[Dataset]:
    """What is sent, in order, resends included."""
    return [e.image for e in timeline if e.image is not None and e.what is What.SEND]


def end_of(timelines: Iterable[Event]) -> float:
    """The last second at which something happens."""
    return max(e.at for e in timelines)
