"""The source images as results refer to them: patient and study, references and planes.

Works for classic single-frame and for enhanced multi-frame images (PS3.3 C.7.6.16).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol, Self

import numpy as np
from pydicom.dataset import Dataset

from mome_node.dicom.geometry import Grid
from mome_node.dicom.header import FrameRef, InstanceFacts
from mome_node.errors import ResultError
from mome_node.results.identity import patient_and_study, required
from mome_node.volumes.volume import Volume

_LOSSY: Final = (
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)  # PS3.3 C.7.6.1.1.5
MISPLACED_MM: Final = 0.5
"""Grid and header may differ by this much at a slice's corners: vendors round positions."""


class NamedInstance(Protocol):
    """What has the four UIDs that name an instance."""

    @property
    def study_uid(self) -> str:
        """Study Instance UID."""
        ...

    @property
    def series_uid(self) -> str:
        """Series Instance UID."""
        ...

    @property
    def sop_class_uid(self) -> str:
        """SOP Class UID."""
        ...

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID."""
        ...


@dataclass(frozen=True, slots=True)
class ImageReference:
    """How another object refers to one image plane.

    ``frame`` is None for single-frame images, and where a whole instance is meant.
    """

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None

    @classmethod
    def to_whole(cls, instance: NamedInstance) -> Self:
        """How to refer to an instance as a whole."""
        return cls(
            study_uid=instance.study_uid,
            series_uid=instance.series_uid,
            sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.sop_instance_uid,
            frame=None,
        )

    def item(self, *, with_frame: bool = True) -> Dataset:
        """An item of a sequence that uses the Image SOP Instance Reference macro (Table 10-3)."""
        item = Dataset()
        item.ReferencedSOPClassUID = self.sop_class_uid
        item.ReferencedSOPInstanceUID = self.sop_instance_uid
        if with_frame and self.frame is not None:
            item.ReferencedFrameNumber = self.frame
        return item

    def evidence(self) -> Dataset:
        """The four UIDs that name the instance, as highdicom takes evidence."""
        evidence = Dataset()
        evidence.StudyInstanceUID = self.study_uid
        evidence.SeriesInstanceUID = self.series_uid
        evidence.SOPClassUID = self.sop_class_uid
        evidence.SOPInstanceUID = self.sop_instance_uid
        return evidence


@dataclass(frozen=True, slots=True)
class Plane:
    """Where one image plane lies, as its header says: mm LPS, (row, column) spacing in mm."""

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    thickness: float | None


class SourceImages:
    """Reads what results need from source headers; keeps those of one volume in memory."""

    def __init__(
        self,
        headers: Callable[[FrameRef], Dataset],
        volume: Volume,
        known: Iterable[InstanceFacts] = (),
    ) -> None:
        """``known``: what was read of the study before; no header is asked for these UIDs."""
        if not volume.frames:
            raise ResultError("the key volume names no source images: results need references")
        self._headers = headers
        self._volume = volume
        self._known = {facts.sop_instance_uid: facts for facts in known}
        self._kept: dict[str, Dataset] = {}

    @property
    def first(self) -> Dataset:
        """Header of the key volume's first plane."""
        return self._kept_header(self._volume.frames[0])

    def _kept_header(self, frame: FrameRef) -> Dataset:
        uid = frame.sop_instance_uid
        if uid not in self._kept:
            self._kept[uid] = self._headers(frame)
        return self._kept[uid]

    def instance(self, frame: FrameRef) -> ImageReference:
        """How to refer to the whole instance that holds an image plane, of any series."""
        facts = self._known.get(frame.sop_instance_uid)
        if facts is None:
            return replace(self.reference(frame), frame=None)
        return ImageReference.to_whole(facts)

    def reference(self, frame: FrameRef) -> ImageReference:
        """How to refer to an image plane of any series of the study; for a tile, to its image."""
        uid = frame.sop_instance_uid
        header = self._kept.get(uid) or self._headers(frame)
        return ImageReference(
            study_uid=str(required(header, "StudyInstanceUID")),
            series_uid=str(required(header, "SeriesInstanceUID")),
            sop_class_uid=str(required(header, "SOPClassUID")),
            sop_instance_uid=uid,
            frame=frame.frame_number if _is_multi_frame(header) else None,
        )

    def key_reference(self, slice_index: int) -> ImageReference:
        """How to refer to one slice of the key volume."""
        frame = self._volume.frames[slice_index]
        self._kept_header(frame)
        return self.reference(frame)

    def key_plane(self, slice_index: int) -> Plane:
        """Where one slice of the key volume lies.

        Raises ResultError if the header puts it elsewhere than the volume's grid does: an overlay
        drawn there would be wrong.
        """
        frame = self._volume.frames[slice_index]
        plane = _plane(self._kept_header(frame), frame)
        if _misplacement(plane, self._volume.grid, slice_index) > MISPLACED_MM:
            raise ResultError(
                f"slice {slice_index} of the key volume does not lie where its source image lies"
            )
        return plane

    def lossy_compression(self) -> Dataset:
        """What the source says of lossy compression, which pictures made from it say, too."""
        said = Dataset()
        for keyword in _LOSSY:
            if keyword in self.first:
                said[keyword] = self.first[keyword]
        return said

    def patient_and_study(self) -> Dataset:
        """Patient and study elements of the source, decoded, as every result carries them."""
        return patient_and_study(self.first)


def _is_multi_frame(header: Dataset) -> bool:
    return "PerFrameFunctionalGroupsSequence" in header or "NumberOfFrames" in header


def _group(header: Dataset, frame: FrameRef, name: str) -> Dataset:
    """The functional group of a frame, its own or the shared one; else the header itself."""
    number = frame.frame_number
    own = header.get("PerFrameFunctionalGroupsSequence") or ()
    shared = header.get("SharedFunctionalGroupsSequence") or ()
    for groups in (*own[number - 1 : number], *shared[:1]):
        if groups.get(name):
            group: Dataset = groups[name].value[0]
            return group
    return header


def _plane(header: Dataset, frame: FrameRef) -> Plane:
    position = _group(header, frame, "PlanePositionSequence")
    orientation = _group(header, frame, "PlaneOrientationSequence")
    measures = _group(header, frame, "PixelMeasuresSequence")
    thickness = measures.get("SliceThickness")
    try:
        return Plane(
            position=_numbers(position, "ImagePositionPatient", 3),
            orientation=_numbers(orientation, "ImageOrientationPatient", 6),
            spacing=_numbers(measures, "PixelSpacing", 2),
            thickness=float(thickness) if thickness not in (None, "") else None,
        )
    except (ValueError, TypeError) as error:
        raise ResultError("the place of a source image in the patient does not parse") from error


def _misplacement(plane: Plane, grid: Grid, slice_index: int) -> float:
    """Largest distance in mm, at two opposite corners, of a header's plane from the grid's."""
    columns, rows, _ = grid.shape
    first = np.array(plane.position)
    along_row = np.array(plane.orientation[:3]) * plane.spacing[1] * (columns - 1)
    along_column = np.array(plane.orientation[3:]) * plane.spacing[0] * (rows - 1)
    last = first + along_row + along_column
    return max(
        float(np.linalg.norm(first - grid.to_patient((0, 0, slice_index)))),
        float(np.linalg.norm(last - grid.to_patient((columns - 1, rows - 1, slice_index)))),
    )


def _numbers(group: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    values = tuple(float(v) for v in required(group, keyword))
    if len(values) != count:
        raise ResultError(f"{keyword} of a source image has {len(values)} values, not {count}")
    return values
