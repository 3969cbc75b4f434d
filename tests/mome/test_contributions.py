from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.mome.contributions import Subset, shapley_values, subsets
from mome_node.volumes.volume import Modality

EVERY = subsets(tuple(Modality))
probabilities = st.floats(0.0, 1.0)
games = st.fixed_dictionaries(dict.fromkeys(EVERY, probabilities))
some = st.sets(st.sampled_from(Modality), min_size=1).map(lambda s: [m for m in Modality if m in s])


@given(games, probabilities, some)
def test_contributions_add_up_to_value_minus_prior(
    game: dict[Subset, float], prior: float, present: list[Modality]
) -> None:
    shares = shapley_values(present, game.__getitem__, prior=prior)
    assert [m for m, _ in shares] == present
    total = sum(share for _, share in shares)
    assert total == pytest.approx(game[frozenset(present)] - prior, abs=1e-12)


@given(games, probabilities)
def test_contributions_are_the_mean_over_all_orders_of_arrival(
    game: dict[Subset, float], prior: float
) -> None:
    worth = {frozenset[Modality](): prior} | game
    for modality, share in shapley_values(tuple(Modality), game.__getitem__, prior=prior):
        gains = []
        for order in permutations(Modality):
            before = frozenset(order[: order.index(modality)])
            gains.append(worth[before | {modality}] - worth[before])
        assert share == pytest.approx(sum(gains) / len(gains), abs=1e-12)


@given(games, probabilities, st.permutations(tuple(Modality)))
def test_modalities_that_do_the_same_get_the_same(
    game: dict[Subset, float], prior: float, order: list[Modality]
) -> None:
    first, second, _ = order

    def value(subset: Subset) -> float:
        swapped = {second if m is first else first if m is second else m for m in subset}
        return game[subset] + game[frozenset(swapped)]

    shares = dict(shapley_values(tuple(Modality), value, prior=prior))
    assert shares[first] == pytest.approx(shares[second], abs=1e-12)


@given(games, probabilities, st.sampled_from(Modality))
def test_modality_that_changes_nothing_gets_nothing(
    game: dict[Subset, float], prior: float, idle: Modality
) -> None:
    def value(subset: Subset) -> float:
        return game[rest] if (rest := subset - {idle}) else prior

    shares = dict(shapley_values(tuple(Modality), value, prior=prior))
    assert shares[idle] == pytest.approx(0.0, abs=1e-12)


def test_every_subset_is_asked_for_once() -> None:
    asked: list[Subset] = []
    shapley_values(tuple(Modality), lambda s: float(len(asked.append(s) or s)), prior=0.0)
    assert sorted(map(sorted, asked)) == sorted(map(sorted, EVERY))
    assert len(asked) == 7
