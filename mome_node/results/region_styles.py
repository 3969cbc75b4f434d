"""How regions are drawn: in the pictures, and in viewers that take a colour from the SEG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mome_node.results.canvas import SOLID, Colour, Pattern
from mome_node.results.findings import Region


@dataclass(frozen=True, slots=True)
class RegionStyle:
    """Colour of a region, and the pattern of its outline."""

    colour: Colour
    pattern: Pattern


# Told apart by most colour-blind people, and from any grey.
REGION_STYLES: Final = (
    RegionStyle((255, 176, 0), SOLID),
    RegionStyle((0, 224, 255), (12.0, 6.0)),
    RegionStyle((255, 122, 215), (3.0, 5.0)),
    RegionStyle((140, 255, 80), (12.0, 5.0, 3.0, 5.0)),
)
"""Outlines in the order of the regions: solid, dashed, dotted, and dashes with dots."""


def style_of(region: Region) -> RegionStyle:
    """The style of a region, by its number."""
    return REGION_STYLES[(region.number - 1) % len(REGION_STYLES)]
