"""The model's arrays show every exam the same way, however it was acquired."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mome_node.dicom.geometry import Grid
from mome_node.errors import ModelInputError, PackageError
from mome_node.mome.breast_mask import find_anatomy
from mome_node.mome.channels import choose_channels
from mome_node.mome.preprocess import PreprocessSpec, demonstration_spec, prepare
from mome_node.volumes.resample import inside, resample
from mome_node.volumes.volume import Exam, Modality, Volume

SIZES = {Modality.DCE: (6, 96, 64, 32), Modality.DWI: (1, 48, 32, 16), Modality.T2: (1, 96, 64, 16)}
LESION = (72.0, -45.0, 12.0)  # in the left breast
HEART = (25.0, 60.0, 0.0)
FIELD = (0.0, 20.0, 0.0)
MIDLINE = 4.0
AXIAL = np.eye(3)
ORIENTATIONS = {
    "axial": AXIAL,
    "coronal": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "feet first": np.diag([-1.0, 1.0, -1.0]),
    "rows upwards": np.diag([1.0, -1.0, 1.0]),
    "oblique": np.array(
        [[np.cos(0.15), np.sin(0.15), 0.0], [-np.sin(0.15), np.cos(0.15), 0.0], [0, 0, 1]]
    ),
}


def grid_of(shape, spacing, center=FIELD, axes=AXIAL):
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(axes).T @ np.diag(spacing)
    affine[:3, 3] = np.array(center) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def field(axes=AXIAL, voxel_mm=4.0, center=FIELD):
    """A grid over 340 × 300 × 170 mm of the patient."""
    extent = np.abs(axes) @ np.array([340.0, 300.0, 170.0])
    shape = tuple(int(n) for n in np.round(extent / voxel_mm))
    return grid_of(shape, (voxel_mm,) * 3, center, axes)


def image(grid, *, enhancement=0.0, seed=0, noise=4.0, turned=False):
    """A body with two hanging breasts, a heart and a lesion, with Rician noise."""
    index = np.stack(np.indices(grid.shape), axis=-1)
    place = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    if turned:
        place[..., :2] *= -1
    x, y, z = np.moveaxis(place, -1, 0)
    x = x - MIDLINE

    def ellipsoid(center, radii):
        return sum(((p - c) / r) ** 2 for p, c, r in zip((x, y, z), center, radii, strict=True)) < 1

    trunk = (x / 160) ** 2 + ((y - 100) / 105) ** 2 < 1
    breasts = ellipsoid((75, -20, 0), (60, 75, 65)) | ellipsoid((-75, -20, 0), (60, 75, 65))
    lung = (x / 125) ** 2 + ((y - 105) / 80) ** 2 < 1
    signal = np.where(trunk | breasts, 200.0, 0.0)
    signal[lung] = 15.0
    signal[ellipsoid((HEART[0] - MIDLINE, *HEART[1:]), (45, 35, 55))] = 220.0 * (1 + enhancement)
    lesion = ellipsoid((LESION[0] - MIDLINE, *LESION[1:]), (12, 12, 12))
    signal[lesion] = 250.0 * (1 + 2 * enhancement)
    rng = np.random.default_rng(seed)
    noisy = np.hypot(signal + rng.normal(0, noise, x.shape), rng.normal(0, noise, x.shape))
    return Volume(noisy.astype(np.float32), grid)


def exam(axes=AXIAL, posts=6, **options):
    grid = field(axes)
    phases = [
        image(grid, enhancement=0.0 if k == 0 else 0.6 + 0.05 * k, seed=k, **options)
        for k in range(posts + 1)
    ]
    return Exam(
        dce=tuple(phases),
        phase_times_s=tuple(60.0 * k for k in range(posts + 1)),
        dwi=image(field(voxel_mm=6.0), enhancement=0.5, seed=20, **options),
        dwi_b_value=800.0,
        t2=image(field(voxel_mm=5.0), enhancement=0.3, seed=21, **options),
    )


@pytest.fixture(scope="module")
def axial_exam():
    return exam()


@pytest.fixture(scope="module")
def spec():
    return demonstration_spec()


@pytest.fixture(scope="module")
def inputs(axial_exam, spec):
    return prepare(axial_exam, spec, SIZES)


def brightest(array):
    """The index of the maximum in the front half, where no heart is."""
    front = array[:, : array.shape[1] // 2]
    return np.array(np.unravel_index(front.argmax(), front.shape))


def index_of(point, grid):
    return np.array(grid.to_index(point))


def with_voxel(volume, value):
    array = volume.array.copy()
    array[3, 4, 5] = value
    return Volume(array, volume.grid)


# Place


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_lesion_is_at_its_patient_place_whatever_way_the_slices_lie(name, spec):
    found = prepare(exam(ORIENTATIONS[name], posts=1), spec, SIZES)
    box = found.arrays[Modality.DCE][0]
    assert np.abs(brightest(box) - index_of(LESION, found.dce_grid)).max() <= 4
    weights = np.where(box[:, :40] > 0.8 * box[:, :40].max(), box[:, :40], 0)
    center = [(np.indices(weights.shape)[i] * weights).sum() / weights.sum() for i in range(3)]
    assert np.abs(np.array(center) - index_of(LESION, found.dce_grid)).max() < 1.0


@pytest.mark.parametrize("name", ["coronal", "feet first", "rows upwards"])
def test_arrays_do_not_depend_on_the_orientation_of_the_slices(name, inputs, spec):
    found = prepare(exam(ORIENTATIONS[name]), spec, SIZES)
    assert np.abs(np.subtract(found.dce_grid.center, inputs.dce_grid.center)).max() <= 4.1
    difference = found.arrays[Modality.DCE] - inputs.arrays[Modality.DCE]
    assert np.abs(difference).mean() < 0.05


def test_model_grid_lies_along_the_patients_axes(inputs, spec):
    np.testing.assert_allclose(inputs.dce_grid.affine[:3, :3], np.diag(spec.dce.voxel_mm))


def test_modalities_share_one_centre(inputs):
    for modality, shape in ((Modality.DWI, (48, 32, 16)), (Modality.T2, (96, 64, 16))):
        array = inputs.arrays[modality][0]
        share = np.array(shape) / np.array(inputs.dce_grid.shape)
        expected = (index_of(LESION, inputs.dce_grid) + 0.5) * share - 0.5
        assert np.abs(brightest(array) - expected).max() <= 2.5


def test_field_begins_at_the_margin_before_the_foremost_skin(inputs, spec):
    front = inputs.dce_grid.to_patient((0, -0.5, 0))[1]
    assert front == pytest.approx(-95.0 - spec.front_margin_mm, abs=8.0)
    x, _, z = inputs.dce_grid.center
    assert (x, z) == pytest.approx((FIELD[0], FIELD[2]), abs=1e-6)


def test_noise_and_a_bright_speck_in_the_air_do_not_move_the_field(inputs, spec, axial_exam):
    noisy = exam(posts=1, noise=18.0)
    speck = with_voxel(noisy.dce[0], 4000.0)
    found = prepare(replace(noisy, dce=(speck, noisy.dce[1])), spec, SIZES)
    assert found.dce_grid.center == pytest.approx(inputs.dce_grid.center, abs=4.1)


def test_shifted_patient_is_followed(spec):
    shifted = exam(posts=1)
    moved = np.eye(4)
    moved[:3, 3] = (30.0, -55.0, 400.0)
    volumes = tuple(Volume(v.array, Grid(v.grid.shape, moved @ v.grid.affine)) for v in shifted.dce)
    only = Exam(dce=volumes, phase_times_s=shifted.phase_times_s)
    here = prepare(Exam(dce=shifted.dce, phase_times_s=shifted.phase_times_s), spec, SIZES)
    there = prepare(only, spec, SIZES)
    np.testing.assert_allclose(there.arrays[Modality.DCE], here.arrays[Modality.DCE], atol=1e-3)
    assert there.breasts.midline_mm == pytest.approx(here.breasts.midline_mm + 30.0)


def test_wrong_patient_position_is_noticed_and_no_side_is_told(inputs, spec):
    found = prepare(exam(turned=True), spec, SIZES)
    assert any("patient position" in w for w in found.warnings)
    assert found.breasts.side((80.0, 0.0, 0.0)) is None
    difference = found.arrays[Modality.DCE] - inputs.arrays[Modality.DCE]
    assert np.abs(difference).mean() < 0.06


# Breasts


def test_breast_mask_holds_the_breasts_and_not_the_heart(inputs):
    mask, grid = inputs.breast_mask, inputs.dce_grid
    for place in (LESION, (MIDLINE - 75.0, -60.0, 0.0), (MIDLINE + 75.0, -60.0, 10.0)):
        assert mask[tuple(np.round(index_of(place, grid)).astype(int))]
    for place in (HEART, (MIDLINE, 120.0, 0.0), (MIDLINE, -80.0, 0.0)):
        assert not mask[tuple(np.round(index_of(place, grid)).astype(int))]
    assert mask.dtype == np.bool_
    assert mask.shape == grid.shape


def test_sides_are_told_from_the_midline_of_the_body(inputs):
    assert inputs.breasts.midline_mm == pytest.approx(MIDLINE, abs=6.0)
    assert inputs.breasts.side(LESION) == "L"
    assert inputs.breasts.side((-60.0, -40.0, 0.0)) == "R"
    assert inputs.breasts.side((inputs.breasts.midline_mm + 1, 0.0, 0.0)) is None


def test_body_without_a_valley_has_a_front_and_a_warning():
    grid = field()
    index = np.stack(np.indices(grid.shape), axis=-1)
    x, y, _ = np.moveaxis(index @ grid.affine[:3, :3].T + grid.affine[:3, 3], -1, 0)
    barrel = np.where((x / 150) ** 2 + ((y - 20) / 110) ** 2 < 1, 200.0, 1.0)
    anatomy = find_anatomy(Volume(barrel.astype(np.float32), grid))
    assert any("front of the body" in w for w in anatomy.warnings)
    assert anatomy.breasts.any()
    assert anatomy.front_mm == pytest.approx(-90.0, abs=8.0)


# Intensity


def test_arrays_have_the_models_shape_and_the_packages_range(inputs, spec):
    for modality, array in inputs.arrays.items():
        assert array.shape == SIZES[modality]
        assert array.dtype == np.float32
        low, high = spec.scaling(modality).clip
        assert low <= array.min() < array.max() <= high


def test_dce_channels_are_the_enhancement_over_the_tissue_before_contrast(inputs):
    lesion = tuple(np.round(index_of(LESION, inputs.dce_grid)).astype(int))
    for k in range(6):
        # Signal 250 · 2 · enhancement over a tissue of about 200 to 220.
        expected = 500 * (0.65 + 0.05 * k) / 210
        assert inputs.arrays[Modality.DCE][(k, *lesion)] == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize("factor", [0.01, 37.0])
def test_the_scanners_arbitrary_scale_does_not_matter(factor, axial_exam, inputs, spec):
    def scaled(volume):
        return Volume((volume.array * np.float32(factor)).astype(np.float32), volume.grid)

    found = prepare(
        replace(
            axial_exam,
            dce=tuple(scaled(v) for v in axial_exam.dce),
            dwi=scaled(axial_exam.dwi),
            t2=scaled(axial_exam.t2),
        ),
        spec,
        SIZES,
    )
    for modality, array in inputs.arrays.items():
        np.testing.assert_allclose(found.arrays[modality], array, atol=2e-3)


def test_same_exam_gives_the_same_arrays(axial_exam, inputs, spec):
    again = prepare(axial_exam, spec, SIZES)
    for modality, array in inputs.arrays.items():
        np.testing.assert_array_equal(again.arrays[modality], array)
    assert again.dce_grid.matches(inputs.dce_grid)


@pytest.mark.parametrize("name", ["axial", "coronal", "oblique"])
def test_arrays_are_what_numpy_makes_step_by_step(name, spec):
    taken = exam(ORIENTATIONS[name], posts=2)
    found = prepare(taken, spec, SIZES)
    first = resample(taken.dce[0], found.dce_grid).array
    tissue = found.anatomy.tissue_on(found.dce_grid) & inside(taken.dce[0].grid, found.dce_grid)
    unit = np.percentile(first[tissue], spec.dce.percentile)
    assert found.units[Modality.DCE] == pytest.approx(unit, rel=1e-5)
    for channel, post in zip(found.arrays[Modality.DCE], taken.dce[1:], strict=False):
        expected = np.clip((resample(post, found.dce_grid).array - first) / unit, *spec.dce.clip)
        np.testing.assert_allclose(channel, expected, rtol=0, atol=1e-4)
    for modality, image in ((Modality.DWI, taken.dwi), (Modality.T2, taken.t2)):
        resampled = resample(image, found.grids[modality]).array
        expected = np.clip(resampled / found.units[modality], *spec.scaling(modality).clip)
        np.testing.assert_allclose(found.arrays[modality][0], expected, rtol=0, atol=1e-4)


def test_an_exam_is_not_changed_by_being_prepared(spec):
    """Also where its voxels are the model's own, so that nothing is resampled."""
    there = prepare(exam(posts=1), spec, SIZES).grids
    dce = tuple(image(there[Modality.DCE], enhancement=0.5 * k, seed=k) for k in range(2))
    own = Exam(dce=dce, phase_times_s=(0.0, 60.0), t2=image(there[Modality.T2], seed=2))
    volumes = (*own.dce, own.t2)
    before = [v.array.copy() for v in volumes]
    prepare(own, spec, SIZES)
    for volume, array in zip(volumes, before, strict=True):
        np.testing.assert_array_equal(volume.array, array)


