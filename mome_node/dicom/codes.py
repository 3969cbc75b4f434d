"""Coded concepts that the results use (PS3.16), and this node's private coding scheme.

Public codes come from DCM, SCT, UMLS and UCUM and are never invented. Where no public code says
what a result means, a code of the private scheme 99MOME stands, with its definition, in
``PRIVATE_CODES``: the conformance statement lists that table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydicom.sr.coding import Code

PRIVATE_SCHEME: Final = "99MOME"
PRIVATE_SCHEME_NAME: Final = "mome-node private concepts"
PRIVATE_SCHEME_ORGANIZATION: Final = "mome-node project"


@dataclass(frozen=True, slots=True)
class PrivateCode:
    """One concept of the scheme 99MOME and what it means."""

    code: Code
    definition: str


def _private(value: str, meaning: str, definition: str) -> PrivateCode:
    return PrivateCode(Code(value, PRIVATE_SCHEME, meaning), definition)


MULTIPARAMETRIC_MRI: Final = Code("126020", "DCM", "Multiparametric MRI")  # CID 100
GEOMETRIC_PURPOSE: Final = Code("130400", "DCM", "Geometric purpose of region")
BOUNDED_BY: Final = Code("75958009", "SCT", "Bounded by")  # CID 219
SPATIAL_CONCEPT: Final = Code("309825002", "SCT", "Spatial and Relational Concept")  # CID 7150
BREAST: Final = Code("76752008", "SCT", "Breast")
LATERALITY: Final = {
    "L": Code("7771000", "SCT", "Left"),
    "R": Code("24028007", "SCT", "Right"),
}  # CID 244
ARTIFICIAL_INTELLIGENCE: Final = Code("123110", "DCM", "Artificial Intelligence")  # CID 7162
CONCLUSION: Final = Code("121077", "DCM", "Conclusion")
ENGLISH: Final = Code("en-US", "RFC5646", "English (United States)")  # CID 5000
QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")  # TID 1500
IMAGE_LIBRARY: Final = Code("111028", "DCM", "Image Library")  # TID 1600
IMAGE_LIBRARY_GROUP: Final = Code("126200", "DCM", "Image Library Group")
MODALITY: Final = Code("121139", "DCM", "Modality")  # TID 1602
MAGNETIC_RESONANCE: Final = Code("MR", "DCM", "Magnetic Resonance")  # CID 29
SERIES_INSTANCE_UID: Final = Code("112002", "DCM", "Series Instance UID")
SOURCE: Final = Code("260753009", "SCT", "Source")
PERCENT: Final = Code("%", "UCUM", "Percent")
SECOND: Final = Code("s", "UCUM", "second")
SECOND_PER_MM2: Final = Code("s/mm2", "UCUM", "s/mm2")
DIFFUSION_B_VALUE: Final = Code("113240", "DCM", "Source image diffusion b-value")
NO_UNITS: Final = Code("1", "UCUM", "no units")
VISUAL_EXPLANATION: Final = Code("130401", "DCM", "Visual explanation")
MEASUREMENT_METHOD: Final = Code("370129005", "SCT", "Measurement Method")
QUANTITY: Final = Code("246205007", "SCT", "Quantity")  # PS3.16 CID 7179
SOURCE_IMAGE: Final = Code("121322", "DCM", "Source image for image processing operation")
OF_INTEREST: Final = Code("113000", "DCM", "Of Interest")  # CID 7010
SERIES_ROLES: Final = {
    "dce": Code("130567", "DCM", "Dynamic Contrast-Enhanced Acquisition"),
    "dwi": Code("113043", "DCM", "Diffusion weighted"),
    "t2": Code("110805", "DCM", "T2 Weighted MR Signal Intensity"),
}

SCORES: Final = {
    "malignancy": _private(
        "SCORE_MALIGNANCY",
        "Exam malignancy score",
        "Output of a model for the whole exam, in percent, for the class that the model package "
        "defines as malignant. Of the exam, not of a finding and without a side; not a "
        "calibrated risk unless the text beside it says so.",
    ),
    "tnbc": _private(
        "SCORE_TNBC",
        "Triple-negative score",
        "Output of a model for the whole exam, in percent, for the receptor status that the "
        "model package defines. Only for exams whose indication the site asserted.",
    ),
    "pcr": _private(
        "SCORE_PCR",
        "Response score",
        "Output of a model for the whole exam before treatment, in percent, for the response to "
        "neoadjuvant chemotherapy that the model package defines. Only for exams whose "
        "indication the site asserted.",
    ),
}
"""Concept of the exam score of each task."""

CONTRIBUTIONS: Final = {
    (task, modality): _private(
        f"CONTR_{task[:3].upper()}_{modality.upper()}",
        f"{modality.upper()} contribution, {name}",
        f"Shapley value of {modality.upper()} for the {name} score, in percentage points: the "
        "contributions of the modalities that were given add up to the score less the "
        "reference (the model's output with no modality).",
    )
    for task, name in (
        ("malignancy", "malignancy"),
        ("tnbc", "triple-negative"),
        ("pcr", "response"),
    )
    for modality in ("dce", "dwi", "t2")
}
"""Concept of the contribution of each modality to the score of each task.

