"""Which diffusion image the model reads: acquired, in its b range, a trace if there is one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mome_node.assembly.diffusion import SAME_B_SHARE
from mome_node.assembly.plan import Role
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series import StudySeries
from mome_node.assembly.stacks import PlaneStack
from mome_node.dicom.diffusion import NO_DIFFUSION_B

LIKE_COVERAGE = 0.8
"""A volume that covers less than this share of the largest is a fragment of a repeated scan."""

EFFECTIVE_B_SHARE = 0.1
"""How far an effective b-value may be from the nominal one that it stands for: 929.75 for 1000."""

EFFECTIVE_SOURCES = ("(0065,",)
"""Elements that tell an effective b-value when the nominal one is missing: United Imaging's."""

_KINDS = {True: "trace", None: "image", False: "single direction"}
_KIND_RANKS = {True: 0, None: 1, False: 2}


def choose_dwi(found: StudySeries, rules: AssemblyRules) -> tuple[PlaneStack | None, str]:
    """The high-b image and why.

    Acquired before all: computed b-values and averages over several are never read. Then sound,
    whole, a trace before single directions, the b-value nearest to the preferred one, the latest.
    Single directions are not combined: which of them make a trace (three orthogonal ones, all of
    one repeat, none averaged) is not told reliably enough, and a wrong mean looks like a right one.
    """
    low, high = rules.dwi_b_range
    series = found.of_role(Role.DWI)
    stacks = [s for one in series for s in found.stacks[one.series_uid]]
    if not stacks:
        problem = next((one.problems[0] for one in series if one.problems), None)
        return None, f"diffusion images are faulty: {problem}" if problem else "no diffusion images"
    acquired = [s for s in stacks if not s.made_of]
    fitting = [s for s in acquired if _fits(s, low, high)]
    if not fitting:
        return None, (
            f"no diffusion image with b from {low:g} to {high:g}; "
            f"b-values found: {_b_values(acquired)}{_left_out(stacks)}"
        )
    sound = [s for s in fitting if not s.problems]
    if not sound:
        return None, f"diffusion images are faulty: {fitting[0].problems[0]}"
    largest = max(s.volume_mm3 for s in sound)
    preferred = float("inf") if rules.preferred_b is None else rules.preferred_b
    chosen = min(
        sound,
        key=lambda s: (
            s.volume_mm3 < LIKE_COVERAGE * largest,
            _KIND_RANKS[s.isotropic],
            abs((s.b_value or 0.0) - min(preferred, high)),
            s.plane_name != "axial",
            -(s.acquired_s or 0.0),
            -s.volume_mm3,
            s.planes[0].sort_key,
        ),
    )
    return chosen, _reason(chosen, fitting, stacks)


def _fits(stack: PlaneStack, low: float, high: float) -> bool:
    if stack.b_value is None or stack.b_value <= NO_DIFFUSION_B:
        return False
    source = stack.planes[0].frame.b_value_source or ""
    effective = source.startswith(EFFECTIVE_SOURCES) and _effective(stack) is None
    share = EFFECTIVE_B_SHARE if effective else SAME_B_SHARE
    return low * (1 - share) <= stack.b_value <= high * (1 + share)


def _effective(stack: PlaneStack) -> float | None:
    return stack.planes[0].frame.effective_b_value


def _reason(chosen: PlaneStack, fitting: Sequence[PlaneStack], stacks: Sequence[PlaneStack]) -> str:
    frame = chosen.planes[0].frame
    words = [f"high-b {_KINDS[chosen.isotropic]} with b {chosen.b_value:g}"]
    if frame.effective_b_value is not None:
        words[0] += f" (effective {frame.effective_b_value:g})"
    if frame.b_value_source is not None:
        words[0] += f" by {frame.b_value_source}"
    others = [s for s in fitting if s is not chosen]
    rivals = sorted({s.b_value for s in others if s.b_value not in (None, chosen.b_value)})
    if rivals:
        words.append(f"not b {', '.join(f'{b:g}' for b in rivals)}")
    alike = [s for s in others if (s.b_value, s.isotropic) == (chosen.b_value, chosen.isotropic)]
    if chosen.isotropic is False:
        words.append("no trace was sent, and single directions are not combined into one")
    elif alike:
        words.append(f"the latest complete one of {len(alike) + 1}")
    left_out = _left_out(stacks)
    return "; ".join(words) + left_out


def _b_values(stacks: Iterable[PlaneStack]) -> str:
    known = sorted({s.b_value for s in stacks if s.b_value is not None})
    return ", ".join(f"{b:g}" for b in known) or "unknown"


def _left_out(stacks: Iterable[PlaneStack]) -> str:
    """The images that are no acquired ones, in words; empty if there are none."""
    made = sorted({s.made_of for s in stacks if s.made_of})
    return f"; left out: {', '.join(made)}" if made else ""
