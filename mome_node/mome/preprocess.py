"""From the volumes of an exam to the arrays that the network takes.

Training and evaluation call this one function. Whatever way the images were acquired, the arrays
lie along the patient's axes: x to the patient's left, y to posterior, z to the head. What touches
every voxel runs in torch, on the device that is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mome_node.dicom.geometry import Grid, Point
from mome_node.errors import ModelInputError, PackageError
from mome_node.mome.breast_mask import Anatomy, Breasts, find_anatomy
from mome_node.mome.channels import choose_channels, times_of_posts
from mome_node.mome.prediction import ChannelUse
from mome_node.mome.preprocess_spec import PreprocessSpec, Scaling, demonstration_spec
from mome_node.mome.resampling import Resampling, as_tensor, memory_order
from mome_node.volumes.resample import inside
from mome_node.volumes.volume import Exam, Modality, Volume

__all__ = ["ModelInputs", "PreprocessSpec", "Sizes", "demonstration_spec", "prepare"]

Sizes = Mapping[Modality, tuple[int, int, int, int]]
"""What the network takes: (channels, x, y, z) of each modality that it has a tokenizer for."""

PLANES = ("sagittal", "coronal", "axial")
"""The plane of slices that are stacked along the patient's x, y, z."""

Images = dict[Modality, tuple[Volume, ...]]
"""The volumes to use: for DCE the pre-contrast phase, then the one for each filled channel."""

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, eq=False)
class ModelInputs:
    """One exam as the network takes it.

    ``arrays`` float32 (C, x, y, z) for each modality that is used, in memory of the CPU; ``grids``
    is where they lie in the patient, ``units`` the signal that counts as 1 in them. ``dce_grid`` is
    where the DCE array lies (would lie, if there is no DCE); all grids have the same centre.
    ``channels`` has one entry for each DCE channel, none if there is no DCE. ``breasts`` lies on
    ``dce_grid``; ``anatomy`` is what was found of the body, ``spec`` what was asked for.
    """

    arrays: Mapping[Modality, NDArray[np.float32]]
    grids: Mapping[Modality, Grid]
    units: Mapping[Modality, float]
    dce_grid: Grid
    channels: tuple[ChannelUse, ...]
    warnings: tuple[str, ...]
    breasts: Breasts
    anatomy: Anatomy
    spec: PreprocessSpec

    @property
    def breast_mask(self) -> NDArray[np.bool_]:
        """The breasts, bool (x, y, z) on ``dce_grid``."""
        return self.breasts.mask


def prepare(
    exam: Exam, spec: PreprocessSpec, sizes: Sizes, *, device: torch.device = CPU
) -> ModelInputs:
    """The exam on the model's grids, scaled as the package says.

    The model's field has the left-right and foot-head centre of the first modality that is there
    (DCE, else T2, else DWI) and begins ``front_margin_mm`` before the foremost skin. The work is
    done on ``device``, one phase at a time; the arrays come back to the CPU.

    Raises ModelInputError where nothing can be evaluated: no modality, a field that is not
    bilateral or not in an accepted plane, voxels that are not finite, an image without contrast or
    without a body, phases or a b-value that the package refuses. A DWI or T2 that does not fit is
    left out with a warning. PackageError where ``spec`` contradicts ``sizes``.
    """
    _check_sizes(spec, sizes)
    channels = choose_channels(
        exam.phase_times_s,
        spec.target_times_s,
        fewer_posts=spec.fewer_posts,
        more_posts=spec.more_posts,
    )
    images, warnings = _usable(exam, channels, spec, sizes)
    for modality, volumes in images.items():
        _check_voxels(modality, volumes)
    reference = next(images[m] for m in (Modality.DCE, Modality.T2, Modality.DWI) if m in images)[0]
    anatomy = find_anatomy(reference)
    center = _center(anatomy, reference.grid, spec, sizes)
    arrays: dict[Modality, NDArray[np.float32]] = {}
    grids: dict[Modality, Grid] = {}
    units: dict[Modality, float] = {}
    for modality, volumes in images.items():
        scaling = spec.scaling(modality)
        grid = _model_grid(sizes[modality][1:], scaling, center, anatomy.facing)
        if volumes[0] is not reference and (
            problem := _coverage_problem(volumes[0].grid, anatomy.breasts_on(grid), spec)
        ):
            warnings.append(f"{modality} left out: {problem}")
            continue
        array = torch.zeros(sizes[modality], device=device)
        tissue = anatomy.tissue_on(grid) & inside(volumes[0].grid, grid)
        units[modality] = _fill(modality, volumes, array, grid, tissue, scaling)
        arrays[modality], grids[modality] = array.cpu().numpy(), grid
    dce_grid = _model_grid(sizes[Modality.DCE][1:], spec.dce, center, anatomy.facing)
    return ModelInputs(
        arrays=arrays,
        grids=grids,
        units=units,
        dce_grid=dce_grid,
        channels=channels if Modality.DCE in arrays else (),
        warnings=(*warnings, *anatomy.warnings),
        breasts=anatomy.breasts_on(dce_grid),
        anatomy=anatomy,
        spec=spec,
    )


def _check_sizes(spec: PreprocessSpec, sizes: Sizes) -> None:
    if Modality.DCE not in sizes:
        raise PackageError("the model has no DCE input; the others are placed by it")
    channels = sizes[Modality.DCE][0]
    if channels != len(spec.target_times_s):
        raise PackageError(
            f"preprocess.dce.target_times_s: found {len(spec.target_times_s)} times, the model's "
            f"{channels} DCE channels need {channels}"
        )
    for modality in (Modality.DWI, Modality.T2):
        if modality in sizes and sizes[modality][0] != 1:
            raise PackageError(
                f"the model's {modality} input has {sizes[modality][0]} channels, 1 is allowed"
            )