Viewers print the meaning beside the image, in one line, and cut what is too long.
"""

SHARE: Final = _private(
    "SHARE",
    "Share of attribution",
    "Part of the evaluated field's positive attribution that lies in the region, in percent.",
)
SHARE_OUTSIDE: Final = _private(
    "SHARE_OUTSIDE",
    "Attribution outside breasts",
    "Part of the evaluated field's positive attribution that lies outside both breasts, in "
    "percent. A large share means that the score rests on something else than breast tissue.",
)
INFLUENCING_REGION: Final = _private(
    "INFLUENCE_REGION",
    "Region that influenced the score",
    "An area with much of the positive attribution of an exam score. Not an outline, a size or "
    "a biopsy target of a lesion.",
)
EVALUATED_FIELD: Final = _private(
    "EVALUATED_FIELD",
    "Evaluated field, not a finding",
    "The field of the images that a model evaluated, drawn as a box so that viewers show the "
    "exam's scores beside it. Marks no abnormality.",
)
EXAM_SCORES: Final = _private(
    "EXAM_SCORES",
    "Scores of the exam, not a finding",
    "A group that holds the exam's scores and what the modalities contributed to them. Marks no "
    "abnormality.",
)
SERIES_ROLE: Final = _private(
    "SERIES_ROLE",
    "Series role",
    "What the series was used as: dynamic contrast-enhanced, diffusion weighted or T2 weighted.",
)

PHASE_TIME: Final = _private(
    "PHASE_TIME",
    "Time after the pre-contrast phase",
    "Seconds from the pre-contrast phase to a phase of the series, for each phase in it whose "
    "time is known.",
)

LABEL: Final = _private("LABEL", "Label", "The site's label for these results.")
SYNTHETIC: Final = _private("SYNTHETIC", "Synthetic data", "Says that the results are synthetic.")
CHANGES: Final = _private(
    "CHANGES",
    "What changed",
    "That the report takes the place of an earlier one, why, and how that differed.",
)
SCORE_TEXT: Final = _private(
    "SCORE_TEXT", "Score", "A task's score with its calibration, in words."
)
SCORE_CLASS: Final = _private(
    "SCORE_CLASS", "What the score stands for", "The label definition of the model package."
)
OPERATING_POINT: Final = _private(
    "OPERATING_POINT",
    "Operating point",
    "On which side of a named threshold the score lies, and what is known of that threshold.",
)
CONTRIBUTION_TEXT: Final = _private(
    "CONTR_TEXT", "Contributions", "Contributions of the modalities to a score, in words."
)
NOT_RUN: Final = _private("NOT_RUN", "Not run", "A task that was not run, and why.")
MODALITIES: Final = _private(
    "MODALITIES", "Modalities", "Modalities used and missing, and what that means."
)
CHANNELS: Final = _private(
    "CHANNELS", "DCE channels", "Which phase, at which time, fills each channel of the model."
)
B_VALUE: Final = _private("B_VALUE", "Diffusion b-value used", "b-value of the images used.")
SERIES_USED: Final = _private("SERIES_USED", "Series used", "A series used, as what and why.")
SERIES_LEFT_OUT: Final = _private("SERIES_OUT", "Series left out", "A series not used, and why.")
REGIONS_TEXT: Final = _private(
    "REGIONS_TEXT", "Regions", "What the regions are, and are not, and how they were found."
)
FIELD_TEXT: Final = _private("FIELD_TEXT", "Evaluated field", "What the drawn box stands for.")
NOT_ASSESSED: Final = _private("NOT_ASSESSED", "Not assessed", "What the node does not look at.")
KNOWN: Final = _private(
    "KNOWN", "Known from the site", "What the site says of the study that the node cannot see."
)
NOT_EVALUATED: Final = _private(
    "NOT_EVALUATED", "Not evaluated", "Why a study was not evaluated, in words."
)
REASON: Final = _private(
    "REASON",
    "Reason for not evaluating",
    "Why a study was not evaluated. The value is a code of this scheme, from the table of reasons "
    "or from the table of checks; a text beside it says what was found.",
)
MODEL_ASKED: Final = _private(
    "MODEL_ASKED", "Model asked", "A model that did not evaluate the study, and why."
)
SERIES_SEEN: Final = _private(
    "SERIES_SEEN", "Series seen", "A series of a study that was not evaluated, and its role."
)
FAILED_CHECK: Final = _private(
    "FAILED_CHECK",
    "Failed check of the exam's fitness",
    "A check of the exam that it fails and that the site lets it fail with a warning. The value is "
    "a code of this scheme from the table of checks; a text beside it says what was found.",
)
ATTRIBUTION_METHODS: Final = {
    "integrated gradients at the voxels": _private(
        "IG_VOXELS",
        "Integrated gradients at the voxels",
        "Integrated gradients (arXiv 1703.01365) of an exam score, in log-odds, to the voxels of "
        "the dynamic, from one in which nothing enhances, summed over its phases.",
    ),
    "integrated gradients at the tokens": _private(
        "IG_TOKENS",
        "Integrated gradients at the tokens",
        "Integrated gradients (arXiv 1703.01365) of an exam score, in log-odds, to the network's "
        "tokens of the dynamic, from one in which nothing enhances; each token's value is spread "
        "over the cell of 8 x 8 x 8 voxels that it was pooled from.",
    ),
}
"""Concept of each way to explain a score, by the words that the model's explanation gives it."""

WARNING: Final = _private("WARNING", "Warning", "Something to know before using the result.")

PRIVATE_CODES: Final = (
    *SCORES.values(),
    *CONTRIBUTIONS.values(),
    SHARE,
    SHARE_OUTSIDE,
    INFLUENCING_REGION,
    EVALUATED_FIELD,
    EXAM_SCORES,
    SERIES_ROLE,
    PHASE_TIME,
    LABEL,
    SYNTHETIC,
    CHANGES,
    SCORE_TEXT,
    SCORE_CLASS,
    OPERATING_POINT,
    CONTRIBUTION_TEXT,
    NOT_RUN,
    MODALITIES,
    CHANNELS,
    B_VALUE,
    SERIES_USED,
    SERIES_LEFT_OUT,
    REGIONS_TEXT,
    FIELD_TEXT,
    NOT_ASSESSED,
    KNOWN,
    NOT_EVALUATED,
    REASON,
    MODEL_ASKED,
    SERIES_SEEN,
    FAILED_CHECK,
    *ATTRIBUTION_METHODS.values(),
    WARNING,
)
"""Every concept of the scheme 99MOME, for the conformance statement."""
