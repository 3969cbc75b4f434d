"""What a person reads off the viewer, asserted."""

from __future__ import annotations

import numpy as np

from conformance.ohif.viewer import Viewer

_BLACK = 30
"""Grey values up to this are black on a monitor."""

_FEWEST = 0.02
"""Part of the canvas that a phantom's slice lights at least."""


def assert_score_is_readable(viewer: Viewer, percent: int, contributions: int) -> None:
    """The exam's score is printed, whole, beside the box of the evaluated field."""
    texts = [drawn for drawn in viewer.texts() if "Exam malignancy score" in drawn.text]
    assert len(texts) == 1
    assert f"Exam malignancy score: {percent}.00 %" in texts[0].text
    assert texts[0].text.count("contribution, malignancy: ") == contributions
    assert texts[0].lies_in(viewer.viewport())
    field = max(viewer.outlines(), key=lambda drawn: drawn.right - drawn.left)
    assert field.lies_in(viewer.viewport())
    assert field.right - field.left > 0.3 * (viewer.viewport().right - viewer.viewport().left)


def assert_nothing_is_broken(viewer: Viewer) -> None:
    """An image is shown, not a black viewport, and no script of the page has failed."""
    assert viewer.page_errors == []
    assert np.mean(viewer.canvas().max(axis=-1) > _BLACK) > _FEWEST
