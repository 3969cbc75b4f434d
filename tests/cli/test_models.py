from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mome_node.mome.authors_layout import authors_names
from mome_node.mome.config import InputSize, ModelConfig
from mome_node.mome.network import Mome
from mome_node.mome.package import ModelPackage, write_package

CONFIG = ModelConfig(
    width=24,
    heads=3,
    ffn=48,
    layers=3,
    sparse_layers=2,
    adapter=6,
    experts=5,
    stem=(4, 8),
    dce=InputSize(6, (32, 32, 16)),
    dwi=InputSize(1, (32, 16, 16)),
    t2=InputSize(1, (16, 32, 32)),
)
SIZES = ("--size", "dce=32x32x16", "--size", "dwi=32x16x16", "--size", "t2=16x32x32")
SHAPES = {"dce": (6, 32, 32, 16), "dwi": (1, 32, 16, 16), "t2": (1, 16, 32, 32)}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint in the authors' layout."""
    torch.manual_seed(0)
    network = Mome(CONFIG)
    names = authors_names(CONFIG)
    state = {f"module.{names[name]}": weight for name, weight in network.state_dict().items()}
    path = tmp_path_factory.mktemp("checkpoint") / "model.th"
    torch.save({"epoch": 99, "state_dict": state}, path)
    return path


