"""What classic and enhanced objects say of an image plane in the same elements."""

from __future__ import annotations

from mome_node.dicom.diffusion import IMAGES_IN_MOSAIC, read_private
from mome_node.dicom.element_values import Elements

TILED_TYPES = frozenset({"MOSAIC", "VFRAME"})
"""Values of Image Type for several slices in one plane: Siemens, United Imaging."""

Sources = tuple[Elements, ...]


def position_of(sources: Sources) -> tuple[float, float, float] | None:
    """Image Position (Patient) (0020,0032) in mm LPS."""
    for source in sources:
        if (values := source.numbers("ImagePositionPatient", 3)) is not None:
            return values[0], values[1], values[2]
    return None


def orientation_of(
    sources: Sources,
) -> tuple[float, float, float, float, float, float] | None:
    """Image Orientation (Patient) (0020,0037): cosines of the row, then of the column."""
    for source in sources:
        if (v := source.numbers("ImageOrientationPatient", 6)) is not None:
            return v[0], v[1], v[2], v[3], v[4], v[5]
    return None


def spacing_of(sources: Sources) -> tuple[float, float] | None:
    """Pixel Spacing (0028,0030): between rows, then between columns, in mm."""
    for source in sources:
        if (values := source.numbers("PixelSpacing", 2)) is not None:
            return values[0], values[1]
    return None


def rescale_of(sources: Sources) -> tuple[float, float]:
    """Rescale Slope and Intercept (0028,1053), (0028,1052); 1 and 0 where they are not told.

    A slope of 0, which some software writes for "none", counts as not told.
    """
    for source in sources:
        slope = source.number("RescaleSlope")
        if slope:
            return slope, source.number("RescaleIntercept") or 0.0
    return 1.0, 0.0


def tiled_of(sources: Sources, image_type: tuple[str, ...], manufacturer: str) -> bool:
    """Whether the plane is a mosaic: by Image Type, or by the maker's count of its images."""
    if TILED_TYPES & {value.upper() for value in image_type}:
        return True
    counts = (read_private(source, IMAGES_IN_MOSAIC, manufacturer)[0] for source in sources)
    return any(count is not None and count > 1 for count in counts)
