"""A section as people look at it: grey, with orientation letters, outlines and numbers.

Regions are told apart by number and line style, too, not by colour alone: on a grey monitor every
outline is bright on a dark band.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from mome_node.results.canvas import (
    ACCENT,
    INK,
    LARGE,
    Place,
    TypeSizes,
    dashed_polygon,
    haloed_line,
    haloed_text,
)
from mome_node.results.display import View
from mome_node.results.findings import Region
from mome_node.results.measurement_groups import EDGE_MARGIN, FIELD_NAME, field_polygon
from mome_node.results.outline import outline
from mome_node.results.region_styles import style_of
from mome_node.results.sections import Section

EDGE: Final = 26
"""Pixels from the picture's edges to the letters: inside the box of the evaluated field."""

_NEAR_EDGE: Final = 0.85  # part of the width beyond which a number stands to the left


def section_picture(
    section: Section, view: View, sizes: TypeSizes = LARGE, *, edge: int = EDGE
) -> Image.Image:
    """A section with its orientation letters, ``edge`` pixels inside the edges; nothing else."""
    picture = view.image(section.grey).convert("RGB")
    draw = ImageDraw.Draw(picture)
    width, height = view.size
    left, right, top, bottom = view.edges
    for letter, place, anchor in (
        (left, (edge, height / 2), "lm"),
        (right, (width - edge, height / 2), "rm"),
        (top, (width / 2, edge), "mt"),
        (bottom, (width / 2, height - edge), "mb"),
    ):
        haloed_text(draw, place, letter, sizes.title, INK, anchor=anchor)
    return picture


def draw_field(picture: Image.Image, section: Section, view: View, sizes: TypeSizes) -> None:
    """The evaluated field as a dashed box with its name."""
    draw = ImageDraw.Draw(picture)
    left, top, right, bottom = (round(v) for v in section.field)
    polygon = field_polygon((left, top, right, bottom), section.grid.shape, EDGE_MARGIN)
    corners = view.points(polygon)
    dashed_polygon(draw, corners, ACCENT)
    place = min(x for x, _ in corners) + 6, min(y for _, y in corners) + 4
    haloed_text(draw, place, FIELD_NAME, sizes.small, ACCENT)


def draw_regions(picture: Image.Image, section: Section, view: View, sizes: TypeSizes) -> None:
    """The outlines of all regions of a section, each piece of them, with their numbers."""
    draw = ImageDraw.Draw(picture)
    for region, mask in section.masks:
        style = style_of(region)
        labels, count = ndimage.label(mask)
        lines = [view.points(outline(labels == number)) for number in range(1, count + 1)]
        for points in lines:
            haloed_line(draw, points, style.colour, style.pattern, sizes.line)
        _draw_number(draw, region, lines, view, sizes)


def _draw_number(
    draw: ImageDraw.ImageDraw,
    region: Region,
    lines: list[list[Place]],
    view: View,
    sizes: TypeSizes,
) -> None:
    """The number towards the upper right of the largest piece, where the picture has room."""
    largest = max(lines, key=lambda points: np.ptp(np.array(points), axis=0).prod())
    x, y = max(largest, key=lambda point: point[0] - point[1])
    near_edge = x > view.size[0] * _NEAR_EDGE
    y = max(y, sizes.title + 4.0)
    place = (x + (-6 if near_edge else 6), y)
    colour = style_of(region).colour
    anchor = "rb" if near_edge else "lb"
    haloed_text(draw, place, f"{region.number}", sizes.title, colour, anchor)
