"""PNG pictures of findings: the key slice, the regions on it, and the contributions as bars.

No patient identity in the pixels; the label, and a mark on synthetic data, on every picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from PIL import Image

from mome_node.results.canvas import LARGE, framed, wrapped
from mome_node.results.captions import region_notes, slice_number
from mome_node.results.chart import contributions_picture
from mome_node.results.display import view_of
from mome_node.results.findings import Findings
from mome_node.results.label import DEFAULT_LABEL, Audience, marked_label
from mome_node.results.phrases import task_name
from mome_node.results.sections import slice_section
from mome_node.results.slice_drawing import draw_field, draw_regions, section_picture
from mome_node.results.wording import NO_SIDE, score_value

LONGEST_SIDE: Final = 768

_QUICK: Final = 3  # of zlib: a third of the time of its default, and no larger for these


def draw_pictures(
    findings: Findings, label: str = DEFAULT_LABEL, audience: Audience = "research"
) -> dict[str, Image.Image]:
    """Draw the pictures, by their file names: slice.png, overlay.png and contributions.png.

    ``slice.png`` shows the enhancement (post-contrast less pre-contrast) of the key slice,
    ``overlay.png`` the post-contrast image with the outlines of the regions that it meets.
    """
    marks = marked_label(findings, label, audience)
    return {
        "slice.png": _slice_picture(findings, marks),
        "overlay.png": _overlay_picture(findings, marks),
        "contributions.png": contributions_picture(findings, marks),
    }


def write_pictures(pictures: Mapping[str, Image.Image], out_dir: Path) -> tuple[Path, ...]:
    """Write drawn pictures into a folder, which is made, and name their files."""
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        picture.save(out_dir / name, format="PNG", compress_level=_QUICK)
    return tuple(out_dir / name for name in pictures)


def _slice_picture(findings: Findings, marks: str) -> Image.Image:
    section = slice_section(findings, findings.key_subtraction, findings.key_slice)
    picture = section_picture(section, view_of(section.grid, LONGEST_SIDE))
    title = f"Enhancement (subtraction), {slice_number(findings, findings.key_slice)}"
    return framed(picture, title, [], marks, synthetic=findings.synthetic)


def _overlay_picture(findings: Findings, marks: str) -> Image.Image:
    section = slice_section(findings, findings.key_volume, findings.key_slice)
    view = view_of(section.grid, LONGEST_SIDE)
    picture = section_picture(section, view)
    draw_field(picture, section, view, LARGE)
    draw_regions(picture, section, view, LARGE)
    scores = [f"{task_name(task.task)} {score_value(task)}" for task in findings.tasks]
    said = [*scores, NO_SIDE, *region_notes(findings)]
    notes = [line for text in said for line in wrapped(text, LONGEST_SIDE)]
    title = f"Contrast-enhanced, {slice_number(findings, findings.key_slice)}"
    return framed(picture, title, notes, marks, synthetic=findings.synthetic)
