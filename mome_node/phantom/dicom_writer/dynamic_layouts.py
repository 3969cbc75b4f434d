"""How scanners write a dynamic: which phases share a series and a clock, and what numbers them.

Each layout is one that single-frame objects of the vendor have been seen with; the real files
behind most of them are in ``tests/data/dicom`` (vendor-mr/*dynamic*, ge-architect-multiphase).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from mome_node.phantom.dicom_writer.series import Mark
from mome_node.phantom.exam import Vendor


class DynamicLayout(StrEnum):
    """The layouts, by vendor."""

    SIEMENS_SERIES = "siemens-series"
    SIEMENS_ACQUISITIONS = "siemens-acquisitions"
    GE_PRE_AND_PH = "ge-pre-and-ph"
    GE_PRE_AND_MULTIPHASE = "ge-pre-and-multiphase"
    GE_POSITIONS = "ge-positions"
    GE_TRIGGER_TIMES = "ge-trigger-times"
    GE_INSTANCE_NUMBERS = "ge-instance-numbers"
    PHILIPS_SLICES_FIRST = "philips-slices-first"
    PHILIPS_TIME_FIRST = "philips-time-first"


class Parts(StrEnum):
    """Which phases share a series."""

    ALL = "all phases in one series"
    EACH = "each phase a series"
    PRE_APART = "the pre-contrast phase and all posts"


@dataclass(frozen=True, slots=True)
class Writing:
    """One layout. ``one_clock``: phases after the first scan share one AcquisitionTime.

    ``counted``: each phase is an acquisition with a number of its own. ``time_first``: instances
    are numbered through time, then through slices. ``name`` is the description, with ``{post}``
    for "Ph1/" and so on, empty in the pre-contrast phase.
    """

    vendor: Vendor
    parts: Parts
    name: str
    marks: frozenset[Mark] = frozenset()
    one_clock: bool = False
    counted: bool = False
    time_first: bool = False


_POSITION_AND_TRIGGER = frozenset({Mark.POSITION, Mark.TRIGGER})

WRITINGS: Mapping[DynamicLayout, Writing] = MappingProxyType(
    {
        DynamicLayout.SIEMENS_SERIES: Writing(
            Vendor.SIEMENS, Parts.EACH, "t1_fl3d_tra_dyn", counted=True
        ),
        DynamicLayout.SIEMENS_ACQUISITIONS: Writing(
            Vendor.SIEMENS, Parts.ALL, "t1_fl3d_tra_dyn_5x", counted=True
        ),
        DynamicLayout.GE_PRE_AND_PH: Writing(
            Vendor.GE,
            Parts.EACH,
            "{post}Ax 3D Vibrant",
            marks=frozenset({Mark.TRIGGER}),
            one_clock=True,
        ),
        DynamicLayout.GE_PRE_AND_MULTIPHASE: Writing(
            Vendor.GE, Parts.PRE_APART, "Ax Vibrant", marks=_POSITION_AND_TRIGGER, one_clock=True
        ),
        DynamicLayout.GE_POSITIONS: Writing(
            Vendor.GE, Parts.ALL, "Ax Vibrant", marks=_POSITION_AND_TRIGGER, one_clock=True
        ),
        DynamicLayout.GE_TRIGGER_TIMES: Writing(
            Vendor.GE, Parts.ALL, "Ax Vibrant", marks=frozenset({Mark.TRIGGER}), one_clock=True
        ),
        DynamicLayout.GE_INSTANCE_NUMBERS: Writing(
            Vendor.GE, Parts.ALL, "Ax Vibrant", one_clock=True
        ),
        DynamicLayout.PHILIPS_SLICES_FIRST: Writing(
            Vendor.PHILIPS, Parts.ALL, "dyn_eTHRIVE", marks=_POSITION_AND_TRIGGER
        ),
        DynamicLayout.PHILIPS_TIME_FIRST: Writing(
            Vendor.PHILIPS,
            Parts.ALL,
            "dyn_eTHRIVE",
            marks=_POSITION_AND_TRIGGER,
            time_first=True,
        ),
    }
)
"""What each layout writes."""


def usual_layout(vendor: Vendor) -> DynamicLayout:
    """The first layout of a vendor."""
    return next(layout for layout, writing in WRITINGS.items() if writing.vendor is vendor)
