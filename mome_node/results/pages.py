"""The summary as pictures of 512 x 512 pixels: a front page, key slices, and a projection.

Each says by itself what it is, the score, the label, and whether it is synthetic. What is drawn
comes from the findings alone, and of their texts only from those that no header's text is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from PIL import Image

from mome_node.results.canvas import (
    HALO,
    TypeSizes,
    cut,
    foot_height,
    framed,
    head_height,
    label_lines,
    wrapped,
)
from mome_node.results.captions import page_notes, slice_number
from mome_node.results.display import fitting_view
from mome_node.results.findings import Findings
from mome_node.results.front_page import front_page
from mome_node.results.outline import largest_slice
from mome_node.results.sections import Section, cut_to_field, projection_section, slice_section
from mome_node.results.slice_drawing import draw_field, draw_regions, section_picture

PAGE: Final = 512
"""Width and height of a page in pixels."""

PAGE_TYPE: Final = TypeSizes(title=20, body=15, small=14, line=2)
MOST_SLICES: Final = 3

_EDGE: Final = 10  # of the orientation letters
_EDGE_IN_FIELD: Final = 28  # where the field's box is drawn, too

_MOST_NOTES: Final = 9  # lines, so that the image keeps more than a third of the page

PageKind = Literal["front", "slice", "projection"]


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One page: an RGB picture, what it is in words, and the slices of the key volume it shows.

    ``directions`` are the anatomical letters at the picture's right and bottom, as Patient
    Orientation (0020,0020) has them; None for a page without image.
    """

    kind: PageKind
    picture: Image.Image
    title: str
    slices: tuple[int, ...] = ()
    directions: tuple[str, str] | None = None


def summary_pages(findings: Findings, label: str) -> tuple[Page, ...]:
    """The front page, the slice on which each region is largest, and the projection.

    At most MOST_SLICES slices, each once; without a region the key slice. ``label`` is the label
    with its marks, as it stands on every page.
    """
    return (
        Page("front", front_page(findings, label, PAGE, PAGE_TYPE), "Scores of the exam"),
        *(_slice_page(findings, z, label) for z in key_slices(findings)[:MOST_SLICES]),
        _projection_page(findings, label),
    )


def key_slices(findings: Findings) -> tuple[int, ...]:
    """The slice on which each region is largest, in the regions' order; else the key slice."""
    slices = dict.fromkeys(largest_slice(region.mask) for region in findings.regions)
    return tuple(slices) or (findings.key_slice,)


def _slice_page(findings: Findings, slice_index: int, label: str) -> Page:
    section = cut_to_field(slice_section(findings, findings.key_volume, slice_index))
    title = f"Contrast-enhanced, {slice_number(findings, slice_index)}"
    picture, directions = _image(findings, section, title, label, with_field=False)
    return Page("slice", picture, title, (slice_index,), directions)


def _projection_page(findings: Findings, label: str) -> Page:
    title = "Subtraction, maximum intensity projection"
    section = cut_to_field(projection_section(findings))
    picture, directions = _image(findings, section, title, label, with_field=True)
    every = tuple(range(findings.key_volume.grid.shape[2]))
    return Page("projection", picture, title, every, directions)


def _image(
    findings: Findings, section: Section, title: str, label: str, *, with_field: bool
) -> tuple[Image.Image, tuple[str, str]]:
    """The page of a section, as large as title, notes and label leave room; its directions."""
    shown = [region for region, _ in section.masks]
    notes = cut(_lines(page_notes(findings, shown)), _MOST_NOTES)
    labels = label_lines(label, PAGE, PAGE_TYPE)
    room = PAGE - head_height(PAGE_TYPE) - foot_height(len(notes) + len(labels), PAGE_TYPE)
    view = fitting_view(section.grid, PAGE, room)
    edge = _EDGE_IN_FIELD if with_field else _EDGE
    picture = section_picture(section, view, PAGE_TYPE, edge=edge)
    if with_field:
        draw_field(picture, section, view, PAGE_TYPE)
    draw_regions(picture, section, view, PAGE_TYPE)
    canvas = Image.new("RGB", (PAGE, room), HALO)
    canvas.paste(picture, ((PAGE - view.size[0]) // 2, (room - view.size[1]) // 2))
    page = framed(canvas, title, notes, label, synthetic=findings.synthetic, sizes=PAGE_TYPE)
    return page, (view.edges[1], view.edges[3])


def _lines(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in wrapped(text, PAGE, PAGE_TYPE.body)]
