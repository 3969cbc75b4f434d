"""Segmentation (PS3.3 A.51, BINARY): the regions that influenced the score, one segment each.

On the grid of the key volume, with references to its own frames; only slices that a region meets
have frames, or every slice for every region, as the profile says. highdicom is given one plain
single-frame header a slice, whatever the source's IOD, and the references to the real frames are
set afterwards: for a multi-phase source it would name the first phase with these positions.
"""

from __future__ import annotations

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.content import PixelMeasuresSequence
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import MRImageStorage

from mome_node.dicom import codes
from mome_node.errors import ResultError
from mome_node.results.context import MANUFACTURER, ResultContext
from mome_node.results.encodings import object_syntax
from mome_node.results.findings import Findings, ModelIdentity, Region
from mome_node.results.profile import ResultProfile
from mome_node.results.region_styles import style_of
from mome_node.results.sources import Plane, SourceImages
from mome_node.results.stamp import equipment, stamp, without_names

_SEGMENTATION = Code("113076", "DCM", "Segmentation")  # CID 7203
_SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")  # CID 7202

_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


def make_segmentation(
    findings: Findings, context: ResultContext, sources: SourceImages
) -> Dataset | None:
    """The SEG of all regions; None without regions, or if it would have too many frames.

    Raises ResultError if a mask is empty or does not fit the key volume, or a source header lacks
    its place in the patient.
    """
    profile = context.profile
    if not findings.regions or seg_left_out(findings, profile):
        return None
    slices = _slices(findings, profile)
    planes = [sources.key_plane(z) for z in slices]
    series_uid = context.uid(findings, "seg series")
    seg = Segmentation(
        source_images=_plain_images(findings, context, sources, slices, planes),
        pixel_array=_pixels(findings, slices),
        segmentation_type="BINARY",
        segment_descriptions=[
            _segment(number, region, findings, context)
            for number, region in enumerate(findings.regions, start=1)
        ],
        series_instance_uid=series_uid,
        series_number=profile.number_of("seg"),
        sop_instance_uid=context.uid(findings, "seg instance"),
        instance_number=1,
        transfer_syntax_uid=object_syntax(profile),
        omit_empty_frames=not profile.empty_frames,
        pixel_measures=_pixel_measures(findings, planes[0]),
        content_label="MOME_REGIONS",
        content_description=context.labelled(findings, "Regions"),
        series_description=context.series_description(findings, "SEG"),
        **equipment(context),
    )
    _refer_to_sources(seg, findings, sources, slices, planes)
    _add_frame_anatomy(seg, findings)
    _settle_dimension_uid(seg, context.uid(findings, "seg dimensions"))
    stamp(seg, findings, context, sources.patient_and_study())
    return seg


def frame_count(findings: Findings, profile: ResultProfile) -> int:
    """How many frames the SEG of these findings has in a profile; 0 without regions.

    Raises ResultError if a mask is empty or does not fit the key volume.
    """
    filled = _filled(findings)
    return int(filled.size if profile.empty_frames else filled.sum())


def seg_left_out(findings: Findings, profile: ResultProfile) -> str:
    """Why a wanted SEG of the regions is not made, in words for the report; empty where it is.

    Raises ResultError as frame_count does.
    """
    if not (findings.regions and profile.wants("seg")):
        return ""
    count, limit = frame_count(findings, profile), profile.max_frames
    if not limit or count <= limit:
        return ""
    return f"it would have {count} frames, more than the {limit} that the destination takes"


def _filled(findings: Findings) -> NDArray[np.bool_]:
    """(regions, slices): whether a region meets a slice."""
    shape = findings.key_volume.grid.shape
    filled = np.zeros((len(findings.regions), shape[2]), dtype=bool)
    for number, region in enumerate(findings.regions):
        if region.mask.shape != shape:
            raise ResultError(
                f"the mask of {region.tracking_id} has the shape {region.mask.shape}, "
                f"the key volume {shape}"
            )
        filled[number] = region.mask.any(axis=(0, 1))
        if not filled[number].any():
            raise ResultError(f"the mask of {region.tracking_id} is empty")
    return filled


def _slices(findings: Findings, profile: ResultProfile) -> list[int]:
    """The slices of the key volume that get frames."""
    filled = _filled(findings)
    wanted = np.ones(filled.shape[1], dtype=bool) if profile.empty_frames else filled.any(axis=0)
    return [int(z) for z in np.flatnonzero(wanted)]


def _pixels(findings: Findings, slices: list[int]) -> NDArray[np.uint8]:
    stacked = np.stack([r.mask[:, :, slices] for r in findings.regions], axis=-1)  # (x, y, z, s)
    return stacked.transpose(2, 1, 0, 3).astype(np.uint8)  # (z, y, x, s)


