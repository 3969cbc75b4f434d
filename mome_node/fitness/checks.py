"""The checks of an exam as data: the code of each, what fails it, and what is done then.

A failed check stands in the results and in the reasons of studies under its code, which never
changes. What it does is decided in ``policy`` by the package and the site.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """What a failed check does: nothing, a warning in the report, or no evaluation."""

    IGNORE = "ignore"
    WARN = "warn"
    REFUSE = "refuse"

    @property
    def strictness(self) -> int:
        """0 for what is not even told, 2 for a refusal."""
        return (Outcome.IGNORE, Outcome.WARN, Outcome.REFUSE).index(self)


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    ``meaning`` is what an exam that fails it is, in at most 64 characters (an LO value, PS3.5 6.2);
    ``failed_by`` says so exactly. ``outcome`` holds where neither package nor site says otherwise.
    A site may loosen it if ``site_may_loosen``, or if the package declares that it may. What is
    ``fixed`` guards safety: neither package nor site changes it.
    """

    code: str
    meaning: str
    failed_by: str
    outcome: Outcome
    site_may_loosen: bool = False
    fixed: bool = False


IDENTITY: Final = Check(
    "identity-contradictory",
    "Two patients under one study",
    "values of the patient's ID, birth date or name that differ under one Study Instance UID; the "
    "study is quarantined",
    Outcome.REFUSE,
    fixed=True,
)
SYNTHETIC_WEIGHTS: Final = Check(
    "synthetic-weights",
    "Weights that never saw a patient",
    "a synthetic package and an exam that is not marked Synthetic Data; only "
    "`allow_synthetic_on_patients` of its `[[model]]` lets it run",
    Outcome.REFUSE,
    fixed=True,
)
CONDITION_MISSING: Final = Check(
    "condition-not-asserted",
    "The package's condition is not asserted",
    "a condition of the package (`applies_when`) that the site does not assert for this study",
    Outcome.REFUSE,
    fixed=True,
)
CONDITION_CONTRADICTED: Final = Check(
    "condition-contradicted",
    "The package's condition is contradicted",
    "treatment under way, as the site knows, for a package that asks for an exam before treatment",
    Outcome.REFUSE,
    fixed=True,
)
NO_BREASTS: Final = Check(
    "no-breasts-in-image",
    "No breasts are seen in the image",
    "an image without a body, without air in front of it, or of one narrow body part; or one "
    "without two lobes on a chest whose header does not say breast either",
    Outcome.REFUSE,
    fixed=True,
)
UNCLEAR_BREASTS: Final = Check(
    "breasts-unclear-in-image",
    "Two breasts are not clear in the image",
    "a header that says breast, and an image in which two lobes on a chest are not found",
    Outcome.WARN,
    site_may_loosen=True,
)
ONE_BREAST: Final = Check(
    "one-breast-in-image",
    "One breast is seen in the image",
    "one lobe on a chest, and none beside it",
    Outcome.WARN,
    site_may_loosen=True,
)
POSITION: Final = Check(
    "position-contradicts-anatomy",
    "The position contradicts the anatomy",
    "breasts that point to where the header says the back is: left and right are exchanged; where "
    "it only warns, no side is told",
    Outcome.REFUSE,
    site_may_loosen=True,
)
HEART: Final = Check(
    "heart-on-the-right",
    "The heart is seen on the right",
    "enhancement of the heart to the right of the midline: head and feet, or the sides, may be "
    "exchanged (or the organs are, situs inversus)",
    Outcome.WARN,
    site_may_loosen=True,
)
POSITION_TAG: Final = Check(
    "supine-in-header",
    "The header says supine, the breasts hang",
    "a supine Patient Position (0018,5100) and breasts that hang to the front; sides are right, "
    "since the images' orientation is",
    Outcome.WARN,
    site_may_loosen=True,
)
CUT: Final = Check(
    "field-of-view-cut",
    "The field of view cuts the breasts",
    "breast tissue at the image's border in front, at the sides or below",
    Outcome.WARN,
    site_may_loosen=True,
)
OTHER_BODY_PART: Final = Check(
    "other-body-part-in-header",
    "The header names another body part",
    "no description, protocol, coil or body part that says breast, and one that says another part",
    Outcome.WARN,
    site_may_loosen=True,
)
NO_BREAST_SAID: Final = Check(
    "no-breast-in-header",
    "The header does not say breast",
    "no description, protocol, coil or body part that says breast",
    Outcome.WARN,
    site_may_loosen=True,
)
VENDOR: Final = Check(
    "vendor-outside-package",
    "A vendor that the package does not know",
    "a Manufacturer (0008,0070) outside `accepts.vendors`, or none",
    Outcome.REFUSE,
)
FIELD_STRENGTH: Final = Check(
    "field-strength-outside-package",
    "A field strength outside the package",
    "a Magnetic Field Strength (0018,0087) more than 5 % outside `accepts.field_strengths_t`, or "
    "none",
    Outcome.REFUSE,
)
LATERALITY: Final = Check(
    "laterality-outside-package",
    "A field of view outside the package",
    "a bilateral or unilateral exam that `accepts.laterality` leaves out",
    Outcome.REFUSE,
)
SLICE_GAPS: Final = Check(
    "slice-gaps",
    "Gaps between the slices of the dynamic",
    "slices of the dynamic that lie more than 10 % further apart than they are thick",
    Outcome.WARN,
    site_may_loosen=True,
)
SLICE_THICKNESS: Final = Check(
    "slice-thickness-outside-package",
    "A slice thickness outside the package",
    "a distance of the dynamic's slices outside `accepts.slice_thickness_mm`",
    Outcome.REFUSE,
)
RESOLUTION: Final = Check(
    "resolution-outside-package",
    "A resolution outside the package",
    "a pixel spacing of the dynamic outside `accepts.pixel_spacing_mm`",
    Outcome.REFUSE,
)
FEW_SLICES: Final = Check(
    "too-few-slices",
    "Fewer slices than the package takes",
    "fewer slices in the dynamic than `accepts.min_slices`",
    Outcome.REFUSE,
)
FEW_PHASES: Final = Check(
    "too-few-phases",
    "Fewer phases than the package takes",
    "fewer post-contrast phases than `accepts.min_posts`",
    Outcome.REFUSE,
)
FIRST_POST: Final = Check(
    "first-post-outside-package",
    "The first phase's time is outside the package",
    "a first post-contrast phase outside `accepts.first_post_s`, or at an unknown time",
    Outcome.WARN,
)
LAST_POST: Final = Check(
    "last-post-outside-package",
    "The last phase's time is outside the package",
    "a last post-contrast phase outside `accepts.last_post_s`, or at an unknown time",
    Outcome.WARN,
)
B_VALUE: Final = Check(
    "b-value-outside-package",
    "A b-value outside the package",
    "a diffusion image outside `preprocessing.dwi.b_value`: warned of, it is left out; a package "
    "that says `refuse` there refuses the exam",
    Outcome.WARN,
)
FAT_SUPPRESSION: Final = Check(
    "fat-suppression-absent",
    "No fat suppression, which the package needs",
    "a dynamic without sign of fat suppression, for a package that says `accepts.fat_suppression`",
    Outcome.REFUSE,
)
CONTRAST_AGENT: Final = Check(
    "contrast-agent-not-named",
    "No contrast agent is named",
    "a dynamic of which no image names a contrast agent (0018,0010)",
    Outcome.WARN,
    site_may_loosen=True,
)
SYNTHETIC_EXAM: Final = Check(
    "synthetic-exam",
    "An artificial exam",
    "images that are marked Synthetic Data (0008,001C), for a package that is not",
    Outcome.IGNORE,
    site_may_loosen=True,
)
IMPLANTS: Final = Check(
    "implants", "Implants, as the site knows", "`implants` in `known`", Outcome.WARN
)
MASTECTOMY: Final = Check(
    "mastectomy", "Mastectomy, as the site knows", "`mastectomy` in `known`", Outcome.WARN
)
RECENT_BIOPSY: Final = Check(
    "recent-biopsy", "Recent biopsy, as the site knows", "`recent biopsy` in `known`", Outcome.WARN
)
LACTATION: Final = Check(
    "lactation", "Lactation, as the site knows", "`lactation` in `known`", Outcome.WARN
)
TREATMENT: Final = Check(
    "treatment-under-way",
    "Treatment under way, as the site knows",
    "`treatment under way` in `known`",
    Outcome.WARN,
)

