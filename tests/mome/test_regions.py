"""Regions keep their place, whatever way the key volume lies in the patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mome_node.dicom.geometry import Grid
from mome_node.mome.breast_mask import Breasts
from mome_node.mome.prediction import Attribution
from mome_node.mome.regions import find_regions
from mome_node.volumes.volume import Volume

LEFT = (60.0, -40.0, 10.0)
RIGHT = (-55.0, -30.0, -20.0)


def grid_of(shape, spacing, center=(0.0, 0.0, 0.0), axes=None):
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if axes is None else np.asarray(axes).T) @ np.diag(spacing)
    affine[:3, 3] = np.array(center) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def turned(degrees, axis):
    """Orthonormal rows: the directions of columns, rows and slices."""
    a = np.radians(degrees)
    i, j = [k for k in range(3) if k != axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(a)
    matrix[i, j], matrix[j, i] = -np.sin(a), np.sin(a)
    return matrix


MODEL = grid_of((96, 64, 32), (3.6, 3.6, 5.0))
KEYS = {
    "axial": grid_of((160, 120, 60), (2.0, 2.0, 2.5)),
    "oblique": grid_of((160, 160, 60), (2.0, 2.0, 2.5), axes=turned(25, 2) @ turned(17, 0)),
    "sagittal": grid_of((120, 80, 150), (2, 2, 2.2), axes=[[0, 1, 0], [0, 0, -1], [1, 0, 0]]),
    "feet first": grid_of((160, 120, 60), (2.0, 2.0, 2.5), axes=np.diag([-1.0, 1.0, -1.0])),
    "reversed": grid_of((160, 120, 60), (2.0, 2.0, 2.5), axes=np.diag([1.0, 1.0, -1.0])),
    "prone": grid_of((160, 120, 60), (2.0, 2.0, 2.5), axes=np.diag([-1.0, -1.0, 1.0])),
    "feet first prone": grid_of((160, 120, 60), (2.0, 2.0, 2.5), axes=np.diag([1.0, -1.0, -1.0])),
    "sagittal reversed": grid_of(
        (120, 80, 150), (2, 2, 2.2), axes=[[0, 1, 0], [0, 0, -1], [-1, 0, 0]]
    ),
    "coronal": grid_of((160, 80, 120), (2, 2, 2.2), axes=[[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "coronal feet first": grid_of(
        (160, 80, 120), (2, 2, 2.2), axes=[[-1, 0, 0], [0, 0, 1], [0, 1, 0]]
    ),
    "oblique prone": grid_of(
        (160, 160, 60), (2.0, 2.0, 2.5), axes=turned(25, 2) @ np.diag([-1.0, -1.0, 1.0])
    ),
    "coarse": grid_of((24, 20, 10), (15.0, 15.0, 17.0)),
}


def attribution_at(points, weights, radius=6.0):
    index = np.stack(np.indices(MODEL.shape), axis=-1)
    places = index @ MODEL.affine[:3, :3].T + MODEL.affine[:3, 3]
    array = np.zeros(MODEL.shape, dtype=np.float32)
    for point, weight in zip(points, weights, strict=True):
        distance = ((places - np.array(point)) ** 2).sum(axis=-1)
        array += np.float32(weight) * np.exp(-distance / (2 * radius**2)).astype(np.float32)
    return Attribution(array, MODEL, 0.0, "made by the test", 2)


def breasts(mask=None, midline=0.0):
    if mask is None:
        mask = np.ones(MODEL.shape, dtype=bool)
    return Breasts(mask, MODEL, midline)


def key_volume(name="axial"):
    grid = KEYS[name]
    return Volume(np.zeros(grid.shape, dtype=np.float32), grid)


@pytest.mark.parametrize("name", KEYS)
def test_region_comes_back_at_the_place_of_the_attribution(name):
    key = key_volume(name)
    (region,) = find_regions(attribution_at([LEFT], [1.0]), key, breasts()).regions
    assert np.linalg.norm(np.subtract(region.center_mm, LEFT)) < 1.0
    middle = key.grid.to_patient(ndimage.center_of_mass(region.mask))
    off = np.abs(np.subtract(key.grid.to_index(middle), key.grid.to_index(LEFT)))
    assert (off <= 1.0).all()


@pytest.mark.parametrize("name", KEYS)
def test_region_is_one_connected_part_on_the_grid_of_the_key_volume(name):
    key = key_volume(name)
    (region,) = find_regions(attribution_at([LEFT], [1.0]), key, breasts()).regions
    assert region.mask.shape == key.grid.shape
    assert region.mask.dtype == np.bool_
    assert ndimage.label(region.mask, structure=np.ones((3, 3, 3)))[1] == 1


def test_region_has_the_same_volume_on_every_grid():
    def volume_ml(name):
        key = key_volume(name)
        (region,) = find_regions(attribution_at([LEFT], [1.0]), key, breasts()).regions
        return region.mask.sum() * np.prod(key.grid.spacing) / 1000

    assert volume_ml("oblique") == pytest.approx(volume_ml("axial"), rel=0.1)
    assert volume_ml("sagittal") == pytest.approx(volume_ml("axial"), rel=0.1)


def test_regions_are_ranked_by_their_share_and_named_by_side():
    found = find_regions(attribution_at([RIGHT, LEFT], [0.6, 1.0]), key_volume(), breasts())
    assert [r.laterality for r in found.regions] == ["L", "R"]
    first, second = (r.share for r in found.regions)
    assert 0 < second < first < 1
    assert first + second + found.share_outside <= 1.0 + 1e-6


@pytest.mark.parametrize("name", KEYS)
def test_side_is_the_patients_whatever_way_the_images_lie(name):
    key = key_volume(name)
    found = find_regions(attribution_at([RIGHT, LEFT], [0.6, 1.0]), key, breasts())
    assert [r.laterality for r in found.regions] == ["L", "R"]
    for region, sign in zip(found.regions, (1, -1), strict=True):
        places = [key.grid.to_patient(tuple(i))[0] for i in np.argwhere(region.mask)]
        assert min(sign * x for x in places) > 0  # all of it at that side: +x is the left


@settings(max_examples=25, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    mirrored=st.booleans(),
    point=st.sampled_from([LEFT, RIGHT]),
)
def test_side_is_the_patients_however_the_images_are_turned(angles, mirrored, point):
    axes = turned(angles[0], 0) @ turned(angles[1], 1) @ turned(angles[2], 2)
    axes = np.diag([1.0, 1.0, -1.0 if mirrored else 1.0]) @ axes
    grid = grid_of((70, 70, 70), (4.0, 4.0, 4.0), axes=axes)
    key = Volume(np.zeros(grid.shape, dtype=np.float32), grid)
    (region,) = find_regions(attribution_at([point], [1.0]), key, breasts()).regions
    assert region.laterality == ("L" if point is LEFT else "R")
    middle = grid.to_patient(ndimage.center_of_mass(region.mask))
    assert np.linalg.norm(np.subtract(middle, point)) < 4.0  # one voxel


def test_masks_of_neighbouring_regions_do_not_overlap():
    near = (LEFT[0] - 32.0, LEFT[1], LEFT[2])
    found = find_regions(attribution_at([LEFT, near], [1.0, 0.9]), key_volume(), breasts())
    assert len(found.regions) == 2
    assert not (found.regions[0].mask & found.regions[1].mask).any()


def test_side_follows_the_midline_of_the_body_and_not_the_sign_of_the_coordinate():
    at = breasts(midline=LEFT[0] + 30.0)
    (region,) = find_regions(attribution_at([LEFT], [1.0]), key_volume(), at).regions
    assert region.laterality == "R"


@pytest.mark.parametrize("midline", [None, LEFT[0] + 2.0])
def test_side_is_not_told_near_the_midline_or_where_it_is_unknown(midline):
    at = breasts(midline=midline)
    (region,) = find_regions(attribution_at([LEFT], [1.0]), key_volume(), at).regions
    assert region.laterality is None


def test_attribution_outside_the_breasts_is_a_share_and_no_region():
    mask = np.zeros(MODEL.shape, dtype=bool)
    mask[MODEL.shape[0] // 2 :] = True  # only the left half is breast
    found = find_regions(attribution_at([LEFT, RIGHT], [1.0, 3.0]), key_volume(), breasts(mask))
    assert [r.laterality for r in found.regions] == ["L"]
    assert found.share_outside == pytest.approx(0.75, abs=0.01)
    assert found.regions[0].share < 0.25


def test_everything_outside_the_breasts_gives_no_region():
    nothing = breasts(np.zeros(MODEL.shape, dtype=bool))
    found = find_regions(attribution_at([LEFT], [1.0]), key_volume(), nothing)
    assert found.regions == ()
    assert found.share_outside == 1.0


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_attribution_that_raises_no_score_gives_no_region(weight):
    found = find_regions(attribution_at([LEFT], [weight]), key_volume(), breasts())
    assert found.regions == ()
    assert found.share_outside == 0.0


def test_no_more_regions_than_asked_for():
    points = [(x, y, 0.0) for x in (-70.0, 70.0) for y in (-60.0, 20.0)]
    found = find_regions(
        attribution_at(points, [1.0, 0.9, 0.8, 0.7]), key_volume(), breasts(), max_regions=2
    )
    assert len(found.regions) == 2


def test_region_with_too_small_a_share_is_left_out():
    found = find_regions(
        attribution_at([LEFT, RIGHT], [1.0, 0.5]), key_volume(), breasts(), min_share=0.2
    )
    assert [r.laterality for r in found.regions] == ["L"]


def test_region_outside_the_key_volume_is_left_out():
    far = grid_of((40, 40, 40), (2.0, 2.0, 2.0), center=(400.0, 0.0, 0.0))
    key = Volume(np.zeros(far.shape, dtype=np.float32), far)
    assert find_regions(attribution_at([LEFT], [1.0]), key, breasts()).regions == ()


def test_noise_of_both_signs_does_not_move_the_region():
    clean = attribution_at([LEFT], [1.0])
    noise = np.random.default_rng(0).normal(0, 0.2, MODEL.shape).astype(np.float32)
    noisy = replace(clean, array=clean.array + noise)
    region = find_regions(noisy, key_volume(), breasts(), min_share=0.0).regions[0]
    assert np.linalg.norm(np.subtract(region.center_mm, LEFT)) < 3.6


def test_breasts_on_another_grid_are_refused():
    other = KEYS["coarse"]
    elsewhere = Breasts(np.ones(other.shape, dtype=bool), other, 0.0)
    with pytest.raises(ValueError, match="attribution's grid"):
        find_regions(attribution_at([LEFT], [1.0]), key_volume(), elsewhere)


def test_region_too_small_to_be_seen_is_left_out():
    attribution = attribution_at([LEFT, RIGHT], [1.0, 0.9], radius=2.0)
    shown = find_regions(attribution, key_volume(), breasts(), smoothing_mm=0.1)
    hidden = find_regions(
        attribution, key_volume(), breasts(), smoothing_mm=0.1, size_ml=(5.0, 100.0)
    )
    assert len(shown.regions) == 2
    assert hidden.regions == ()


@pytest.mark.parametrize("largest_ml", [30.0, 60.0])
def test_region_that_points_at_half_a_breast_is_narrowed_down(largest_ml):
    attribution = attribution_at([LEFT], [1.0], radius=40.0)
    (wide,) = find_regions(attribution, key_volume(), breasts(), size_ml=(0.05, 1e6)).regions
    (narrow,) = find_regions(
        attribution, key_volume(), breasts(), size_ml=(0.05, largest_ml)
    ).regions
    voxel_ml = 2.0 * 2.0 * 2.5 / 1000
    assert wide.mask.sum() * voxel_ml > largest_ml * 1.2
    assert narrow.mask.sum() * voxel_ml < largest_ml * 1.2
    assert (wide.mask | ~narrow.mask).all()
    assert np.linalg.norm(np.subtract(narrow.center_mm, LEFT)) < 3.0


def test_no_limit_makes_a_region_vanish_that_has_one_peak():
    attribution = attribution_at([LEFT], [1.0], radius=40.0)
    assert find_regions(attribution, key_volume(), breasts(), size_ml=(0.0, 30.0)).regions
