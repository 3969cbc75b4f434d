"""What the debug sheets are made of says truly which images became which channels, and where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mome_node.dicom.geometry import Grid
from mome_node.jobs.debug_steps import preparation_steps
from mome_node.mome.preprocess import demonstration_spec, prepare
from mome_node.volumes.volume import Exam, Modality, Volume

SIZES = {Modality.DCE: (6, 96, 64, 32), Modality.DWI: (1, 48, 32, 16), Modality.T2: (1, 96, 64, 16)}
SPEC = replace(demonstration_spec(), planes=("axial", "coronal", "sagittal"))
AXIAL = np.eye(3)
ORIENTATIONS = {
    "axial": AXIAL,
    "coronal": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "sagittal": np.array([[0, 1.0, 0], [0, 0, -1], [1, 0, 0]]),
    "oblique": np.array([[0.98, 0.199, 0], [-0.199, 0.98, 0], [0, 0, 1.0]]),
}
BREAST = (75.0, -20.0, 0.0)


def body(axes: np.ndarray = AXIAL, voxel_mm: float = 5.0, enhancement: float = 0.0) -> Volume:
    """Two breasts on a trunk over 340 × 300 × 170 mm; the left breast enhances."""
    extent = np.round(np.abs(axes)) @ np.array([340.0, 300.0, 170.0])
    x_size, y_size, z_size = (int(n) for n in np.round(extent / voxel_mm))
    affine = np.eye(4)
    affine[:3, :3] = axes.T * voxel_mm
    affine[:3, 3] = -affine[:3, :3] @ ((np.array([x_size, y_size, z_size]) - 1) / 2) + (0, 20, 0)
    grid = Grid((x_size, y_size, z_size), affine)
    index = np.stack(np.indices(grid.shape), axis=-1)
    x, y, z = np.moveaxis(index @ affine[:3, :3].T + affine[:3, 3], -1, 0)
    signal = np.where((x / 160) ** 2 + ((y - 100) / 105) ** 2 < 1, 200.0, 1.0)
    for side in (1, -1):
        breast = ((x - side * 75) / 60) ** 2 + ((y + 20) / 75) ** 2 + (z / 65) ** 2 < 1
        signal[breast] = 200.0 * (1 + (enhancement if side > 0 else 0.0))
    return Volume(signal.astype(np.float32), grid)


def exam(axes: np.ndarray = AXIAL, posts: int = 3) -> Exam:
    return Exam(
        dce=tuple(body(axes, enhancement=0.3 * k) for k in range(posts + 1)),
        phase_times_s=(0.0, *(62.5 * (k + 1) for k in range(posts))),
        dwi=body(voxel_mm=6.0),
        dwi_b_value=800.0,
        t2=body(voxel_mm=4.0),
    )


def steps_of(shown: Exam) -> dict[Modality, object]:
    inputs = prepare(shown, SPEC, SIZES)
    return {steps.modality: steps for steps in preparation_steps(shown, inputs)}


def test_every_channel_is_shown_with_its_phase_and_seconds() -> None:
    dce = steps_of(exam(posts=3))[Modality.DCE]
    assert [(c.phase, c.time_s) for c in dce.channels] == [
        (1, 62.5),
        (2, 125.0),
        (3, 187.5),
        *[(None, None)] * 3,
    ]
    assert [(a.phase, a.time_s) for a in dce.acquired] == [(0, 0.0), (1, 62.5), (3, 187.5)]
    assert not any(c.array.any() for c in dce.channels[3:])


def test_values_and_what_was_cut_off_are_those_of_the_whole_channel() -> None:
    shown = exam(posts=2)
    spec = replace(SPEC, dce=replace(SPEC.dce, clip=(-1.0, 0.2)))
    inputs = prepare(shown, spec, SIZES)
    dce = next(s for s in preparation_steps(shown, inputs) if s.modality is Modality.DCE)
    for channel, array in zip(dce.channels, inputs.arrays[Modality.DCE], strict=True):
        assert channel.values == (array.min(), array.max())
        assert channel.cut_off == pytest.approx((array == np.float32(0.2)).mean())
        np.testing.assert_array_equal(channel.array, array[:, :, channel.number])
    assert dce.channels[0].cut_off > 0.01
    assert (dce.clip, dce.percentile) == (spec.dce.clip, spec.dce.percentile)
    assert dce.unit == pytest.approx(200.0, rel=0.02)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_slices_meet_the_breast_and_outlines_hold_it(name: str) -> None:
    dce = steps_of(exam(ORIENTATIONS[name]))[Modality.DCE]
    assert len(dce.resampled) == 3
    for shown in (*dce.acquired, *dce.resampled):
        assert shown.array.shape == shown.grid.shape[:2]
        x, y, z = shown.grid.to_index(BREAST)
        assert abs(z - shown.number) * shown.grid.spacing[2] < 25.0
        at = (round(x), round(y))
        assert shown.outlines.breasts[at]
        assert shown.outlines.body[at]
        assert not shown.outlines.breasts.all()
    assert all(a.outlines.field.any() for a in dce.acquired)


def test_resampled_slices_are_what_the_channels_were_made_of() -> None:
    shown = exam()
    inputs = prepare(shown, SPEC, SIZES)
    for steps in preparation_steps(shown, inputs):
        if steps.modality is Modality.DCE:
            continue
        axial = steps.resampled[0]
        scaled = np.clip(axial.array / steps.unit, *steps.clip)
        np.testing.assert_allclose(scaled, steps.channels[0].array, atol=1e-5)
        assert axial.number == steps.channels[0].number


def test_a_modality_that_was_left_out_has_no_steps() -> None:
    assert set(steps_of(replace(exam(), dwi_b_value=50.0))) == {Modality.DCE, Modality.T2}
    assert set(steps_of(Exam(t2=body(voxel_mm=4.0)))) == {Modality.T2}


def test_b_value_stands_with_the_dwi_alone() -> None:
    found = steps_of(exam())
    assert [found[m].b_value for m in Modality] == [None, 800.0, None]


def test_steps_hold_slices_and_not_the_images() -> None:
    """They are kept until the end of the evaluation, beside the network."""
    for steps in steps_of(exam()).values():
        for shown in (*steps.acquired, *steps.resampled, *steps.channels):
            base = shown.array if shown.array.base is None else shown.array.base
            assert base.size <= shown.array.size
