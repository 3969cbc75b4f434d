"""PNG sheets that show each step from the images to the arrays that a model took.

For whoever sets up a model or doubts a result; no part of the report. One sheet a modality. No
patient identity in the pixels; the label, and a mark on synthetic data, on every sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from mome_node.dicom.geometry import Grid
from mome_node.results.canvas import (
    ACCENT,
    BACKGROUND,
    BODY,
    INK,
    MARGIN,
    MUTED,
    SMALL,
    Colour,
    Place,
    dashed_polygon,
    font,
    framed,
    haloed_text,
    wrapped,
)
from mome_node.results.display import View, view_of
from mome_node.results.outline import outline
from mome_node.results.wording import modality_name, percent
from mome_node.volumes.volume import Modality

PANEL: Final = 420
"""Longest side of a slice in pixels; three stand beside each other."""

COLUMNS: Final = 3
GAP: Final = 16
WIDTH: Final = COLUMNS * PANEL + (COLUMNS - 1) * GAP + 2 * MARGIN
CAPTION_HEIGHT: Final = round(2 * 1.35 * SMALL) + MARGIN
EDGE: Final = 10  # of the anatomical letters

GREYS: Final = (1.0, 99.7)
"""Percentiles of a slice's voxels that become black and white, where nothing is clipped."""

PLANES: Final = ("sagittal", "coronal", "axial")
"""The plane of slices that are stacked along the patient's x, y, z."""

