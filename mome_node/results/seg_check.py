"""Read a segmentation back and compare it with what it was made from, before it leaves.

Three ways: voxel by voxel on the grid of the key volume, in millimetres in the patient, and by what
the segments and frames say they are of. highdicom reads the very bytes that will be sent.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

import numpy as np
from highdicom.seg import Segmentation, segread
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mome_node.dicom import codes
from mome_node.dicom.geometry import Grid
from mome_node.errors import InvalidResultError
from mome_node.results.findings import Findings, Region
from mome_node.results.sources import ImageReference, Plane, SourceImages

SAME_CENTER_MM = 0.1
"""A region's centre of mass comes back within this of where its mask lies."""

SAME_PLANE_MM = 1e-3
"""Positions and spacings are copied from the source, not computed: they differ by rounding."""

SAME_COSINE = 1e-5

_LACKS: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What Python says where something is looked for that the object does not have."""


def check_segmentation(encoded: bytes, findings: Findings, sources: SourceImages) -> None:
    """Compare an encoded segmentation with the regions and the source images.

    Raises InvalidResultError that says what differs; ResultError as SourceImages does.
    """
    try:
        seg = segread(BytesIO(encoded))
    except Exception as error:  # readers say anything to what is broken
        raise InvalidResultError("the segmentation cannot be read back") from error
    try:
        _compare(seg, findings, sources)
    except _LACKS as error:
        raise InvalidResultError("the segmentation, read back, lacks what places it") from error


def _compare(seg: Segmentation, findings: Findings, sources: SourceImages) -> None:
    if len(seg.SegmentSequence) != len(findings.regions):
        raise _differs(f"{len(seg.SegmentSequence)} segments, not {len(findings.regions)}")
    for segment, region in zip(seg.SegmentSequence, findings.regions, strict=True):
        _check_description(segment, region)
    _check_evidence(seg, findings, sources)
    _check_frames(seg, findings, sources)


def _differs(what: str) -> InvalidResultError:
    return InvalidResultError(f"the segmentation, read back, has {what}")


def _check_description(segment: Dataset, region: Region) -> None:
    if segment.get("TrackingUID") != region.tracking_uid:
        raise _differs(f"another tracking UID than {region.tracking_id}")
    if segment.get("TrackingID") != region.tracking_id:
        raise _differs(f"another tracking ID than {region.tracking_id}")
    (anatomy,) = segment.get("AnatomicRegionSequence") or (Dataset(),)
    modifiers = anatomy.get("AnatomicRegionModifierSequence") or ()
    side = None if region.laterality is None else codes.LATERALITY[region.laterality].value
    if [modifier.CodeValue for modifier in modifiers] != ([] if side is None else [side]):
        raise _differs(f"another side than {region.tracking_id}")


def _check_evidence(seg: Segmentation, findings: Findings, sources: SourceImages) -> None:
    """The object names the instances of the key volume and no others."""
    slices = range(len(findings.key_volume.frames))
    expected = {(r.series_uid, r.sop_instance_uid) for r in map(sources.key_reference, slices)}
    named = {
        (series.SeriesInstanceUID, instance.ReferencedSOPInstanceUID)
        for series in seg.get("ReferencedSeriesSequence") or ()
        for instance in series.ReferencedInstanceSequence
    }
    if named != expected:
        raise _differs("references to other images than those of the key volume")
    if seg.get("FrameOfReferenceUID") != sources.first.get("FrameOfReferenceUID"):
        raise _differs("another frame of reference than its source images")


def _check_frames(seg: Segmentation, findings: Findings, sources: SourceImages) -> None:
    grid = findings.key_volume.grid
    columns, rows, count = grid.shape
    if (seg.Columns, seg.Rows) != (columns, rows):
        raise _differs(f"{seg.Columns} × {seg.Rows} pixels, not {columns} × {rows}")
    references = {_named(sources.key_reference(z)): z for z in range(count)}
    stacks = [_Stack(region.mask) for region in findings.regions]
    seen = np.zeros((len(findings.regions), count), dtype=bool)
    sums = np.zeros((len(findings.regions), 4))  # voxels, and the sum of their places in mm
    for number, own in enumerate(seg.PerFrameFunctionalGroupsSequence, start=1):
        groups = _Groups(own, seg.SharedFunctionalGroupsSequence[0])
        place = f"frame {number}"
        z = references.get(groups.source())
        if z is None:
            raise _differs(f"{place} refer to an image that is not of the key volume")
        index = groups.segment() - 1
        if not 0 <= index < len(findings.regions):
            raise _differs(f"{place} of a segment that is not there")
        if seen[index, z]:
            raise _differs(f"two frames of segment {index + 1} on slice {z}")
        seen[index, z] = True
        region = findings.regions[index]
        if groups.side() != (region.laterality or "B"):
            raise _differs(f"another side in {place} than {region.tracking_id}")
        plane = groups.plane()
        if not _same_place(plane, sources.key_plane(z)):
            raise _differs(f"{place} elsewhere than its source image")
        pixels = seg.get_stored_frame(number).astype(bool)  # (rows, columns)
        if not stacks[index].is_slice(z, pixels):
            raise _differs(f"other pixels in {place} than {region.tracking_id} on slice {z}")
        sums[index] += _voxels_and_places(pixels, plane)
    for region, stack, shown, total in zip(findings.regions, stacks, seen, sums, strict=True):
        if not shown[stack.slices].all():
            raise _differs(f"no frame for a slice that {region.tracking_id} meets")
        _check_center(region, stack, total, grid)


def _check_center(region: Region, stack: _Stack, total: NDArray[np.float64], grid: Grid) -> None:
    """The centre of mass in the patient: by the frames' planes, and by mask and grid.

    ``total`` is voxels and the sum of their places, as read back.
    """
    expected = np.array(grid.to_patient(stack.center()))
    off = float(np.linalg.norm(total[1:] / max(total[0], 1.0) - expected))
    if not off <= SAME_CENTER_MM:
        raise _differs(f"{region.tracking_id} {off:.1f} mm off its place in the patient")


class _Stack:
    """The slices of a mask bool (x, y, z) that are not empty, each as an image (rows, columns)."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self.slices = np.flatnonzero(mask.any(axis=(0, 1)))
        self._images = np.ascontiguousarray(mask[:, :, self.slices].transpose(2, 1, 0))

    def is_slice(self, z: int, pixels: NDArray[np.bool_]) -> bool:
        """Whether an image (rows, columns) is one slice of the mask, pixel by pixel."""
        at = int(np.searchsorted(self.slices, z))
        if at == self.slices.size or self.slices[at] != z:
            return not pixels.any()
        return bool(np.array_equal(pixels, self._images[at]))

    def center(self) -> tuple[float, float, float]:
        """The mean index (x, y, z) of the mask's voxels."""
        counts = [self._images.sum(axis=axes) for axes in ((0, 1), (0, 2), (1, 2))]
        x, y, z = (
            float((count * index).sum() / count.sum())
            for count, index in zip(
                counts, (*(np.arange(c.size) for c in counts[:2]), self.slices), strict=True
            )
        )
        return x, y, z


