"""A point in model space goes back to its place in the patient, whatever the acquisition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass

from mome_node.dicom.geometry import Grid
from mome_node.mome.preprocess import demonstration_spec, prepare
from mome_node.volumes.volume import Exam, Modality, Volume

SIZES = {Modality.DCE: (6, 96, 64, 32), Modality.DWI: (1, 48, 32, 16), Modality.T2: (1, 96, 64, 16)}
SPEC = replace(demonstration_spec(), planes=("axial", "coronal", "sagittal"))
FIELD_CENTER = (0.0, 20.0, 0.0)
FIELD_MM = (340.0, 300.0, 170.0)
BLOB_MM = 6.0
"""Standard deviation of the blob: a few voxels of every image, half a slice of the thickest."""

# Directions of columns, rows and slices in the patient (LPS), as DICOM states them.
ACQUISITIONS = {
    "axial, head first, supine": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "axial, head first, prone": [[-1, 0, 0], [0, -1, 0], [0, 0, 1]],
    "axial, feet first, supine": [[-1, 0, 0], [0, 1, 0], [0, 0, -1]],
    "axial, feet first, prone": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
    "axial, slices in reversed order": [[1, 0, 0], [0, 1, 0], [0, 0, -1]],
    "axial, columns flipped left-right": [[-1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "axial, rows and columns exchanged": [[0, 1, 0], [1, 0, 0], [0, 0, 1]],
    "coronal, head first": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "coronal, feet first": [[-1, 0, 0], [0, 0, 1], [0, 1, 0]],
    "sagittal, from right to left": [[0, 1, 0], [0, 0, -1], [1, 0, 0]],
    "sagittal, from left to right, prone": [[0, -1, 0], [0, 0, -1], [-1, 0, 0]],
}
TILTS = {
    "straight": (0.0, 0.0, 0.0),
    "oblique": (0.12, -0.08, 0.2),
    "hardly oblique": (0.0, 0.002, -0.003),
}
LEFT_BREAST, RIGHT_BREAST = (70.0, -35.0, 14.0), (-58.0, -20.0, -21.0)


def tilted(axes, angles):
    """The directions turned a little about the patient's axes."""
    for axis, angle in enumerate(angles):
        i, j = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        axes = axes @ turn.T
    return axes


def acquired(axes, spacing, moved):
    """A grid over the breasts of a patient who lies ``moved`` from the scanner's centre."""
    axes = np.asarray(axes, dtype=float)
    # Where it is tilted, the field is as large as the straight one it is nearest to.
    extent = np.round(np.abs(axes)) @ np.array(FIELD_MM)
    shape = tuple(int(n) for n in np.round(extent / spacing))
    affine = np.eye(4)
    affine[:3, :3] = axes.T @ np.diag(spacing)
    middle = affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    affine[:3, 3] = np.add(FIELD_CENTER, moved) - middle
    return Grid(shape, affine)


def distances(grid, origin):
    index = np.indices(grid.shape, dtype=np.float32)
    linear = grid.affine.astype(np.float32)
    return [
        sum(linear[row, k] * index[k] for k in range(3)) + linear[row, 3] - np.float32(origin[row])
        for row in range(3)
    ]


def body(grid, moved, facing=1):
    """Two breasts on a trunk, without noise; they point to the back where ``facing`` is -1."""
    x, y, z = distances(grid, moved)
    x, y = facing * x, facing * y
    signal = np.where((x / 160) ** 2 + ((y - 100) / 105) ** 2 < 1, np.float32(200), np.float32(0))
    for side in (75, -75):
        signal[((x - side) / 60) ** 2 + ((y + 20) / 75) ** 2 + (z / 65) ** 2 < 1] = 200
    return Volume(signal.astype(np.float32), grid)


def with_blob(volume, place, height=150.0):
    square = sum(d**2 for d in distances(volume.grid, place))
    blob = np.float32(height) * np.exp(-square / np.float32(2 * BLOB_MM**2))
    return Volume(volume.array + blob.astype(np.float32), volume.grid)


def dynamic(grid, place, moved=(0.0, 0.0, 0.0), facing=1):
    before = body(grid, moved, facing)
    return Exam(dce=(before, with_blob(before, place)), phase_times_s=(0.0, 60.0))


def found_at(array, grid):
    """Where the centre of mass of an array lies in the patient, and its voxel."""
    return np.array(grid.to_patient(tuple(float(i) for i in center_of_mass(array))))


def error_voxels(array, grid, place):
    return float(np.linalg.norm((found_at(array, grid) - place) / grid.spacing))


