"""What runs where no gradient is wanted is what is differentiated, only sooner and in less room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mome_node.mome import tokenizer as module
from mome_node.mome.config import ModelConfig
from mome_node.mome.network import Mome
from mome_node.mome.tokenizer import Tokenizer
from mome_node.volumes.volume import Modality

Inputs = dict[Modality, Tensor]


def tokenizer_of(network: Mome, modality: Modality) -> Tokenizer:
    found = network.tokenizers[modality]
    assert isinstance(found, Tokenizer)
    return found


@pytest.mark.parametrize("slab_bytes", [1, 3000, 1 << 26])
@pytest.mark.parametrize("rows", [7, 1 << 14])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("modality", list(Modality))
def test_slabs_and_blocks_change_nothing(
    network: Mome,
    small: ModelConfig,
    make_noise: Callable[..., Inputs],
    monkeypatch: pytest.MonkeyPatch,
    modality: Modality,
    batch: int,
    rows: int,
    slab_bytes: int,
) -> None:
    monkeypatch.setattr(module, "SLAB_BYTES", slab_bytes)
    monkeypatch.setattr(module, "ROWS", rows)
    volume = make_noise(small, batch=batch)[modality]
    tokenizer = tokenizer_of(network, modality)
    with torch.enable_grad():
        expected, places = tokenizer(volume)
    with torch.no_grad():
        found, found_places = tokenizer(volume)
    torch.testing.assert_close(found, expected.detach(), atol=2e-5, rtol=1e-5)
    assert (
        found_places == places
    ).float().mean() > 0.999  # two cells may be equal but for rounding


def test_volume_that_is_already_channels_last_gives_the_same(network: Mome, inputs: Inputs) -> None:
    volume = inputs[Modality.DCE]
    tokenizer = tokenizer_of(network, Modality.DCE)
    with torch.no_grad():
        expected, _ = tokenizer(volume)
        found, _ = tokenizer(volume.contiguous(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_the_volume_itself_is_left_as_it_was(network: Mome, inputs: Inputs) -> None:
    before = {m: v.clone() for m, v in inputs.items()}
    with torch.no_grad():
        network(inputs)
    assert all(torch.equal(before[m], inputs[m]) for m in Modality)


def test_every_value_of_a_token_was_pooled_from_the_cell_that_is_named(
    network: Mome, inputs: Inputs
) -> None:
    tokenizer = tokenizer_of(network, Modality.DCE)
    with torch.no_grad():
        cells = tokenizer.cells(inputs[Modality.DCE])  # (1, D, x/8, y/8, z/8)
        tokens, places = tokenizer(inputs[Modality.DCE])
    named = cells.flatten(2).gather(2, places.flatten(2)).transpose(1, 2)  # (1, T, D)
    assert torch.equal(named, tokens)


def test_a_dynamic_without_enhancement_makes_tokens_of_zeros(
    network: Mome, small: ModelConfig
) -> None:
    with torch.no_grad():
        tokens, _ = tokenizer_of(network, Modality.DCE)(torch.zeros(1, *small.dce.shape))
    assert not tokens.any()


def test_brightness_far_from_zero_costs_no_accuracy(small: ModelConfig) -> None:
    torch.manual_seed(3)
    network = Mome(replace(small, stem=(8, 16))).eval()
    volume = torch.rand(1, *small.t2.shape) + 100
    tokenizer = tokenizer_of(network, Modality.T2)
    exact = tokenizer_of(network, Modality.T2).double()
    with torch.enable_grad():
        made = volume.double()
        for convolution in exact.stem.values():
            made = torch.relu(torch.nn.functional.instance_norm(convolution(made)))
        expected = torch.nn.functional.max_pool3d(made, 3, 2, 1).flatten(2).transpose(1, 2)
    with torch.no_grad():
        found, _ = tokenizer.float()(volume)
    assert (found.double() - expected).abs().max() < 1e-3
