"""Resampling keeps every point at its place in the patient, and does not alias."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mome_node.dicom.geometry import Grid
from mome_node.volumes.resample import inside, resample
from mome_node.volumes.volume import Volume


def grid_of(shape, spacing, center=(0.0, 0.0, 0.0), axes=None):
    """``axes`` holds the directions of columns, rows and slices as its rows."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if axes is None else np.asarray(axes, dtype=float).T) @ np.diag(
        spacing
    )
    affine[:3, 3] = np.array(center) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def rotation(a, b, c):
    def about(axis, angle):
        i, j = [k for k in range(3) if k != axis]
        matrix = np.eye(3)
        matrix[i, i] = matrix[j, j] = np.cos(angle)
        matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
        return matrix

    return about(0, a) @ about(1, b) @ about(2, c)


def places_of(grid):
    index = np.stack(np.indices(grid.shape), axis=-1)
    return index @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def ramp(grid):
    """A function of the patient's place that linear interpolation reproduces exactly."""
    return (places_of(grid) @ np.array([1.0, -2.0, 3.0]) + 5.0).astype(np.float32)


def blob(grid, center=(12.0, -9.0, 6.0), radius=12.0):
    distance = ((places_of(grid) - np.array(center)) ** 2).sum(axis=-1)
    return np.exp(-distance / (2 * radius**2)).astype(np.float32)


SOURCE = grid_of((50, 44, 30), (2.0, 2.0, 3.0))
ORIENTATIONS = {
    "axial": np.eye(3),
    "sagittal": [[0, 1, 0], [0, 0, -1], [1, 0, 0]],
    "coronal": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "feet first": np.diag([-1, 1, -1]),
    "prone, turned by 180 degrees": np.diag([-1, -1, 1]),
    "oblique": rotation(0.3, -0.2, 0.4),
    "nearly axial": rotation(0.0, 0.0, 0.02),
    "left-handed": np.diag([1, 1, -1]),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_linear_field_is_reproduced_at_every_place(name):
    target = grid_of((30, 28, 26), (1.9, 1.8, 1.7), (3.0, -4.0, 2.0), ORIENTATIONS[name])
    result = resample(Volume(ramp(SOURCE), SOURCE), target, fill=np.nan).array
    held = inside(SOURCE, target)
    # Between the outermost voxel's centre and its edge the value is that of the centre.
    margin = grid_of((48, 42, 28), (2.0, 2.0, 3.0))
    deep = inside(margin, target)
    assert deep.sum() > 1000
    np.testing.assert_allclose(result[deep], ramp(target)[deep], atol=0.01)
    assert np.isfinite(result[held]).all()


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("spacing", [2.3, 2.9, 4.7, 8.0])
def test_averaging_moves_nothing_by_more_than_a_tenth_of_an_old_voxel(name, spacing):
    target = grid_of((9, 8, 7), (spacing,) * 3, (1.0, -2.0, 3.0), ORIENTATIONS[name])
    along_x = np.array(places_of(SOURCE)[..., 0], dtype=np.float32)
    result = resample(Volume(along_x, SOURCE), target).array
    deep = inside(grid_of((28, 28, 20), (2.0, 2.0, 3.0)), target)
    assert deep.sum() > 100
    np.testing.assert_allclose(result[deep], places_of(target)[..., 0][deep], atol=0.2)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_round_trip_brings_every_structure_back_to_its_place(name):
    there = grid_of((60, 58, 52), (2.0, 2.1, 2.2), axes=ORIENTATIONS[name])
    original = Volume(blob(SOURCE), SOURCE)
    back = resample(resample(original, there), SOURCE).array
    assert np.abs(back - original.array)[4:-4, 4:-4, 4:-4].max() < 0.05
    peak = SOURCE.to_patient(np.unravel_index(back.argmax(), back.shape))
    assert np.abs(np.subtract(peak, (12.0, -9.0, 6.0))).max() <= 3.0


@settings(max_examples=30, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-3.1, 3.1)] * 3),
    shift=st.tuples(*[st.floats(-5, 5)] * 3),
)
def test_blob_keeps_its_patient_coordinates_on_any_grid(angles, shift):
    target = grid_of((56, 56, 56), (2.0, 2.0, 2.0), shift, rotation(*angles))
    result = resample(Volume(blob(SOURCE, radius=5.0), SOURCE), target).array
    weights = result / result.sum()
    center = (places_of(target) * weights[..., None]).sum(axis=(0, 1, 2))
    np.testing.assert_allclose(center, (12.0, -9.0, 6.0), atol=0.3)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_parallel_grids_agree_with_interpolation_point_by_point(order, signs):
    axes = np.eye(3)[list(order)] * np.array(signs)[:, None]
    target = grid_of((13, 11, 9), (1.7, 1.3, 1.1), (2.0, 1.0, -3.0), axes)
    values = np.random.default_rng(1).random(SOURCE.shape).astype(np.float32)
    result = resample(Volume(values, SOURCE), target).array
    for index in [(0, 0, 0), (12, 10, 8), (6, 3, 2)]:
        place = np.array(SOURCE.to_index(target.to_patient(index)))
        base = np.floor(place).astype(int)
        share = place - base
        expected = sum(
            values[tuple(base + corner)] * np.prod(np.where(corner, share, 1 - share))
            for corner in (np.array(c) for c in product((0, 1), repeat=3))
        )
        assert result[index] == pytest.approx(float(expected), abs=1e-5)


