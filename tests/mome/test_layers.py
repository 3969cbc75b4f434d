"""Blocks of tokens, shared projections and the short last layer are ways, not approximations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mome_node.mome import layers
from mome_node.mome.layers import SoftLayer, SoftMixture, Streams, by_blocks
from mome_node.mome.network import Mome
from mome_node.volumes.volume import Modality

Inputs = dict[Modality, Tensor]


@pytest.fixture
def streams(network: Mome, inputs: Inputs) -> Streams:
    with torch.inference_mode():
        return network.streams(inputs)


def last_layer(network: Mome) -> SoftLayer:
    layer = network.soft[-1]
    assert isinstance(layer, SoftLayer)
    return layer


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_blocks_of_tokens_change_nothing(
    network: Mome, inputs: Inputs, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    with torch.inference_mode():
        expected = network(inputs)
        monkeypatch.setattr(layers, "BLOCK", block)
        torch.testing.assert_close(network(inputs), expected, atol=1e-5, rtol=1e-5)


def test_blocks_keep_the_order_of_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "BLOCK", 4)
    x, y = torch.arange(22.0).view(1, 11, 2), torch.ones(1, 11, 2)
    assert torch.equal(by_blocks(torch.sub, x, y), x - 1)


@torch.inference_mode()
def test_last_layer_gives_the_class_token_that_the_whole_layer_gives(
    network: Mome, streams: Streams
) -> None:
    layer = last_layer(network)
    whole = layer(streams)[Modality.DCE][:, 0]
    torch.testing.assert_close(layer.settle(streams), whole, atol=1e-6, rtol=1e-5)


@torch.inference_mode()
def test_projections_that_are_known_change_nothing(network: Mome, streams: Streams) -> None:
    layer = last_layer(network)
    known = {m: layer.project(m, x) for m, x in streams.items()}
    found, expected = layer(streams, known), layer(streams)
    assert all(torch.equal(found[m], expected[m]) for m in Modality)


def test_mixture_asked_by_some_tokens_answers_those_as_it_answers_all() -> None:
    torch.manual_seed(0)
    mixture = SoftMixture(width=4, experts=3, slots=2)
    for weight in mixture.parameters():
        torch.nn.init.normal_(weight)
    x = torch.randn(2, 7, 4)
    torch.testing.assert_close(mixture(x, readers=2), mixture(x)[:, :2])


@pytest.mark.parametrize("queries", [3, 1000])
def test_attention_in_a_narrow_type_is_attention(
    monkeypatch: pytest.MonkeyPatch, queries: int
) -> None:
    monkeypatch.setattr(layers, "QUERIES", queries)
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 11, 8) for _ in range(3))
    expected = layers.attend(q, k, v)
    with torch.no_grad():
        found = layers.attend(q.bfloat16(), k.bfloat16(), v.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=0.03, rtol=0.03)
