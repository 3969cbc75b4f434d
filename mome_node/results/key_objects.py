"""The slices that matter as a Key Object Selection: a viewer's list of key images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset

from mome_node.dicom import codes
from mome_node.results.captions import key_object_words
from mome_node.results.context import ResultContext
from mome_node.results.findings import Findings
from mome_node.results.pages import key_slices
from mome_node.results.selection import select
from mome_node.results.sources import ImageReference, SourceImages
from mome_node.results.stamp import stamp

SERIES_NAME: Final = "key images"


def make_key_objects(
    findings: Findings, context: ResultContext, sources: SourceImages, made: Sequence[Dataset]
) -> Dataset:
    """The source slice on which each region is largest, else the key slice; then what was made.

    ``made`` are report and summary, where there are any. Raises ResultError if a source header
    lacks what refers to it.
    """
    slices = tuple(sources.key_reference(z) for z in key_slices(findings))
    identity = sources.patient_and_study()
    document = select(
        (*slices, *(_reference(each) for each in made)),
        title=codes.OF_INTEREST,
        words=key_object_words(findings, context.marked_label(findings)),
        context=context,
        identity=identity,
        uids=(
            context.uid(findings, "key objects series"),
            context.uid(findings, "key objects instance"),
        ),
        series_number=context.profile.number_of("key_objects"),
        series_description=context.series_description(findings, SERIES_NAME),
    )
    stamp(document, findings, context, identity)
    return document


def _reference(made: Dataset) -> ImageReference:
    return ImageReference(
        study_uid=str(made.StudyInstanceUID),
        series_uid=str(made.SeriesInstanceUID),
        sop_class_uid=str(made.SOPClassUID),
        sop_instance_uid=str(made.SOPInstanceUID),
        frame=None,
    )
