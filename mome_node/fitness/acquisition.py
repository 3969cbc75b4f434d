"""Checks of how the dynamic and the diffusion images were acquired. Pure, by numbers alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mome_node.fitness.accepts import Accepts, Range
from mome_node.fitness.checks import (
    B_VALUE,
    CONTRAST_AGENT,
    FAT_SUPPRESSION,
    FEW_PHASES,
    FEW_SLICES,
    FIRST_POST,
    LAST_POST,
    RESOLUTION,
    SLICE_GAPS,
    SLICE_THICKNESS,
    Check,
    Failure,
)

GAP_TOLERANCE: Final = 0.1
"""Slices that lie up to this part further apart than they are thick have no gap: headers round."""

ROUNDING_MM: Final = 0.005
"""A length this much outside a package's range is inside it: headers round."""


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How the dynamic was acquired; lengths in mm, None where the headers do not tell.

    ``post_times_s`` has one entry for each post-contrast phase, seconds after the pre-contrast
    phase. ``distance_mm`` is that of the slices' centres, ``pixel_mm`` the larger pixel spacing.
    """

    slices: int
    distance_mm: float | None
    thickness_mm: float | None
    pixel_mm: float | None
    post_times_s: tuple[float | None, ...]
    agent_named: bool
    fat_suppressed: bool


def acquisition_failures(accepts: Accepts, found: Acquisition) -> Iterator[Failure]:
    """What of a dynamic is none that the package states; what is unknown fails, where stated."""
    yield from _outside(
        SLICE_THICKNESS, "slices of the dynamic are", found.distance_mm, accepts.slice_thickness_mm
    )
    yield from _outside(
        RESOLUTION, "pixels of the dynamic are", found.pixel_mm, accepts.pixel_spacing_mm
    )
    yield from _too_few(FEW_SLICES, "slices", found.slices, accepts.min_slices)
    posts = len(found.post_times_s)
    yield from _too_few(FEW_PHASES, "post-contrast phases", posts, accepts.min_posts)
    first, last = (found.post_times_s or (None,))[0], (found.post_times_s or (None,))[-1]
    yield from _outside_time(FIRST_POST, "first", first, accepts.first_post_s)
    yield from _outside_time(LAST_POST, "last", last, accepts.last_post_s)
    if accepts.fat_suppression and not found.fat_suppressed:
        text = "the dynamic shows no sign of fat suppression, which the package asks for"
        yield Failure(FAT_SUPPRESSION, text)
    if not found.agent_named:
        yield Failure(CONTRAST_AGENT, "no image of the dynamic names a contrast agent")
    if found.distance_mm and found.thickness_mm:
        gap = found.distance_mm - found.thickness_mm
        if gap > GAP_TOLERANCE * found.thickness_mm:
            text = (
                f"slices of the dynamic are {found.thickness_mm:.3g} mm thick and lie "
                f"{found.distance_mm:.3g} mm apart"
            )
            yield Failure(SLICE_GAPS, text)


def b_value_failure(found: float | None, taken: Range | None) -> Iterator[Failure]:
    """A diffusion image that the package's preprocessing does not take."""
    if taken is None or (found is not None and taken[0] <= found <= taken[1]):
        return
    what = "is not known" if found is None else f"is {found:g} s/mm²"
    yield Failure(
        B_VALUE,
        f"the b-value of the diffusion images {what}: the package takes {taken[0]:g} to "
        f"{taken[1]:g}",
    )


def _outside(
    check: Check, what: str, found: float | None, taken: Range | None
) -> Iterator[Failure]:
    if taken is None:
        return
    low, high = taken
    if found is not None and low - ROUNDING_MM <= found <= high + ROUNDING_MM:
        return
    size = "of unknown size" if found is None else f"{found:.3g} mm"
    yield Failure(check, f"{what} {size}: the package takes {low:g} to {high:g} mm")


def _outside_time(
    check: Check, which: str, found: float | None, taken: Range | None
) -> Iterator[Failure]:
    if taken is None or (found is not None and taken[0] <= round(found) <= taken[1]):
        return
    when = "is at an unknown time" if found is None else f"is {round(found)} s after pre-contrast"
    low, high = taken
    text = f"the {which} post-contrast phase {when}: the package takes {low:g} to {high:g} s"
    yield Failure(check, text)


def _too_few(check: Check, what: str, found: int, least: int | None) -> Iterator[Failure]:
    if least is not None and found < least:
        yield Failure(check, f"the dynamic has {found} {what}: the package takes at least {least}")
