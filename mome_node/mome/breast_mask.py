"""Where the body and the breasts are in an exam, coarsely, from the outline of the body.

Enough to place the model's grid and to say which part of an attribution lies outside the breasts.
It is no segmentation: the breast is all that bulges in front of a chest wall drawn from the skin
over the sternum, fat and skin included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mome_node.dicom.geometry import Grid
from mome_node.errors import ModelInputError
from mome_node.volumes.resample import resample
from mome_node.volumes.volume import Volume

OVERVIEW_MM = (4.0, 4.0, 5.0)
"""Voxels of the grid that the anatomy is read on: left-right, front-back, foot-head."""

LARGEST_FIELD_MM = 1000.0
"""No MR scanner reconstructs a larger field; a header that says so is wrong."""

SMALLEST_BODY_ML = 500.0
SMALLEST_BREASTS_ML = 250.0

CHEST_RADIUS_MM = 280.0
"""Radius at which the chest wall curves away from the sternum, seen from above."""

CHEST_BEHIND_SKIN_MM = 4.0
"""Depth of the chest wall behind the skin over the sternum, at the least."""

SKIN_MM2 = 400.0
"""A row with less body is no skin: one bright voxel."""

TRUNK_SHARE = 0.3
"""Part of a cut surface that may lie off the breasts where only these are cut."""

VALLEY_MM = 5.0
"""A valley less deep than this does not tell the midline; the middle of the body does."""

FALLBACK_DEPTH_MM = 80.0
"""Depth of the body that counts as breast where no midline valley is found."""

LEAST_LOBES_MM = 25.0
"""Lobes that stand out less at the back do not tell that the body faces the other way."""

LARGEST_LOBES_MM = 150.0
"""No valley between breasts is so deep; one through a faded trunk is."""

LOBES_AT_MM = (40.0, 110.0)
"""Where lobes are looked for, left and right of the middle of the body."""

DIMMER = 0.8
"""A surface with less of the other's signal is where the coil's reach ends, or far from it."""

WRONG_POSITION = (
    "the breasts point to where the header says the back is: the patient position given at the "
    "scanner is wrong, so sides are not told"
)

LIKE_SHARE = 0.3
"""A part of the image with this share of the largest one's voxels is nearly as large."""

MIDLINE_MM = 5.0
"""A point nearer than this to the midline has no side."""

Side = Literal["L", "R"]