BODY_COLOUR: Final[Colour] = (120, 230, 120)
BREASTS_COLOUR: Final[Colour] = (255, 150, 220)


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Masks bool (x, y) on a slice: body, breasts, and the field that the model sees."""

    body: NDArray[np.bool_]
    breasts: NDArray[np.bool_]
    field: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class ShownSlice:
    """One slice of an image on its way to the model.

    ``array`` float32 (x, y) is slice ``number`` (from 0) of ``grid``. ``values`` are the least and
    the largest of the slice, or of the whole channel; ``cut_off`` is the part of a channel's voxels
    that clipping changed. ``phase`` (0 = pre-contrast) and ``time_s`` are those of a dynamic; a
    channel without a phase is empty.
    """

    array: NDArray[np.float32]
    grid: Grid
    number: int
    values: tuple[float, float]
    phase: int | None = None
    time_s: float | None = None
    cut_off: float = 0.0
    outlines: Outlines | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PreparationSteps:
    """What became of one modality: slices as acquired, on the model's grid, and its channels.

    The channels were divided by ``unit``, the ``percentile`` of the tissue's signal (DCE: before
    contrast), and clipped to ``clip``. ``b_value`` in s/mm² is that of a DWI.
    """

    modality: Modality
    acquired: tuple[ShownSlice, ...]
    resampled: tuple[ShownSlice, ...]
    channels: tuple[ShownSlice, ...]
    unit: float
    percentile: float
    clip: tuple[float, float]
    b_value: float | None = None


def write_debug_pictures(
    steps: Sequence[PreparationSteps], out_dir: Path, label: str, *, synthetic: bool
) -> tuple[Path, ...]:
    """Write ``debug-dce.png``, ``debug-dwi.png`` and ``debug-t2.png`` of what there is."""
    out_dir.mkdir(parents=True, exist_ok=True)
    paths = []
    for of_modality in steps:
        paths.append(out_dir / f"debug-{of_modality.modality}.png")
        _sheet(of_modality, label, synthetic=synthetic).save(paths[-1], format="PNG")
    return tuple(paths)


def _sheet(steps: PreparationSteps, label: str, *, synthetic: bool) -> Image.Image:
    is_dynamic = steps.modality is Modality.DCE
    black, white = greys = _common_greys(steps.channels)
    b_value = "" if steps.b_value is None else f"b-value {steps.b_value:g} s/mm2, "
    rows = [
        *_part(
            f"1  As acquired: {b_value}{_voxels(steps.acquired[0].grid)}",
            [_panel(shown, _image_caption(shown, is_dynamic)) for shown in steps.acquired],
        ),
        *_part(
            f"2  On the model's grid: {_voxels(steps.channels[0].grid)}",
            [_panel(shown, _image_caption(shown, is_dynamic)) for shown in steps.resampled],
        ),
        *_part(
            f"3  {_scaling(steps)}. Shown from {black:.2f} (black) to {white:.2f} (white)",
            [
                _panel(shown, _channel_caption(number, shown, is_dynamic), greys)
                for number, shown in enumerate(steps.channels)
            ],
        ),
    ]
    title = f"{modality_name(steps.modality)}: from the images to the model's arrays"
    notes = ["Green: body. Pink: breasts, coarsely. Blue: the field that the model sees."]
    return framed(_stacked(rows), title, notes, label, synthetic=synthetic)


def _scaling(steps: PreparationSteps) -> str:
    is_dynamic = steps.modality is Modality.DCE
    made = "Post-contrast less pre-contrast, divided" if is_dynamic else "Divided"
    tissue = "the tissue before contrast" if is_dynamic else "the tissue"
    low, high = steps.clip
    return (
        f"{made} by {steps.unit:.4g} (percentile {steps.percentile:g} of {tissue}) and clipped to "
        f"{low:g} to {high:g}"
    )


def _voxels(grid: Grid) -> str:
    # The type that Pillow brings has no multiplication sign.
    size = " x ".join(str(n) for n in grid.shape)
    return f"{size} voxels of {' x '.join(f'{mm:.4g}' for mm in grid.spacing)} mm"


def _image_caption(shown: ShownSlice, is_dynamic: bool) -> tuple[str, str]:
    low, high = shown.values
    phase = f"{_phase(shown)}, " if is_dynamic else ""
    return (
        f"{phase}{_place(shown)}",
        f"signal {low:.4g} to {high:.4g} in this slice",
    )


def _channel_caption(number: int, shown: ShownSlice, is_dynamic: bool) -> tuple[str, str]:
    if is_dynamic and shown.phase is None:
        return f"channel {number}: no phase, left empty", ""
    low, high = shown.values
    phase = f": {_phase(shown)}" if is_dynamic else ""
    return (
        f"channel {number}{phase}, slice {shown.number + 1} of {shown.grid.shape[2]}",
        f"values {low:.2f} to {high:.2f}, {percent(shown.cut_off)} cut off",
    )


def _place(shown: ShownSlice) -> str:
    plane = PLANES[int(np.abs(shown.grid.affine[:3, 2] / shown.grid.spacing[2]).argmax())]
    return f"{plane} slice {shown.number + 1} of {shown.grid.shape[2]}"


def _phase(shown: ShownSlice) -> str:
    if shown.phase == 0:
        return "pre-contrast"
    seconds = "time unknown" if shown.time_s is None else f"{shown.time_s:.0f} s"
    return f"phase {shown.phase}, {seconds}"


def _part(heading: str, panels: list[Image.Image]) -> list[Image.Image]:
    """Rows of pictures: the heading of a step and its panels, three beside each other."""
    rows = [_heading(heading)]
    for start in range(0, len(panels), COLUMNS):
        beside = panels[start : start + COLUMNS]
        row = Image.new("RGB", (WIDTH, max(p.height for p in beside)), BACKGROUND)
        for column, panel in enumerate(beside):
            row.paste(panel, (MARGIN + column * (PANEL + GAP), 0))
        rows.append(row)
    return rows


def _heading(text: str) -> Image.Image:
    lines = wrapped(text, WIDTH)
    height = round(1.35 * BODY)
    picture = Image.new("RGB", (WIDTH, height * len(lines) + MARGIN), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((MARGIN, number * height), line, fill=INK, font=font(BODY))
    return picture


def _stacked(rows: Sequence[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (WIDTH, sum(row.height for row in rows)), BACKGROUND)
    top = 0
    for row in rows:
        whole.paste(row, (0, top))
        top += row.height
    return whole


def _panel(
    shown: ShownSlice, caption: tuple[str, str], greys: tuple[float, float] | None = None
) -> Image.Image:
    view = view_of(shown.grid, PANEL)
    picture = Image.new("RGB", (PANEL, view.size[1] + CAPTION_HEIGHT), BACKGROUND)
    picture.paste(_slice(shown, view, greys or _greys(shown.array)))
    draw = ImageDraw.Draw(picture)
    for number, (line, colour) in enumerate(zip(caption, (INK, MUTED), strict=True)):
        place = (0, view.size[1] + 4 + number * round(1.35 * SMALL))
        draw.text(place, line, fill=colour, font=font(SMALL))
    return picture


def _slice(shown: ShownSlice, view: View, greys: tuple[float, float]) -> Image.Image:
    low, high = greys
    levels = np.clip((shown.array - low) / max(high - low, 1e-6), 0, 1) * 255
    picture = view.image(np.round(levels).astype(np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    if shown.outlines is not None:
        _draw_outlines(draw, shown.outlines.body, view, _solid(BODY_COLOUR))
        _draw_outlines(draw, shown.outlines.breasts, view, _solid(BREASTS_COLOUR))
        _draw_outlines(draw, shown.outlines.field, view, lambda d, p: dashed_polygon(d, p, ACCENT))
    left, right, top, bottom = view.edges
    width, height = view.size
    for letter, place, anchor in (
        (left, (EDGE, height / 2), "lm"),
        (right, (width - EDGE, height / 2), "rm"),
        (top, (width / 2, EDGE), "mt"),
        (bottom, (width / 2, height - EDGE), "mb"),
    ):
        haloed_text(draw, place, letter, BODY, INK, anchor=anchor)
    return picture


Pen = Callable[[ImageDraw.ImageDraw, list[Place]], None]


def _solid(colour: Colour) -> Pen:
    return lambda draw, points: draw.line(points, fill=colour, width=2, joint="curve")


def _draw_outlines(
    draw: ImageDraw.ImageDraw, mask: NDArray[np.bool_], view: View, pen: Pen
) -> None:
    pieces, count = ndimage.label(mask)
    for piece in range(1, count + 1):
        pen(draw, view.points(outline(pieces == piece)))


def _common_greys(channels: Sequence[ShownSlice]) -> tuple[float, float]:
    """One window for all channels, so that they can be compared; empty ones do not count."""
    filled = [channel.array for channel in channels if channel.array.any()]
    return _greys(np.stack(filled)) if filled else (0.0, 1.0)


def _greys(array: NDArray[np.float32]) -> tuple[float, float]:
    low, high = np.percentile(array, GREYS)
    return float(low), float(high)
