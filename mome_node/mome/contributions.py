"""What each modality adds to a probability: exact Shapley values.

Shapley, "A value for n-person games" (1953). With three modalities there are seven non-empty
subsets, so that nothing has to be sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb, fsum

from mome_node.volumes.volume import Modality

Subset = frozenset[Modality]


def subsets(present: Sequence[Modality]) -> tuple[Subset, ...]:
    """Return the non-empty subsets of the modalities that are there, the smallest first."""
    sizes = range(1, len(present) + 1)
    return tuple(frozenset(chosen) for size in sizes for chosen in combinations(present, size))


def shapley_values(
    present: Sequence[Modality], value: Callable[[Subset], float], *, prior: float
) -> tuple[tuple[Modality, float], ...]:
    """Share ``value(present) - prior`` out among the modalities that are there.

    ``value`` gives the probability from a non-empty subset and is called once for each; the empty
    set's is ``prior``. The contributions add up to ``value(present) - prior`` (to the rounding of
    a double), a modality that never changes the value gets 0, and two that do the same get the
    same. They come in the order of ``present``.
    """
    values = {frozenset[Modality](): prior} | {subset: value(subset) for subset in subsets(present)}
    return tuple((m, _contribution(m, values, len(present))) for m in present)


def _contribution(modality: Modality, values: dict[Subset, float], players: int) -> float:
    """Return the mean gain from adding the modality, over all orders of arrival."""
    return fsum(
        (values[subset | {modality}] - values[subset]) / (players * comb(players - 1, len(subset)))
        for subset in values
        if modality not in subset
    )
