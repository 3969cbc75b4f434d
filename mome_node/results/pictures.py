"""PNG pictures of findings: the key slice, the regions on it, and the contributions as bars.

No patient identity in the pixels; the label, and a mark on synthetic data, on every picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from mome_node.results.canvas import (
    ACCENT,
    INK,
    SMALL,
    TITLE,
    dashed_polygon,
    framed,
    haloed_line,
    haloed_text,
    wrapped,
)
from mome_node.results.chart import contributions_picture
from mome_node.results.display import View, grey_slice, view_of
from mome_node.results.findings import Findings, Region
from mome_node.results.label import DEFAULT_LABEL, Audience, marked_label
from mome_node.results.measurement_groups import EDGE_MARGIN, FIELD_NAME, field_polygon
from mome_node.results.outline import outline
from mome_node.results.wording import (
    NO_SIDE,
    REGION_MEANING,
    explanation,
    region_text,
    score_value,
    task_name,
)
from mome_node.volumes.volume import Volume

LONGEST_SIDE: Final = 768
EDGE: Final = 26  # of the anatomical letters: inside the box of the evaluated field

# Told apart by most colour-blind people, and from any grey.
REGION_COLOURS: Final = ((255, 176, 0), (0, 224, 255), (255, 92, 205), (140, 255, 80))
"""Outline colours, in the order of the regions."""


def write_pictures(
    findings: Findings,
    out_dir: Path,
    label: str = DEFAULT_LABEL,
    audience: Audience = "research",
) -> tuple[Path, ...]:
    """Write slice.png, overlay.png and contributions.png into ``out_dir`` and name them.

    ``slice.png`` shows the enhancement (post-contrast less pre-contrast) of the key slice,
    ``overlay.png`` the post-contrast image with the outlines of the regions that it meets.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    marks = marked_label(findings, label, audience)
    pictures = {
        "slice.png": _slice_picture(findings, marks),
        "overlay.png": _overlay_picture(findings, marks),
        "contributions.png": contributions_picture(findings, marks),
    }
    for name, picture in pictures.items():
        picture.save(out_dir / name, format="PNG")
    return tuple(out_dir / name for name in pictures)


def _slice_picture(findings: Findings, marks: str) -> Image.Image:
    view = view_of(findings.key_volume.grid, LONGEST_SIDE)
    picture = _plain(findings.key_subtraction, findings.key_slice, view)
    title = f"Enhancement (subtraction), slice {_slice_number(findings)}"
    return framed(picture, title, [], marks, synthetic=findings.synthetic)


def _overlay_picture(findings: Findings, marks: str) -> Image.Image:
    view = view_of(findings.key_volume.grid, LONGEST_SIDE)
    picture = _plain(findings.key_volume, findings.key_slice, view)
    draw = ImageDraw.Draw(picture)
    field = field_polygon(findings.field_box, findings.key_volume.grid.shape, EDGE_MARGIN)
    corners = view.points(field)
    dashed_polygon(draw, corners, ACCENT)
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    haloed_text(draw, (left + 6, top + 4), FIELD_NAME, SMALL, ACCENT)
    for region in findings.regions:
        _draw_region(draw, region, findings.key_slice, view)
    scores = [
        line
        for task in findings.tasks
        for line in wrapped(f"{task_name(task.task)} {score_value(task)}", LONGEST_SIDE)
    ]
    title = f"Contrast-enhanced, slice {_slice_number(findings)}"
    notes = [*scores, NO_SIDE, *_region_notes(findings)]
    return framed(picture, title, notes, marks, synthetic=findings.synthetic)


def _plain(volume: Volume, slice_index: int, view: View) -> Image.Image:
    picture = view.image(grey_slice(volume, slice_index)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    width, height = view.size
    left, right, top, bottom = view.edges
    for letter, place, anchor in (
        (left, (EDGE, height / 2), "lm"),
        (right, (width - EDGE, height / 2), "rm"),
        (top, (width / 2, EDGE), "mt"),
        (bottom, (width / 2, height - EDGE), "mb"),
    ):
        haloed_text(draw, place, letter, TITLE, INK, anchor=anchor)
    return picture


def _draw_region(draw: ImageDraw.ImageDraw, region: Region, slice_index: int, view: View) -> None:
    mask = region.mask[:, :, slice_index]
    if not mask.any():
        return
    colour = _colour(region)
    points = view.points(outline(mask))
    haloed_line(draw, points, colour)
    x, y = max(points, key=lambda point: point[0] - point[1])  # towards the upper right
    near_edge = x > view.size[0] * 0.85
    anchor = "rb" if near_edge else "lb"
    haloed_text(draw, (x + (-6 if near_edge else 6), y), f"{region.number}", TITLE, colour, anchor)


def _colour(region: Region) -> tuple[int, int, int]:
    return REGION_COLOURS[(region.number - 1) % len(REGION_COLOURS)]


def _slice_number(findings: Findings) -> str:
    return f"{findings.key_slice + 1} of {findings.key_volume.grid.shape[2]}"


def _region_notes(findings: Findings) -> list[str]:
    notes = []
    for region in findings.regions:
        slices = np.flatnonzero(region.mask.any(axis=(0, 1))) + 1
        notes.append(f"{region_text(region)}; slices {slices.min()} to {slices.max()}")
    if not notes:
        return notes
    meaning = f"{REGION_MEANING} {explanation(findings)}."
    return [*notes, *wrapped(meaning, LONGEST_SIDE)]
