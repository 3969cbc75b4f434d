"""What classic and enhanced objects say of an image plane in the same elements."""

from __future__ import annotations

from mome_node.dicom.element_values import Elements

_COMPONENTS = frozenset({"PHASE", "REAL", "IMAGINARY"})
"""Values of Complex Image Component (0008,9208) other than the magnitude (PS3.3 C.8.13.3.1.2)."""

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


def image_type_of(types: tuple[str, ...], sources: Sources) -> tuple[str, ...]:
    """Image Type, with the part of the complex signal in it if that is not the magnitude.

    Classic objects write it into Image Type itself, enhanced ones beside it.
    """
    for source in sources:
        component = source.text("ComplexImageComponent").upper()
        if component:
            told = component in _COMPONENTS and component not in types
            return (*types, component) if told else types
    return types