def _voxels_and_places(pixels: NDArray[np.bool_], plane: Plane) -> NDArray[np.float64]:
    """How many pixels are set, and the sum of their places in mm LPS (PS3.3 C.7.6.2.1.1)."""
    in_rows, in_columns = pixels.sum(axis=1), pixels.sum(axis=0)
    count = int(in_rows.sum())
    rows_sum = float(in_rows @ np.arange(in_rows.size))
    columns_sum = float(in_columns @ np.arange(in_columns.size))
    along_row = np.array(plane.orientation[:3]) * plane.spacing[1]
    along_column = np.array(plane.orientation[3:]) * plane.spacing[0]
    places = count * np.array(plane.position) + along_row * columns_sum + along_column * rows_sum
    return np.array([count, *places])


def _same_place(one: Plane, other: Plane) -> bool:
    return (
        np.allclose(one.position, other.position, rtol=0, atol=SAME_PLANE_MM)
        and np.allclose(one.spacing, other.spacing, rtol=0, atol=SAME_PLANE_MM)
        and np.allclose(one.orientation, other.orientation, rtol=0, atol=SAME_COSINE)
    )


def _named(reference: ImageReference) -> tuple[str, str, int | None]:
    return reference.sop_class_uid, reference.sop_instance_uid, reference.frame


class _Groups:
    """The functional groups of one frame, its own and the shared ones, as they are read."""

    def __init__(self, own: Dataset, shared: Dataset) -> None:
        self._both = (own, shared)

    def _group(self, name: str) -> Dataset:
        for groups in self._both:
            if groups.get(name):
                found: Dataset = groups[name].value[0]
                return found
        raise _differs(f"a frame without {name}")

    def segment(self) -> int:
        return int(self._group("SegmentIdentificationSequence").ReferencedSegmentNumber)

    def side(self) -> str:
        return str(self._group("FrameAnatomySequence").FrameLaterality)

    def source(self) -> tuple[str, str, int | None]:
        images = self._group("DerivationImageSequence").SourceImageSequence
        if len(images) != 1:
            raise _differs("a frame with more than one source image")
        number = images[0].get("ReferencedFrameNumber")
        return (
            str(images[0].ReferencedSOPClassUID),
            str(images[0].ReferencedSOPInstanceUID),
            None if number is None else int(number),
        )

    def plane(self) -> Plane:
        position = self._group("PlanePositionSequence").ImagePositionPatient
        orientation = self._group("PlaneOrientationSequence").ImageOrientationPatient
        measures = self._group("PixelMeasuresSequence")
        return Plane(
            tuple(map(float, position)),
            tuple(map(float, orientation)),
            tuple(map(float, measures.PixelSpacing)),
            float(measures.SliceThickness),
        )
