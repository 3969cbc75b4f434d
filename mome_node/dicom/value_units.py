"""What the values of a map are measured in, as far as an image says so."""

from __future__ import annotations

from mome_node.dicom.element_values import Elements, first_text

_NO_UNITS = frozenset({"", "US", "NORMALIZED", "NONE", "1", "NO UNITS"})
"""Rescale Type "unspecified" (PS3.3 C.11.1.1.2), Philips's word for it, UCUM's "no units"."""


def units_of(sources: tuple[Elements, ...], mappings: tuple[Elements, ...]) -> str:
    """The unit of the values and what told it, such as "um2/s by Rescale Type"; empty if unsaid.

    ``mappings`` hold Real World Value Mapping Sequences (0040,9096), whose unit is of values made
    with their own slope, which is told where it is not 1; ``sources`` Rescale Type (0028,1054)
    and Units (0054,1001), of rescaled values.
    """
    for source in mappings:
        for mapping in source.items("RealWorldValueMappingSequence"):
            code = mapping.item("MeasurementUnitsCodeSequence")
            unit = "" if code is None else code.text("CodeValue")
            if unit.upper() not in _NO_UNITS:
                slope = mapping.number("RealWorldValueSlope") or 1.0
                times = "" if slope == 1.0 else f" with slope {slope:g}"
                return f"{unit}{times} by Real World Value Mapping"
    for keyword, name in (("RescaleType", "Rescale Type"), ("Units", "Units")):
        unit = first_text(sources, keyword)
        if unit.upper() not in _NO_UNITS:
            return f"{unit[:16]} by {name}"
    return ""
