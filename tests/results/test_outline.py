"""Outlines go round the mask, in the image coordinates of the standard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw
from scipy import ndimage

from mome_node.results.outline import largest_slice, outline


def _area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return float(abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2)


def test_one_voxel_has_a_diamond_around_its_centre() -> None:
    mask = np.zeros((6, 5), dtype=bool)
    mask[2, 3] = True
    points = {tuple(p) for p in outline(mask)}
    assert points == {(2.5, 3.0), (3.0, 3.5), (2.5, 4.0), (2.0, 3.5)}


def test_a_rectangle_loses_only_its_corners() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:7, 3:5] = True
    assert _area(outline(mask)) == 10 - 4 * 0.125


def test_only_the_largest_piece_is_outlined_and_its_holes_are_not() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[1:3, 1:3] = True
    mask[8:16, 8:16] = True
    mask[11, 11] = False
    polygon = outline(mask)
    assert polygon.min() == 8
    assert polygon.max() == 16
    assert _area(polygon) == 64 - 0.5


def test_an_empty_mask_has_no_outline() -> None:
    with pytest.raises(ValueError, match="empty"):
        outline(np.zeros((3, 3), dtype=bool))


@given(arrays(np.bool_, (7, 6)).filter(lambda mask: bool(mask.any())))
def test_the_outline_is_closed_and_holds_every_voxel_centre_of_the_piece(mask: np.ndarray) -> None:
    polygon = outline(mask)
    np.testing.assert_array_equal(polygon[0], polygon[-1])
    labels, _ = ndimage.label(mask)
    piece = labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1
    scale = 20
    picture = Image.new("1", (7 * scale, 6 * scale))
    ImageDraw.Draw(picture).polygon([tuple(p * scale) for p in polygon], fill=1)
    drawn = np.array(picture).T
    centres = drawn[scale // 2 :: scale, scale // 2 :: scale]
    assert centres[piece].all()
    assert not centres[~ndimage.binary_fill_holes(piece)].any()


@given(st.integers(0, 4))
def test_the_largest_slice_is_where_the_mask_covers_most(z: int) -> None:
    mask = np.zeros((4, 4, 5), dtype=bool)
    mask[0, 0, :] = True
    mask[:3, :3, z] = True
    assert largest_slice(mask) == z