def test_arrays_come_as_contiguous_memory_of_the_cpu_for_torch_to_share(inputs):
    for array in inputs.arrays.values():
        assert array.flags.c_contiguous
        assert torch.from_numpy(array)[None].shape == (1, *array.shape)


# Channels


def test_channel_takes_the_phase_with_its_number_and_missing_phases_are_zeros(spec):
    found = prepare(exam(posts=2), spec, SIZES)
    assert [(c.channel, c.phase, c.time_s) for c in found.channels] == [
        (0, 1, 60.0),
        (1, 2, 120.0),
        *((k, None, None) for k in range(2, 6)),
    ]
    assert found.arrays[Modality.DCE][:2].any(axis=(1, 2, 3)).all()
    assert not found.arrays[Modality.DCE][2:].any()


def test_of_many_phases_those_nearest_to_the_target_times_are_taken():
    times = [0.0, 20, 55, 90, 125, 160, 195, 230, 265, 300, 335, 370, 405]
    chosen = choose_channels(times, (60, 120, 180, 240, 300, 360))
    assert [c.time_s for c in chosen] == [55, 125, 195, 230, 300, 370]
    assert [c.channel for c in chosen] == list(range(6))


def test_of_many_phases_without_times_evenly_spread_ones_are_taken():
    chosen = choose_channels([0.0, *[None] * 11], (60, 120, 180, 240, 300, 360))
    assert [c.phase for c in chosen] == [1, 3, 5, 7, 9, 11]
    assert all(c.time_s is None for c in chosen)


