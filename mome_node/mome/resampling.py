"""Resampling in torch, on the CPU or a GPU: the phases of a dynamic, one after the other.

The same voxels as ``volumes/resample.py`` gives, from the same weights. What two grids have to do
with each other is worked out once for all phases; beside the result a phase takes a few slabs of
memory, and the averaged image where the grids are oblique.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mome_node.dicom.geometry import Grid
from mome_node.volumes.sampling import AxisSamples, Oblique, Parallel, sampling

CPU_BLOCK = 16
"""Samples made at once along an axis: few enough that hardly a product is by zero."""

GPU_BLOCK = 1 << 20
"""All at once: a GPU multiplies by zeros faster than it starts another product."""

Bands = tuple["_Band", ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Band:
    """Samples ``new`` of an axis are ``weights`` (new, old) times the voxels ``old``."""

    new: slice
    old: slice
    weights: Tensor


class Resampling:
    """Takes images on one grid to another; outside their field there is zero.

    The result differs from that of ``volumes.resample`` by rounding: with axes parallel less than
    1e-6 of the image's range, oblique less than 1e-4.
    """

    def __init__(
        self, source: Grid, grid: Grid, device: torch.device, *, block: int | None = None
    ) -> None:
        self._device = device
        self._block = block or (CPU_BLOCK if device.type == "cpu" else GPU_BLOCK)
        self._shape = source.shape
        self._new_shape = grid.shape
        self._same = source.matches(grid)
        self._how = sampling(source, grid)
        self._windows = tuple(s.window for s in self._how.samples)
        self._bands = tuple(_bands(s, self._block, device) for s in self._how.samples)

    def into(self, out: Tensor, array: NDArray[np.float32]) -> None:
        """Write the image ``array`` (x, y, z) of the source grid to ``out`` (x, y, z) float32.

        ``out`` is on the device, of any layout. The voxels must be finite. ValueError for another
        shape.
        """
        if array.shape != self._shape or out.shape != self._new_shape:
            raise ValueError(f"{array.shape} to {tuple(out.shape)} is not between these grids")
        if self._same:
            out.copy_(as_tensor(array))
            return
        source = as_tensor(array[self._windows]).to(self._device)
        with _exact_products():
            if isinstance(self._how, Parallel):
                self._weigh(source, out.permute(self._how.pairs))
            else:
                _interpolate(self._samples(source, self._how), self._how, out, self._block)

    def _samples(self, source: Tensor, how: Oblique) -> Tensor:
        """Samples along the axes of the source, laid out in memory as the new voxels will be."""
        if all(s.weights is None for s in how.samples):
            return source
        shape = [bands[-1].new.stop for bands in self._bands]
        order = sorted(range(3), key=lambda axis: int(np.abs(how.to_sample[axis, :3]).argmax()))
        samples = torch.empty([shape[a] for a in order], device=self._device)
        samples = samples.permute([order.index(a) for a in range(3)])  # (x, y, z) of the source
        self._weigh(source, samples)
        return samples

    def _weigh(self, source: Tensor, out: Tensor) -> None:
        """Weigh the voxels along all axes; ``out`` has the axes of the source.

        In slabs along the middle axis in memory, so that what lies between the three products
        stays small.
        """
        order = memory_order(source)
        source, out = source.permute(order), out.permute(order)
        outer, middle, inner = (self._bands[axis] for axis in order)
        for slab in middle:
            lines = source[:, slab.old].flatten(1)  # (a, b · c), seldom a copy
            first = torch.empty(
                (len(out), slab.old.stop - slab.old.start, source.shape[2]), device=self._device
            )  # (a', b, c)
            for band in outer:
                torch.mm(band.weights, lines[band.old], out=first[band.new].flatten(1))
            second = slab.weights @ first  # (a', b', c)
            for band in inner:
                out[:, slab.new, band.new] = second[..., band.old] @ band.weights.T  # (a', b', c')


def _bands(samples: AxisSamples, block: int, device: torch.device) -> Bands:
    """The weights, in bands of ``block`` samples that reach no farther than they must."""
    size = samples.window.stop - samples.window.start
    dense = np.eye(size, dtype=np.float32) if samples.weights is None else samples.weights.toarray()
    bands = []
    for start in range(0, len(dense), block):
        rows = dense[start : start + block]
        used = np.flatnonzero(rows.any(axis=0))
        old = slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)
        weights = torch.from_numpy(np.ascontiguousarray(rows[:, old])).to(device)
        bands.append(_Band(slice(start, start + len(rows)), old, weights))
    return tuple(bands)


def _interpolate(samples: Tensor, how: Oblique, out: Tensor, block: int) -> None:
    """Trilinear interpolation between samples (x, y, z of the source), a slab at a time."""
    order = memory_order(samples)
    image = samples.permute(order)[None, None]  # (1, 1, D, H, W)
    for start in range(0, len(out), block):
        slab = out[start : start + block]
        places = torch.empty((*slab.shape, 3), device=out.device)  # W, H, D; -1 to 1
        held = torch.ones(slab.shape, dtype=torch.bool, device=out.device)
        for place, axis in enumerate(reversed(order)):
            index = _index(how.to_sample[axis], start, slab)
            first, last = how.field[axis]
            held &= (index >= first) & (index <= last)
            places[..., place] = index * (2 / max(1, samples.shape[axis] - 1)) - 1
        found = F.grid_sample(image, places[None], padding_mode="border", align_corners=True)
        torch.mul(found[0, 0], held, out=slab)


def _index(row: NDArray[np.float64], start: int, slab: Tensor) -> Tensor:
    """Index along one axis of the samples, of each voxel of a slab that begins at row ``start``.

    In float64: rounded to float32 a step earlier, a voxel would be off by up to 1e-4 of a sample.
    """
    x, y, z = (torch.arange(n, dtype=torch.float64, device=slab.device) for n in slab.shape)
    plane = float(row[0]) * (x + start)[:, None] + float(row[1]) * y + float(row[3])  # (x, y)
    return plane[:, :, None] + float(row[2]) * z


def as_tensor(array: NDArray[np.float32]) -> Tensor:
    """The array, shared where torch can: it takes no reversed axes and warns of what is locked."""
    if min(array.strides) < 0 or not array.flags.writeable or array.dtype != np.float32:
        array = np.array(array, dtype=np.float32)
    return torch.from_numpy(array)


def memory_order(tensor: Tensor) -> list[int]:
    """The axes from the one with the largest stride to the one with the smallest."""
    return sorted(range(tensor.ndim), key=lambda axis: -tensor.stride()[axis])


@contextmanager
def _exact_products() -> Iterator[None]:
    """Products in full float32, whatever precision the network is allowed (TF32, bf16)."""
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(allowed)
