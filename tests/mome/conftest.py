"""Small networks and packages that the tests of the model share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mome_node.mome.config import InputSize, ModelConfig
from mome_node.mome.network import Mome
from mome_node.mome.package import ModelPackage, write_package
from mome_node.mome.preprocess_spec import default_spec
from mome_node.mome.statement import Statement
from mome_node.volumes.volume import Modality

SMALL = ModelConfig(
    width=24,
    heads=3,
    ffn=48,
    layers=3,
    sparse_layers=2,
    adapter=6,
    experts=5,
    stem=(4, 8),
    dce=InputSize(2, (32, 32, 16)),
    dwi=InputSize(1, (32, 16, 16)),
    t2=InputSize(1, (16, 32, 32)),
)


def build(config: ModelConfig, seed: int = 0) -> Mome:
    """Make a network whose answer depends on its inputs: all weights are well away from zero."""
    torch.manual_seed(seed)
    network = Mome(config).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return network


def noise(config: ModelConfig, batch: int = 1, seed: int = 0) -> dict[Modality, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        m: torch.randn((batch, *config.input_of(m).shape), generator=generator) for m in Modality
    }


@pytest.fixture(scope="session")
def small() -> ModelConfig:
    return SMALL


@pytest.fixture(scope="session")
def network() -> Mome:
    return build(SMALL)


@pytest.fixture
def inputs() -> dict[Modality, Tensor]:
    return noise(SMALL)


@pytest.fixture
def make_noise() -> Callable[..., dict[Modality, Tensor]]:
    return noise


@pytest.fixture
def make_network() -> Callable[..., Mome]:
    return build


@pytest.fixture
def statement() -> Statement:
    return Statement(
        name="test-model",
        version="1.0",
        task="malignancy",
        classes=("benign", "malignant"),
        positive_class="malignant",
        label_definition="malignant lesion in the exam",
        synthetic=True,
        preprocessing=default_spec(SMALL).to_json(),
        prior=0.4,
        description="A network of random weights.",
        authors="nobody",
        copyright="none",
    )


@pytest.fixture
def folds() -> tuple[Mome, ...]:
    """Three networks of the same sizes."""
    return tuple(build(SMALL, seed=seed) for seed in range(3))


@pytest.fixture
def package(tmp_path: Path, network: Mome, statement: Statement) -> ModelPackage:
    return write_package(tmp_path / "package", network, statement, license_text="free")