@given(
    posts=st.lists(st.floats(1, 2000), max_size=20, unique=True),
    targets=st.lists(st.floats(1, 2000), min_size=1, max_size=8, unique=True),
    known=st.booleans(),
)
def test_no_phase_fills_two_channels_and_time_order_is_kept(posts, targets, known):
    times = [0.0, *(sorted(posts) if known else [None] * len(posts))]
    chosen = choose_channels(times, sorted(targets))
    phases = [c.phase for c in chosen if c.phase is not None]
    assert [c.channel for c in chosen] == list(range(len(targets)))
    assert phases == sorted(set(phases))
    assert 0 not in phases
    assert len(phases) == min(len(posts), len(targets))
    assert all((c.phase is None) or c.time_s == times[c.phase] for c in chosen)


@given(posts=st.lists(st.integers(1, 60), min_size=3, max_size=7, unique=True))
def test_chosen_phases_are_the_nearest_of_all_choices_in_order(posts):
    times, targets = sorted(posts), (10, 25)
    chosen = choose_channels([0.0, *times], targets)
    cost = sum(abs(c.time_s - t) for c, t in zip(chosen, targets, strict=True))
    best = min(abs(a - 10) + abs(b - 25) for a, b in combinations(times, 2))
    assert cost == best


def test_spread_phases_without_times_are_told_in_a_warning(spec):
    many = exam(posts=8)
    unknown = replace(many, phase_times_s=(0.0, *[None] * 8))
    assert any("times" in w for w in prepare(unknown, spec, SIZES).warnings)


