"""Torch makes the same voxels as numpy, whatever the grids, the layout in memory and the blocks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mome_node.dicom.geometry import Grid
from mome_node.mome.resampling import GPU_BLOCK, Resampling
from mome_node.volumes.resample import resample
from mome_node.volumes.volume import Volume

CPU = torch.device("cpu")
BLOCKS = (None, 5, GPU_BLOCK)
"""The CPU's own, one that divides nothing, and that of a GPU."""

SOURCE_SHAPE = (40, 34, 22)
SOURCE_MM = (2.0, 2.2, 3.0)


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


def noise(shape, seed=0):
    """The hardest image: neighbouring voxels have nothing in common."""
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def by_torch(array, source, grid, block=None):
    out = torch.full(grid.shape, float("nan"))
    Resampling(source, grid, CPU, block=block).into(out, array)
    return out.numpy()


def by_numpy(array, source, grid):
    return resample(Volume(array, source), grid).array


@settings(max_examples=60, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-3.1, 3.1)] * 3) | st.just((0.0, 0.0, 0.0)),
    spacing=st.tuples(*[st.floats(0.7, 9.0)] * 3),
    shape=st.tuples(*[st.integers(1, 24)] * 3),
    center=st.tuples(*[st.floats(-60, 60)] * 3),
    source_shape=st.tuples(*[st.integers(1, 30)] * 3),
    block=st.sampled_from(BLOCKS),
)
def test_any_two_grids_give_the_voxels_that_numpy_gives(
    angles, spacing, shape, center, source_shape, block
):
    source = grid_of(source_shape, SOURCE_MM)
    grid = grid_of(shape, spacing, center, rotation(*angles))
    array = noise(source_shape)
    np.testing.assert_allclose(
        by_torch(array, source, grid, block), by_numpy(array, source, grid), rtol=0, atol=2e-5
    )


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_parallel_axes_in_any_order_and_direction_agree_to_the_last_digits(order, signs, block):
    source = grid_of(SOURCE_SHAPE, SOURCE_MM)
    axes = np.eye(3)[list(order)] * np.array(signs)[:, None]
    grid = grid_of((33, 21, 17), (2.3, 2.9, 4.1), (2.0, 1.0, -3.0), axes)
    array = noise(SOURCE_SHAPE)
    np.testing.assert_allclose(
        by_torch(array, source, grid, block), by_numpy(array, source, grid), rtol=0, atol=1e-6
    )


def test_long_axes_lose_no_digits():
    source = grid_of((700, 12, 10), (0.5, 0.5, 0.5))
    grid = grid_of((660, 9, 8), (0.5, 0.5, 0.5), axes=rotation(0.01, 0.004, 0.003))
    array = noise(source.shape)
    np.testing.assert_allclose(
        by_torch(array, source, grid), by_numpy(array, source, grid), rtol=0, atol=5e-5
    )


@pytest.mark.parametrize("axes", [np.eye(3), rotation(0.1, 0.2, 0.3)])
@pytest.mark.parametrize("layout", ["slices first", "columns first", "reversed", "locked"])
def test_layout_in_memory_changes_nothing_and_raises_no_warning(layout, axes):
    source = grid_of(SOURCE_SHAPE, SOURCE_MM)
    grid = grid_of((20, 18, 14), (4.0, 4.0, 5.0), axes=axes)
    array = noise(SOURCE_SHAPE)
    expected = by_torch(array, source, grid)
    if layout == "slices first":  # as volumes come from DICOM
        array = np.array(array, order="F")
    elif layout == "reversed":
        array = np.ascontiguousarray(array[::-1, :, ::-1])[::-1, :, ::-1]
    elif layout == "locked":
        array.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = by_torch(array, source, grid)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_result_may_be_written_into_a_channel_of_any_layout():
    source = grid_of(SOURCE_SHAPE, SOURCE_MM)
    array = noise(SOURCE_SHAPE)
    for grid in (
        grid_of((9, 8, 7), (4.0, 4.0, 5.0)),
        grid_of((9, 8, 7), (4.0, 4.0, 5.0), axes=rotation(0.1, 0.2, 0.3)),
    ):
        channels = torch.zeros(3, 7, 8, 9).permute(0, 3, 2, 1)
        Resampling(source, grid, CPU).into(channels[1], array)
        np.testing.assert_array_equal(channels[1].numpy(), by_torch(array, source, grid))
        assert not channels[0].any()
        assert not channels[2].any()


def test_one_resampling_serves_every_phase_alike():
    source = grid_of(SOURCE_SHAPE, SOURCE_MM)
    grid = grid_of((20, 18, 14), (4.0, 4.0, 5.0), axes=rotation(0.1, 0.2, 0.3))
    resampling = Resampling(source, grid, CPU)
    for seed in (1, 2, 1):
        array = noise(SOURCE_SHAPE, seed)
        out = torch.empty(grid.shape)
        resampling.into(out, array)
        np.testing.assert_array_equal(out.numpy(), by_torch(array, source, grid))


def test_same_grid_gives_the_same_voxels_in_memory_of_its_own():
    source = grid_of(SOURCE_SHAPE, SOURCE_MM)
    array = noise(SOURCE_SHAPE)
    result = by_torch(array, source, Grid(source.shape, source.affine.copy()))
    np.testing.assert_array_equal(result, array)
    assert not np.shares_memory(result, array)


@pytest.mark.parametrize("axes", [np.eye(3), rotation(0.2, 0.1, 0.3)])
def test_outside_the_field_there_is_zero(axes):
    source = grid_of(SOURCE_SHAPE, SOURCE_MM)
    far = grid_of((10, 10, 10), (2.0, 2.0, 2.0), (500.0, 0.0, 0.0), axes)
    assert not by_torch(noise(SOURCE_SHAPE), source, far).any()


@pytest.fixture
def lower_precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("axes", [np.eye(3), rotation(0.2, 0.1, 0.3)])
@pytest.mark.usefixtures("lower_precision")
def test_precision_that_the_network_may_use_does_not_touch_the_images(axes):
    source = grid_of((200, 200, 60), (1.0, 1.0, 1.0))
    grid = grid_of((120, 110, 40), (1.5, 1.5, 1.4), axes=axes)
    array = noise(source.shape)
    found = by_torch(array, source, grid)
    assert torch.get_float32_matmul_precision() == "medium"
    np.testing.assert_allclose(found, by_numpy(array, source, grid), rtol=0, atol=2e-5)


def test_an_image_or_result_of_another_shape_is_refused():
    resampling = Resampling(
        grid_of(SOURCE_SHAPE, SOURCE_MM), grid_of((5, 4, 3), (8.0, 8.0, 8.0)), CPU
    )
    with pytest.raises(ValueError, match="between these grids"):
        resampling.into(torch.empty(5, 4, 3), noise((5, 4, 3)))
    with pytest.raises(ValueError, match="between these grids"):
        resampling.into(torch.empty(3, 4, 5), noise(SOURCE_SHAPE))
