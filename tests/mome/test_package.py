from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from safetensors.torch import load_file, save_file
from torch import Tensor

from mome_node.errors import PackageError
from mome_node.mome.bundle import parse_metadata
from mome_node.mome.digests import SUMS, write_sums
from mome_node.mome.network import Mome
from mome_node.mome.package import (
    INFERENCE,
    METADATA,
    WEIGHTS,
    ModelPackage,
    verify_package,
    write_package,
)
from mome_node.mome.reference_run import reference_inputs
from mome_node.mome.statement import OperatingPoint, Statement
from mome_node.volumes.volume import Modality

Document = dict[str, Any]

POINT = OperatingPoint(
    name="high sensitivity",
    threshold=0.2,
    sensitivity=0.95,
    sensitivity_ci=(0.9, 0.98),
    specificity=0.6,
    specificity_ci=(0.5, 0.7),
    n=400,
    prevalence=0.5,
    population="phantoms",
)


def reseal(package: ModelPackage) -> None:
    """State the digests of what now lies in the package."""
    files = [p for p in package.path.rglob("*") if p.is_file() and p.name != SUMS]
    write_sums(package.path, [p.relative_to(package.path).as_posix() for p in files])


@pytest.fixture
def edit(package: ModelPackage) -> Callable[[Callable[[Document], object]], None]:
    """Change the metadata and state the new digests."""

    def edit_metadata(change: Callable[[Document], object]) -> None:
        path = package.path / METADATA
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))
        reseal(package)

    return edit_metadata


def test_package_gives_back_the_network_and_what_was_stated(
    package: ModelPackage, network: Mome, statement: Statement, inputs: dict[Modality, Tensor]
) -> None:
    assert package.statement == statement
    assert package.config == network.config
    assert package.preprocessing == {"recipe": 1}
    loaded = package.network()
    assert not loaded.training
    with torch.inference_mode():
        assert torch.equal(loaded(inputs), network(inputs))


def test_identity_names_the_package_and_its_digest(package: ModelPackage) -> None:
    sums = (package.path / SUMS).read_bytes()
    identity = package.identity
    assert (identity.name, identity.version, identity.synthetic) == ("test-model", "1.0", True)
    assert identity.digest == hashlib.sha256(sums).hexdigest()


def test_operating_point_survives(tmp_path: Path, network: Mome, statement: Statement) -> None:
    stated = replace(statement, operating_point=POINT)
    write_package(tmp_path / "p", network, stated, license_text="free")
    assert ModelPackage.load(tmp_path / "p").statement.operating_point == POINT


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


def test_weights_altered_after_loading_are_refused(package: ModelPackage) -> None:
    with (package.path / WEIGHTS).open("ab") as file:
        file.write(b" ")
    with pytest.raises(PackageError, match="altered after"):
        package.network()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["mome"].update(prior=1.5), "mome.prior: 1.5"),
        (lambda d: d["mome"].update(prior="half"), "mome.prior"),
        (lambda d: d["mome"].update(format=2), "mome.format"),
        (lambda d: d["mome"].update(synthetic=1), "mome.synthetic"),
        (lambda d: d["mome"].update(positive_class="cancer"), "mome.positive_class: 'cancer'"),
        (lambda d: d["mome"].update(classes=["a", "a"]), "mome.classes"),
        (lambda d: d["mome"].update(classes=["a", "b", "malignant"]), "mome.classes has 3"),
        (lambda d: d["mome"].update(operating_point={"name": "x"}), "mome.operating_point"),
        (lambda d: d["mome"].pop("preprocessing"), "mome: 'preprocessing'"),
        (lambda d: d["mome"].update(labels=1), "mome: .*'labels'"),
        (lambda d: d["mome"]["network"].update(heads=5), "mome.network: 5 heads"),
        (lambda d: d["mome"]["network"].update(width=10**9), "mome.network.width"),
        (lambda d: d["mome"]["network"]["dce"].update(size=[32, 32, 17]), "network.dce.size.2"),
        (lambda d: d["mome"]["reference_run"].update(logits=[1.0]), "reference_run.logits"),
        (lambda d: d["mome"]["reference_run"].update(tolerance=9), "reference_run.tolerance"),
        (lambda d: d.pop("network_data_format"), "'network_data_format' is a required"),
        (lambda d: d.update(version="../1"), "version"),
    ],
)
def test_wrong_metadata_is_refused_by_the_fields_name(
    package: ModelPackage,
    edit: Callable[[Callable[[Document], object]], None],
    change: Callable[[Document], object],
    said: str,
) -> None:
    edit(change)
    with pytest.raises(PackageError, match=said):
        ModelPackage.load(package.path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": NaN}', "[" * 100_000, "null"])
def test_metadata_that_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(PackageError, match=r"metadata\.json"):
        parse_metadata(text)


def rewrite(package: ModelPackage, change: Callable[[dict[str, Tensor]], object]) -> None:
    state = load_file(package.path / WEIGHTS)
    change(state)
    save_file(state, package.path / WEIGHTS)
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