def test_first_phases_are_taken_without_times_and_without_a_warning(spec):
    many = replace(exam(posts=8), phase_times_s=(0.0, *[None] * 8))
    found = prepare(many, replace(spec, more_posts="first"), SIZES)
    assert [c.phase for c in found.channels] == [1, 2, 3, 4, 5, 6]
    assert not any("times" in w for w in found.warnings)


@pytest.mark.parametrize(("posts", "policy"), [(5, "fewer_posts"), (7, "more_posts")])
def test_a_number_of_phases_that_the_package_refuses_is_not_evaluated(posts, policy, spec):
    taken = exam(posts=posts)
    prepare(taken, spec, SIZES)
    with pytest.raises(ModelInputError, match=f"{posts} post-contrast phases"):
        prepare(taken, replace(spec, **{policy: "refuse"}), SIZES)


# Modalities


@pytest.mark.parametrize("b_value", [None, 0.0, 50.0, 3000.0])
def test_dwi_with_another_b_value_is_left_out_with_a_warning(b_value, axial_exam, spec):
    found = prepare(replace(axial_exam, dwi_b_value=b_value), spec, SIZES)
    assert set(found.arrays) == {Modality.DCE, Modality.T2}
    assert any("b-value" in w for w in found.warnings)


@pytest.mark.parametrize("b_value", [None, 50.0, 3000.0])
def test_dwi_with_another_b_value_is_refused_where_the_package_says_so(b_value, axial_exam, spec):
    strict = replace(spec, b_value_outside="refuse")
    with pytest.raises(ModelInputError, match="refuses the dwi: its b-value"):
        prepare(replace(axial_exam, dwi_b_value=b_value), strict, SIZES)
    assert Modality.DWI in prepare(axial_exam, strict, SIZES).arrays


