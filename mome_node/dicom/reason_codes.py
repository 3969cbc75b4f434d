"""Why a study was not evaluated, as codes of the private scheme 99MOME.

A model's own reasons are the checks of ``fitness``, under their codes; these are the rest. A code
never changes; the words beside it say what was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pydicom.sr.coding import Code

from mome_node.dicom.codes import PRIVATE_SCHEME, PrivateCode


class Reason(NamedTuple):
    """One reason: its code, of REASONS or of a fitness check, and what was found in words."""

    code: str
    text: str


TOO_OLD: Final = "too-old"
NO_BREAST_MRI: Final = "no-breast-mri"
BIOPSY_GUIDANCE: Final = "biopsy-guidance"
NOT_AXIAL: Final = "not-axial"
ONE_SIDED: Final = "one-sided"
CONTRAST_ORDER: Final = "contrast-order"
PHASE_ORDER: Final = "phase-order"
NO_DYNAMIC: Final = "no-dynamic"
DYNAMIC_UNSOUND: Final = "dynamic-unsound"
NO_DWI: Final = "no-dwi"
NO_T2: Final = "no-t2"
IMAGES_MISSING: Final = "images-missing"
DEADLINE_PASSED: Final = "deadline-passed"
NOTHING_READABLE: Final = "nothing-readable"
NO_IMAGES_LEFT: Final = "no-images-left"
NO_MODEL: Final = "no-model"
NO_VOLUME: Final = "no-volume"
MODEL_INPUT: Final = "model-input"
UNDECODABLE: Final = "undecodable"
OTHER: Final = "other-reason"


def _reason(code: str, meaning: str, definition: str) -> PrivateCode:
    return PrivateCode(Code(code, PRIVATE_SCHEME, meaning), definition)


REASONS: Final = (
    _reason(TOO_OLD, "Older than the site has evaluated", "A Study Date before the site's limit."),
    _reason(
        NO_BREAST_MRI,
        "No breast MRI",
        "No description, protocol, coil or body part says breast, one says another part, and "
        "series that a model needs are missing.",
    ),
    _reason(BIOPSY_GUIDANCE, "A biopsy guidance exam", "A description says biopsy guidance."),
    _reason(NOT_AXIAL, "The dynamic is not axial", "A sagittal, coronal or oblique dynamic."),
    _reason(ONE_SIDED, "The dynamic shows one breast", "A dynamic of one side only."),
    _reason(
        CONTRAST_ORDER,
        "Contrast agent contradicts the order of phases",
        "The earliest phase names a contrast agent and a later one names none.",
    ),
    _reason(
        PHASE_ORDER,
        "The phases cannot be put in order",
        "No time, position or name says in which order the phases of the dynamic were taken.",
    ),
    _reason(
        NO_DYNAMIC,
        "No dynamic contrast-enhanced series",
        "No series is a dynamic contrast-enhanced acquisition.",
    ),
    _reason(
        DYNAMIC_UNSOUND,
        "The dynamic is incomplete or faulty",
        "Phases or slices of the dynamic are missing, doubled or unequal.",
    ),
    _reason(
        NO_DWI,
        "No diffusion-weighted image that can be read",
        "The site requires a diffusion-weighted image; it is missing or faulty.",
    ),
    _reason(
        NO_T2,
        "No T2-weighted image that can be read",
        "The site requires a T2-weighted image; it is missing or faulty.",
    ),
    _reason(
        IMAGES_MISSING,
        "Images did not arrive",
        "The archive or an availability notice names more images than arrived.",
    ),
    _reason(
        DEADLINE_PASSED,
        "Still incomplete at the deadline",
        "What a model needs had not arrived when the site's deadline passed.",
    ),
    _reason(
        NOTHING_READABLE,
        "No model reads what is here",
        "What arrived until the deadline is less than any model can do without.",
    ),
    _reason(
        NO_IMAGES_LEFT,
        "No images are left",
        "All images of the study were rejected, or left out by a person.",
    ),
    _reason(NO_MODEL, "No model is installed for it", "No installed model is for such an exam."),
    _reason(NO_VOLUME, "The images make no volume", "Planes that do not make one sound volume."),
    _reason(MODEL_INPUT, "No model can take the images", "Volumes that no model can read."),
    _reason(UNDECODABLE, "Images cannot be decoded", "Pixel data that cannot be decoded."),
    _reason(OTHER, "Another reason", "What the words beside it say."),
)
"""Every reason that is no failed check of an exam's fitness, for the conformance statement."""


def with_codes(texts: Sequence[str], codes: Sequence[str]) -> tuple[Reason, ...]:
    """Each reason with the code at its place; OTHER where there is none."""
    padded = (*codes[: len(texts)], *("" for _ in texts[len(codes) :]))
    return tuple(Reason(code or OTHER, text) for code, text in zip(padded, texts, strict=True))
