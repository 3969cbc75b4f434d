"""The templates (PS3.16) that the documents of this node follow, for the conformance statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Template:
    """One template. ``identified``: Content Template Sequence (0040,A504) names it."""

    tid: str
    name: str
    where: str
    identified: bool = False


TEMPLATES: Final = (
    Template(
        "1500",
        "Measurement Report",
        "root of every report; of a study that was not evaluated only the rows of the qualitative "
        "evaluations, titled Dynamic Contrast MR Measurement Report",
        identified=True,
    ),
    Template(
        "1204", "Language of Content Item and Descendants", "reports: English (United States)"
    ),
    Template("1001", "Observation Context", "reports and key object selections: the observer only"),
    Template("1002", "Observer Context", "reports and key object selections: a device"),
    Template(
        "1004",
        "Device Observer Identifying Attributes",
        "reports and key object selections: UID, name, manufacturer, model and serial number of "
        "the node",
    ),
    Template("1600", "Image Library", "reports with scores: a group for each series that was read"),
    Template("1601", "Image Library Entry", "each image that was read"),
    Template(
        "1602",
        "Image Library Entry Descriptors",
        "of a group: modality, series, and by codes of 99MOME its role and the times of its phases",
    ),
    Template(
        "1410",
        "Planar ROI Measurements and Qualitative Evaluations",
        "the evaluated field with the scores of the exam; the outline of each region on one slice",
        identified=True,
    ),
    Template(
        "1411",
        "Volumetric ROI Measurements and Qualitative Evaluations",
        "each region, by its segment; where there is a segmentation and the scores stand in the "
        "evaluated field",
        identified=True,
    ),
    Template(
        "1501",
        "Measurement and Qualitative Evaluation Group",
        "the scores of the exam in a group without a place, where `study_scores` of the "
        "destination is `group`",
        identified=True,
    ),
    Template("1419", "ROI Measurements", "the numbers in groups with a region"),
    Template("300", "Measurement", "the numbers in a group without a place"),
    Template(
        "4019",
        "Algorithm Identification",
        "each group, and a score of another model than its group: name, version, manufacturer, "
        "SHA-256 of the weights, family",
    ),
    Template(
        "2010",
        "Key Object Selection",
        "key images and rejection notes",
        identified=True,
    ),
)
"""Every template that is used, roots first."""
