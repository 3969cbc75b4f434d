"""The network against numbers that the authors' own code gave (tests/data/mome/README.md)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mome_node.mome.authors_layout import authors_names
from mome_node.mome.config import BASE, LARGE, InputSize, ModelConfig
from mome_node.mome.layers import Streams
from mome_node.mome.network import Mome
from mome_node.volumes.volume import Modality

DATA = Path(__file__).parents[1] / "data" / "mome"
TOLERANCE = 1e-4
PUBLISHED = ModelConfig(
    width=96,
    heads=4,
    ffn=384,
    adapter=24,
    dce=InputSize(6, (64, 48, 32)),
    dwi=InputSize(1, (32, 32, 16)),
    t2=InputSize(1, (64, 48, 16)),
)


@pytest.fixture(scope="module")
def case() -> dict[str, Tensor]:
    with np.load(DATA / "reference_case.npz") as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


@pytest.fixture(scope="module")
def network(case: dict[str, Tensor]) -> Mome:
    """Layers 0 and 9 of the reference as the layers 0 and 1 of a network of two."""
    config = replace(PUBLISHED, layers=2, sparse_layers=1)
    weights = {
        name.removeprefix("weight:").replace(".layers.9.", ".layers.1."): weight
        for name, weight in case.items()
        if name.startswith("weight:")
    }
    ours = {a: weights.pop(b) for a, b in authors_names(config).items() if b in weights}
    assert not weights
    network = Mome(config).eval()
    loaded = network.load_state_dict(ours, strict=False)
    assert {name.split(".stem")[0] for name in loaded.missing_keys} == {
        "tokenizers.dce",
        "tokenizers.t2",
    }
    return network


def by_modality(sequence: Tensor) -> Streams:
    lengths = [1 + PUBLISHED.dce.tokens, PUBLISHED.dwi.tokens, PUBLISHED.t2.tokens]
    return dict(zip(Modality, sequence.split(lengths, dim=1), strict=True))


def as_sequence(streams: Streams) -> Tensor:
    return torch.cat([streams[m] for m in Modality], dim=1)


def largest_difference(found: Tensor, reference: Tensor) -> float:
    assert found.shape == reference.shape
    return float((found - reference).abs().max())


@torch.inference_mode()
def test_tokenizer_agrees_with_the_authors(network: Mome, case: dict[str, Tensor]) -> None:
    found, _ = network.tokenizers["dwi"](case["dwi"])
    assert largest_difference(found, case["act_dwi_tokens"]) < TOLERANCE


@torch.inference_mode()
def test_positions_and_sparse_layer_agree_with_the_authors(
    network: Mome, case: dict[str, Tensor]
) -> None:
    tokens = {m: case[f"act_{m}_tokens"] for m in Modality}
    assert largest_difference(tokens[Modality.DCE][:1, :1], network.class_token) == 0.0
    own = {m: x[:, 1:] if m is Modality.DCE else x for m, x in tokens.items()}
    found = {m: network.specialise(m, network.place(m, x)) for m, x in own.items()}
    assert largest_difference(as_sequence(found), case["act_layer_00"]) < TOLERANCE


@torch.inference_mode()
def test_soft_layer_agrees_with_the_authors(network: Mome, case: dict[str, Tensor]) -> None:
    found = network.soft[0](by_modality(case["act_layer_08"]))
    assert largest_difference(as_sequence(found), case["act_layer_09"]) < TOLERANCE


@torch.inference_mode()
def test_head_agrees_with_the_authors(network: Mome, case: dict[str, Tensor]) -> None:
    logits = network.classify(case["act_layer_11"][:, 0])
    assert largest_difference(logits, case["logits"]) < TOLERANCE
    assert largest_difference(logits.softmax(dim=1)[:, 1], case["probability"]) < TOLERANCE


def test_every_name_and_shape_of_the_authors_has_its_place() -> None:
    lines = (DATA / "authors_weights.txt").read_text().splitlines()
    theirs = dict(line.split() for line in lines)
    with torch.device("meta"):
        state = Mome(PUBLISHED).state_dict()
    names = authors_names(PUBLISHED)
    assert names.keys() == state.keys()
    ours = {names[name]: "x".join(str(n) for n in weight.shape) for name, weight in state.items()}
    assert ours == theirs


@pytest.mark.parametrize(("config", "millions"), [(BASE, 290.75), (LARGE, 1072.53)])
def test_published_variants_have_their_number_of_parameters(
    config: ModelConfig, millions: float
) -> None:
    with torch.device("meta"):
        network = Mome(config)
    count = sum(weight.numel() for weight in network.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.005)
