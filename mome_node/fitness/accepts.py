"""Which exams a package takes, as it states it: scanners, fields of view, acquisitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mome_node.errors import PackageError

BILATERAL: Final = "bilateral"
UNILATERAL: Final = "unilateral"
LATERALITIES: Final = (BILATERAL, UNILATERAL)

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Accepts:
    """Which exams a package takes; None: it states nothing, and nothing is checked.

    ``vendors`` are lower-case words of which one must stand in Manufacturer (0008,0070); none: any
    vendor. ``field_strengths_t`` is a closed range of Magnetic Field Strength (0018,0087) in tesla.
    The rest is of the dynamic: ``slice_thickness_mm`` the distance of its slices,
    ``pixel_spacing_mm`` the larger of both, ``first_post_s`` and ``last_post_s`` seconds after the
    pre-contrast phase, all closed ranges; the fewest slices and post-contrast phases; whether fat
    must be suppressed. Raises PackageError for values that no exam could meet.
    """

    vendors: tuple[str, ...] = ()
    field_strengths_t: Range | None = None
    laterality: tuple[str, ...] = (BILATERAL,)
    slice_thickness_mm: Range | None = None
    pixel_spacing_mm: Range | None = None
    min_slices: int | None = None
    min_posts: int | None = None
    first_post_s: Range | None = None
    last_post_s: Range | None = None
    fat_suppression: bool | None = None

    def __post_init__(self) -> None:
        for index, vendor in enumerate(self.vendors):
            if not vendor.strip() or vendor != vendor.strip().lower():
                raise PackageError(
                    f"mome.accepts.vendors.{index}: {vendor!r} is no lower-case word that could "
                    "stand in Manufacturer, as 'siemens' could"
                )
        _check_no_doubles("mome.accepts.vendors", self.vendors)
        _check_range("field_strengths_t", self.field_strengths_t, "a range in tesla, as [1.5, 3.0]")
        _check_range("slice_thickness_mm", self.slice_thickness_mm, "a range in mm, as [0.5, 3.0]")
        _check_range("pixel_spacing_mm", self.pixel_spacing_mm, "a range in mm, as [0.4, 1.2]")
        _check_range("first_post_s", self.first_post_s, "a range in seconds, as [40, 120]")
        _check_range("last_post_s", self.last_post_s, "a range in seconds, as [240, 600]")
        for index, laterality in enumerate(self.laterality):
            if laterality not in LATERALITIES:
                raise PackageError(
                    f"mome.accepts.laterality.{index}: {laterality!r} is none of "
                    f"{list(LATERALITIES)}"
                )
        _check_no_doubles("mome.accepts.laterality", self.laterality)
        if not self.laterality:
            raise PackageError(
                f"mome.accepts.laterality: it is empty; at least one of {list(LATERALITIES)} is "
                "needed"
            )


def _check_range(field: str, found: Range | None, allowed: str) -> None:
    if found is not None and not 0 < found[0] <= found[1] < math.inf:
        raise PackageError(f"mome.accepts.{field}: {list(found)} is not {allowed} is")


def _check_no_doubles(field: str, found: Sequence[str]) -> None:
    if len(set(found)) != len(found):
        raise PackageError(f"{field}: one is there twice: {list(found)}")
