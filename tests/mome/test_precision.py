"""A narrower type is used only where the package's stored runs agree, and that is remembered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mome_node.mome import precision
from mome_node.mome.network import Mome
from mome_node.mome.package import ModelPackage
from mome_node.mome.precision import REMEMBERED, narrowed, place_networks
from mome_node.volumes.volume import Modality

CPU = torch.device("cpu")
Inputs = dict[Modality, Tensor]


@pytest.fixture(autouse=True)
def every_type_is_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_in", lambda *_: True)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each stored run that is made."""
    made: list[int] = []
    real = precision.run_reference

    def counted(network: Mome, seed: int) -> Tensor:
        made.append(seed)
        return real(network, seed)

    monkeypatch.setattr(precision, "run_reference", counted)
    return made


def test_narrowed_network_answers_nearly_the_same(network: Mome, inputs: Inputs) -> None:
    narrow = narrowed(network, torch.bfloat16)
    with torch.no_grad():
        gap = narrow(inputs).softmax(dim=1) - network(inputs).softmax(dim=1)
    assert 0 < gap.abs().max() < 0.05


def test_norms_positions_and_head_stay_in_float32(network: Mome) -> None:
    narrow = narrowed(network, torch.bfloat16).state_dict()
    kept = {name for name, weight in narrow.items() if weight.dtype == torch.float32}
    assert {"class_token", "positions.dce", "head.weight", "head_norm.weight"} <= kept
    assert all("norm" in n or n.startswith(("class", "positions", "head.")) for n in kept)


def test_float32_is_what_a_cpu_computes_in_unless_asked(
    package: ModelPackage, tmp_path: Path, runs: list[int]
) -> None:
    placed = place_networks(package, CPU, "auto", tmp_path)
    assert (placed.precision, placed.reason, runs) == ("float32", "", [])


def test_type_that_agrees_is_used_and_seen_once(
    package: ModelPackage, tmp_path: Path, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "TOLERANCE", 0.05)  # a network of random weights at width 24
    for _ in range(2):
        placed = place_networks(package, CPU, "bfloat16", tmp_path)
        assert (placed.precision, placed.reason) == ("bfloat16", "")
    assert len(runs) == 1


def test_type_that_differs_is_not_used_and_the_reason_is_told(
    package: ModelPackage, tmp_path: Path, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "TOLERANCE", 0.0)
    for _ in range(2):
        placed = place_networks(package, CPU, "bfloat16", tmp_path)
        assert placed.precision == "float32"
        assert "bfloat16" in placed.reason
        assert "at most 0 is allowed" in placed.reason
        assert placed.networks[0].head.weight.dtype == torch.float32
    assert len(runs) == 1


def test_answer_that_is_no_number_never_agrees(
    package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "run_reference", lambda *_: torch.full((1, 2), float("nan")))
    assert place_networks(package, CPU, "bfloat16", tmp_path).precision == "float32"
    # And stays remembered as such: infinity survives the file.
    monkeypatch.undo()
    monkeypatch.setattr(precision, "computes_in", lambda *_: True)
    assert place_networks(package, CPU, "bfloat16", tmp_path).precision == "float32"


@pytest.mark.parametrize("content", ["", "no JSON", "[1, 2]", '{"a": "b"}'])
def test_damaged_memory_is_seen_anew(
    package: ModelPackage, tmp_path: Path, runs: list[int], content: str
) -> None:
    (tmp_path / REMEMBERED).write_text(content)
    place_networks(package, CPU, "bfloat16", tmp_path)
    assert len(runs) == 1
    assert len(json.loads((tmp_path / REMEMBERED).read_text())) == 1


def test_another_version_of_pytorch_is_seen_anew(
    package: ModelPackage, tmp_path: Path, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    place_networks(package, CPU, "bfloat16", tmp_path)
    monkeypatch.setattr(torch, "__version__", "99.0.0")
    place_networks(package, CPU, "bfloat16", tmp_path)
    assert len(runs) == 2


def test_type_that_a_device_does_not_have_is_not_used(
    package: ModelPackage, tmp_path: Path, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "computes_in", lambda *_: False)
    placed = place_networks(package, CPU, "float16", tmp_path)
    assert (placed.precision, runs) == ("float32", [])
    assert "cpu does not compute in float16" in placed.reason
