"""Attribution at the tokens adds up, keeps its place, and says what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mome_node.dicom.geometry import Grid
from mome_node.errors import ModelInputError, NotANumberError
from mome_node.mome.config import InputSize, ModelConfig
from mome_node.mome.explain import attribute
from mome_node.mome.network import Mome
from mome_node.mome.predict import run_exam
from mome_node.mome.token_gradients import gauss_legendre, token_gradients
from mome_node.mome.voxel_gradients import FIRST_PLACES, log_odds
from mome_node.volumes.volume import Modality

Inputs = dict[Modality, Tensor]
WIDE = (96, 64, 48)


def grid_of(config: ModelConfig) -> Grid:
    return Grid(config.dce.size, np.diag([2.0, 2.0, 3.0, 1.0]))


def explained(network: Mome, inputs: Inputs, steps: int):
    (run,) = run_exam([network], inputs)
    return token_gradients(
        network, run, positive_class=1, dce_grid=grid_of(network.config), steps=steps
    )


@given(st.integers(1, 24), st.data())
def test_quadrature_is_exact_for_the_degree_that_it_promises(count: int, data) -> None:
    places, weights = gauss_legendre(count)
    assert all(0 < place < 1 for place in places)
    degree = data.draw(st.integers(0, 2 * count - 1))
    sum_of = sum(w * p**degree for p, w in zip(places, weights, strict=True))
    assert sum_of == pytest.approx(1 / (degree + 1), rel=1e-9)


def test_attributions_add_up_to_the_change_of_the_score(network: Mome, inputs: Inputs) -> None:
    found = explained(network, inputs, steps=24)
    assert found.completeness_gap < 0.01
    with torch.no_grad():
        nothing = {**inputs, Modality.DCE: torch.zeros_like(inputs[Modality.DCE])}
        change = log_odds(network(inputs), 1) - log_odds(network(nothing), 1)
    # Of the map on the voxels' grid, some falls off its edges: the last half of the last cells.
    assert np.sign(found.array.sum()) == np.sign(float(change))


def test_few_steps_say_how_much_they_miss(network: Mome, inputs: Inputs) -> None:
    gaps = [explained(network, inputs, steps).completeness_gap for steps in (1, 4, 12)]
    assert gaps[0] > gaps[1] > gaps[2]


def test_map_keeps_its_place(make_network: Callable[..., Mome], small: ModelConfig) -> None:
    config = replace(small, dce=InputSize(2, WIDE), sparse_layers=0, layers=1)
    network = make_network(config, seed=2)
    spots = [(20, 20, 16), (76, 40, 32)]
    centres = []
    for x, y, z in spots:
        dce = torch.zeros(1, 2, *WIDE)
        dce[0, :, x - 4 : x + 4, y - 4 : y + 4, z - 4 : z + 4] = torch.rand(2, 8, 8, 8) + 1
        found = explained(network, {Modality.DCE: dce}, steps=8)
        strength = np.abs(found.array)
        assert found.array.shape == WIDE
        where = np.indices(WIDE).reshape(3, -1)
        centres.append(where @ strength.ravel() / strength.sum())
    for spot, centre in zip(spots, centres, strict=True):
        assert np.abs(centre - spot).max() < 12  # within the reach of a cell and its neighbours


def test_without_dce_there_is_no_attribution(network: Mome, inputs: Inputs) -> None:
    del inputs[Modality.DCE]
    with pytest.raises(ModelInputError, match="without DCE"):
        explained(network, inputs, steps=2)


def test_gradient_that_is_no_number_is_an_error(
    make_network: Callable[..., Mome], small: ModelConfig, inputs: Inputs
) -> None:
    network = make_network(small)
    (run,) = run_exam([network], inputs)
    with torch.no_grad():
        network.head.weight[0, 0] = float("nan")
    with pytest.raises(NotANumberError):
        token_gradients(network, run, positive_class=1, dce_grid=grid_of(small), steps=2)


@pytest.mark.parametrize("steps", [-1, 0])
def test_less_than_one_step_is_refused(network: Mome, inputs: Inputs, steps: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        explained(network, inputs, steps)


def test_small_networks_are_explained_at_the_voxels_and_large_ones_at_the_tokens(
    network: Mome, inputs: Inputs, small: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def method(wanted: str = "auto") -> str:
        runs = run_exam([network], inputs)
        found = attribute(
            *([network], runs, inputs),
            method=wanted,  # type: ignore[arg-type]  # parametrised by hand
            positive_class=1,
            dce_grid=grid_of(small),
        )
        return found.method

    monkeypatch.setattr("mome_node.mome.explain.VOXEL_STEPS", len(FIRST_PLACES))
    assert method() == "integrated gradients at the voxels"
    monkeypatch.setattr("mome_node.mome.explain.MOST_TOKENS_FOR_VOXELS", 0)
    assert method() == "integrated gradients at the tokens"
    assert method("voxels") == "integrated gradients at the voxels"


def test_ensemble_is_explained_by_the_mean_of_its_members(
    network: Mome, inputs: Inputs, small: ModelConfig, make_network: Callable[..., Mome]
) -> None:
    members = [network, make_network(small, seed=7)]
    runs = run_exam(members, inputs)
    options = {"positive_class": 1, "dce_grid": grid_of(small), "method": "tokens"}
    both = attribute(members, runs, inputs, **options)  # type: ignore[arg-type]
    each = [attribute([m], [r], inputs, **options) for m, r in zip(members, runs, strict=True)]  # type: ignore[arg-type]
    np.testing.assert_allclose(both.array, (each[0].array + each[1].array) / 2, rtol=1e-5)
    assert both.completeness_gap == max(e.completeness_gap for e in each)