@pytest.fixture
def package(run, checkpoint: Path, tmp_path: Path) -> Path:
    path = tmp_path / "package"
    done = run(
        "model", "import", checkpoint, "--task", "malignancy", "--out", path, "--heads", 3,
        *SIZES, "--prior", 0.3,
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "digest" in done.out
    assert "not the authors'" in done.out
    assert "not the authors'" in (path / "docs" / "README.md").read_text(encoding="utf-8")
    return path


@pytest.fixture
def ensemble(package: Path, tmp_path: Path) -> Path:
    """The imported network thrice in one package."""
    loaded = ModelPackage.load(package)
    members = [loaded.network()] * 3
    return write_package(tmp_path / "ensemble", members, loaded.statement, license_text="none").path


@pytest.fixture
def npz(tmp_path: Path) -> Callable[..., Path]:
    def write(*modalities: str, **others: np.ndarray) -> Path:
        noise = np.random.default_rng(1)
        arrays = {m: noise.normal(size=SHAPES[m]).astype(np.float32) for m in modalities}
        np.savez(tmp_path / "in.npz", allow_pickle=False, **arrays, **others)
        return tmp_path / "in.npz"

    return write


def test_an_imported_package_verifies(run, package: Path) -> None:
    done = run("model", "verify", package)
    assert (done.status, done.err) == (0, "")
    assert [line[:2] for line in done.out.splitlines()[1:]] == ["ok"] * 4


def test_the_bundled_package_verifies(run) -> None:
    assert run("model", "verify", "demo").status == 0


def test_an_ensemble_verifies(run, ensemble: Path) -> None:
    done = run("model", "verify", ensemble)
    assert (done.status, done.err) == (0, "")
    assert "3 files are met" in done.out


def test_the_card_tells_everything_that_a_package_states(run) -> None:
    done = run("model", "show", "demo")
    assert (done.status, done.err) == (0, "")
    said = " ".join(done.out.split())
    for fact in (
        "mome-demonstration 1",
        "digest ",
        "Research use only",
        "Task malignancy",
        "Classes no malignant lesion in the phantom, malignant lesion in the phantom",
        "Positive class malignant lesion in the phantom",
        "Label The phantom holds a lesion",
        "Applies when no condition",
        "demonstration threshold: probability 0.885 with DCE + DWI + T2",
        "sensitivity 0.963 (95 % interval 0.895 to 0.987)",
        "n = 150, prevalence 0.533",
        "Calibrated no",
        "counted from a probability of 0.5",
        "Vendors any",
        "Field strength any",
        "Laterality bilateral",
        "Synthetic yes",
        "Weight files 1",
        "Input DCE 6 channels of 96 x 64 x 32 voxels",
        "Orientation LPS",
        "b-value from 600 to 1500 s/mm²",
    ):
        assert fact in said


def test_the_card_fits_the_terminal(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    done = run("model", "show", "demo")
    digest = next(line for line in done.out.splitlines() if line.startswith("digest"))
    assert max(len(line) for line in done.out.splitlines() if line != digest) <= 72


def test_the_card_for_programs_is_the_statement_with_sizes_and_digest(
    run, package: Path, ensemble: Path
) -> None:
    done = run("model", "show", package, "--json")
    assert (done.status, done.err) == (0, "")
    card, loaded = json.loads(done.out), ModelPackage.load(package)
    stated = json.loads(json.dumps(loaded.statement.to_json()))
    assert {name: card[name] for name in stated} == stated
    assert (card["version"], card["digest"]) == ("1", loaded.digest)
    assert card["network"]["width"] == CONFIG.width
    assert card["network"]["dce"] == {"channels": 6, "size": [32, 32, 16]}
    assert card["weights"] == ["model.safetensors"]
    several = json.loads(run("model", "show", ensemble, "--json").out)
    assert several["weights"] == [f"model_{n}.safetensors" for n in (1, 2, 3)]


def test_a_folder_that_is_no_package_has_no_card(run, tmp_path: Path) -> None:
    done = run("model", "show", tmp_path)
    assert (done.status, done.out) == (1, "")
    assert "is no model package" in done.err


def test_help_of_the_card_ends_with_an_example(run) -> None:
    assert "example: mome-node model show ./package" in run("model", "show", "--help").out


@pytest.mark.parametrize("classes", [3, 4])
def test_a_head_of_another_width_than_the_task_is_refused(
    run, checkpoint: Path, tmp_path: Path, classes: int
) -> None:
    loaded = torch.load(checkpoint, weights_only=True)
    loaded["state_dict"]["module.head.weight"] = torch.zeros(classes, CONFIG.width)
    loaded["state_dict"]["module.head.bias"] = torch.zeros(classes)
    torch.save(loaded, tmp_path / "wide.th")
    done = run(
        "model", "import", tmp_path / "wide.th", "--task", "malignancy",
        "--out", tmp_path / "p", "--heads", 3, *SIZES,
    )  # fmt: skip
    assert (done.status, done.out) == (1, "")
    assert f"the head has {classes} classes; malignancy has 2" in done.err
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    "modalities", [("dce", "dwi", "t2"), ("dce",), ("dwi", "t2")], ids="+".join
)
def test_a_run_on_arrays_writes_scores_and_contributions(
    run, package: Path, npz: Callable[..., Path], tmp_path: Path, modalities: tuple[str, ...]
) -> None:
    out = tmp_path / "scores.npz"
    done = run("model", "run", package, "--npz", npz(*modalities), "--out", out)
    assert (done.status, done.err) == (0, "")
    scores = np.load(out)
    contributions = {f"contribution_{m}" for m in modalities}
    assert set(scores) == {"logits", "probabilities", "probability"} | contributions
    assert scores["logits"].shape == scores["probabilities"].shape == (2,)
    assert scores["probabilities"].sum() == pytest.approx(1)
    assert float(scores["probability"]) == pytest.approx(float(scores["probabilities"][1]))
    total = 0.3 + sum(float(scores[name]) for name in contributions)
    assert total == pytest.approx(float(scores["probability"]), abs=1e-6)
    assert f"{float(scores['probability']):.6f}" in done.out


def test_arrays_that_the_model_does_not_take_are_refused(
    run, package: Path, npz: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "scores.npz"
    for bad in (
        npz(),
        npz("dce", adc=np.zeros(3, np.float32)),
        npz(dce=np.zeros((6, 8, 8, 8), np.float32)),
        npz(dwi=np.full(SHAPES["dwi"], np.nan, np.float32)),
        npz(dwi=np.zeros(SHAPES["dwi"], np.int16)),
        tmp_path / "none.npz",
        tmp_path,
    ):
        done = run("model", "run", package, "--npz", bad, "--out", out)
        assert (done.status, done.out) == (1, "")
        assert done.err.startswith("mome-node model: ")
        assert "Traceback" not in done.err
        assert not out.exists()


def test_scores_that_cannot_be_written_are_told(
    run, package: Path, npz: Callable[..., Path], tmp_path: Path
) -> None:
    done = run("model", "run", package, "--npz", npz("t2"), "--out", tmp_path / "none" / "out.npz")
    assert (done.status, done.out) == (1, "")
    assert "No such file or directory" in done.err


def test_an_altered_package_is_refused(run, package: Path, npz: Callable[..., Path]) -> None:
    altered = next((package / "docs").iterdir())
    altered.write_bytes(altered.read_bytes() + b" ")
    for command in (
        ("verify", package),
        ("show", package),
        ("run", package, "--npz", npz("t2"), "--out", "x.npz"),
    ):
        done = run("model", *command)
        assert (done.status, done.out) == (1, "")
        assert altered.name in done.err


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04" + bytes(1000)])
def test_what_is_no_checkpoint_is_refused_and_leaves_nothing(
    run, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "bad.th").write_bytes(content)
    done = run(
        "model", "import", tmp_path / "bad.th", "--task", "pcr", "--out", tmp_path / "package"
    )
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("mome-node model: ")
    assert not (tmp_path / "package").exists()


def test_an_import_never_overwrites_a_package(run, package: Path, checkpoint: Path) -> None:
    before = {p: p.read_bytes() for p in package.rglob("*") if p.is_file()}
    done = run(
        "model", "import", checkpoint, "--task", "pcr", "--out", package, "--heads", 3, *SIZES
    )
    assert done.status == 1
    assert {p: p.read_bytes() for p in package.rglob("*") if p.is_file()} == before


def test_a_size_given_twice_is_wrong_usage(run, checkpoint: Path, tmp_path: Path) -> None:
    done = run(
        "model", "import", checkpoint, "--task", "pcr", "--out", tmp_path / "p",
        "--size", "dce=32x32x16", "--size", "dce=64x32x16",
    )  # fmt: skip
    assert done.status == 2
    assert not (tmp_path / "p").exists()