def _usable(
    exam: Exam, channels: tuple[ChannelUse, ...], spec: PreprocessSpec, sizes: Sizes
) -> tuple[Images, list[str]]:
    """What of the exam the model takes, and why the rest is left out."""
    images: Images = {}
    warnings: list[str] = []
    if Modality.DCE in exam.modalities:
        phases = [c.phase for c in channels if c.phase is not None]
        images[Modality.DCE] = (exam.dce[0], *(exam.dce[p] for p in phases))
        spread = len(phases) < len(exam.dce) - 1 and spec.more_posts == "nearest"
        if spread and times_of_posts(exam.phase_times_s) is None:
            warnings.append(
                "the times of the post-contrast phases are not known: evenly spread ones were taken"
            )
        if (problem := _field_problem(exam.dce[0].grid, spec)) is not None:
            raise ModelInputError(f"the dynamic is not one that the model takes: {problem}")
    for modality, volume in ((Modality.DWI, exam.dwi), (Modality.T2, exam.t2)):
        if volume is None:
            continue
        problem = _field_problem(volume.grid, spec)
        if modality not in sizes:
            problem = "the model does not take it"
        elif modality is Modality.DWI and (outside := _b_value_problem(exam.dwi_b_value, spec)):
            if spec.b_value_outside == "refuse":
                raise ModelInputError(f"the model refuses the {modality}: {outside}")
            problem = outside
        if problem is None:
            images[modality] = (volume,)
        else:
            warnings.append(f"{modality} left out: {problem}")
    if not images:
        raise ModelInputError("; ".join(["no modality that the model can take", *warnings]))
    return images, warnings


def _field_problem(grid: Grid, spec: PreprocessSpec) -> str | None:
    plane = PLANES[int(np.abs(grid.affine[:3, 2] / grid.spacing[2]).argmax())]
    if plane not in spec.planes:
        return f"its slices are {plane}, the model takes {' or '.join(spec.planes)}"
    width = float(np.abs(grid.affine[0, :3]) @ np.array(grid.shape))
    if width < spec.min_width_mm:
        return (
            f"its field is {width:.0f} mm from left to right, a bilateral one has at least "
            f"{spec.min_width_mm:.0f} mm"
        )
    return None


def _b_value_problem(b_value: float | None, spec: PreprocessSpec) -> str | None:
    low, high = spec.b_value
    if b_value is None:
        return f"its b-value is not known, {low:g} to {high:g} s/mm² are taken"
    if not low <= b_value <= high:
        return f"its b-value is {b_value:g} s/mm², {low:g} to {high:g} are taken"
    return None


def _check_voxels(modality: Modality, volumes: tuple[Volume, ...]) -> None:
    for volume in volumes:
        low, high = _range(as_tensor(volume.array))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ModelInputError(f"{modality} has voxels that are not finite numbers")
        if low == high:
            raise ModelInputError(f"{modality} has an image without contrast: all is {low:g}")


def _range(image: Tensor) -> tuple[float, float]:
    """Minimum and maximum; not a number where a voxel is none."""
    # In the order of memory: across it, this takes fifty times as long.
    low, high = torch.aminmax(image.permute(memory_order(image)))
    return float(low), float(high)


def _center(anatomy: Anatomy, field: Grid, spec: PreprocessSpec, sizes: Sizes) -> Point:
    """Where the middle of all model grids lies in the patient, mm LPS."""
    depth = sizes[Modality.DCE][2] * spec.dce.voxel_mm[1]
    behind_skin = depth / 2 - spec.front_margin_mm
    x, _, z = field.center
    return x, anatomy.front_mm + anatomy.facing * behind_skin, z


def _model_grid(shape: tuple[int, int, int], scaling: Scaling, center: Point, facing: int) -> Grid:
    affine = np.diag([*scaling.voxel_mm, 1.0])
    # A body that faces the other way is turned round, so that the network sees it as usual.
    affine[:2, :2] *= facing
    affine[:3, 3] = np.array(center) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def _coverage_problem(field: Grid, breasts: Breasts, spec: PreprocessSpec) -> str | None:
    held = inside(field, breasts.grid)[breasts.mask]
    coverage = float(held.mean()) if held.size else 0.0
    if coverage >= spec.min_coverage:
        return None
    needed = f"at least {spec.min_coverage:.0%} are needed"
    return f"its field holds {coverage:.0%} of the breasts, {needed}"


def _fill(
    modality: Modality,
    volumes: tuple[Volume, ...],
    array: Tensor,
    grid: Grid,
    tissue: NDArray[np.bool_],
    scaling: Scaling,
) -> float:
    """Fill a modality's ``array`` (C, x, y, z) of zeros; the signal that counts as 1 in it.

    That is a percentile of the tissue's, before contrast. One phase at a time, in place.
    """
    resampling = Resampling(volumes[0].grid, grid, array.device)
    first = torch.empty(grid.shape, device=array.device) if modality is Modality.DCE else array[0]
    resampling.into(first, volumes[0].array)
    signal = first.cpu().numpy()[tissue]
    unit = float(np.percentile(signal, scaling.percentile)) if signal.size else 0.0
    if not unit > 0:
        raise ModelInputError(f"{modality} has no signal where the body is")
    for channel, post in zip(array, volumes[1:], strict=False):
        resampling.into(channel, post.array)
        channel.sub_(first)
    for channel in array:
        low, high = _range(channel.div_(unit))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ModelInputError(f"{modality} has values too large to compute with")
        channel.clamp_(*scaling.clip)
    return unit
