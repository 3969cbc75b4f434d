"""Measurement groups of the report (PS3.16 TID 1410 and 1411).

Viewers merge groups by tracking UID and want an image region in each merged group, so a region
is a volumetric and a planar group with one tracking UID, and the exam's scores stand in a planar
group around the evaluated field; or, where the destination wants it, in a group of the whole exam
(TID 1501), which viewers that want regions cannot show.

Without a SEG a region is its planar group alone. So it is beside a group of the whole exam:
PixelMed's validator takes every group for a volumetric one as soon as one refers to a segment, and
calls a group of the exam wrong. The tracking UID leads to the segment all the same.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    ReferencedSegment,
    SourceImageForRegion,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from mome_node.dicom import codes
from mome_node.errors import ResultError
from mome_node.results.context import MANUFACTURER, ResultContext
from mome_node.results.findings import Findings, ModelIdentity, Region, TaskScore
from mome_node.results.outline import largest_slice, outline
from mome_node.results.sources import SourceImages

FIELD_NAME: Final = "Evaluated field"
EXAM_NAME: Final = "Exam scores"

LABEL_MARGIN: Final = 0.35
"""Part of the image's width that the field's box keeps free at the right: viewers print the
numbers there, and cut them at the image's edge. How wide they are is the viewer's fonts' affair."""

EDGE_MARGIN: Final = 0.02
"""Part of the image's size that the field's box keeps free at its other sides."""

Group = (
    MeasurementsAndQualitativeEvaluations
    | PlanarROIMeasurementsAndQualitativeEvaluations
    | VolumetricROIMeasurementsAndQualitativeEvaluations
)


def measurement_groups(
    findings: Findings, context: ResultContext, sources: SourceImages, seg: Dataset | None
) -> list[Group]:
    """The exam's scores, in the evaluated field or alone, then the groups of each region."""
    if context.profile.study_scores == "group":
        groups, seg = [_exam(findings, context)], None
    else:
        groups = [_field(findings, context, sources)]
    for number, region in enumerate(findings.regions, start=1):
        if seg is not None:
            groups.append(_volumetric(number, region, findings, sources, seg))
        groups.append(_planar(region, findings, sources, with_share=seg is None))
    return groups


def _field(findings: Findings, context: ResultContext, sources: SourceImages) -> Group:
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=context.uid(findings, "evaluated field"), identifier=FIELD_NAME
        ),
        referenced_region=_region(
            field_polygon(findings.field_box, findings.key_volume.grid.shape),
            findings.key_slice,
            sources,
        ),
        finding_type=codes.EVALUATED_FIELD.code,
        finding_category=codes.SPATIAL_CONCEPT,
        algorithm_id=_algorithm(findings.tasks[0].model),
        measurements=_of_the_exam(findings),
        geometric_purpose=codes.BOUNDED_BY,
    )


def _exam(findings: Findings, context: ResultContext) -> Group:
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=context.uid(findings, "exam scores"), identifier=EXAM_NAME
        ),
        finding_type=codes.EXAM_SCORES.code,
        algorithm_id=_algorithm(findings.tasks[0].model),
        measurements=_of_the_exam(findings),
    )


def _of_the_exam(findings: Findings) -> list[Measurement]:
    """Scores, contributions and the share outside the breasts.

    Scores first: OHIF prints five lines and leaves the rest out.
    """
    primary = findings.tasks[0].model
    measurements = [_score(task, primary) for task in findings.tasks]
    measurements += [m for task in findings.tasks for m in _contributions(task)]
    if findings.regions or findings.share_outside_breast > 0:
        measurements.append(_percentage(codes.SHARE_OUTSIDE.code, findings.share_outside_breast))
    return measurements


