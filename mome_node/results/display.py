"""One slice as people look at it: radiological orientation, right proportions, robust grey."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mome_node.dicom.geometry import Grid
from mome_node.volumes.volume import Volume

DARKEST: Final = 1.0
BRIGHTEST: Final = 99.7
"""Percentiles of a volume's positive voxels that become black and white."""

SAMPLE: Final = 1 << 20
"""Voxels that the percentiles are taken of, evenly spread: all of a large volume cost seconds."""

LARGEST_SIDE: Final = 4096  # of a view that only tells proportions

# For each normal axis (x, y, z): what is to the viewer's right and what is below, LPS.
_CONVENTION: Final = {
    0: ((0, 1, 0), (0, 0, -1)),  # sagittal: posterior to the right, feet below
    1: ((1, 0, 0), (0, 0, -1)),  # coronal: patient left to the right, feet below
    2: ((1, 0, 0), (0, 1, 0)),  # axial: patient left to the right, posterior below
}
_LETTERS: Final = ("LR", "PA", "HF")  # at the positive and the negative end of x, y, z


@dataclass(frozen=True, slots=True)
class View:
    """How a slice (columns, rows) of a grid is turned and scaled onto a picture.

    ``size`` is the picture's (width, height) in pixels; ``edges`` the anatomical letters at the
    left, right, top and bottom. ``transposed`` says that the slice's columns run down.
    """

    size: tuple[int, int]
    edges: tuple[str, str, str, str]
    transposed: bool
    flipped: tuple[bool, bool]
    shape: tuple[int, int]

    def image(self, plane: NDArray[np.uint8]) -> Image.Image:
        """The picture of a slice (x, y), grey."""
        rows = plane if self.transposed else plane.T  # (down, across)
        rows = rows[:: -1 if self.flipped[1] else 1, :: -1 if self.flipped[0] else 1]
        picture = Image.fromarray(np.ascontiguousarray(rows))
        return picture.resize(self.size, Image.Resampling.BICUBIC)

    def points(self, polygon: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Image coordinates (column, row) of the slice, as pixels of the picture."""
        fractions = polygon / np.array(self.shape)
        if self.transposed:
            fractions = fractions[:, ::-1]
        for axis in (0, 1):
            if self.flipped[axis]:
                fractions[:, axis] = 1 - fractions[:, axis]
        return [(float(x), float(y)) for x, y in fractions * np.array(self.size)]


def view_of(grid: Grid, longest: int) -> View:
    """The view of a grid's slices whose longer side has ``longest`` pixels."""
    axes = grid.affine[:3, :3] / np.linalg.norm(grid.affine[:3, :3], axis=0)
    normal = np.cross(axes[:, 0], axes[:, 1])
    right, down = (np.array(v) for v in _CONVENTION[int(np.argmax(np.abs(normal)))])
    transposed = abs(axes[:, 1] @ right) > abs(axes[:, 0] @ right)
    across, along = (axes[:, 1], axes[:, 0]) if transposed else (axes[:, 0], axes[:, 1])
    flipped = (bool(across @ right < 0), bool(along @ down < 0))
    extent = [n * s for n, s in zip(grid.shape[:2], grid.spacing[:2], strict=True)]
    width, height = extent[::-1] if transposed else extent
    scale = longest / max(width, height)
    across = -across if flipped[0] else across
    along = -along if flipped[1] else along
    return View(
        size=(max(1, round(width * scale)), max(1, round(height * scale))),
        edges=(_letter(-across), _letter(across), _letter(-along), _letter(along)),
        transposed=bool(transposed),
        flipped=flipped,
        shape=(grid.shape[0], grid.shape[1]),
    )


def fitting_view(grid: Grid, width: int, height: int) -> View:
    """The largest view of a grid's slices that is not wider and not higher than this."""
    across, down = view_of(grid, LARGEST_SIDE).size
    scale = min(width / across, height / down)
    return view_of(grid, max(1, int(scale * max(across, down))))


def _letter(direction: NDArray[np.float64]) -> str:
    axis = int(np.argmax(np.abs(direction)))
    return _LETTERS[axis][0 if direction[axis] > 0 else 1]


def grey_slice(volume: Volume, slice_index: int) -> NDArray[np.uint8]:
    """One slice (x, y) in grey levels; a few extreme voxels of the volume do not decide them."""
    low, high = _grey_levels(volume.array)
    plane = np.nan_to_num(volume.array[:, :, slice_index], nan=0.0, posinf=0.0, neginf=0.0)
    levels = np.clip((plane - low) / max(high - low, 1e-6), 0, 1) * 255
    grey: NDArray[np.uint8] = np.round(levels).astype(np.uint8)
    return grey


def _grey_levels(array: NDArray[np.float32]) -> tuple[float, float]:
    """The values that become black and white."""
    step = max(1, math.ceil((array.size / SAMPLE) ** (1 / array.ndim)))
    sample = array[(slice(None, None, step),) * array.ndim]
    inside = sample[np.isfinite(sample) & (sample > 0)]
    low, high = np.percentile(inside, (DARKEST, BRIGHTEST)) if inside.size else (0.0, 1.0)
    return float(low), float(high)
