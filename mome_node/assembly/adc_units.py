"""Who made an ADC map, and what its values are measured in.

Nothing of the model reads an ADC map; people do, and a factor of 1000 is easily overlooked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mome_node.assembly.planes import Plane, image_type_values

_SQUARE_MM = re.compile(r"mm\^?(2|²|\?)/s(ec)?")
_SQUARE_UM = re.compile(r"[uµμ]m\^?(2|²|\?)/s(ec)?")
_POWER = re.compile(r"(?:10\*?\^?|e)\(?-0?(\d{1,2})")

MICRO_MAKERS = ("siemens", "ge")
"""Makers whose maps hold 1e-6 mm²/s where the header does not tell: seen in real files of both."""


def adc_words(planes: Sequence[Plane]) -> tuple[str, tuple[str, ...]]:
    """The end of the reason of a series of ADC maps, and what is unclear about its values."""
    if not planes:
        return "", ()
    types = frozenset[str]().union(*(image_type_values(p.image_type) for p in planes))
    made = ""
    if "DERIVED" in types:
        made = "computed at a workstation" if "SECONDARY" in types else "made by the scanner"
        made = f"; {made}"
    told = {p.frame.value_units for p in planes}
    if len(told) > 1:
        return made, ("the images of the ADC map tell different units",)
    (units,) = told
    unit = unit_of(units)
    if unit:
        return f"{made}; values in {unit} ({units})", ()
    maker = planes[0].instance.manufacturer.casefold()
    if maker.startswith(MICRO_MAKERS):
        return f"{made}; values in 1e-6 mm²/s, as this maker writes them: the header is silent", ()
    return made, ("the header does not tell the units of the ADC map: 1e-6 or 1e-3 mm²/s",)


def unit_of(told: str) -> str:
    """A told unit in one spelling, such as "1e-6 mm²/s"; empty if it is no unit of diffusion."""
    text = re.sub(r"[\s._]+", "", told.partition(" by ")[0].casefold())
    if _SQUARE_UM.search(text):
        return "1e-6 mm²/s"
    if not _SQUARE_MM.search(text):
        return ""
    power = _POWER.search(text)
    return f"1e-{power.group(1)} mm²/s" if power else "mm²/s"