def field_polygon(
    box: tuple[int, int, int, int],
    shape: tuple[int, int, int],
    label_margin: float = LABEL_MARGIN,
) -> NDArray[np.float64]:
    """Closed polygon (5, 2) of (column, row) for the field, kept off the image's edges.

    ``label_margin`` is the part of the image's width that stays free at the right.
    """
    columns, rows, _ = shape
    least = np.array([columns, rows] * 2) * EDGE_MARGIN
    most = np.array([columns * (1 - label_margin), rows * (1 - EDGE_MARGIN)] * 2)
    x0, y0, x1, y1 = np.clip(np.array(box, dtype=np.float64), least, most)
    if x0 >= x1 or y0 >= y1:
        raise ResultError(f"the evaluated field {box} is empty on an image of {columns} × {rows}")
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)])


def _score(score: TaskScore, primary: ModelIdentity) -> Measurement:
    if score.task not in codes.SCORES:
        raise ResultError(f"no coded concept for the task {score.task!r}: {list(codes.SCORES)}")
    own_model: dict[str, Any] = {}
    if score.model != primary:
        own_model["algorithm_id"] = _algorithm(score.model)
    return _percentage(codes.SCORES[score.task].code, score.prediction.probability, **own_model)


def _contributions(score: TaskScore) -> list[Measurement]:
    return [
        _percentage(codes.CONTRIBUTIONS[score.task, modality.value].code, contribution)
        for modality, contribution in score.prediction.contributions
    ]


def _percentage(name: Code, fraction: float, **details: Any) -> Measurement:
    if not np.isfinite(fraction):
        raise ResultError(f"{name.meaning} is not a finite number")
    measurement = Measurement(name=name, value=0, unit=codes.PERCENT, **details)
    measurement[0].MeasuredValueSequence[0].NumericValue = _percent(fraction)
    return measurement


def _percent(fraction: float) -> str:
    """Whole percent; one digit of what would round to 0: OHIF prints no number for a 0."""
    value = fraction * 100 or 0.0  # no -0
    return str(round(value) or f"{value:.1g}")


def _volumetric(
    number: int, region: Region, findings: Findings, sources: SourceImages, seg: Dataset
) -> Group:
    reference = sources.key_reference(largest_slice(region.mask))
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        referenced_segment=ReferencedSegment(
            sop_class_uid=seg.SOPClassUID,
            sop_instance_uid=seg.SOPInstanceUID,
            segment_number=number,
            source_series=SourceSeriesForSegmentation(reference.series_uid),
        ),
        measurements=[_percentage(codes.SHARE.code, region.share)],
        **_described(region, findings),
    )


def _planar(
    region: Region, findings: Findings, sources: SourceImages, *, with_share: bool
) -> Group:
    z = largest_slice(region.mask)
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        referenced_region=_region(outline(region.mask[:, :, z]), z, sources),
        measurements=[_percentage(codes.SHARE.code, region.share)] if with_share else None,
        **_described(region, findings),
    )


def _described(region: Region, findings: Findings) -> dict[str, Any]:
    side = None if region.laterality is None else codes.LATERALITY[region.laterality]
    return {
        "tracking_identifier": TrackingIdentifier(
            uid=region.tracking_uid, identifier=region.tracking_id
        ),
        "finding_type": codes.INFLUENCING_REGION.code,
        "finding_category": codes.SPATIAL_CONCEPT,
        "finding_sites": [FindingSite(codes.BREAST, laterality=side)],
        "algorithm_id": _algorithm(findings.tasks[0].model),  # regions are the primary task's
    }


def _region(polygon: NDArray[np.float64], slice_index: int, sources: SourceImages) -> ImageRegion:
    reference = sources.key_reference(slice_index)
    return ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=polygon,
        source_image=SourceImageForRegion(
            referenced_sop_class_uid=reference.sop_class_uid,
            referenced_sop_instance_uid=reference.sop_instance_uid,
            referenced_frame_numbers=None if reference.frame is None else [reference.frame],
        ),
    )


def _algorithm(model: ModelIdentity) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=[f"weights sha256:{model.digest}"],
        family=codes.ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
    )
