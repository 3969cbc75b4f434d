from __future__ import annotations

import numpy as np
import pytest

from mome_node.phantom.fields import Axes, ellipsoid, smooth_noise, smooth_union, soft
from mome_node.phantom.render import axial_grid


def noise(matrix: tuple[int, int, int], scale_mm: float = 16.0, seed: int = 5) -> np.ndarray:
    return smooth_noise(np.random.default_rng(seed), Axes.of(axial_grid(matrix)), scale_mm)


def test_noise_is_the_same_field_on_every_matrix() -> None:
    coarse, fine = noise((20, 20, 10)), noise((60, 60, 30))
    # Every third voxel of the fine grid has the centre of a coarse one.
    assert fine[1::3, 1::3, 1::3] == pytest.approx(coarse, abs=2e-4)


def test_noise_has_unit_variance_and_its_scale() -> None:
    field = noise((96, 96, 48), 20.0)
    assert field.mean() == pytest.approx(0, abs=0.1)
    assert 0.6 < field.std() < 1.1
    steps = 340 / 96
    near = np.corrcoef(field[:-1].ravel(), field[1:].ravel())[0, 1]
    apart = round(60 / steps)
    far = np.corrcoef(field[:-apart].ravel(), field[apart:].ravel())[0, 1]
    assert near > 0.9 > 0.15 > abs(far)


def test_axes_are_patient_coordinates_that_broadcast_to_the_grid() -> None:
    grid = axial_grid((12, 10, 4))
    axes = Axes.of(grid)
    shape = np.broadcast_shapes(axes.x.shape, axes.y.shape, axes.z.shape)
    assert shape == grid.shape
    last = grid.affine @ [11, 9, 3, 1]
    found = (axes.x.ravel()[-1], axes.y.ravel()[-1], axes.z.ravel()[-1])
    assert found == pytest.approx(last[:3], abs=1e-4)


def test_an_ellipsoids_distance_is_zero_on_its_surface_and_negative_inside() -> None:
    x, y, z = (np.array(v, dtype=np.float32) for v in ([0, 10, 20], [0, 0, 0], [0, 0, 0]))
    axes = Axes(x[:, None, None], y[None, :1, None], z[None, None, :1])
    distance = ellipsoid(axes, (0, 0, 0), (10, 20, 30)).ravel()
    assert distance == pytest.approx([-10, 0, 10])


def test_a_soft_edge_falls_from_one_to_zero_across_the_surface() -> None:
    distance = np.array([-9, -1, -0.5, 0, 0.5, 1, 9], dtype=np.float32)
    assert soft(distance) == pytest.approx([1, 1, 0.75, 0.5, 0.25, 0, 0])


def test_a_smooth_union_is_the_nearer_surface_rounded_only_at_the_crease() -> None:
    a = np.array([-5, 40, 3], dtype=np.float32)
    b = np.array([40, -5, 3], dtype=np.float32)
    joined = smooth_union(a, b, 18.0)
    assert joined[:2] == pytest.approx([-5, -5])
    assert joined[2] < 3
