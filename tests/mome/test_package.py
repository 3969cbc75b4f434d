from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from safetensors.torch import load_file, save_file
from torch import Tensor

from mome_node.errors import PackageError
from mome_node.mome import digests
from mome_node.mome.config import ModelConfig
from mome_node.mome.digests import SUMS, write_sums
from mome_node.mome.network import Mome
from mome_node.mome.package import (
    CARD,
    INFERENCE,
    METADATA,
    ModelPackage,
    verify_package,
    write_package,
)
from mome_node.mome.preprocess_spec import default_spec
from mome_node.mome.reference_run import reference_inputs
from mome_node.mome.statement import (
    Statement,
)
from mome_node.volumes.volume import Modality

Document = dict[str, Any]

DOCS = Path(__file__).parents[2] / "docs"
WEIGHTS = "models/model.safetensors"


def reseal(package: ModelPackage) -> None:
    """State the digests of what now lies in the package."""
    files = [p for p in package.path.rglob("*") if p.is_file() and p.name != SUMS]
    write_sums(package.path, [p.relative_to(package.path).as_posix() for p in files])


def test_package_gives_back_the_network_and_what_was_stated(
    package: ModelPackage, network: Mome, statement: Statement, inputs: dict[Modality, Tensor]
) -> None:
    assert package.statement == statement
    assert package.config == network.config
    assert package.preprocessing == default_spec(network.config).to_json()
    loaded = package.network()
    assert not loaded.training
    with torch.inference_mode():
        assert torch.equal(loaded(inputs), network(inputs))


def test_identity_names_the_package_and_its_digest(package: ModelPackage) -> None:
    sums = (package.path / SUMS).read_bytes()
    identity = package.identity
    assert (identity.name, identity.version, identity.synthetic) == ("test-model", "1.0", True)
    assert identity.digest == hashlib.sha256(sums).hexdigest()


def test_half_precision_package_is_half_the_size_and_verifies(
    tmp_path: Path, package: ModelPackage, network: Mome, statement: Statement
) -> None:
    small = write_package(
        tmp_path / "half", network, statement, license_text="free", weights="float16"
    )
    sizes = [(p.path / WEIGHTS).stat().st_size for p in (small, package)]
    assert sizes[0] < 0.7 * sizes[1]
    assert verify_package(small.path).difference < 1e-4
    weights = small.network().state_dict().values()
    assert {weight.dtype for weight in weights} == {torch.float32}


def test_same_network_and_statement_make_the_same_package(
    tmp_path: Path, package: ModelPackage, network: Mome, statement: Statement
) -> None:
    again = write_package(tmp_path / "again", network, statement, license_text="free")
    assert again.digest == package.digest


def test_verification_says_what_was_checked(package: ModelPackage) -> None:
    verification = verify_package(package.path)
    assert verification.identity == package.identity
    assert verification.difference <= verification.tolerance
    assert len(verification.checks) == 4


@pytest.fixture
def ensemble(tmp_path: Path, folds: tuple[Mome, ...], statement: Statement) -> ModelPackage:
    return write_package(tmp_path / "ensemble", folds, statement, license_text="free")


def test_several_networks_become_one_package_in_their_order(
    ensemble: ModelPackage, folds: tuple[Mome, ...], inputs: dict[Modality, Tensor]
) -> None:
    assert [file.name for file in ensemble.weights] == [
        f"model_{n}.safetensors" for n in range(1, len(folds) + 1)
    ]
    loaded = ModelPackage.load(ensemble.path).networks()
    with torch.inference_mode():
        for read, written in zip(loaded, folds, strict=True):
            assert torch.equal(read(inputs), written(inputs))


def test_package_of_several_files_has_no_single_network(ensemble: ModelPackage) -> None:
    with pytest.raises(PackageError, match="test-model has 3 weight files"):
        ensemble.network()


def test_package_of_one_file_gives_it_as_its_only_network(
    package: ModelPackage, inputs: dict[Modality, Tensor]
) -> None:
    (only,) = package.networks()
    with torch.inference_mode():
        assert torch.equal(only(inputs), package.network()(inputs))


def test_verification_runs_every_weight_file(ensemble: ModelPackage) -> None:
    assert "runs of 3 files are met" in verify_package(ensemble.path).checks[-1]
    rewrite(ensemble, lambda s: s["head.bias"].add_(0.01), "models/model_2.safetensors")
    with pytest.raises(PackageError, match=r"models/model_2\.safetensors: .* differ by 0\.01"):
        verify_package(ensemble.path)


