"""What the images show of two breasts: phantoms of many women, every way round, and others."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pydicom
import pytest

from mome_node.dicom.geometry import Grid
from mome_node.errors import ModelInputError
from mome_node.mome.breast_evidence import breast_evidence
from mome_node.phantom.exam import Protocol
from mome_node.phantom.render import axial_grid, render_exam
from mome_node.volumes.volume import Volume

PROTOCOL = Protocol((96, 96, 32), (32, 32, 12), (64, 64, 24))
GRID = axial_grid(PROTOCOL.dce_matrix)
REAL = Path(__file__).parents[1] / "data" / "dicom" / "breast-mr" / "qin-breast-dce-bc15.dcm"


@pytest.fixture(scope="module", params=range(100, 106))
def pair(request):
    """The pre-contrast and first post-contrast phase of a phantom."""
    exam = render_exam(request.param, protocol=PROTOCOL)
    return exam.dce[:2]


@pytest.fixture(scope="module")
def one():
    return render_exam(100, protocol=PROTOCOL)


def flipped(volume, *axes):
    """The image as it lies where the header has these axes the wrong way round."""
    return Volume(np.ascontiguousarray(np.flip(volume.array, axes)), volume.grid)


def reordered(volume, order, signs):
    """The same image in the patient, stored with other axes: another plane or direction."""
    array = volume.array.transpose(order)
    affine = volume.grid.affine[:, [*order, 3]].copy()
    for axis, sign in enumerate(signs):
        if sign < 0:
            array = np.flip(array, axis)
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
    return Volume(np.ascontiguousarray(array), Grid(array.shape, affine))


def cropped(volume, x=slice(None), y=slice(None), z=slice(None)):
    window = (x, y, z)
    affine = volume.grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [s.start or 0 for s in window]
    array = np.ascontiguousarray(volume.array[window])
    return Volume(array, Grid(array.shape, affine))


def solid(inside, signal=300.0):
    """A body of one signal in air, with noise; ``inside`` takes the patient's x, y, z in mm."""
    index = np.indices(GRID.shape)
    x, y, z = np.einsum("ij,jxyz->ixyz", GRID.affine[:3, :3], index) + (
        GRID.affine[:3, 3].reshape(3, 1, 1, 1)
    )
    noise = np.random.default_rng(1).normal(0, 4, GRID.shape)
    return Volume((np.where(inside(x, y, z), signal, 5.0) + noise).astype(np.float32), GRID)


def trunk(x, y, _z):
    return (x / 160) ** 2 + ((y - 95) / 100) ** 2 < 1


def breast(side):
    return lambda x, y, z: ((x - side * 80) / 62) ** 2 + ((y + 10) / 75) ** 2 + (z / 65) ** 2 < 1


# Two breasts


def test_two_breasts_with_the_heart_on_the_left_fail_nothing(pair):
    found = breast_evidence(*pair)
    assert (found.seen, found.facing, found.heart, found.cut) == ("two breasts", 1, "L", ())
    assert found.hanging_mm >= 40


@pytest.mark.parametrize(
    ("order", "signs"),
    [
        ((0, 1, 2), (1, 1, -1)),  # slices from head to feet
        ((0, 1, 2), (-1, -1, 1)),  # rows and columns the other way, as in some prone exams
        ((0, 1, 2), (1, -1, 1)),
        ((0, 2, 1), (1, -1, 1)),  # coronal
        ((1, 2, 0), (1, -1, 1)),  # sagittal
    ],
)
def test_whatever_way_the_slices_lie_the_patients_place_counts(one, order, signs):
    found = breast_evidence(*(reordered(v, order, signs) for v in one.dce[:2]))
    assert (found.seen, found.facing, found.heart, found.cut) == ("two breasts", 1, "L", ())


def test_oblique_slices_and_other_images_than_a_dynamic_are_read_too(one):
    c, s = np.cos(0.15), np.sin(0.15)
    turn = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    for volume in (one.dce[0], one.t2):
        oblique = Volume(volume.array, Grid(volume.grid.shape, turn @ volume.grid.affine))
        assert breast_evidence(oblique).seen == "two breasts"
    assert breast_evidence(one.t2).heart is None


@pytest.mark.parametrize("factor", [0.01, 50.0])
def test_the_scanners_arbitrary_scale_does_not_matter(one, factor):
    scaled = [Volume(v.array * np.float32(factor), v.grid) for v in one.dce[:2]]
    assert breast_evidence(*scaled) == breast_evidence(*one.dce[:2])


