from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from mome_node.errors import CheckpointError, ModelError
from mome_node.mome.authors_layout import authors_names
from mome_node.mome.config import ModelConfig
from mome_node.mome.importing import TASKS, import_package
from mome_node.mome.network import Mome
from mome_node.mome.package import verify_package
from mome_node.volumes.volume import Modality


@pytest.fixture
def checkpoint(tmp_path: Path, network: Mome, small: ModelConfig) -> Path:
    names = authors_names(small)
    state = {f"module.{names[name]}": weight for name, weight in network.state_dict().items()}
    path = tmp_path / "checkpoint.th"
    torch.save({"epoch": 99, "state_dict": state, "optimizer": {}}, path)
    return path


@pytest.fixture
def sizes(small: ModelConfig) -> dict[Modality, tuple[int, int, int]]:
    return {m: small.input_of(m).size for m in Modality}


@pytest.mark.parametrize("task", [task.name for task in TASKS])
def test_checkpoint_becomes_a_package_that_verifies(
    tmp_path: Path,
    checkpoint: Path,
    sizes: dict[Modality, tuple[int, int, int]],
    network: Mome,
    inputs: dict[Modality, Tensor],
    task: str,
) -> None:
    package = import_package(
        checkpoint,
        tmp_path / "package",
        task=task,
        preprocessing=lambda _: {"recipe": 1},
        heads=3,
        sizes=sizes,
        prior=0.25,
    )
    said = package.statement
    assert (said.task, said.prior, said.positive_index, said.synthetic) == (task, 0.25, 1, False)
    assert verify_package(package.path).identity.digest == package.digest
    with torch.inference_mode():
        assert torch.equal(package.network()(inputs), network(inputs))


def test_unknown_task_is_refused_with_the_known_ones(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="known: malignancy, tnbc, pcr"):
        import_package(checkpoint, tmp_path / "p", task="grade", preprocessing=lambda _: {})


def test_head_with_other_classes_than_the_task_is_refused(
    tmp_path: Path, checkpoint: Path, sizes: dict[Modality, tuple[int, int, int]]
) -> None:
    loaded = torch.load(checkpoint, weights_only=True)
    loaded["state_dict"]["module.head.weight"] = torch.zeros(4, 24)
    loaded["state_dict"]["module.head.bias"] = torch.zeros(4)
    torch.save(loaded, checkpoint)
    with pytest.raises(CheckpointError, match="4 classes; malignancy has 2"):
        import_package(
            checkpoint,
            tmp_path / "p",
            task="malignancy",
            preprocessing=lambda _: {},
            heads=3,
            sizes=sizes,
        )
    assert not (tmp_path / "p").exists()