@dataclass(frozen=True, slots=True, eq=False)
class Breasts:
    """The breasts as a mask bool (x, y, z) on ``grid``, and the patient x in mm of the midline.

    ``midline_mm`` is None where sides cannot be told from the images.
    """

    mask: NDArray[np.bool_]
    grid: Grid
    midline_mm: float | None

    def side(self, point: tuple[float, ...]) -> Side | None:
        """The side of a point in mm LPS; None near the midline or where it cannot be told."""
        if self.midline_mm is None or abs(point[0] - self.midline_mm) < MIDLINE_MM:
            return None
        return "L" if point[0] > self.midline_mm else "R"


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """Body and breasts, bool (x, y, z) on an overview grid whose rows run from front to back.

    ``front_mm`` is the patient y of the foremost skin. ``lobes_mm`` is how far a lobe at either
    side of the middle stands out before the skin there, at lower x of ``grid`` first, and
    ``lobes_behind_mm`` how far the lesser of two lobes does behind. ``parts`` counts the body and
    what of the image is nearly as large: where the chest gives no signal, each breast is one.
    ``facing`` is 1 where the body faces the way that the header says (front = -y); -1 where it
    faces the other way, so that the patient position given at the scanner was wrong and left and
    right cannot be trusted.
    """

    body: NDArray[np.bool_]
    tissue: NDArray[np.bool_]  # the part of the body that gives signal: no lungs
    breasts: NDArray[np.bool_]
    grid: Grid
    front_mm: float
    midline_mm: float
    facing: Literal[1, -1]
    lobes_mm: tuple[float, float]
    lobes_behind_mm: float
    parts: int
    warnings: tuple[str, ...] = ()

    def breasts_on(self, grid: Grid) -> Breasts:
        """The breasts on another grid."""
        mask = self._on(self.breasts, grid)
        return Breasts(mask, grid, self.midline_mm if self.facing == 1 else None)

    def tissue_on(self, grid: Grid) -> NDArray[np.bool_]:
        """The tissue on another grid."""
        return self._on(self.tissue, grid)

    def _on(self, mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
        share = resample(Volume(mask.astype(np.float32), self.grid), grid)
        return share.array > 0.5


def find_anatomy(volume: Volume) -> Anatomy:
    """Body and breasts in a bilateral image without contrast (or the least of it).

    Raises ModelInputError where no body stands out from the air.
    """
    overview = resample(volume, _overview_grid(volume.grid))
    body, tissue, parts = _body(overview)
    grid = overview.grid
    facing: Literal[1, -1] = 1
    warnings: tuple[str, ...] = ()
    front_mm = _lobes(body, overview.array, grid)
    behind_mm = _lobes(body[:, ::-1], overview.array[:, ::-1], grid)
    if behind_mm > max(LEAST_LOBES_MM, 2 * front_mm):
        facing, behind_mm = -1, front_mm
        body, tissue, grid = body[::-1, ::-1], tissue[::-1, ::-1], _turned(grid)
        warnings = (WRONG_POSITION,)
    front = _front(body)
    breasts, middle = _breasts(body, front, grid)
    voxel_ml = abs(float(np.linalg.det(grid.affine[:3, :3]))) / 1000
    if breasts.sum() * voxel_ml < SMALLEST_BREASTS_ML:
        foremost = round(_foremost(body, grid))
        depth = round(FALLBACK_DEPTH_MM / grid.spacing[1])
        breasts = body.copy()
        breasts[:, foremost + depth :] = False
        warnings += ("breasts could not be told from the chest: the front of the body is taken",)
    return Anatomy(
        body=body,
        tissue=tissue,
        # One voxel more, so that skin and what interpolation spreads count as breast.
        breasts=ndimage.binary_dilation(breasts),
        grid=grid,
        front_mm=grid.to_patient((0.0, _foremost(body, grid), 0.0))[1],
        midline_mm=grid.to_patient((middle, 0.0, 0.0))[0],
        facing=facing,
        lobes_mm=_side_lobes(body, grid),
        lobes_behind_mm=behind_mm,
        parts=parts,
        warnings=warnings,
    )


def _overview_grid(field: Grid) -> Grid:
    """A grid along the patient's axes that holds the whole field."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in field.shape])).reshape(3, -1)
    places = field.affine[:3, :3] @ corners + field.affine[:3, 3:]  # (3, 8) mm
    low, high = places.min(axis=1), places.max(axis=1)
    if (high - low).max() > LARGEST_FIELD_MM:
        extent = " × ".join(f"{mm:.0f}" for mm in high - low)
        raise ModelInputError(
            f"the field of view is {extent} mm, at most {LARGEST_FIELD_MM:.0f} mm is possible: "
            "check the image's geometry"
        )
    shape = np.maximum(1, np.round((high - low) / OVERVIEW_MM)).astype(int)
    affine = np.diag([*OVERVIEW_MM, 1.0])
    affine[:3, 3] = (low + high) / 2 - OVERVIEW_MM * (shape - 1) / 2
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _turned(grid: Grid) -> Grid:
    """The same voxels counted from the other end along x and y."""
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    turn[:2, 3] = grid.shape[0] - 1, grid.shape[1] - 1
    return Grid(grid.shape, grid.affine @ turn)


def _body(overview: Volume) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int]:
    """The body without holes, its tissue that gives signal, and how many parts are so large."""
    # The root narrows the range between fat, gland and air, so that dark tissue counts as body.
    signal = np.sqrt(np.clip(ndimage.gaussian_filter(overview.array, 0.7), 0.0, None))
    tissue = signal > _otsu(signal)
    core, count = ndimage.label(ndimage.binary_opening(tissue))
    if count == 0:
        raise ModelInputError("no body stands out from the air in the image")
    sizes = np.bincount(core.ravel())[1:]
    largest = core == sizes.argmax() + 1
    # What the opening took off the largest part comes back, what hung on by a thread does not.
    tissue &= ndimage.binary_dilation(largest, iterations=2)
    body = ndimage.binary_closing(np.pad(tissue, 3), iterations=2)[3:-3, 3:-3, 3:-3]
    for z in range(body.shape[2]):
        body[:, :, z] = ndimage.binary_fill_holes(body[:, :, z])
    voxel_ml = float(np.prod(overview.grid.spacing)) / 1000
    if body.sum() * voxel_ml < SMALLEST_BODY_ML:
        raise ModelInputError(
            f"the body in the image has {body.sum() * voxel_ml:.0f} ml, at least "
            f"{SMALLEST_BODY_ML:.0f} ml are needed"
        )
    return body, tissue, int((sizes >= sizes.max() * LIKE_SHARE).sum())


def _otsu(values: NDArray[np.float32]) -> float:
    """The threshold with the largest variance between the classes (Otsu, 1979)."""
    counts, edges = np.histogram(values, bins=256, range=(0.0, float(np.percentile(values, 99.5))))
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    total = np.cumsum(counts * centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = total / below - (total[-1] - total) / above
    between = np.nan_to_num(below * above * gap**2)
    return float(centers[between.argmax()])


def _front(body: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Row of the skin nearest the front, (x, z); nan where there is no body."""
    return np.where(body.any(axis=1), body.argmax(axis=1), np.nan)


def _foremost(body: NDArray[np.bool_], grid: Grid) -> float:
    """The first row with 4 cm² of body: one bright voxel is no skin."""
    area = body.sum(axis=(0, 2)) * grid.spacing[0] * grid.spacing[2]
    return float((area >= SKIN_MM2).argmax())


def _lobes(body: NDArray[np.bool_], signal: NDArray[np.float32], grid: Grid) -> float:
    """How far in mm two lobes stand out at the front, in the slices that show them best.

    0 where the field cuts through the trunk: there, walls and lung look like lobes and air. 0 where
    the front is dimmer than the back: breasts lie in the coil, and where its reach ends the trunk
    fades, first in the middle.
    """
    sides = _depths(body, grid)
    behind = body[:, ::-1]
    # Where the field cuts the trunk behind, its inside is no surface to compare with.
    dim = not _cuts_trunk(behind, grid) and _surface(signal, body) < DIMMER * _surface(
        signal[:, ::-1], behind
    )
    if dim or not sides.size or _cuts_trunk(body, grid):
        return 0.0
    depth = float(np.percentile(sides.min(axis=0), 75))
    return depth if depth <= LARGEST_LOBES_MM else 0.0


def _surface(signal: NDArray[np.float32], body: NDArray[np.bool_]) -> float:
    """Typical signal of the foremost three voxels of the body."""
    at_surface = body & (np.cumsum(body, axis=1) <= 3)
    return float(np.median(signal[at_surface]))


def _cuts_trunk(body: NDArray[np.bool_], grid: Grid) -> bool:
    """Whether the field cuts the body at the front elsewhere than where the breasts are."""
    border: NDArray[np.bool_] = np.any(body[:, :2], axis=1)  # (x, z)
    area = float(border.sum()) * grid.spacing[0] * grid.spacing[2]
    if area < SKIN_MM2:
        return False
    off = np.abs(np.arange(len(border)) - _center_of(body)) * grid.spacing[0]
    elsewhere = border[(off < 20.0) | (off > LOBES_AT_MM[1] + 15.0)].sum()
    return bool(elsewhere > TRUNK_SHARE * border.sum())


def _side_lobes(body: NDArray[np.bool_], grid: Grid) -> tuple[float, float]:
    """The same for each side alone, at lower x first, however dim; 0 where there is no lobe."""
    sides = _depths(body, grid)
    if _cuts_trunk(body, grid) or not sides.size:
        return 0.0, 0.0
    low, high = np.clip(np.percentile(sides, 75, axis=1), 0.0, None)
    return float(low), float(high)


def _depths(body: NDArray[np.bool_], grid: Grid) -> NDArray[np.float64]:
    """How far in mm the middle lies behind the lobe at either side, (2, slices that show it)."""
    profile = _front(body) * grid.spacing[1]  # (x, z) mm
    x = np.arange(len(profile)) - _center_of(body)
    x *= grid.spacing[0]
    near, far = LOBES_AT_MM
    middle, low, high = (
        profile[(x > first) & (x < last)] for first, last in ((-20, 20), (-far, -near), (near, far))
    )
    lacks = np.isnan(middle).any(axis=0) | np.isnan(low).all(axis=0) | np.isnan(high).all(axis=0)
    whole = np.flatnonzero(~lacks)
    if not whole.size:
        return np.zeros((2, 0))
    foremost = np.array([np.nanmin(side[:, whole], axis=0) for side in (low, high)])
    depths: NDArray[np.float64] = np.median(middle[:, whole], axis=0) - foremost
    return depths


def _center_of(body: NDArray[np.bool_]) -> float:
    """Column in the middle between the body's outermost columns, typical over the slices."""
    columns: NDArray[np.bool_] = np.any(body, axis=1)  # (x, z)
    columns = columns[:, np.any(columns, axis=0)]
    first = columns.argmax(axis=0)
    last = len(columns) - 1 - columns[::-1].argmax(axis=0)
    return float(np.median(first + last) / 2)


def _breasts(
    body: NDArray[np.bool_], front: NDArray[np.float64], grid: Grid
) -> tuple[NDArray[np.bool_], float]:
    """The body in front of the chest wall, and the column of the midline."""
    step_x, step_y, step_z = grid.spacing
    center = _center_of(body)
    x = (np.arange(body.shape[0]) - center) * step_x
    near = np.abs(x) <= 50.0
    # The midline is where the skin lies deepest once the roundness of the chest is taken off.
    valley = front[near] * step_y - (x[near] ** 2 / (2 * CHEST_RADIUS_MM))[:, None]  # (x, z) mm
    depth = np.full(near.sum(), -np.inf)
    seen = ~np.isnan(valley).all(axis=1)
    depth[seen] = np.nanmedian(valley[seen], axis=1)
    depth[seen] = ndimage.gaussian_filter1d(depth[seen], 10.0 / step_x)
    middle = center
    if depth.max() - max(depth[0], depth[-1]) >= VALLEY_MM:
        middle = _plateau(depth) + float(np.flatnonzero(near)[0])
    x = (np.arange(body.shape[0]) - middle) * step_x
    strip = front[np.abs(x) <= 15.0] * step_y  # (x, z) mm
    some = ~np.isnan(strip).all(axis=0)
    if not some.any():
        return np.zeros_like(body), middle
    sternum = np.interp(
        np.arange(body.shape[2]), np.flatnonzero(some), np.nanmax(strip[:, some], axis=0)
    )
    # Where the breasts touch in the midline the valley is closed: the deepest slice nearby tells.
    sternum = ndimage.maximum_filter1d(sternum, max(1, round(40.0 / step_z)))
    sternum = ndimage.gaussian_filter1d(sternum, 10.0 / step_z)
    wall = sternum + CHEST_BEHIND_SKIN_MM + (x**2 / (2 * CHEST_RADIUS_MM))[:, None]  # (x, z) mm
    rows = np.arange(body.shape[1]) * step_y
    return body & (rows[None, :, None] < wall[:, None, :]), middle


def _plateau(depth: NDArray[np.float64]) -> float:
    """Index of the middle of the deepest place, which may be several equal columns wide."""
    deepest = np.flatnonzero(depth >= depth.max() - 1.0)
    return float(deepest.mean())
