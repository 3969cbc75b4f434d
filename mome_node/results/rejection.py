"""Rejection notes (IHE IOCM, RAD TF-2 4.66): documents by which results of ours are withdrawn.

A Key Object Selection whose title says why. Archives that know such notes hide what it names;
others only store it. It says nothing of a patient, and the same rejection has the same bytes.

TID 2010 row 3 wants a modifier of CID 7011 beside the title for quality reasons. None is given: the
context group names faults of acquisitions only, archives' own notes have none, and PixelMed's
validator takes any for an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from mome_node.dicom.rejection_note import MAX_REFERENCES, RejectionTitle
from mome_node.dicom.uids import derived_uid
from mome_node.errors import ResultError
from mome_node.results.context import ResultContext
from mome_node.results.identity import patient_and_study
from mome_node.results.profile import KINDS, ResultProfile
from mome_node.results.selection import select
from mome_node.results.sources import ImageReference
from mome_node.results.stamp import stamp

TITLES: Final = (RejectionTitle.QUALITY, RejectionTitle.PATIENT_SAFETY)
"""The titles that are ours to use: the others are a modality's or an archive's."""

_WORDS: Final = {
    RejectionTitle.QUALITY: "Withdrawn by the node that made them: a later result takes their "
    "place, or they are no longer held to be right.",
    RejectionTitle.PATIENT_SAFETY: "Withdrawn by the node that made them, for patient safety: "
    "they may be of another patient or of wrong images. Do not use them.",
}


@dataclass(frozen=True, slots=True, order=True)
class RejectedInstance:
    """One result object that a note rejects."""

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class _Note:
    """What is said of a note as of every object: whether it is artificial."""

    synthetic: bool


def make_rejection(
    title: RejectionTitle,
    rejected: Sequence[RejectedInstance],
    header: Dataset,
    *,
    recorded_at: datetime,
    profile: ResultProfile,
    synthetic: bool,
    station_name: str = "MOME",
    device_serial: str = "1",
) -> Dataset:
    """The note that rejects instances of one study, whatever order they come in.

    ``header`` is that of one of them: patient and study are copied from it. Raises ResultError
    without instances, with ones of several studies or of another than the header's, and with a
    title that is not ours to use.
    """
    instances = sorted(set(rejected))
    _refuse(title, instances, header)
    context = ResultContext(
        study_uid=instances[0].study_uid,
        revision=0,
        inputs_digest="",
        issue=0,
        recorded_at=recorded_at,
        profile=profile,
        station_name=station_name,
        device_serial=device_serial,
    )
    seed = (title.value, *(i.sop_instance_uid for i in instances), profile.digest)
    identity = patient_and_study(header)
    document = select(
        [ImageReference.to_whole(instance) for instance in instances],
        title=Code(title.value, "DCM", title.meaning),
        words=_WORDS[title],
        context=context,
        identity=identity,
        uids=(derived_uid("rejection series", *seed), derived_uid("rejection instance", *seed)),
        series_number=profile.series_number + len(KINDS),
        series_description=context.fitted(f"{profile.series_name} rejection", demonstration=False),
    )
    stamp(document, _Note(synthetic), context, identity)
    return document


def _refuse(title: RejectionTitle, instances: Sequence[RejectedInstance], header: Dataset) -> None:
    if title not in TITLES:
        raise ResultError(f"a result is not rejected as {title.meaning!r}")
    if not 0 < len(instances) <= MAX_REFERENCES:
        raise ResultError(f"{len(instances)} instances to reject: 1 to {MAX_REFERENCES}")
    studies = {instance.study_uid for instance in instances}
    if studies != {str(header.get("StudyInstanceUID", ""))}:
        raise ResultError("the instances to reject and the header are not all of one study")
