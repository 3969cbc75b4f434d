"""What the images of an exam fail of the checks, whatever model reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mome_node.assembly.plan import StudyPlan
from mome_node.assembly.study_checks import says_breast
from mome_node.dicom.header import InstanceFacts
from mome_node.fitness.checks import (
    CUT,
    HEART,
    NO_BREASTS,
    ONE_BREAST,
    POSITION,
    POSITION_TAG,
    UNCLEAR_BREASTS,
    Failure,
)
from mome_node.mome.breast_evidence import HANGING_MM, BreastEvidence, breast_evidence
from mome_node.mome.breast_mask import WRONG_POSITION
from mome_node.volumes.volume import Exam

BORDERS = {"front": "in front", "left": "at the left", "right": "at the right", "below": "below"}


def image_failures(
    exam: Exam, plan: StudyPlan, instances: Sequence[InstanceFacts]
) -> tuple[Failure, ...]:
    """The checks that the images fail; none where they cannot be looked at.

    Raises ModelInputError where the field is larger than a scanner's.
    """
    before = next((v for v in (*exam.dce[:1], exam.t2, exam.dwi) if v is not None), None)
    if before is None or not np.isfinite(before.array).all():
        return ()  # what prepares the model's inputs says so
    after = exam.dce[1] if len(exam.dce) > 1 else None
    if after is not None and not np.isfinite(after.array).all():
        after = None
    inputs = plan.inputs
    positions = {i.patient_position.upper() for i in instances if i.sop_instance_uid in inputs}
    return tuple(
        failures_of(
            breast_evidence(before, after),
            says_breast=says_breast(instances),
            supine=bool(positions) and positions <= {"HFS", "FFS"},
        )
    )


def failures_of(found: BreastEvidence, *, says_breast: bool, supine: bool) -> Iterator[Failure]:
    """What of the evidence fails a check. The header has a say only where the image is unclear."""
    if found.seen == "nothing like it" or (found.seen == "unclear" and not says_breast):
        unsaid = "" if says_breast else "; the header does not say breast either"
        yield Failure(NO_BREASTS, f"no breasts are seen in the image: {found.why}{unsaid}")
        return
    if found.seen == "unclear":
        yield Failure(UNCLEAR_BREASTS, f"two breasts are not clear in the image: {found.why}")
    if found.seen == "one breast":
        yield Failure(ONE_BREAST, f"one breast is seen in the image: {found.why}")
    if found.facing == -1:
        yield Failure(POSITION, WRONG_POSITION)
    elif found.heart == "R":
        yield Failure(
            HEART,
            "the heart is seen on the right: head and feet, or the sides, may be exchanged; or the "
            "organs are",
        )
    if found.facing == 1 and supine and found.hanging_mm >= HANGING_MM:
        yield Failure(POSITION_TAG, "the header says supine, but the breasts hang to the front")
    if found.cut:
        where = " and ".join(BORDERS[border] for border in found.cut)
        yield Failure(CUT, f"the field of view cuts the breasts {where}")
