"""The report on a study that was not evaluated: that it was not, why, and nothing else.

A Comprehensive 3D SR like every other report of this node, so that who takes those takes this
one. Of TID 1500 it has the qualitative evaluations only (rows 12 to 14): there is no number to
report and no image to point to.
"""

from __future__ import annotations

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    LanguageOfContentItemAndDescendants,
    ObservationContext,
    RelationshipTypeValues,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as public

from mome_node.dicom import codes
from mome_node.dicom.uids import derived_uid
from mome_node.errors import ResultError
from mome_node.results.context import ResultContext
from mome_node.results.encodings import object_syntax
from mome_node.results.findings import NotEvaluableStudy
from mome_node.results.identity import patient_and_study, required
from mome_node.results.sr import device, evaluations, previous
from mome_node.results.stamp import equipment, stamp, without_names
from mome_node.results.wording_not_evaluated import not_evaluated_statements, reason_code


def make_not_evaluable_report(
    said: NotEvaluableStudy, context: ResultContext, header: Dataset
) -> Dataset:
    """The SR that says that a study was not evaluated, with coded reasons.

    ``header`` is that of any image of the study: patient and study are copied from it. Complete
    and unverified. The same arguments give the same bytes. Raises ResultError without a reason,
    for a code that is in no table, and where header, context and reasons are of several studies.
    """
    if not said.reasons:
        raise ResultError("a study is not evaluated for a reason: there is none to report")
    identity = patient_and_study(header)
    if not said.study_uid == context.study_uid == identity.StudyInstanceUID:
        raise ResultError("reasons, context and image are not of one study")
    try:
        report = Comprehensive3DSR(
            evidence=[_seen(identity, header)],
            content=_content(said, context),
            series_instance_uid=_uid(said, context, "series"),
            series_number=context.profile.number_of("sr"),
            sop_instance_uid=_uid(said, context, "instance"),
            instance_number=1,
            is_complete=True,
            is_final=True,
            is_verified=False,
            transfer_syntax_uid=object_syntax(context.profile),
            previous_versions=previous(context.predecessor, context.study_uid),
            series_description=context.fitted(
                f"{context.profile.series_name} not evaluated", demonstration=said.demonstration
            ),
            **equipment(context),
        )
        stamp(report, said, context, identity)
    except (ValueError, TypeError) as error:
        # highdicom refuses bad input with these; values in its messages may name the patient.
        raise ResultError("the source header does not make a valid report") from error
    return report


def _uid(said: NotEvaluableStudy, context: ResultContext, purpose: str) -> str:
    return derived_uid(
        "not evaluable",
        purpose,
        context.study_uid,
        str(context.revision),
        str(context.issue),
        context.profile.digest,
        *(part for reason in said.reasons for part in reason),
    )


def _seen(identity: Dataset, header: Dataset) -> Dataset:
    """The image that patient and study come from, as evidence."""
    evidence = without_names(identity)
    evidence.SeriesInstanceUID = str(required(header, "SeriesInstanceUID"))
    evidence.SOPClassUID = str(required(header, "SOPClassUID"))
    evidence.SOPInstanceUID = str(required(header, "SOPInstanceUID"))
    return evidence


def _content(said: NotEvaluableStudy, context: ResultContext) -> Dataset:
    # CID 7021. Viewers take an "Imaging Measurement Report" for one with measurements, and OHIF
    # shows a black viewport for one without; under this title it prints the text. It prints the
    # concept names only of containers whose items stand apart.
    root = ContainerContentItem(
        name=public.DCM.DynamicContrastMRMeasurementReport,
        template_id="1500",
        is_content_continuous=False,
    )
    procedure = CodeContentItem(
        name=public.DCM.ProcedureReported,
        value=codes.MULTIPARAMETRIC_MRI,
        relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
    )
    sentences = not_evaluated_statements(said, context.profile, replaced=context.replaces)
    root.ContentSequence = ContentSequence(
        [
            *LanguageOfContentItemAndDescendants(CodedConcept.from_code(codes.ENGLISH)),
            *ObservationContext(observer_device_context=device(context)),
            procedure,
            evaluations(sentences, _reasons(said)),
        ]
    )
    return root


def _reasons(said: NotEvaluableStudy) -> list[CodeContentItem]:
    """Each reason once, by its code."""
    return [
        CodeContentItem(
            name=codes.REASON.code,
            value=reason_code(code),
            relationship_type=RelationshipTypeValues.CONTAINS,
        )
        for code in dict.fromkeys(reason.code for reason in said.reasons)
    ]
