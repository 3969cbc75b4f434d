"""Several slices side by side in one frame: Siemens mosaics and United Imaging's VFRAME.

They are taken apart because the headers tell all that is needed: the place of every slice in the
image, and its place in the patient. A tile has no frame number, so no other object can refer to it
by itself: it may become model input where results name whole instances (the report's image
library), and never the grid of a segmentation. ``assembly`` therefore unpacks diffusion only.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mome_node.dicom.csa_header import csa_numbers, read_csa
from mome_node.dicom.element_values import Elements
from mome_node.dicom.header import FrameFacts, FrameRef, InstanceFacts, Tiling
from mome_node.dicom.private_elements import PrivateElement, find_private, private_number
from mome_node.errors import TiledImageError

IMAGES_IN_MOSAIC = PrivateElement("siemens", "SIEMENS MR HEADER", 0x0019, 0x0A, "US")
VFRAME_ITEMS = PrivateElement("uih", "Image Private Header", 0x0065, 0x51, "SQ")
"""MR_VFRAME_SEQUENCE: one item a slice, with its position and time."""

TILED_TYPES = frozenset({"MOSAIC", "VFRAME"})
"""Values of Image Type for several slices in one plane: Siemens, United Imaging."""

MAX_TILES = 512
"""No scanner packs more slices into one image."""

NORMAL_COSINE = 1e-3
"""How far the slice direction of a mosaic may be from the normal of its planes."""

Vector = tuple[float, float, float]


def is_tiled(sources: tuple[Elements, ...], types: tuple[str, ...], manufacturer: str) -> bool:
    """Whether a plane holds several slices: by Image Type, or by the maker's count of them."""
    if TILED_TYPES & {value.upper() for value in types}:
        return True
    counts = (private_number(source, IMAGES_IN_MOSAIC, manufacturer) for source in sources)
    return any(count is not None and count > 1 for count in counts)


def tiling_of(top: Elements, frame: FrameFacts, manufacturer: str) -> Tiling | None:
    """Where the slices of a tiled single-frame image are; None if the header does not tell."""
    rows, columns = top.integer("Rows") or 0, top.integer("Columns") or 0
    if not frame.tiled or rows < 1 or columns < 1:
        return None
    return _vframe(top, rows, columns, manufacturer) or _mosaic(
        top, frame, rows, columns, manufacturer
    )


def vframe_items(top: Elements, manufacturer: str) -> tuple[Elements, ...]:
    """What United Imaging says of each slice in a tiled image; () for other images."""
    tag = find_private(top, VFRAME_ITEMS, manufacturer)
    return () if tag is None else top.items_at(tag)


def instance_of_tiles(instance: InstanceFacts) -> InstanceFacts:
    """The same instance as if each slice of its tiled frames were a frame of the slice's size.

    The frames of which it is not known where their slices are stay as they are, with their tiling
    None. All others must have slices of one size, or the instance is returned unchanged.
    """
    tilings = [f.tiling for f in instance.frames if f.tiling is not None]
    if not tilings or len({(t.rows, t.columns) for t in tilings}) > 1:
        return instance
    frames = [
        tile
        for frame in instance.frames
        for tile in (
            (frame,)
            if frame.tiling is None
            else (one_tile(frame, n) for n in range(1, len(frame.tiling.positions) + 1))
        )
    ]
    first = tilings[0]
    return replace(instance, rows=first.rows, columns=first.columns, frames=tuple(frames))


def plane_of(reference: FrameRef, instance: InstanceFacts) -> tuple[FrameFacts, int, int]:
    """Facts, rows and columns of the plane that a reference names: a frame, or a tile in it.

    The frame must exist. Raises TiledImageError if the tile does not.
    """
    frame = instance.frames[reference.frame_number - 1]
    if reference.tile is None:
        return frame, instance.rows, instance.columns
    tiling = frame.tiling
    if tiling is None or not 1 <= reference.tile <= len(tiling.positions):
        raise TiledImageError(
            f"instance {reference.sop_instance_uid} frame {reference.frame_number} has no slice "
            f"{reference.tile} in it whose place is known"
        )
    return one_tile(frame, reference.tile), tiling.rows, tiling.columns


def one_tile(frame: FrameFacts, tile: int) -> FrameFacts:
    """The facts of one slice, counted from 1, of a frame whose tiling is known."""
    if frame.tiling is None:
        raise ValueError("the frame has no tiling")
    position = frame.tiling.positions[tile - 1]
    return replace(frame, image_position=position, tiled=False, tiling=None, tile=tile)


def cut_tile(pixels: NDArray[np.float32], tiling: Tiling, tile: int) -> NDArray[np.float32]:
    """One slice (rows, columns) of the pixels of a tiled frame; the first tile is 1."""
    down, right = divmod(tile - 1, tiling.across)
    first_row, first_column = down * tiling.rows, right * tiling.columns
    return pixels[first_row : first_row + tiling.rows, first_column : first_column + tiling.columns]


def _vframe(top: Elements, rows: int, columns: int, manufacturer: str) -> Tiling | None:
    items = vframe_items(top, manufacturer)
    told = [item.numbers("ImagePositionPatient", 3) for item in items]
    positions = tuple((p[0], p[1], p[2]) for p in told if p is not None)
    if not 2 <= len(items) <= MAX_TILES or len(positions) < len(items):
        return None
    # As wide as a square of as many tiles would be, and no higher than needed: 20 in 5 × 4.
    across = math.ceil(math.sqrt(len(items)))
    return _even(rows, columns, across, math.ceil(len(items) / across), positions)


def _mosaic(
    top: Elements, frame: FrameFacts, rows: int, columns: int, manufacturer: str
) -> Tiling | None:
    count = round(private_number(top, IMAGES_IN_MOSAIC, manufacturer) or 0)
    normal = csa_numbers(read_csa(top, manufacturer), "SliceNormalVector")
    gap = top.number("SpacingBetweenSlices")
    placed = frame.image_position, frame.image_orientation, frame.pixel_spacing
    if not 2 <= count <= MAX_TILES or len(normal) != 3 or not gap or None in placed:
        return None
    side = math.ceil(math.sqrt(count))  # the mosaic is a square of tiles, the last ones empty
    one = _even(rows, columns, side, side, ())
    if one is None:
        return None
    row, column = np.array(frame.image_orientation).reshape(2, 3)
    step = np.array(normal)
    if abs(abs(step @ np.cross(row, column)) - 1) > NORMAL_COSINE:
        return None
    # Image Position (Patient) is where the corner would be if the first slice were as large as
    # the mosaic, around the same middle.
    down, right = frame.pixel_spacing or (0.0, 0.0)
    first = (
        np.array(frame.image_position)
        + row * right * (columns - one.columns) / 2
        + column * down * (rows - one.rows) / 2
    )
    places = first + np.outer(np.arange(count), step * abs(gap))
    if not np.isfinite(places).all():
        return None
    return replace(one, positions=tuple((float(x), float(y), float(z)) for x, y, z in places))


def _even(
    rows: int, columns: int, across: int, down: int, positions: tuple[Vector, ...]
) -> Tiling | None:
    if rows % down or columns % across:
        return None
    return Tiling(rows // down, columns // across, across, positions)
