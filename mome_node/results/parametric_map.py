"""The attribution as a Parametric Map (PS3.3 A.75): what each voxel added to the primary score.

On the model's own grid, not resampled to the source's: no frame of it lies on a source image. All
frames share one derivation that names the images of the dynamic and says that they lie elsewhere
(Spatial Locations Preserved (0028,135A) = NO); the Frame of Reference is theirs.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from highdicom import (
    PixelMeasuresSequence,
    PlaneOrientationSequence,
    PlanePositionSequence,
    VOILUTTransformation,
)
from highdicom.enum import CoordinateSystemNames
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr import CodeContentItem, CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import MRImageStorage

from mome_node.dicom import codes
from mome_node.dicom.geometry import Grid
from mome_node.errors import ResultError
from mome_node.results.context import ResultContext
from mome_node.results.encodings import object_syntax
from mome_node.results.findings import Findings
from mome_node.results.image_library import library_groups
from mome_node.results.sources import ImageReference, SourceImages
from mome_node.results.stamp import equipment, stamp, without_names

BRIGHTEST: Final = 99.9
"""Percentile of the absolute values, without zeros, that the windows end at."""

_UNSPECIFIED: Final = Code("110828", "DCM", "Unspecified method of calculation")


def make_map(findings: Findings, context: ResultContext, sources: SourceImages) -> Dataset | None:
    """The map of the attribution; None where nothing was explained.

    Values are float32 in log-odds, without unit. Raises ResultError if they are no finite numbers,
    the method has no coded concept, or the source images have no Frame of Reference UID.
    """
    volume, explanation = findings.attribution, findings.explanation
    if volume is None or explanation is None:
        return None
    if not np.isfinite(volume.array).all():
        raise ResultError("the attribution holds values that are no finite numbers")
    made = ParametricMap(
        source_images=[_plain_image(context, sources, volume.grid)],
        pixel_array=np.ascontiguousarray(volume.array.transpose(2, 1, 0), dtype=np.float32),
        series_instance_uid=context.uid(findings, "map series"),
        series_number=context.profile.number_of("map"),
        sop_instance_uid=context.uid(findings, "map instance"),
        instance_number=1,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(volume.array, explanation.method)],
        voi_lut_transformations=[_windows(volume.array)],
        transfer_syntax_uid=object_syntax(context.profile),
        content_label="MOME_ATTRIBUTION",
        content_description=context.labelled(findings, "Attribution"),
        series_description=context.series_description(findings, "map"),
        **_geometry(volume.grid),
        **equipment(context),
    )
    _refer_to_sources(made, dynamic_images(findings, sources))
    _add_anatomy(made)
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = context.uid(findings, "map dimensions")
    made.update(sources.lossy_compression())
    stamp(made, findings, context, sources.patient_and_study())
    return made


def _plain_image(context: ResultContext, sources: SourceImages, grid: Grid) -> Dataset:
    """What highdicom takes patient, study and Frame of Reference from; never leaves this module."""
    frame_of_reference = sources.first.get("FrameOfReferenceUID")
    if not frame_of_reference:
        raise ResultError("the source images have no Frame of Reference UID: a map needs one")
    image = without_names(sources.patient_and_study())
    image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, context.device_uid
    image.SeriesInstanceUID = sources.key_reference(0).series_uid
    image.Modality = "MR"
    image.FrameOfReferenceUID = frame_of_reference
    image.PositionReferenceIndicator = sources.first.get("PositionReferenceIndicator", "")
    image.Columns, image.Rows, _ = grid.shape
    image.ImagePositionPatient = [0.0, 0.0, 0.0]
    image.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    image.PixelSpacing, image.SliceThickness = [1.0, 1.0], 1.0
    return image


def _geometry(grid: Grid) -> dict[str, Any]:
    """Where the planes of the grid lie."""
    x, y, z = grid.spacing
    cosines = grid.affine[:3, :2] / (x, y)
    return {
        "pixel_measures": PixelMeasuresSequence(
            pixel_spacing=[y, x], slice_thickness=z, spacing_between_slices=z
        ),
        "plane_orientation": PlaneOrientationSequence(
            CoordinateSystemNames.PATIENT, [float(v) for v in cosines.T.ravel()]
        ),
        "plane_positions": [
            PlanePositionSequence(CoordinateSystemNames.PATIENT, grid.to_patient((0, 0, k)))
            for k in range(grid.shape[2])
        ],
    }


def _mapping(array: NDArray[np.float32], method: str) -> RealWorldValueMapping:
    """Values as they are: a visual explanation, in log-odds, found by a method (PS3.3 C.7.6.16)."""
    concept = codes.ATTRIBUTION_METHODS.get(method)
    if concept is None:
        raise ResultError(f"no coded concept for the explanation by {method!r}")
    mapping = RealWorldValueMapping(
        lut_label="LOG_ODDS",
        lut_explanation="Log-odds that the voxel added to the score",
        unit=codes.NO_UNITS,
        value_range=(float(array.min()), float(array.max())),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.VISUAL_EXPLANATION,
    )
    how = CodeContentItem(
        name=CodedConcept.from_code(codes.MEASUREMENT_METHOD),
        value=CodedConcept.from_code(concept.code),
    )
    mapping.QuantityDefinitionSequence = [*mapping.QuantityDefinitionSequence, how]
    return mapping


def _windows(array: NDArray[np.float32]) -> VOILUTTransformation:
    """What raises the score, from black to white; and both signs around a middle grey."""
    sizes = np.abs(array[array != 0])
    reach = float(np.percentile(sizes, BRIGHTEST)) if sizes.size else 1.0
    return VOILUTTransformation(
        window_center=[reach / 2, 0.0],
        window_width=[reach, 2 * reach],
        window_explanation=["Raises the score", "Raises (bright) and lowers (dark)"],
        voi_lut_function="LINEAR_EXACT",  # widths below 1 are legal only there (C.11.2.1.3.2)
    )


def dynamic_images(findings: Findings, sources: SourceImages) -> tuple[ImageReference, ...]:
    """The images of the dynamic that a model read, each instance once."""
    groups = library_groups(findings, sources)
    return tuple(image for group in groups if group.used_as == "dce" for image in group.images)


def _refer_to_sources(made: Dataset, images: tuple[ImageReference, ...]) -> None:
    derivation = Dataset()
    derivation.DerivationCodeSequence = [CodedConcept.from_code(_UNSPECIFIED)]
    derivation.DerivationDescription = "Attribution of a score, on the model's own grid"
    derivation.SourceImageSequence = []
    of_series: dict[str, list[Dataset]] = {}
    for image in images:
        source = image.item(with_frame=False)
        source.SpatialLocationsPreserved = "NO"
        source.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(codes.SOURCE_IMAGE)]
        derivation.SourceImageSequence.append(source)
        of_series.setdefault(image.series_uid, []).append(image.item(with_frame=False))
    made.SharedFunctionalGroupsSequence[0].DerivationImageSequence = [derivation]
    for groups in made.PerFrameFunctionalGroupsSequence:
        if "DerivationImageSequence" in groups:
            del groups.DerivationImageSequence  # names the plain image
    if "SourceImageSequence" in made:
        del made.SourceImageSequence
    made.ReferencedSeriesSequence = []
    for series_uid, instances in of_series.items():
        item = Dataset()
        item.SeriesInstanceUID = series_uid
        item.ReferencedInstanceSequence = instances
        made.ReferencedSeriesSequence.append(item)


def _add_anatomy(made: Dataset) -> None:
    """Frame Anatomy (C.7.6.16.2.8): both breasts."""
    anatomy = Dataset()
    anatomy.FrameLaterality = "B"
    anatomy.AnatomicRegionSequence = [CodedConcept.from_code(codes.BREAST)]
    made.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]