def test_a_missing_dwi_or_one_that_the_model_does_not_take_is_never_refused(axial_exam, spec):
    strict = replace(spec, b_value_outside="refuse")
    without = replace(axial_exam, dwi=None, dwi_b_value=None)
    assert set(prepare(without, strict, SIZES).arrays) == {Modality.DCE, Modality.T2}
    low = replace(axial_exam, dwi_b_value=50.0)
    only = prepare(low, strict, {Modality.DCE: SIZES[Modality.DCE]})
    assert set(only.arrays) == {Modality.DCE}


@pytest.mark.parametrize("left", [Modality.T2, Modality.DWI])
def test_exam_without_dce_is_placed_by_what_there_is(left, axial_exam, inputs, spec):
    only = Exam(dwi=axial_exam.dwi, dwi_b_value=800.0)
    if left is Modality.T2:
        only = Exam(t2=axial_exam.t2)
    found = prepare(only, spec, SIZES)
    assert set(found.arrays) == {left}
    assert found.channels == ()
    assert found.dce_grid.center == pytest.approx(inputs.dce_grid.center, abs=8.1)


def test_t2_that_shows_only_part_of_the_breasts_is_left_out(axial_exam, spec):
    low = image(grid_of((85, 75, 10), (4.0, 4.0, 4.0), (0.0, 20.0, -80.0)))
    found = prepare(replace(axial_exam, t2=low), spec, SIZES)
    assert Modality.T2 not in found.arrays
    assert any("t2 left out: its field holds" in w for w in found.warnings)