def test_a_real_slice_is_one_of_two_breasts_and_is_noticed_when_turned_round():
    """One slice of one exam, repeated to a stack: all that is real here."""
    dataset = pydicom.dcmread(REAL)
    across, down = np.reshape(np.array(dataset.ImageOrientationPatient, dtype=float), (2, 3))
    affine = np.eye(4)
    affine[:3, 0] = across * float(dataset.PixelSpacing[1])
    affine[:3, 1] = down * float(dataset.PixelSpacing[0])
    affine[:3, 2] = 3.0 * np.cross(across, down)
    affine[:3, 3] = dataset.ImagePositionPatient
    image = np.repeat(dataset.pixel_array.astype(np.float32).T[:, :, None], 30, axis=2)
    volume = Volume(image, Grid(image.shape, affine))
    found = breast_evidence(volume)
    assert (found.seen, found.facing) == ("two breasts", 1)
    turned = breast_evidence(flipped(volume, 0, 1))
    assert (turned.seen, turned.facing) == ("two breasts", -1)


# A position that contradicts the anatomy


@pytest.mark.parametrize("axes", [(0, 1), (1,)])
def test_breasts_that_point_to_the_headers_back_are_noticed(pair, axes):
    found = breast_evidence(*(flipped(v, *axes) for v in pair))
    assert (found.seen, found.facing) == ("two breasts", -1)


@pytest.mark.parametrize("axes", [(0,), (0, 2)])
def test_sides_that_are_exchanged_put_the_heart_on_the_right(pair, axes):
    found = breast_evidence(*(flipped(v, *axes) for v in pair))
    assert (found.seen, found.facing, found.heart) == ("two breasts", 1, "R")


def test_without_contrast_the_heart_tells_no_side(pair):
    assert breast_evidence(pair[0]).heart is None
    assert breast_evidence(pair[0], pair[0]).heart is None


# A field that cuts


@pytest.mark.parametrize(
    ("window", "cut"),
    [
        ({"x": slice(0, 82)}, "left"),
        ({"x": slice(14, 96)}, "right"),
        ({"y": slice(24, 96)}, "front"),
        ({"z": slice(12, 32)}, "below"),
    ],
)
def test_a_field_that_cuts_the_breasts_says_where(pair, window, cut):
    found = breast_evidence(cropped(pair[0], **window))
    assert cut in found.cut
    assert found.seen == "two breasts"
    assert found.facing == 1


# What is no pair of breasts


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(GRID.shape),
        np.full(GRID.shape, 700.0),
        np.random.default_rng(0).normal(100, 20, GRID.shape),
        np.hypot(*np.random.default_rng(0).normal(0, 20, (2, *GRID.shape))),
    ],
    ids=["empty", "uniform", "noise", "noise of a magnitude image"],
)
def test_an_image_without_a_body_shows_nothing_like_breasts(array):
    assert breast_evidence(Volume(array.astype(np.float32), GRID)).seen == "nothing like it"


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("sphere", lambda x, y, z: x**2 + (y - 20) ** 2 + z**2 < 90**2),
        ("head", lambda x, y, _: (x / 75) ** 2 + ((y - 20) / 95) ** 2 < 1),
        ("knee", lambda x, y, _: x**2 + (y - 20) ** 2 < 65**2),
        ("field full of body", lambda x, _y, _z: x > -400),
    ],
)
def test_a_head_a_knee_and_a_filled_field_show_nothing_like_breasts(name, inside):
    assert breast_evidence(solid(inside)).seen == "nothing like it", name


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("abdomen, or a flat chest", trunk),
        ("two knees", lambda x, y, _: (np.abs(x) - 80) ** 2 + (y - 20) ** 2 < 60**2),
        ("touching thighs", lambda x, y, _: (np.abs(x) - 80) ** 2 + (y - 20) ** 2 < 82**2),
    ],
)
def test_what_may_be_a_chest_and_has_no_two_lobes_is_unclear(name, inside):
    assert breast_evidence(solid(inside)).seen == "unclear", name


@pytest.mark.parametrize("side", [1, -1])
def test_one_breast_on_a_chest_is_told_as_one(side):
    lobe = breast(side)
    found = breast_evidence(solid(lambda x, y, z: trunk(x, y, z) | lobe(x, y, z)))
    assert found.seen == "one breast"


def test_two_such_breasts_are_two():
    left, right = breast(1), breast(-1)
    both = solid(lambda x, y, z: trunk(x, y, z) | left(x, y, z) | right(x, y, z))
    assert breast_evidence(both).seen == "two breasts"


def test_a_field_larger_than_any_scanners_is_refused(one):
    huge = Volume(one.dce[0].array, Grid(GRID.shape, GRID.affine * np.array([9, 9, 9, 1])))
    with pytest.raises(ModelInputError, match="field of view"):
        breast_evidence(huge)


def test_a_large_exam_is_looked_at_within_a_second():
    small = render_exam(3, protocol=Protocol((112, 112, 40), (32, 32, 12), (32, 32, 12))).dce[0]
    array = np.repeat(np.repeat(np.repeat(small.array, 4, 0), 4, 1), 4, 2)
    affine = small.grid.affine @ np.diag([0.25, 0.25, 0.25, 1.0])
    volume = Volume(array, Grid((448, 448, 160), affine))
    began = time.process_time()
    assert breast_evidence(volume, volume).seen == "two breasts"
    assert time.process_time() - began < 2.0  # both cores' time
