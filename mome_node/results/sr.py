"""The report: Comprehensive 3D SR (PS3.3 A.35.13) after TID 1500, as IHE AI Results has it."""

from __future__ import annotations

from collections.abc import Iterable

from highdicom.sr import (
    CodeContentItem,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as public
from pydicom.sr.coding import Code

from mome_node.dicom import codes
from mome_node.fitness.checks import CHECKS, Outcome
from mome_node.results.context import MANUFACTURER, MODEL_NAME, Predecessor, ResultContext
from mome_node.results.encodings import object_syntax
from mome_node.results.findings import Findings
from mome_node.results.image_library import LibraryGroup, image_library, library_groups
from mome_node.results.measurement_groups import Group, measurement_groups
from mome_node.results.phrases import Statement
from mome_node.results.sources import SourceImages
from mome_node.results.stamp import equipment, stamp, without_names
from mome_node.results.wording import statements

_CONTAINS = RelationshipTypeValues.CONTAINS


def make_report(
    findings: Findings,
    context: ResultContext,
    sources: SourceImages,
    seg: Dataset | None,
    *,
    seg_left_out: str = "",
) -> Dataset:
    """The SR of one study: scores, regions, and every sentence that must stand there.

    Without a ``seg`` the regions are outlined on one slice each; ``seg_left_out`` says why there
    is none where there could be one, e.g. "it would have 412 frames, more than the 300 that the
    destination takes".

    Complete and unverified. Raises ResultError if a task has no coded concept, or a source header
    lacks what the report refers to.
    """
    groups = library_groups(findings, sources)
    report = Comprehensive3DSR(
        evidence=_evidence(sources, groups, seg),
        content=_content(
            measurement_groups(findings, context, sources, seg),
            evaluations(
                statements(
                    findings,
                    context.profile,
                    replaced=context.replaces,
                    seg_left_out=seg_left_out,
                ),
                _failed_checks(findings),
            ),
            context,
        )[0],
        series_instance_uid=context.uid(findings, "sr series"),
        series_number=context.profile.number_of("sr"),
        sop_instance_uid=context.uid(findings, "sr instance"),
        instance_number=1,
        is_complete=True,
        is_final=True,
        is_verified=False,
        transfer_syntax_uid=object_syntax(context.profile),
        previous_versions=previous(context.predecessor, context.study_uid),
        series_description=context.series_description(findings, "SR"),
        **equipment(context),
    )
    _put_before_measurements(image_library(groups), report)
    stamp(report, findings, context, sources.patient_and_study())
    return report


def _content(
    measured: list[Group],
    evaluated: ContainerContentItem,
    context: ResultContext,
) -> MeasurementReport:
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=device(context)),
        procedure_reported=codes.MULTIPARAMETRIC_MRI,
        imaging_measurements=measured,
    )
    report[0].ContentSequence.append(evaluated)
    return report


def _put_before_measurements(library: ContainerContentItem, report: Comprehensive3DSR) -> None:
    """Where TID 1500 has the image library.

    It has an item an image. highdicom would copy and search it three times over: it takes the
    images as evidence only, and the check of the content tree compares the two.
    """
    content = report.ContentSequence
    names = [item.ConceptNameCodeSequence[0].CodeValue for item in content]
    content.insert(names.index(public.DCM.ImagingMeasurements.value), library)


def device(context: ResultContext) -> ObserverContext:
    """The node as the observer (TID 1004)."""
    return ObserverContext(
        observer_type=public.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=context.device_uid,
            name=context.station_name,
            manufacturer_name=MANUFACTURER,
            model_name=MODEL_NAME,
            serial_number=context.device_serial,
        ),
    )


def evaluations(
    sentences: Iterable[Statement], coded: Iterable[CodeContentItem]
) -> ContainerContentItem:
    """TID 1500 rows 12 to 14: text and codes that belong to the whole report."""
    container = ContainerContentItem(
        name=codes.QUALITATIVE_EVALUATIONS,
        relationship_type=_CONTAINS,
        is_content_continuous=False,  # viewers of text then print each with its name, on its line
    )
    texts = [
        TextContentItem(name=s.name, value=s.text, relationship_type=_CONTAINS) for s in sentences
    ]
    container.ContentSequence = ContentSequence([*texts, *coded])
    return container


def _failed_checks(findings: Findings) -> list[CodeContentItem]:
    """TID 1500 row 13: each check that warns of a task that was run, once, by its code."""
    ran = {score.task for score in findings.tasks}
    warned = {f.code for f in findings.fitness if f.task in ran and f.outcome is Outcome.WARN}
    return [
        CodeContentItem(
            name=codes.FAILED_CHECK.code,
            value=Code(check.code, codes.PRIVATE_SCHEME, check.meaning),
            relationship_type=_CONTAINS,
        )
        for check in CHECKS
        if check.code in warned
    ]


def _evidence(
    sources: SourceImages, groups: tuple[LibraryGroup, ...], seg: Dataset | None
) -> list[Dataset]:
    images = [image.evidence() for group in groups for image in group.images]
    first = without_names(sources.patient_and_study())
    first.update(sources.key_reference(0).evidence())
    return [first, *images, *([seg] if seg is not None else [])]


def previous(predecessor: Predecessor | None, study_uid: str) -> list[Dataset] | None:
    """The report that is replaced, as highdicom takes it; None: there is none."""
    if predecessor is None:
        return None
    previous = Dataset()
    previous.StudyInstanceUID = study_uid
    previous.SeriesInstanceUID = predecessor.series_uid
    previous.SOPClassUID = predecessor.sop_class_uid
    previous.SOPInstanceUID = predecessor.sop_instance_uid
    return [previous]