def test_sagittal_t2_is_left_out_with_a_warning(axial_exam, spec):
    sagittal = field(np.array([[0, 1.0, 0], [0, 0, -1], [1, 0, 0]]), 5.0)
    found = prepare(replace(axial_exam, t2=image(sagittal)), spec, SIZES)
    assert Modality.T2 not in found.arrays
    assert any("t2 left out: its slices are sagittal" in w for w in found.warnings)


def test_modality_without_a_tokenizer_is_left_out(axial_exam, spec):
    found = prepare(axial_exam, spec, {Modality.DCE: SIZES[Modality.DCE]})
    assert set(found.arrays) == {Modality.DCE}
    assert sum("does not take it" in w for w in found.warnings) == 2


# Refusals


def test_exam_without_any_modality_is_refused(spec):
    with pytest.raises(ModelInputError, match="no modality"):
        prepare(Exam(), spec, SIZES)


def test_dynamic_without_a_post_contrast_phase_is_no_modality(axial_exam, spec):
    with pytest.raises(ModelInputError, match="no modality"):
        prepare(Exam(dce=axial_exam.dce[:1], phase_times_s=(0.0,)), spec, SIZES)


def test_sagittal_dynamic_is_refused(spec):
    grid = field(np.array([[0, 1.0, 0], [0, 0, -1], [1, 0, 0]]))
    dynamic = (image(grid), image(grid, enhancement=1.0))
    with pytest.raises(ModelInputError, match="sagittal"):
        prepare(Exam(dce=dynamic, phase_times_s=(0.0, 60.0)), spec, SIZES)


def test_unilateral_dynamic_is_refused(spec):
    grid = grid_of((45, 60, 40), (4.0, 4.0, 4.0), (80.0, 0.0, 0.0))
    dynamic = (image(grid), image(grid, enhancement=1.0))
    with pytest.raises(ModelInputError, match="180 mm from left to right"):
        prepare(Exam(dce=dynamic, phase_times_s=(0.0, 60.0)), spec, SIZES)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("phase", [0, 1])
def test_voxels_that_are_not_finite_are_refused(value, phase, spec):
    sound = exam(posts=1)
    dce = list(sound.dce)
    dce[phase] = with_voxel(dce[phase], value)
    with pytest.raises(ModelInputError, match="not finite"):
        prepare(replace(sound, dce=tuple(dce)), spec, SIZES)


def test_image_without_contrast_is_refused(spec):
    grid = field()
    flat = Volume(np.full(grid.shape, 7.0, dtype=np.float32), grid)
    with pytest.raises(ModelInputError, match="without contrast"):
        prepare(Exam(dce=(flat, flat), phase_times_s=(0.0, 60.0)), spec, SIZES)


def test_image_without_a_body_is_refused(spec):
    grid = field()
    point = np.zeros(grid.shape, dtype=np.float32)
    point[40, 30, 20] = 1000.0
    with pytest.raises(ModelInputError, match="body"):
        prepare(Exam(t2=Volume(point, grid)), spec, SIZES)


def test_values_too_large_to_compute_with_are_refused(spec):
    sound = exam(posts=1)
    huge = tuple(Volume(v.array * np.float32(5e35), v.grid) for v in sound.dce)
    low = Volume(-huge[1].array, huge[1].grid)
    with pytest.raises(ModelInputError, match="too large"):
        prepare(Exam(dce=(huge[0], low), phase_times_s=(0.0, 60.0)), spec, SIZES)


