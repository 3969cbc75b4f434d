"""How scanners send: a series when it is done, phase by phase, over hours if they like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from pydicom.dataset import Dataset

from tests.simulator.timeline import Event, What


def at_once(images: Iterable[Dataset], at: float = 0.0, association: str = "A") -> list[Event]:
    """A whole study in one association, in a moment."""
    return [
        Event(at, What.OPEN, association),
        *(Event(at, What.SEND, association, image) for image in images),
        Event(at, What.CLOSE, association),
    ]


def series_by_series(images: Iterable[Dataset], gap_s: float, *, closing: bool) -> list[Event]:
    """An association for each series, as it is reconstructed."""
    found: list[Event] = []
    for number, series in enumerate(by_series(images)):
        found += at_once(series, number * gap_s, f"series {number}")
        if not closing:
            found.pop()
    return found


def phase_by_phase(dynamic: Sequence[Dataset], gap_s: float, at: float = 0.0) -> list[Event]:
    """The dynamic, each phase when it has been acquired."""
    phases = by_phase(dynamic)
    return [e for n, phase in enumerate(phases) for e in at_once(phase, at + n * gap_s, "dynamic")]


def slowly(
    images: Iterable[Dataset], gap_s: float, at: float = 0.0, together: int = 1
) -> list[Event]:
    """A slow line: an image at a time, or a few."""
    return [
        Event(at + n // together * gap_s, What.SEND, "slow", image)
        for n, image in enumerate(images)
    ]


def by_series(images: Iterable[Dataset]) -> list[list[Dataset]]:
    """The images of each series, in the order of series numbers."""

    def key(image: Dataset) -> tuple[int, str]:
        return int(image.SeriesNumber), image.SeriesInstanceUID

    return [list(series) for _, series in groupby(sorted(images, key=key), key=key)]


def by_phase(dynamic: Iterable[Dataset]) -> list[list[Dataset]]:
    """The images of each moment, the first one first."""

    def key(image: Dataset) -> str:
        return f"{image.AcquisitionTime}"

    return [list(phase) for _, phase in groupby(sorted(dynamic, key=key), key=key)]