def test_same_grid_gives_the_same_voxels_in_a_new_array():
    values = np.random.default_rng(2).random(SOURCE.shape).astype(np.float32)
    result = resample(Volume(values, SOURCE), Grid(SOURCE.shape, SOURCE.affine.copy()))
    np.testing.assert_array_equal(result.array, values)
    assert not np.shares_memory(result.array, values)


@pytest.mark.parametrize("axes", [np.eye(3), rotation(0.1, 0.2, 0.3)])
def test_noise_averages_out_on_coarser_voxels(axes):
    fine = grid_of((80, 80, 40), (1.0, 1.0, 2.0))
    noise = np.random.default_rng(3).normal(100, 10, fine.shape).astype(np.float32)
    coarse = grid_of((12, 12, 8), (4.0, 4.0, 6.0), axes=axes)
    result = resample(Volume(noise, fine), coarse).array
    assert result.mean() == pytest.approx(100, abs=0.5)
    assert result.std() < 3.0


def test_fine_stripes_vanish_instead_of_aliasing():
    fine = grid_of((80, 40, 20), (1.0, 1.0, 1.0))
    stripes = np.zeros(fine.shape, dtype=np.float32)
    stripes[::2] = 1.0
    coarse = grid_of((16, 10, 5), (4.1, 4.0, 4.0))
    result = resample(Volume(stripes, fine), coarse).array
    assert np.abs(result - 0.5).max() < 0.1


def test_outside_the_field_is_filled_and_the_outermost_voxels_are_held_in_full():
    ones = Volume(np.ones(SOURCE.shape, dtype=np.float32), SOURCE)
    # Two samples in each voxel, one of them beyond its centre, and one voxel outside at each end.
    target = grid_of((104, 44, 30), (1.0, 2.0, 3.0))
    result = resample(ones, target, fill=-7.0).array
    np.testing.assert_allclose(result[2:-2], 1.0, atol=1e-6)
    assert (result[:2] == -7.0).all()
    assert (result[-2:] == -7.0).all()


@pytest.mark.parametrize("axes", [np.eye(3), rotation(0.2, 0.1, 0.3)])
def test_volume_elsewhere_in_the_patient_gives_only_fill(axes):
    far = grid_of((10, 10, 10), (2.0, 2.0, 2.0), (500.0, 0.0, 0.0), axes)
    result = resample(Volume(ramp(SOURCE), SOURCE), far, fill=3.0).array
    assert (result == 3.0).all()


@pytest.mark.parametrize("axes", [np.eye(3), rotation(0.2, 0.1, 0.3)])
def test_labels_are_not_mixed(axes):
    labels = np.random.default_rng(4).integers(0, 4, SOURCE.shape).astype(np.float32)
    target = grid_of((20, 20, 20), (5.0, 5.0, 5.0), axes=axes)
    result = resample(Volume(labels, SOURCE), target, order=0, fill=9.0).array
    assert set(np.unique(result)) <= {0.0, 1.0, 2.0, 3.0, 9.0}


def test_a_single_slice_has_the_thickness_of_its_voxels():
    slab = grid_of((20, 20, 1), (2.0, 2.0, 4.0))
    target = grid_of((20, 20, 5), (2.0, 2.0, 1.0))
    result = resample(Volume(np.ones(slab.shape, dtype=np.float32), slab), target).array
    np.testing.assert_allclose(result[..., 0:5], 1.0, atol=1e-6)


@pytest.mark.parametrize("layout", ["C", "F"])
def test_memory_layout_does_not_matter(layout):
    values = np.array(ramp(SOURCE), order=layout)
    target = grid_of((20, 18, 14), (4.0, 4.0, 5.0))
    result = resample(Volume(values, SOURCE), target).array
    np.testing.assert_allclose(
        result, resample(Volume(ramp(SOURCE), SOURCE), target).array, atol=1e-3
    )
    assert result.flags.c_contiguous


def test_result_is_float32_without_frames():
    target = grid_of((20, 18, 14), (4.0, 4.0, 5.0))
    result = resample(Volume(ramp(SOURCE), SOURCE), target)
    assert result.array.dtype == np.float32
    assert result.frames == ()


def test_a_clinical_phase_comes_to_the_model_grid_as_it_was():
    source = grid_of((256, 256, 48), (1.35, 1.35, 3.4))
    target = grid_of((96, 64, 32), (3.6, 3.6, 5.0), axes=rotation(0.0, 0.0, 0.05))
    volume = Volume(np.ones(source.shape, dtype=np.float32), source)
    inner = resample(volume, target).array[8:-8, 8:-8, 8:-8]
    np.testing.assert_allclose(inner[inner > 0], 1.0, atol=1e-5)