def test_networks_of_different_sizes_are_no_ensemble(
    tmp_path: Path,
    network: Mome,
    small: ModelConfig,
    statement: Statement,
    make_network: Callable[..., Mome],
) -> None:
    wider = make_network(replace(small, ffn=64))
    for members, said in (([network, wider], "network 2 of 2 has other sizes"), ([], "at least")):
        with pytest.raises(PackageError, match=said):
            write_package(tmp_path / "p", members, statement, license_text="free")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["model_1.safetensors"], r"does not name: models/model_2\.safetensors, models/model_3"),
        ([f"model_{n}.safetensors" for n in range(1, 5)], r"not there: models/model_4\.saf"),
        (["model_1.safetensors"] * 3, "non-unique"),
        (["../LICENSE"], r"mome\.weights\.0"),
        ([], r"mome\.weights"),
    ],
)
def test_weight_files_that_are_not_those_stated_are_refused(
    ensemble: ModelPackage, names: Sequence[str], said: str
) -> None:
    path = ensemble.path / METADATA
    document = json.loads(path.read_text())
    document["mome"]["weights"] = names
    document["mome"]["reference_run"]["logits"] = [[0.0, 0.0]] * len(names)
    path.write_text(json.dumps(document))
    reseal(ensemble)
    with pytest.raises(PackageError, match=said):
        ModelPackage.load(ensemble.path)


def test_monai_builds_the_network_from_the_bundle(
    package: ModelPackage, network: Mome, inputs: dict[Modality, Tensor]
) -> None:
    parser = ConfigParser()
    parser.read_config(package.path / INFERENCE)
    parser.read_meta(package.path / METADATA)
    parser["bundle_root"] = str(package.path)
    parser["device"] = "cpu"
    built = parser.get_parsed_content("network_def")
    with torch.inference_mode():
        assert torch.equal(built(inputs), network(inputs))
    formats = parser["_meta_::network_data_format::inputs"]
    assert formats["dce"]["spatial_shape"] == [32, 32, 16]


def test_monai_builds_every_network_of_an_ensemble(
    ensemble: ModelPackage, folds: tuple[Mome, ...], inputs: dict[Modality, Tensor]
) -> None:
    parser = ConfigParser()
    parser.read_config(ensemble.path / INFERENCE)
    parser["bundle_root"] = str(ensemble.path)
    parser["device"] = "cpu"
    built = parser.get_parsed_content("network_def")
    with torch.inference_mode():
        for member, fold in zip(built, folds, strict=True):
            assert torch.equal(member(inputs), fold(inputs))


@pytest.mark.parametrize(
    "name", [METADATA, INFERENCE, WEIGHTS, "docs/README.md", "LICENSE"], ids=str
)
def test_altered_file_is_refused_by_name(package: ModelPackage, name: str) -> None:
    data = bytearray((package.path / name).read_bytes())
    data[-1] ^= 1
    (package.path / name).write_bytes(bytes(data))
    with pytest.raises(PackageError, match=f"{name} was altered"):
        ModelPackage.load(package.path)


@pytest.mark.parametrize("name", [METADATA, WEIGHTS, "LICENSE"], ids=str)
def test_missing_file_is_refused_by_name(package: ModelPackage, name: str) -> None:
    (package.path / name).unlink()
    with pytest.raises(PackageError, match=f"lacks {name}"):
        ModelPackage.load(package.path)


def test_file_that_no_digest_names_is_refused(package: ModelPackage) -> None:
    (package.path / "models" / "model.pt").write_bytes(b"pickle")
    with pytest.raises(PackageError, match=r"does not name models/model\.pt"):
        ModelPackage.load(package.path)


def test_link_in_a_package_is_refused(package: ModelPackage, tmp_path: Path) -> None:
    (package.path / "docs" / "more").symlink_to(tmp_path)
    with pytest.raises(PackageError, match="docs/more is a link"):
        ModelPackage.load(package.path)


@pytest.mark.parametrize("line", ["rubbish", "0" * 64 + "  ../../secret", "0" * 64 + "  LICENSE"])
def test_digest_list_that_is_no_digest_list_is_refused(package: ModelPackage, line: str) -> None:
    with (package.path / SUMS).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(PackageError, match=r"is no digest, or a file twice|lacks \.\./"):
        ModelPackage.load(package.path)


