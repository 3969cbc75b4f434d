"""What the demonstration package says of itself."""

from __future__ import annotations

from mome_node.mome.preprocess_spec import demonstration_spec
from mome_node.mome.statement import OperatingPoint, Statement

LICENSE_TEXT = """\
The demonstration weights are part of mome-node and stand under the Apache License, Version 2.0
(see the LICENSE of the project). They were trained on artificial images and have no clinical
meaning.
"""

DESCRIPTION = """\
Demonstration weights of MOME at a small size, trained from scratch on artificial exams (phantoms)
that this project renders. **They have no clinical meaning.** They never saw a patient's images,
know nothing of breast cancer, and must never be used for a decision about a person. They exist so
that the whole path from PACS to PACS can be shown and tested. The node lets them evaluate only
exams that are marked Synthetic Data (0008,001C) = YES.

Trained on 1,296 phantoms in 12 epochs. On 300 further phantoms in three vendors' habits the area
under the ROC curve was 0.975 (95 % interval 0.962 to 0.988), and in all 131 true positives the
strongest region lay on the malignant lesion. Nearly all of it comes from DCE: DWI or T2 alone tell
nothing. The operating point's figures come from the 150 phantoms that set its threshold.\
"""


def demonstration_statement(operating_points: tuple[OperatingPoint, ...] = ()) -> Statement:
    """The statement of the demonstration package."""
    return Statement(
        name="mome-demonstration",
        version="1",
        task="malignancy",
        classes=("no malignant lesion in the phantom", "malignant lesion in the phantom"),
        positive_class="malignant lesion in the phantom",
        label_definition="The phantom holds a lesion that was drawn as malignant. No clinical "
        "meaning.",
        synthetic=True,
        preprocessing=demonstration_spec().to_json(),
        operating_points=operating_points,
        description=DESCRIPTION,
        authors="the mome-node authors",
        copyright="the mome-node authors",
    )
