"""From findings to the objects that leave the node, the same bytes every time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmwrite
from pydicom.dataset import Dataset

from mome_node.dicom.header import FrameRef, InstanceFacts
from mome_node.errors import ResultError
from mome_node.results.context import ResultContext
from mome_node.results.findings import Findings
from mome_node.results.key_objects import make_key_objects
from mome_node.results.parametric_map import make_map
from mome_node.results.profile import Kind
from mome_node.results.secondary_capture import make_summary
from mome_node.results.seg import make_segmentation, seg_left_out
from mome_node.results.sources import SourceImages
from mome_node.results.sr import make_report


@dataclass(frozen=True, slots=True, eq=False)
class ResultObject:
    """One object to deliver. ``dataset`` has its File Meta Information."""

    kind: Kind
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    dataset: Dataset


@dataclass(frozen=True, slots=True, eq=False)
class ResultSet:
    """The objects of one study revision in one profile, in the order in which they are sent."""

    objects: tuple[ResultObject, ...]


def make_results(
    findings: Findings,
    context: ResultContext,
    headers: Callable[[FrameRef], Dataset],
    known: Iterable[InstanceFacts] = (),
) -> ResultSet:
    """Make what the context's profile wants, in the order of ``profile.KINDS``.

    There is no SEG without a region and no map without an explanation; a summary is several
    objects of one series.

    ``headers`` gives the header (without pixel data) of the instance that holds an image plane;
    it is asked once for each instance of the key volume, and for those of other series that are
    not among the ``known``, whose UIDs were read before. The same arguments give the same bytes.
    Raises ResultError if findings and headers do not make a result.
    """
    if not findings.tasks:
        raise ResultError("no task was run: there is no score to report")
    if findings.study_uid != context.study_uid:
        raise ResultError("findings and context are of different studies")
    sources = SourceImages(headers, findings.key_volume, known)
    if sources.key_reference(0).study_uid != context.study_uid:
        raise ResultError("the key volume's images are of another study than the findings")
    try:
        profile = context.profile
        seg = make_segmentation(findings, context, sources) if profile.wants("seg") else None
        why_no_seg = seg_left_out(findings, profile)
        report = (
            make_report(findings, context, sources, seg, seg_left_out=why_no_seg)
            if profile.wants("sr")
            else None
        )
        summary = make_summary(findings, context, sources) if profile.wants("summary") else ()
        attribution = make_map(findings, context, sources) if profile.wants("map") else None
        for_people = (*((report,) if report is not None else ()), *summary)
        key_objects = (
            make_key_objects(findings, context, sources, for_people)
            if profile.wants("key_objects")
            else None
        )
    except (ValueError, TypeError) as error:
        # highdicom refuses bad input with these; values in its messages may name the patient.
        raise ResultError("the source headers do not make a valid result object") from error
    made: tuple[tuple[Kind, Dataset | None], ...] = (
        ("sr", report),
        ("seg", seg),
        *(("summary", page) for page in summary),
        ("map", attribution),
        ("key_objects", key_objects),
    )
    return ResultSet(tuple(_object(kind, each) for kind, each in made if each is not None))


def _object(kind: Kind, dataset: Dataset) -> ResultObject:
    return ResultObject(
        kind=kind,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_uid=str(dataset.SeriesInstanceUID),
        dataset=dataset,
    )


def encode(dataset: Dataset) -> bytes:
    """A complete Part 10 file; the same dataset gives the same bytes."""
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
