from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.dicom.header import FrameFacts, FrameRef
from mome_node.dicom.stacking import Plane, check_planes, stack_planes
from mome_node.errors import (
    DoubledSlicesError,
    MissingSlicesError,
    MixedMatrixError,
    MixedOrientationError,
    PlaneGeometryError,
    TiledImageError,
    TooFewSlicesError,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
OBLIQUE = (0.96, 0.28, 0.0, -0.28 * 0.8, 0.96 * 0.8, 0.6)


def planes_at(
    depths: Sequence[float], orientation: tuple[float, ...] = AXIAL, rows: int = 4, columns: int = 6
) -> list[Plane]:
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(row, column)
    planes = []
    for index, depth in enumerate(depths):
        x, y, z = np.array([-50.0, 20.0, 7.0]) + depth * normal
        a, b, c, d, e, f = orientation
        facts = FrameFacts(
            1,
            image_position=(float(x), float(y), float(z)),
            image_orientation=(a, b, c, d, e, f),
            pixel_spacing=(0.7, 0.8),
        )
        planes.append((FrameRef(f"1.2.{index}"), facts, rows, columns))
    return planes


def changed(plane: Plane, **values: object) -> Plane:
    reference, facts, rows, columns = plane
    return reference, replace(facts, **values), rows, columns  # type: ignore[arg-type]  # by keyword


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, CORONAL, OBLIQUE])
def test_grid_takes_every_voxel_to_where_its_plane_says(orientation: tuple[float, ...]) -> None:
    planes = planes_at([6, 0, 3, 9], orientation)
    stack = stack_planes(planes)
    assert stack.grid.shape == (6, 4, 4)
    assert np.linalg.det(stack.grid.affine[:3, :3]) > 0
    by_reference = {reference: facts for reference, facts, _, _ in planes}
    for index, reference in enumerate(stack.frames):
        position = by_reference[reference].image_position
        assert position is not None
        # PS3.3 C.7.6.2.1.1: row cosines × column spacing × column index, and so on.
        far = (
            np.array(position)
            + 5 * 0.8 * np.array(orientation[:3])
            + 3 * 0.7 * np.array(orientation[3:])
        )
        np.testing.assert_allclose(stack.grid.to_patient((5, 3, index)), far, atol=1e-9)


@given(st.permutations(range(7)), st.sampled_from([AXIAL, SAGITTAL, CORONAL, OBLIQUE]))
def test_order_of_the_planes_does_not_matter(
    order: list[int], orientation: tuple[float, ...]
) -> None:
    planes = planes_at([2.5 * k for k in range(7)], orientation)
    shuffled = stack_planes([planes[k] for k in order])
    straight = stack_planes(planes)
    assert shuffled.frames == straight.frames == tuple(p[0] for p in planes)
    assert shuffled.grid.matches(straight.grid)


@given(st.lists(st.floats(-0.02, 0.02), min_size=20, max_size=20))
def test_rounded_positions_make_a_stack(jitter: list[float]) -> None:
    depths = [3.0 * k + j for k, j in enumerate(jitter)]
    assert stack_planes(planes_at(depths)).grid.spacing[2] == pytest.approx(3.0, abs=0.01)


def test_gap_between_slices_is_part_of_the_spacing() -> None:
    planes = [changed(p, slice_thickness=2.0) for p in planes_at([0, 3, 6])]
    assert stack_planes(planes).grid.spacing == pytest.approx((0.8, 0.7, 3.0))


@given(st.integers(4, 30), st.data())
def test_any_missing_inner_slice_is_found(count: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(1, count - 2))
    depths = [2.0 * k for k in range(count) if k != lost]
    with pytest.raises(MissingSlicesError, match=r"1 slices are missing|unevenly"):
        check_planes(planes_at(depths))


def test_missing_slices_are_told_with_their_place() -> None:
    with pytest.raises(MissingSlicesError, match=r"2 slices.* 11\.00 to 17\.00 mm"):
        check_planes(planes_at([0, 2, 4, 10, 12, 14]))


def test_uneven_slices_are_refused() -> None:
    with pytest.raises(MissingSlicesError, match="unevenly"):
        check_planes(planes_at([0, 2, 4.8, 6, 8, 10]))


def test_doubled_slices_are_named() -> None:
    with pytest.raises(DoubledSlicesError, match=r"1\.2\.1 frame 1 and instance 1\.2\.2 frame 1"):
        check_planes(planes_at([0, 2, 2.001, 4, 6]))


def test_planes_that_are_not_parallel_are_refused() -> None:
    planes = planes_at([0, 2, 4]) + planes_at([0, 2, 4], SAGITTAL)
    with pytest.raises(MixedOrientationError, match="not parallel"):
        check_planes(planes)


def test_plane_beside_the_stack_is_refused() -> None:
    planes = planes_at([0, 2, 4, 6, 8])
    planes[2] = changed(planes[2], image_position=(-45.0, 20.0, 11.0))
    with pytest.raises(MixedOrientationError, match="beside the stack"):
        check_planes(planes)


def test_leaning_stack_is_refused() -> None:
    planes = planes_at([0, 2, 4])
    leaning = [
        changed(p, image_position=(float(-50 + k), 20.0, 7.0 + 2 * k)) for k, p in enumerate(planes)
    ]
    with pytest.raises(MixedOrientationError, match="sideways"):
        check_planes(leaning)


def test_mixed_size_and_spacing_are_refused() -> None:
    planes = planes_at([0, 2, 4])
    with pytest.raises(MixedMatrixError, match="8 rows"):
        check_planes([*planes, *planes_at([6], rows=8)])
    with pytest.raises(MixedMatrixError, match="pixel spacing"):
        check_planes([*planes, changed(planes_at([6])[0], pixel_spacing=(0.9, 0.9))])


def test_mosaic_is_never_taken_for_a_slice() -> None:
    with pytest.raises(TiledImageError, match="mosaic"):
        check_planes([changed(p, tiled=True) for p in planes_at([0, 2, 4])])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_planes_are_no_volume(count: int) -> None:
    with pytest.raises(TooFewSlicesError):
        check_planes(planes_at([2.0 * k for k in range(count)]))


def test_two_planes_suffice_if_the_caller_says_so() -> None:
    assert stack_planes(planes_at([0, 2]), min_slices=2).grid.shape == (6, 4, 2)
    with pytest.raises(TooFewSlicesError):
        check_planes(planes_at([0]), min_slices=1)


@pytest.mark.parametrize(
    "values",
    [
        {"image_position": None},
        {"image_orientation": None},
        {"image_orientation": (0.0,) * 6},
        {"image_orientation": (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)},
        {"pixel_spacing": None},
        {"pixel_spacing": (0.0, 1.0)},
    ],
)
def test_plane_without_sound_geometry_is_refused(values: dict[str, object]) -> None:
    planes = planes_at([0, 2, 4])
    planes[1] = changed(planes[1], **values)
    with pytest.raises(PlaneGeometryError, match=r"1\.2\.1"):
        check_planes(planes)