def test_impossible_field_of_view_is_refused_before_memory_is_taken(spec):
    grid = grid_of((20, 20, 20), (1e4, 1e4, 1e4))
    volume = Volume(np.random.default_rng(0).random(grid.shape).astype(np.float32), grid)
    with pytest.raises(ModelInputError, match="field of view"):
        prepare(Exam(t2=volume), spec, SIZES)


def test_messages_name_what_was_left_out(spec):
    dwi = image(field(voxel_mm=6.0))
    with pytest.raises(ModelInputError, match="b-value is 50"):
        prepare(Exam(dwi=dwi, dwi_b_value=50.0), spec, SIZES)


# The package's specification


def test_specification_survives_json(spec):
    assert PreprocessSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def changed(path, value):
    document = json.loads(json.dumps(demonstration_spec().to_json()))
    *parents, last = path.split(".")
    part = document
    for name in parents:
        part = part[name]
    part[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("dce.voxel_mm", [3.6, 0, 5.0], "0"),
        ("dce.voxel_mm", [3.6, 3.6], "3.6"),
        ("dce.fewer_posts", "copy", "copy"),
        ("dce.more_posts", "last", "last"),
        ("dwi.preferred_b_value", 2000, "2000, a number from 600 to 1500"),
        ("dwi.outside", "take", "take"),
        ("orientation", "RAS", "RAS"),
        ("dce.clip", [4.0, -1.0], "4.0"),
        ("dce.target_times_s", [60, 60], "60"),
        ("dce.target_times_s", [], r"\[\]"),
        ("dwi.b_value", [1500, 600], "1500"),
        ("t2.percentile", 101, "101"),
        ("t2.percentile", "90", "90"),
        ("planes", ["axial", "radial"], "radial"),
        ("min_width_mm", float("nan"), "nan"),
        ("recipe", 2, "2"),
    ],
)
def test_wrong_value_is_refused_with_its_field(path, value, found):
    with pytest.raises(PackageError, match=rf"preprocess\.{path}.*{found}"):
        PreprocessSpec.from_json(changed(path, value))


def test_unknown_and_missing_fields_are_refused():
    with pytest.raises(PackageError, match="gamma"):
        PreprocessSpec.from_json({**demonstration_spec().to_json(), "gamma": 1})
    document = demonstration_spec().to_json()
    del document["planes"]
    with pytest.raises(PackageError, match="planes"):
        PreprocessSpec.from_json(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    path=st.sampled_from(
        ["recipe", "planes", "min_coverage", "dce", "dwi.b_value", "t2.clip", "dce.voxel_mm"]
    ),
    value=JSON,
)
def test_any_json_is_read_or_refused_by_name(path, value):
    try:
        spec = PreprocessSpec.from_json(changed(path, value))
    except PackageError:
        return
    assert PreprocessSpec.from_json(spec.to_json()) == spec


def test_specification_that_contradicts_the_network_is_refused(axial_exam, spec):
    with pytest.raises(PackageError, match="target_times_s"):
        prepare(axial_exam, spec, {**SIZES, Modality.DCE: (4, 96, 64, 32)})
    with pytest.raises(PackageError, match="dwi"):
        prepare(axial_exam, spec, {**SIZES, Modality.DWI: (3, 48, 32, 16)})
    with pytest.raises(PackageError, match="DCE"):
        prepare(axial_exam, spec, {Modality.T2: SIZES[Modality.T2]})


def test_an_exam_of_clinical_size_is_prepared(spec):
    grid = grid_of((256, 256, 48), (1.35, 1.35, 3.4))
    coarse = image(field(voxel_mm=6.0))
    dce = tuple(resample(Volume(coarse.array * (1 + k), coarse.grid), grid) for k in range(2))
    clinical = Exam(dce=(dce[0], *[dce[1]] * 6), phase_times_s=tuple(60.0 * k for k in range(7)))
    inputs = prepare(clinical, spec, SIZES)
    assert inputs.arrays[Modality.DCE].shape == SIZES[Modality.DCE]
    assert len(inputs.channels) == SIZES[Modality.DCE][0]
