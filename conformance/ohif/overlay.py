"""What is drawn over the shown slice, and the phantom's truth projected onto the same pixels.

All masks are bool (rows, columns) over the pixels of the viewport's canvas. The truth gets there by
the slice's own header and the viewer's ``worldToCanvas``: nothing of our results is in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy import ndimage

from conformance.ohif import scripts
from conformance.ohif.viewer import Viewer
from conformance.planes import plane_affine

Mask = NDArray[np.bool_]
Inside = Callable[[NDArray[np.float64]], Mask]
"""Which of some points (..., 3) in mm LPS lie in what is looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class ShownSlice:
    """The slice that is shown.

    ``to_patient`` (3, 3) takes (column, row, 1) of the image to mm LPS, ``to_canvas`` (2, 3) takes
    it to (x, y) in pixels of the canvas, whose size is (rows, columns) ``size``.
    """

    to_patient: NDArray[np.float64]
    to_canvas: NDArray[np.float64]
    size: tuple[int, int]

    @property
    def voxel_px(self) -> float:
        """The longer side of a voxel on the page, in pixels."""
        return float(np.linalg.norm(self.to_canvas[:, :2], axis=0).max())

    def project(self, inside: Inside) -> Mask:
        """The pixels whose middles lie in ``inside``."""
        rows, columns = self.size
        y, x = np.mgrid[:rows, :columns] + 0.5
        linear, offset = self.to_canvas[:, :2], self.to_canvas[:, 2]
        indices = (np.stack([x, y], axis=-1) - offset) @ np.linalg.inv(linear).T
        return inside(indices @ self.to_patient[:, :2].T + self.to_patient[:, 2])

    def voxels(self, drawn: Mask, shape: tuple[int, int]) -> Mask:
        """Which voxels (columns, rows) of the image have something drawn on their middles."""
        indices = np.moveaxis(np.indices(shape), 0, -1)
        x, y = np.moveaxis(indices @ self.to_canvas[:, :2].T + self.to_canvas[:, 2], -1, 0)
        rows, columns = self.size
        seen = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        found = np.zeros(shape, dtype=bool)
        found[seen] = drawn[y[seen].astype(int), x[seen].astype(int)]
        return found


def shown_slice(viewer: Viewer, plane: Dataset) -> ShownSlice:
    """The shown slice, whose image plane (position, orientation, spacing) is ``plane``."""
    to_patient = plane_affine(plane)
    corners = np.array([(0, 0, 1), (1, 0, 1), (0, 1, 1)]) @ to_patient.T
    first, right, below = np.array(viewer.page.evaluate(scripts.TO_CANVAS, corners.tolist()))
    rows, columns = viewer.canvas().shape[:2]
    to_canvas = np.stack([right - first, below - first, first], axis=1)
    return ShownSlice(to_patient, to_canvas, (rows, columns))


def outlines(viewer: Viewer, size: tuple[int, int]) -> list[Mask]:
    """The inside of each closed outline that is drawn, the smallest first."""
    drawn = [
        within(np.array(numbers).reshape(-1, 2), size)
        for numbers in viewer.page.evaluate(scripts.POLYLINES)
    ]
    return sorted(drawn, key=lambda mask: int(mask.sum()))


def within(polygon: NDArray[np.float64], size: tuple[int, int]) -> Mask:
    """The pixels whose middles a closed polygon (n, 2) of (x, y) goes around (even-odd rule)."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    inside = np.zeros(size, dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:
            crossed = (y0 > y) != (y1 > y)
            inside ^= crossed & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def picture_on_canvas(viewer: Viewer, shape: tuple[int, int]) -> NDArray[np.int16]:
    """What the canvas shows at the middle of each pixel of the shown picture (rows, columns)."""
    canvas = viewer.canvas()
    ends = [(0, 0), (1, 0), (0, 1)]
    first, right, below = np.array(viewer.page.evaluate(scripts.IMAGE_TO_CANVAS, ends))
    row, column = np.indices(shape)
    places = first + column[..., None] * (right - first) + row[..., None] * (below - first)
    x, y = np.moveaxis(places, -1, 0).astype(int)
    assert x.min() >= 0
    assert y.min() >= 0
    shown: NDArray[np.int16] = canvas[y, x]  # raises IndexError where the picture is cut
    return shown


def dice(one: Mask, other: Mask) -> float:
    """Twice what two masks share over what they hold together; 1: the same."""
    return 2 * float((one & other).sum()) / max(1, int(one.sum()) + int(other.sum()))


def farthest(one: Mask, other: Mask) -> float:
    """How far the edges of two masks lie apart at most, in pixels (Hausdorff distance)."""
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (one, other)]
    if not all(edge.any() for edge in edges):
        return float("inf")
    away = [ndimage.distance_transform_edt(~edge) for edge in edges]
    return float(max(away[1][edges[0]].max(), away[0][edges[1]].max()))