CHECKS: Final = (
    IDENTITY,
    SYNTHETIC_WEIGHTS,
    CONDITION_MISSING,
    CONDITION_CONTRADICTED,
    NO_BREASTS,
    UNCLEAR_BREASTS,
    ONE_BREAST,
    POSITION,
    HEART,
    POSITION_TAG,
    CUT,
    OTHER_BODY_PART,
    NO_BREAST_SAID,
    VENDOR,
    FIELD_STRENGTH,
    LATERALITY,
    SLICE_GAPS,
    SLICE_THICKNESS,
    RESOLUTION,
    FEW_SLICES,
    FEW_PHASES,
    FIRST_POST,
    LAST_POST,
    B_VALUE,
    FAT_SUPPRESSION,
    CONTRAST_AGENT,
    SYNTHETIC_EXAM,
    IMPLANTS,
    MASTECTOMY,
    RECENT_BIOPSY,
    LACTATION,
    TREATMENT,
)
"""Every check, in the order in which failed ones are told."""

CODES: Final = tuple(check.code for check in CHECKS)
ADJUSTABLE: Final = tuple(check.code for check in CHECKS if not check.fixed)
"""Codes whose outcome a package or a site may state."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed check, in words that hold nothing of the patient and no text of a header."""

    check: Check
    text: str
