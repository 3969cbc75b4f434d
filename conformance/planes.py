"""Where an image plane lies, as its header says, whatever the IOD."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

_GROUPS = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")


def plane_of(image: Dataset, frame: int) -> Dataset:
    """Position and orientation of one frame, from the image's header or its functional groups."""
    if "PerFrameFunctionalGroupsSequence" not in image:
        return image
    plane = Dataset()
    for groups in (
        image.SharedFunctionalGroupsSequence[0],
        image.PerFrameFunctionalGroupsSequence[frame - 1],
    ):
        for name in _GROUPS:
            if name in groups:
                plane.update(groups[name][0])
    return plane


def plane_affine(plane: Dataset) -> NDArray[np.float64]:
    """Affine (3, 3) from (column, row, 1), counted at pixel centres, to mm LPS (C.7.6.2.1.1)."""
    row, column = np.array(plane.ImageOrientationPatient, dtype=float).reshape(2, 3)
    between_rows, between_columns = map(float, plane.PixelSpacing)
    position = np.array(plane.ImagePositionPatient, dtype=float)
    return np.stack([row * between_columns, column * between_rows, position], axis=1)
