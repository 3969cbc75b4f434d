"""A model package: weights, what is claimed of them, and the digests that hold both together.

The layout is that of a MONAI bundle, with a file of SHA-256 digests that ``sha256sum -c`` reads::

    configs/metadata.json      what the package says of itself
    configs/inference.json     how MONAI builds the network
    models/model.safetensors   the weights
    docs/README.md             the same for people
    LICENSE                    of the weights
    SHA256SUMS                 the digests
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch

from mome_node.errors import PackageError
from mome_node.mome.bundle import card, inference_document, metadata_document, parse_metadata
from mome_node.mome.config import ModelConfig
from mome_node.mome.digests import digest_of, read_text, sha256, verified_sums, write_sums
from mome_node.mome.network import Mome
from mome_node.mome.reference_run import ReferenceRun, run_reference
from mome_node.mome.statement import ModelIdentity, Statement
from mome_node.mome.weights import read_network, write_weights

METADATA = "configs/metadata.json"
INFERENCE = "configs/inference.json"
WEIGHTS = "models/model.safetensors"
CARD = "docs/README.md"
LICENSE = "LICENSE"


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A package whose files are what its digests say. ``digest`` is SHA-256 over all of them."""

    path: Path
    statement: Statement
    config: ModelConfig
    reference_run: ReferenceRun
    digest: str
    weights_digest: str

    @staticmethod
    def load(path: Path | str) -> ModelPackage:
        """Read a package and check every file's digest; the weights themselves are not read yet.

        Raises PackageError for a package that is incomplete, altered or contradictory.
        """
        path = Path(path)
        sums = verified_sums(path, required=(METADATA, INFERENCE, WEIGHTS, CARD, LICENSE))
        statement, config, reference_run = parse_metadata(read_text(path / METADATA))
        return ModelPackage(path, statement, config, reference_run, digest_of(sums), sums[WEIGHTS])

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is, for reports."""
        said = self.statement
        return ModelIdentity(said.name, said.version, self.digest, said.synthetic)

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """How an exam becomes the network's inputs: what ``PreprocessSpec.from_json`` reads."""
        return MappingProxyType(dict(self.statement.preprocessing))

    def network(self) -> Mome:
        """Read the weights, checking their digest again, into a network in evaluation mode.

        Float32 on the CPU, whatever they are stored as. Raises PackageError for weights that were
        altered, do not fit the stated sizes or are no numbers.
        """
        weights = self.path / WEIGHTS
        if sha256(weights) != self.weights_digest:
            raise PackageError(f"{WEIGHTS} was altered after the package was loaded")
        return read_network(weights, self.config)


@dataclass(frozen=True, slots=True)
class Verification:
    """A package that passed: what was checked, and how far the stored run was met."""

    identity: ModelIdentity
    checks: tuple[str, ...]
    difference: float
    tolerance: float


def verify_package(path: Path | str) -> Verification:
    """Check a package's files, weights and stored run on this machine.

    Raises PackageError that says what is wrong.
    """
    package = ModelPackage.load(path)
    network = package.network()
    stored = package.reference_run
    difference = stored.difference(run_reference(network, stored.seed))
    if not difference <= stored.tolerance:
        raise PackageError(
            f"the network's logits for seed {stored.seed} differ by {difference:.2g} from those "
            f"stored; at most {stored.tolerance:g} is allowed: this machine computes wrongly, or "
            "the package was made for another version of the architecture"
        )
    count = sum(weight.numel() for weight in network.state_dict().values())
    checks = (
        "every file has its stated SHA-256 digest, and none is missing or added",
        "the metadata has every field, each with an allowed value",
        f"the weights are {count} finite numbers that fit the stated sizes",
        f"the stored run is met: logits differ by {difference:.2g} ({stored.tolerance:g} allowed)",
    )
    return Verification(package.identity, checks, difference, stored.tolerance)


def write_package(
    path: Path | str,
    network: Mome,
    statement: Statement,
    *,
    license_text: str,
    weights: Literal["float32", "float16"] = "float32",
    seed: int = 1,
) -> ModelPackage:
    """Write a new package, whole or not at all, and load it back.

    ``weights`` is the type that they are stored as; the stored run is made with the weights as a
    reader gets them. Raises PackageError if ``path`` exists or the parts contradict each other.
    """
    path = Path(path)
    if path.exists():
        raise PackageError(f"{path.name} exists; packages are never overwritten")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        _fill(partial, network, statement, license_text, getattr(torch, weights), seed)
        ModelPackage.load(partial)
        partial.chmod(0o755)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return ModelPackage.load(path)


def _fill(
    root: Path, network: Mome, said: Statement, license_text: str, dtype: torch.dtype, seed: int
) -> None:
    for name in (METADATA, WEIGHTS, CARD):
        (root / name).parent.mkdir()
    write_weights(root / WEIGHTS, network, dtype)
    read_back = read_network(root / WEIGHTS, network.config)
    logits = tuple(run_reference(read_back, seed)[0].double().tolist())
    texts = {
        METADATA: _json(metadata_document(said, network.config, ReferenceRun(seed, logits))),
        INFERENCE: _json(inference_document()),
        CARD: card(said, network.config),
        LICENSE: license_text,
    }
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")
    write_sums(root, (*texts, WEIGHTS))


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