@pytest.mark.parametrize("tilt", TILTS)
@pytest.mark.parametrize("name", ACQUISITIONS)
def test_a_blob_comes_back_to_its_patient_place_from_every_acquisition(name, tilt):
    grid = acquired(tilted(ACQUISITIONS[name], TILTS[tilt]), (3.0, 3.4, 4.2), (0.0, 0.0, 0.0))
    for place in (LEFT_BREAST, RIGHT_BREAST):
        inputs = prepare(dynamic(grid, place), SPEC, SIZES)
        assert error_voxels(inputs.arrays[Modality.DCE][0], inputs.dce_grid, place) < 0.25


@settings(max_examples=12, deadline=None)
@given(
    name=st.sampled_from(sorted(ACQUISITIONS)),
    angles=st.tuples(*[st.floats(-0.3, 0.3)] * 3),
    spacing=st.tuples(*[st.floats(2.2, 6.0)] * 3),
    side=st.sampled_from((1, -1)),
    place=st.tuples(st.floats(45, 100), st.floats(-60, 0), st.floats(-30, 30)),
    moved=st.tuples(st.floats(-40, 40), st.floats(-200, 200), st.floats(-900, 900)),
)
@example(
    "sagittal, from right to left", (0.3, -0.3, 0.3), (6.0, 6.0, 6.0), -1, (60.0, 0.0, 30.0),
    (40.0, 200.0, 900.0),
)  # fmt: skip
def test_a_point_of_model_space_is_within_half_a_voxel_of_its_place(
    name, angles, spacing, side, place, moved
):
    place = np.array([side * place[0], place[1], place[2]]) + moved
    grid = acquired(tilted(ACQUISITIONS[name], angles), spacing, moved)
    inputs = prepare(dynamic(grid, place, moved), SPEC, SIZES)
    assert error_voxels(inputs.arrays[Modality.DCE][0], inputs.dce_grid, place) < 0.5


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_patient_left_stays_left_and_head_stays_up(name):
    grid = acquired(ACQUISITIONS[name], (3.0, 3.4, 4.2), (0.0, 0.0, 0.0))
    left = prepare(dynamic(grid, LEFT_BREAST), SPEC, SIZES)
    right = prepare(dynamic(grid, RIGHT_BREAST), SPEC, SIZES)
    of_left, of_right = (
        np.array(center_of_mass(inputs.arrays[Modality.DCE][0])) for inputs in (left, right)
    )
    # +x is to the left, +y to posterior, +z to the head: also where the blobs differ that way.
    assert np.sign(of_left - of_right).tolist() == [1, -1, 1]
    assert (np.diag(left.dce_grid.affine)[:3] > 0).all()
    assert left.breasts.side(found_at(left.arrays[Modality.DCE][0], left.dce_grid)) == "L"
    assert right.breasts.side(found_at(right.arrays[Modality.DCE][0], right.dce_grid)) == "R"


@pytest.mark.parametrize("name", ["axial, feet first, prone", "coronal, head first"])
@pytest.mark.parametrize("tilt", TILTS)
def test_dwi_and_t2_lie_where_their_own_grids_say(name, tilt):
    axes = tilted(ACQUISITIONS[name], TILTS[tilt])
    still = (0.0, 0.0, 0.0)
    plain = replace(
        dynamic(acquired(axes, (3.0, 3.0, 4.0), still), LEFT_BREAST),
        dwi=body(acquired(axes, (4.0, 4.0, 5.0), still), still),
        dwi_b_value=800.0,
        t2=body(acquired(axes, (2.6, 2.6, 5.0), still), still),
    )
    marked = replace(
        plain, dwi=with_blob(plain.dwi, LEFT_BREAST), t2=with_blob(plain.t2, LEFT_BREAST)
    )
    before, after = (prepare(exam, SPEC, SIZES) for exam in (plain, marked))
    for modality in (Modality.DWI, Modality.T2):
        blob = (after.arrays[modality] - before.arrays[modality])[0]
        assert error_voxels(blob, after.grids[modality], LEFT_BREAST) < 0.5
        np.testing.assert_allclose(after.grids[modality].center, after.dce_grid.center, atol=1e-6)


def test_place_holds_where_the_patient_position_was_given_wrong():
    """The array is turned round so that the network sees it as usual; places stay the header's."""
    grid = acquired(ACQUISITIONS["axial, head first, supine"], (3.0, 3.0, 4.0), (0.0, 0.0, 0.0))
    place = (-70.0, 35.0, 14.0)
    turned = Grid(grid.shape, grid.affine)
    inputs = prepare(dynamic(turned, place, facing=-1), SPEC, SIZES)
    assert any("patient position" in text for text in inputs.warnings)
    assert error_voxels(inputs.arrays[Modality.DCE][0], inputs.dce_grid, place) < 0.25
    assert inputs.breasts.side(place) is None
