"""Telling the colours of overlays from the greys of images; pictures are (rows, columns, RGB)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_COLOUR_STEP = 40  # between the channels of a pixel: images are grey, overlays are not
_GREEN = 150  # of an SR's outline over the other channels
_FEWEST_PIXELS = 50


def has_outline(picture: NDArray[np.int16]) -> bool:
    """``picture`` (rows, columns, RGB) has the pure green of OHIF's SR outlines."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    return int((green - np.maximum(red, blue) > _GREEN).sum()) >= _FEWEST_PIXELS


def has_region(picture: NDArray[np.int16]) -> bool:
    """``picture`` (rows, columns, RGB) shows a SEG's region."""
    return int(region(picture).sum()) >= _FEWEST_PIXELS


def region(picture: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Pixels of a colour that neither images nor OHIF's blue nor an SR's outline have."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    warm = np.maximum(red, green) - blue > _COLOUR_STEP
    outline = green - np.maximum(red, blue) > _GREEN
    found: NDArray[np.bool_] = warm & ~outline
    return found
