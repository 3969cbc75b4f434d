"""Images to one volume: reads exactly the named planes, orders them, fills one array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mome_node.dicom.header import FrameRef, InstanceFacts
from mome_node.dicom.header_reading import read_facts
from mome_node.dicom.pixels import decode_frames
from mome_node.dicom.stacking import MIN_SLICES, Plane, stack_planes
from mome_node.dicom.tiles import cut_tile, plane_of
from mome_node.errors import DicomError, UnreadableSliceError, VolumeTooLargeError
from mome_node.volumes.volume import Volume

MAX_VOXELS = 1 << 28
"""1 GiB of float32; a breast volume of 512 × 512 × 320 has a third of it."""


@dataclass(frozen=True, slots=True)
class _Source:
    """One file that planes are read from."""

    path: Path
    facts: InstanceFacts


def build_volume(
    frames: Sequence[FrameRef],
    path_of: Callable[[str], Path],
    *,
    min_slices: int = MIN_SLICES,
) -> Volume:
    """Build the volume that these planes make, given in any order.

    ``path_of`` takes a SOP Instance UID to its file. Each file is decoded once, however many of
    its frames are wanted, one frame at a time straight into the array: memory is the volume and
    one frame. The array is float32 (x, y, z) = (columns, rows, slices), rescaled, stored slice
    after slice; the slice order is that of ``stack_planes``.

    Raises the VolumeErrors of ``stack_planes``, VolumeTooLargeError, and UnreadableSliceError for
    a file that cannot be read or decoded or that holds another instance. What ``path_of`` raises
    passes through.
    """
    sources = _read_headers(frames, path_of)
    stack = stack_planes([_plane(frame, sources) for frame in frames], min_slices=min_slices)
    columns, rows, slices = stack.grid.shape
    if columns * rows * slices > MAX_VOXELS:
        raise VolumeTooLargeError(
            f"{columns} × {rows} × {slices} voxels; at most {MAX_VOXELS} are allowed"
        )
    planes = np.empty((slices, rows, columns), dtype=np.float32)
    _fill(planes, stack.frames, sources)
    return Volume(planes.transpose(2, 1, 0), stack.grid, stack.frames)  # (z, y, x) -> (x, y, z)


def _read_headers(frames: Sequence[FrameRef], path_of: Callable[[str], Path]) -> dict[str, _Source]:
    sources: dict[str, _Source] = {}
    for uid in dict.fromkeys(frame.sop_instance_uid for frame in frames):
        path = path_of(uid)
        try:
            facts = read_facts(path)
        except DicomError as error:
            raise UnreadableSliceError(f"instance {uid}: {error}", uid) from error
        if facts.sop_instance_uid != uid:
            raise UnreadableSliceError(f"the file of instance {uid} holds another instance", uid)
        sources[uid] = _Source(path, facts)
    return sources


def _plane(frame: FrameRef, sources: Mapping[str, _Source]) -> Plane:
    facts = sources[frame.sop_instance_uid].facts
    if not 1 <= frame.frame_number <= len(facts.frames):
        raise UnreadableSliceError(
            f"instance {frame.sop_instance_uid} has {len(facts.frames)} frames, "
            f"not one of number {frame.frame_number}",
            frame.sop_instance_uid,
        )
    return frame, *plane_of(frame, facts)


def _fill(
    planes: NDArray[np.float32], order: Sequence[FrameRef], sources: Mapping[str, _Source]
) -> None:
    """Decode every plane into its place in ``planes`` (slices, rows, columns)."""
    wanted: dict[str, dict[int, list[tuple[int, int | None]]]] = {}
    for index, frame in enumerate(order):
        of_frame = wanted.setdefault(frame.sop_instance_uid, {})
        of_frame.setdefault(frame.frame_number, []).append((index, frame.tile))
    for uid, slices_of in wanted.items():
        source = sources[uid]
        numbers = sorted(slices_of)
        try:
            decoded = decode_frames(source.path, numbers, source.facts)
            for number, pixels in zip(numbers, decoded, strict=True):
                tiling = source.facts.frames[number - 1].tiling
                for index, tile in slices_of[number]:
                    if tile is not None and tiling is not None:
                        planes[index] = cut_tile(pixels, tiling, tile)
                    else:
                        planes[index] = pixels
        except DicomError as error:
            raise UnreadableSliceError(f"instance {uid}: {error}", uid) from error
