"""How a PACS and the world around it send: again, corrected, derived, back, and all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.simulator.scanner import at_once
from tests.simulator.timeline import Event, Timeline, What, end_of, later


def dropped_and_resent(timeline: Timeline, after: int, pause_s: float) -> list[Event]:
    """The line breaks at an image; everything comes again on a new one."""
    sends = [e for e in timeline if e.what is What.SEND]
    broken = sends[after]
    first = [e for e in timeline if e.at <= broken.at][: list(timeline).index(broken)]
    drop = Event(broken.at, What.DROP, broken.association, broken.image)
    return [*first, drop, *later(timeline, broken.at + pause_s)]


def corrected(image: Dataset) -> Dataset:
    """The same SOP Instance UID with other bytes."""
    copy = deepcopy(image)
    copy.PatientWeight = "71"
    return copy


def subtractions(images: Iterable[Dataset]) -> list[Dataset]:
    """What a workstation computes of a phase and stores in a series of its own."""
    made, series = [], generate_uid(entropy_srcs=["workstation"])
    for number, image in enumerate(images):
        copy = deepcopy(image)
        copy.ImageType = ["DERIVED", "SECONDARY", "SUBTRACTION"]
        copy.SeriesDescription = "SUB workstation"
        copy.SeriesInstanceUID, copy.SeriesNumber = series, 9001
        copy.SOPInstanceUID = generate_uid(entropy_srcs=["workstation", str(number)])
        made.append(copy)
    return made


def migration(
    template: Dataset, studies: int, change: Callable[[Dataset, int], None], every_s: float
) -> list[Event]:
    """An archive is emptied into the node: study after study of one image."""
    found: list[Event] = []
    for number in range(studies):
        image = deepcopy(template)
        image.StudyInstanceUID = f"1.2.{number + 1}"
        image.SeriesInstanceUID = f"1.2.{number + 1}.1"
        image.SOPInstanceUID = f"1.2.{number + 1}.1.1"
        image.PatientID = f"ARCHIVE-{number}"
        change(image, number)
        found += at_once([image], number * every_s, "migration")
    return found


def after(timeline: Timeline, seconds: float, images: Iterable[Dataset]) -> list[Event]:
    """Late images: so long after the last event."""
    return [*timeline, *at_once(images, end_of(timeline) + seconds, "late")]
