"""Which breast a volume shows: by its place in the patient, and by what Laterality says."""

from __future__ import annotations

from collections.abc import Iterable

from mome_node.assembly.phases import Dynamic
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.stacks import PlaneStack

CLEARLY_BILATERAL = 1.3
"""A width of this many times the least bilateral one outweighs a Laterality of one side."""

OFF_MIDLINE_MM = 30.0
"""A volume of one breast has its centre at least so far from the middle of the table (x 0, LPS)."""


def is_unilateral(dynamic: Dynamic, rules: AssemblyRules) -> bool:
    """Whether a dynamic is too narrow from left to right to show both breasts."""
    said = said_sides(dynamic.phases)
    one_side = len(said) == 1 and said <= {"L", "R"}
    least = rules.min_width_mm * (CLEARLY_BILATERAL if one_side else 1.0)
    return dynamic.phases[0].extent_mm[0] < least


def side_of(stack: PlaneStack) -> str | None:
    """``left`` or ``right`` by the place of the volume's centre, None near the midline."""
    x = stack.centre_x_mm
    if abs(x) < OFF_MIDLINE_MM:
        return None
    return "left" if x > 0 else "right"


def said_sides(stacks: Iterable[PlaneStack]) -> frozenset[str]:
    """The sides that Laterality or Image Laterality name (PS3.3 C.7.3.1, C.8.3): L, R, B."""
    return frozenset(
        said[:1] for s in stacks for p in s.planes if (said := p.instance.laterality.upper())
    )


def side_words(stack: PlaneStack) -> str:
    """The side of a volume of one breast, in words."""
    side, x = side_of(stack), stack.centre_x_mm
    said = said_sides((stack,))
    if side is None:
        name = {frozenset("L"): "left", frozenset("R"): "right"}.get(said)
        return f"the {name} side by Laterality" if name else "the side is not known"
    return f"the {side} side, its centre {abs(x):.0f} mm {side} of the table's middle"


def side_problem(stack: PlaneStack) -> str | None:
    """How Laterality contradicts the place of a volume of one breast."""
    side, said = side_of(stack), said_sides((stack,)) & {"L", "R"}
    if side is None or len(said) != 1 or side[0].upper() in said:
        return None
    other = "left" if side == "right" else "right"
    return (
        f"Laterality says {other}, but the centre of the volume lies {abs(stack.centre_x_mm):.0f} "
        f"mm to the {side} of the table's middle: the side is not known"
    )
