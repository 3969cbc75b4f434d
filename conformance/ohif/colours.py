"""Telling the colours of overlays from the greys of images; pictures are (rows, columns, RGB)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_COLOUR_STEP = 40  # between the channels of a pixel: images are grey, overlays are not
_GREEN = 150  # of an SR's outline over the other channels
_FEWEST_PIXELS = 50
_SAME_TINT = 0.98


def has_outline(picture: NDArray[np.int16]) -> bool:
    """``picture`` (rows, columns, RGB) has the pure green of OHIF's SR outlines."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    return int((green - np.maximum(red, blue) > _GREEN).sum()) >= _FEWEST_PIXELS


def has_region(picture: NDArray[np.int16]) -> bool:
    """``picture`` (rows, columns, RGB) shows a SEG's region."""
    return int(region(picture).sum()) >= _FEWEST_PIXELS


def region(picture: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Pixels that are not grey, of what Cornerstone has drawn: images, and a SEG on them."""
    found: NDArray[np.bool_] = picture.max(axis=-1) - picture.min(axis=-1) > _COLOUR_STEP
    return found


def is_tint(pixels: NDArray[np.int16], colour: tuple[int, int, int]) -> bool:
    """Pixels (n, RGB) are greys with the colour over them, as far as one can see."""
    seen = np.diff(pixels, axis=1).mean(axis=0)  # in which greys are nothing
    told = np.diff(np.array(colour))
    cosine = seen @ told / (np.linalg.norm(seen) * np.linalg.norm(told))
    return bool(cosine > _SAME_TINT)