def test_folder_that_is_no_package_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="is no model package"):
        ModelPackage.load(tmp_path)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b" ")


def write_in_place(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x00")


def replace_by_a_copy(path: Path) -> None:
    shutil.copy2(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


@pytest.mark.parametrize("alter", [grow, write_in_place, replace_by_a_copy, Path.unlink])
def test_weights_altered_after_loading_are_refused(
    package: ModelPackage, alter: Callable[[Path], object]
) -> None:
    package.check_unaltered()
    alter(package.path / WEIGHTS)
    for ask in (package.network, package.networks, package.check_unaltered):
        with pytest.raises(PackageError, match=f"{WEIGHTS} was altered after"):
            ask()


def test_weights_that_are_replaced_while_they_are_read_are_refused(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mome_node.mome import package as module

    def read_another(path: Path, config: ModelConfig) -> Mome:
        replace_by_a_copy(path)
        return read(path, config)

    read = module.read_network
    monkeypatch.setattr(module, "read_network", read_another)
    with pytest.raises(PackageError, match="was altered after"):
        package.network()


def test_each_file_is_hashed_once_from_loading_to_the_network(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []

    def counting(path: Path) -> str:
        hashed.append(path.relative_to(package.path).as_posix())
        return sha256(path)

    sha256 = digests.sha256
    monkeypatch.setattr(digests, "sha256", counting)
    ModelPackage.load(package.path).networks()
    assert sorted(hashed) == sorted([METADATA, INFERENCE, WEIGHTS, CARD, "LICENSE"])


def rewrite(
    package: ModelPackage, change: Callable[[dict[str, Tensor]], object], name: str = WEIGHTS
) -> None:
    state = {name: weight.clone() for name, weight in load_file(package.path / name).items()}
    change(state)
    (package.path / name).unlink()
    save_file(state, package.path / name)
    reseal(package)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("head.bias"), r"head\.bias, is missing"),
        (lambda s: s.update(extra=torch.zeros(1)), r"extra, is \[1\] and should be absent"),
        (lambda s: s.update({"head.bias": torch.zeros(3)}), r"is \[3\] and should be \[2\]"),
        (lambda s: s.update({"head.bias": torch.zeros(2).double()}), "F64"),
        (lambda s: s["head.bias"].fill_(float("nan")), r"head\.bias holds NaN"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    package: ModelPackage, change: Callable[[dict[str, Tensor]], object], said: str
) -> None:
    rewrite(package, change)
    with pytest.raises(PackageError, match=said):
        ModelPackage.load(package.path).network()


def test_weights_file_that_is_none_is_refused(package: ModelPackage) -> None:
    (package.path / WEIGHTS).write_bytes(b"\xff" * 100)
    reseal(package)
    with pytest.raises(PackageError, match="SafetensorError"):
        ModelPackage.load(package.path).network()


def test_verification_fails_where_the_stored_run_is_not_met(package: ModelPackage) -> None:
    rewrite(package, lambda state: state["head.bias"].add_(0.01))
    with pytest.raises(PackageError, match=r"differ by 0\.01"):
        verify_package(package.path)


def test_package_is_never_overwritten(
    package: ModelPackage, network: Mome, statement: Statement
) -> None:
    with pytest.raises(PackageError, match="never overwritten"):
        write_package(package.path, network, statement, license_text="free")


def test_refused_package_leaves_nothing_behind(
    tmp_path: Path, network: Mome, statement: Statement
) -> None:
    classes = ("benign", "malignant", "unknown")
    with pytest.raises(PackageError, match=r"mome\.classes has 3"):
        write_package(
            tmp_path / "p", network, replace(statement, classes=classes), license_text="free"
        )
    assert list(tmp_path.iterdir()) == []


def test_reference_inputs_are_the_same_numbers_for_ever(network: Mome) -> None:
    inputs = reference_inputs(network.config, seed=1)
    digest = hashlib.sha256(b"".join(v.numpy().tobytes() for v in inputs.values())).hexdigest()
    assert digest == "09020254693fe5db11af2232ad8842fbbb05efffa8b91ba1edd40341b2e9d0c0"
    volume = inputs[Modality.DCE]
    assert abs(float(volume.mean())) < 0.02
    assert abs(float(volume.std()) - 1.0) < 0.02
