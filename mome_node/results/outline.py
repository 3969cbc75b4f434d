"""The outline of a mask on one slice, as a closed polygon in image coordinates."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Vertex = tuple[int, int]


def largest_slice(mask: NDArray[np.bool_]) -> int:
    """The slice on which a mask (x, y, z) covers most voxels; the first of equals."""
    return int(np.argmax(mask.sum(axis=(0, 1))))


def outline(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Closed polygon (n, 2) of (column, row) around the largest piece of a mask (x, y).

    Coordinates count from the upper left corner of the upper left pixel, whose centre is
    (0.5, 0.5) (PS3.3 C.18.6.1.2). The polygon cuts the corners of the voxels, as marching squares
    does; its last point repeats the first. Raises ValueError for an empty mask.
    """
    corners = _boundary(_largest_piece(mask))
    following = np.roll(corners, -1, axis=0)
    points = (corners + following) / 2  # middles of the voxels' edges
    turns = _turns(points)
    points = points[turns]
    return np.concatenate([points, points[:1]])


def _largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask)
    if count == 0:
        raise ValueError("an empty mask has no outline")
    sizes = np.bincount(labels.ravel())[1:]
    piece = labels == int(np.argmax(sizes)) + 1
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(piece)
    return filled


# Neighbour that is outside: the side facing it, walked clockwise on an image whose rows go down.
_SIDES: Final[dict[Vertex, tuple[Vertex, Vertex]]] = {
    (0, -1): ((0, 0), (1, 0)),
    (1, 0): ((1, 0), (1, 1)),
    (0, 1): ((1, 1), (0, 1)),
    (-1, 0): ((0, 1), (0, 0)),
}


def _boundary(piece: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Corners (n, 2) of the voxels along the boundary of one piece without holes, in order.

    One edge leaves every corner: a piece that touches itself at a corner would enclose a hole.
    """
    padded = np.pad(piece, 1)
    following: dict[Vertex, Vertex] = {}
    for (dx, dy), (start, end) in _SIDES.items():
        outside = ~np.roll(padded, (-dx, -dy), axis=(0, 1))
        for x, y in (np.argwhere(padded & outside) - 1).tolist():
            following[x + start[0], y + start[1]] = (x + end[0], y + end[1])
    loop = [min(following)]
    while (ahead := following[loop[-1]]) != loop[0]:
        loop.append(ahead)
    return np.array(loop, dtype=np.float64)


def _turns(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    before = points - np.roll(points, 1, axis=0)
    after = np.roll(points, -1, axis=0) - points
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    turning: NDArray[np.bool_] = np.abs(cross) > 1e-9
    return turning
