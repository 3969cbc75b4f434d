from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mome_node.errors import CheckpointError, ModelError
from mome_node.mome.authors_layout import authors_names
from mome_node.mome.config import InputSize, ModelConfig
from mome_node.mome.importing import TASKS, import_package
from mome_node.mome.network import Mome
from mome_node.mome.package import CARD, ModelPackage, verify_package
from mome_node.mome.preprocess_spec import default_spec
from mome_node.mome.statement import BEFORE_TREATMENT, HISTOLOGY_PROVEN, Accepts, Calibration
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
        checkpoint, tmp_path / "package", task=task, heads=3, sizes=sizes, prior=0.25
    )
    said = package.statement
    assert (said.task, said.prior, said.positive_index, said.synthetic) == (task, 0.25, 1, False)
    assert verify_package(package.path).identity.digest == package.digest
    with torch.inference_mode():
        assert torch.equal(package.network()(inputs), network(inputs))


@pytest.mark.parametrize(
    ("task", "applies_when"),
    [
        ("malignancy", ()),
        ("tnbc", (HISTOLOGY_PROVEN,)),
        ("pcr", (HISTOLOGY_PROVEN, BEFORE_TREATMENT)),
    ],
)
def test_imported_package_asks_for_the_indication_it_was_trained_on_and_claims_nothing(
    tmp_path: Path,
    checkpoint: Path,
    sizes: dict[Modality, tuple[int, int, int]],
    task: str,
    applies_when: tuple[str, ...],
) -> None:
    said = import_package(
        checkpoint, tmp_path / "package", task=task, heads=3, sizes=sizes
    ).statement
    assert said.applies_when == applies_when
    assert (said.accepts, said.calibration) == (Accepts(), Calibration())
    assert said.operating_points == ()


def test_card_of_an_import_says_that_preprocessing_is_not_the_authors(
    tmp_path: Path, checkpoint: Path, sizes: dict[Modality, tuple[int, int, int]]
) -> None:
    package = import_package(
        checkpoint, tmp_path / "package", task="malignancy", heads=3, sizes=sizes
    )
    assert package.preprocessing == default_spec(package.config).to_json()
    card = (package.path / CARD).read_text(encoding="utf-8")
    assert "this node's default and not the authors'" in card
    assert "not the\npublished model's scores" in card


def test_card_of_an_import_with_known_preprocessing_calls_it_no_guess(
    tmp_path: Path, checkpoint: Path, sizes: dict[Modality, tuple[int, int, int]]
) -> None:
    def known(config: ModelConfig) -> dict[str, object]:
        return replace(default_spec(config), fewer_posts="refuse").to_json()

    package = import_package(
        checkpoint,
        tmp_path / "package",
        task="malignancy",
        preprocessing=known,
        heads=3,
        sizes=sizes,
    )
    assert package.preprocessing["dce"]["fewer_posts"] == "refuse"
    assert "default" not in (package.path / CARD).read_text(encoding="utf-8")


def test_unknown_task_is_refused_with_the_known_ones(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="known: malignancy, tnbc, pcr"):
        import_package(checkpoint, tmp_path / "p", task="grade")


@pytest.mark.parametrize("classes", [3, 4])
@pytest.mark.parametrize("task", [task.name for task in TASKS])
def test_head_with_other_classes_than_the_task_is_refused(
    tmp_path: Path,
    checkpoint: Path,
    sizes: dict[Modality, tuple[int, int, int]],
    classes: int,
    task: str,
) -> None:
    loaded = torch.load(checkpoint, weights_only=True)
    loaded["state_dict"]["module.head.weight"] = torch.zeros(classes, 24)
    loaded["state_dict"]["module.head.bias"] = torch.zeros(classes)
    torch.save(loaded, checkpoint)
    with pytest.raises(CheckpointError, match=f"{classes} classes; {task} has 2"):
        import_package(checkpoint, tmp_path / "p", task=task, heads=3, sizes=sizes)
    assert not (tmp_path / "p").exists()


def test_example_on_the_page_for_own_checkpoints_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small: ModelConfig,
    make_network: Callable[..., Mome],
) -> None:
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "own-checkpoint.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    config = replace(
        small,
        heads=4,
        dce=InputSize(6, (64, 48, 32)),
        dwi=InputSize(1, (32, 32, 16)),
        t2=InputSize(1, (64, 48, 16)),
    )
    names = authors_names(config)
    for fold in range(1, 6):
        weights = make_network(config, seed=fold).state_dict().items()
        torch.save({names[name]: weight for name, weight in weights}, tmp_path / f"fold{fold}.th")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "own-checkpoint.md", "exec"), {})
    written = ModelPackage.load(tmp_path / "our-package")
    assert len(written.weights) == 5
    assert written.statement.accepts.vendors == ("siemens", "ge")
