"""What the debug pictures show of the way from the images to a model's inputs.

A few slices are kept, not the images: they are drawn when the evaluation is over.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mome_node.dicom.geometry import Grid, Point
from mome_node.results.debug_pictures import Outlines, PreparationSteps, ShownSlice
from mome_node.volumes.resample import inside, resample
from mome_node.volumes.volume import Exam, Modality, Volume

if TYPE_CHECKING:  # they live where torch is, which nothing here needs
    from mome_node.mome.breast_mask import Anatomy
    from mome_node.mome.preprocess import ModelInputs

Axes = tuple[int, int, int]

CUTS: tuple[Axes, ...] = ((0, 1, 2), (0, 2, 1), (1, 2, 0))
"""Axes of the model's grid across, down and through a slice: axial, coronal, sagittal."""


def preparation_steps(exam: Exam, inputs: ModelInputs) -> tuple[PreparationSteps, ...]:
    """The steps of every modality that the model was given, in slices through a breast."""
    return tuple(_steps(modality, exam, inputs) for modality in inputs.arrays)


def _steps(modality: Modality, exam: Exam, inputs: ModelInputs) -> PreparationSteps:
    grid, scaling = inputs.grids[modality], inputs.spec.scaling(modality)
    place = _middle_of_a_breast(inputs.anatomy)
    phases: tuple[int | None, ...] = (None,)
    if modality is Modality.DCE:
        phases = tuple(channel.phase for channel in inputs.channels)
    images = _images(modality, exam, phases)
    return PreparationSteps(
        modality=modality,
        acquired=tuple(
            replace(_acquired(image, place, grid, inputs.anatomy), phase=phase, time_s=time_s)
            for image, phase, time_s in images
        ),
        resampled=tuple(
            replace(_resampled(images[0][0], place, grid, cut, inputs.anatomy), phase=images[0][1])
            for cut in CUTS
        ),
        channels=tuple(
            replace(
                _channel(array, place, grid, scaling.clip),
                phase=phase,
                time_s=None if phase is None else exam.phase_times_s[phase],
            )
            for array, phase in zip(inputs.arrays[modality], phases, strict=True)
        ),
        unit=inputs.units[modality],
        percentile=scaling.percentile,
        clip=scaling.clip,
        b_value=exam.dwi_b_value if modality is Modality.DWI else None,
    )


def _images(
    modality: Modality, exam: Exam, phases: tuple[int | None, ...]
) -> list[tuple[Volume, int | None, float | None]]:
    """Images to show as acquired: of a dynamic the first phase and the ends of those taken."""
    if modality is not Modality.DCE:
        image = exam.dwi if modality is Modality.DWI else exam.t2
        assert image is not None
        return [(image, None, None)]
    taken = [phase for phase in phases if phase is not None]
    shown = sorted({0, taken[0], taken[-1]})
    return [(exam.dce[phase], phase, exam.phase_times_s[phase]) for phase in shown]


def _middle_of_a_breast(anatomy: Anatomy) -> Point:
    """The middle of the breast at the larger x, or of the body where none was found there."""
    voxels = np.argwhere(anatomy.breasts)  # (n, 3)
    if not len(voxels):
        voxels = np.argwhere(anatomy.body)
    places = voxels @ anatomy.grid.affine[:3, :3].T + anatomy.grid.affine[:3, 3]
    beyond = places[places[:, 0] >= np.median(places[:, 0])]
    x, y, z = beyond.mean(axis=0)
    return float(x), float(y), float(z)


def _acquired(image: Volume, place: Point, field: Grid, anatomy: Anatomy) -> ShownSlice:
    number = _slice_through(place, image.grid)
    array = np.array(image.array[:, :, number])
    slab = _slab(image.grid, number)
    outlines = Outlines(
        body=_body_on(slab, anatomy),
        breasts=anatomy.breasts_on(slab).mask[:, :, 0],
        field=inside(field, slab)[:, :, 0],
    )
    return ShownSlice(array, image.grid, number, _range(array), outlines=outlines)


def _resampled(image: Volume, place: Point, grid: Grid, cut: Axes, anatomy: Anatomy) -> ShownSlice:
    turned = Grid(
        (grid.shape[cut[0]], grid.shape[cut[1]], grid.shape[cut[2]]), grid.affine[:, [*cut, 3]]
    )
    number = _slice_through(place, turned)
    slab = _slab(turned, number)
    array = resample(image, slab).array[:, :, 0]
    outlines = Outlines(
        body=_body_on(slab, anatomy),
        breasts=anatomy.breasts_on(slab).mask[:, :, 0],
        field=np.zeros(array.shape, dtype=np.bool_),  # all of it
    )
    return ShownSlice(array, turned, number, _range(array), outlines=outlines)


def _channel(
    array: NDArray[np.float32], place: Point, grid: Grid, clip: tuple[float, float]
) -> ShownSlice:
    number = _slice_through(place, grid)
    low, high = _range(array)
    # Air is zero, which is a limit of DWI and T2: what lies there was hardly cut off.
    at_limit = sum(int((array == np.float32(limit)).sum()) for limit in clip if limit)
    return ShownSlice(
        np.array(array[:, :, number]), grid, number, (low, high), cut_off=at_limit / array.size
    )


def _slice_through(place: Point, grid: Grid) -> int:
    return int(np.clip(round(grid.to_index(place)[2]), 0, grid.shape[2] - 1))


def _slab(grid: Grid, number: int) -> Grid:
    """Slice ``number`` of a grid as a grid of its own."""
    affine = grid.affine.copy()
    affine[:3, 3] += number * affine[:3, 2]
    return Grid((grid.shape[0], grid.shape[1], 1), affine)


def _body_on(slab: Grid, anatomy: Anatomy) -> NDArray[np.bool_]:
    share = resample(Volume(anatomy.body.astype(np.float32), anatomy.grid), slab)
    return share.array[:, :, 0] > 0.5


def _range(array: NDArray[np.float32]) -> tuple[float, float]:
    return float(array.min()), float(array.max())