def _plain_images(
    findings: Findings,
    context: ResultContext,
    sources: SourceImages,
    slices: list[int],
    planes: list[Plane],
) -> list[Dataset]:
    columns, rows, _ = findings.key_volume.grid.shape
    first = sources.first
    frame_of_reference = first.get("FrameOfReferenceUID")
    if not frame_of_reference:
        raise ResultError("the source images have no Frame of Reference UID: a SEG needs one")
    images: list[Dataset] = []
    for z, plane in zip(slices, planes, strict=True):
        image = without_names(sources.patient_and_study()) if not images else Dataset()
        image.SOPClassUID = MRImageStorage
        image.SOPInstanceUID = context.uid(findings, f"plane {z}")  # never leaves this module
        image.StudyInstanceUID = first.StudyInstanceUID
        image.SeriesInstanceUID = sources.key_reference(z).series_uid
        image.Modality = "MR"
        image.FrameOfReferenceUID = frame_of_reference
        image.PositionReferenceIndicator = first.get("PositionReferenceIndicator", "")
        image.Rows, image.Columns = rows, columns
        for keyword in _LOSSY:
            if keyword in first:
                image[keyword] = first[keyword]
        image.ImagePositionPatient = list(plane.position)
        image.ImageOrientationPatient = list(plane.orientation)
        image.PixelSpacing = list(plane.spacing)
        image.SliceThickness = plane.thickness or findings.key_volume.grid.spacing[2]
        images.append(image)
    return images


def _pixel_measures(findings: Findings, plane: Plane) -> PixelMeasuresSequence:
    between = findings.key_volume.grid.spacing[2]
    return PixelMeasuresSequence(
        pixel_spacing=list(plane.spacing),
        slice_thickness=plane.thickness or between,
        spacing_between_slices=between,
    )


def _segment(
    number: int, region: Region, findings: Findings, context: ResultContext
) -> SegmentDescription:
    description = SegmentDescription(
        segment_number=number,
        segment_label=context.labelled(findings, region.tracking_id),
        segmented_property_category=codes.SPATIAL_CONCEPT,
        segmented_property_type=codes.INFLUENCING_REGION.code,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=_algorithm(findings.tasks[0].model),
        tracking_uid=region.tracking_uid,
        tracking_id=region.tracking_id,
        anatomic_regions=[codes.BREAST],
        # Viewers would warn, and take any colour: it shall be that of the pictures.
        display_color=CIELabColor.from_rgb(*style_of(region).colour),
    )
    if region.laterality is not None:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [
            CodedConcept.from_code(codes.LATERALITY[region.laterality])
        ]
    return description


def _algorithm(model: ModelIdentity) -> AlgorithmIdentificationSequence:
    return AlgorithmIdentificationSequence(
        name=model.name,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        version=model.version,
        source=MANUFACTURER,
        parameters={"weights": f"sha256:{model.digest}"},
    )


def _refer_to_sources(
    seg: Segmentation,
    findings: Findings,
    sources: SourceImages,
    slices: list[int],
    planes: list[Plane],
) -> None:
    positions = np.array([plane.position for plane in planes])  # (slices, 3) mm
    for groups in seg.PerFrameFunctionalGroupsSequence:
        placed = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        z = slices[int(np.argmin(np.linalg.norm(positions - placed, axis=1)))]
        source = sources.key_reference(z).item()
        source.SpatialLocationsPreserved = "YES"
        source.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(_SOURCE_IMAGE)]
        derivation = Dataset()
        derivation.DerivationCodeSequence = [CodedConcept.from_code(_SEGMENTATION)]
        derivation.SourceImageSequence = [source]
        groups.DerivationImageSequence = [derivation]
    instances: dict[str, dict[str, Dataset]] = {}
    for z in range(len(findings.key_volume.frames)):
        reference = sources.key_reference(z)
        of_series = instances.setdefault(reference.series_uid, {})
        of_series[reference.sop_instance_uid] = reference.item(with_frame=False)
    seg.ReferencedSeriesSequence = [
        _series_item(uid, list(items.values())) for uid, items in instances.items()
    ]
    if "SourceImageSequence" in seg:
        del seg.SourceImageSequence  # names the plain images; every frame names its own source


def _series_item(series_uid: str, instances: list[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = series_uid
    item.ReferencedInstanceSequence = instances
    return item


def _add_frame_anatomy(seg: Segmentation, findings: Findings) -> None:
    """Frame Anatomy (C.7.6.16.2.8) of each frame: the breast that its region lies in.

    The IOD does not list this macro, but without Frame Laterality a series of a paired organ
    would need one Laterality (0020,0060), and the regions of one SEG may lie on both sides.
    """
    for groups in seg.PerFrameFunctionalGroupsSequence:
        # highdicom shares the identification when there is one segment.
        own = groups.get("SegmentIdentificationSequence")
        number = own[0].ReferencedSegmentNumber if own else 1
        anatomy = Dataset()
        anatomy.FrameLaterality = findings.regions[number - 1].laterality or "B"
        anatomy.AnatomicRegionSequence = [CodedConcept.from_code(codes.BREAST)]
        groups.FrameAnatomySequence = [anatomy]


def _settle_dimension_uid(seg: Segmentation, uid: str) -> None:
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
