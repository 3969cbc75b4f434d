"""A model package: weights, what is claimed of them, and the digests that hold both together.

The layout is that of a MONAI bundle, with a file of SHA-256 digests that ``sha256sum -c`` reads::

    configs/metadata.json      what the package says of itself
    configs/inference.json     how MONAI builds the network
    models/*.safetensors       the weights; several files are an ensemble
    docs/README.md             the same for people
    LICENSE                    of the weights
    SHA256SUMS                 the digests
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch

from mome_node.errors import PackageError
from mome_node.mome.bundle import inference_document, metadata_document, parse_metadata
from mome_node.mome.card import markdown
from mome_node.mome.config import ModelConfig
from mome_node.mome.digests import FileStamp, digest_of, read_text, verified_sums, write_sums
from mome_node.mome.network import Mome
from mome_node.mome.reference_run import ReferenceRun, run_reference
from mome_node.mome.statement import ModelIdentity, Statement
from mome_node.mome.weights import read_network, write_weights

METADATA = "configs/metadata.json"
INFERENCE = "configs/inference.json"
MODELS = "models"
CARD = "docs/README.md"
LICENSE = "LICENSE"


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of weights in ``models/``, with its stamp from before it was hashed."""

    name: str
    stamp: FileStamp


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A package whose files are what its digests say. ``digest`` is SHA-256 over all of them.

    Several ``weights`` are an ensemble: its result is the mean of their probabilities.
    """

    path: Path
    statement: Statement
    config: ModelConfig
    weights: tuple[WeightFile, ...]
    reference_run: ReferenceRun
    digest: str

    @staticmethod
    def load(path: Path | str) -> ModelPackage:
        """Read a package and check every file's digest; the weights themselves are not read yet.

        Raises PackageError for a package that is incomplete, altered or contradictory.
        """
        path = Path(path)
        # Taken before the digests, so that no change after them goes unnoticed.
        stamps = {
            file.relative_to(path / MODELS).as_posix(): FileStamp.of(file)
            for file in (path / MODELS).rglob("*")
            if file.is_file()
        }
        sums = verified_sums(path, required=(METADATA, INFERENCE, CARD, LICENSE))
        found = parse_metadata(read_text(path / METADATA))
        _check_weights_are(found.weights, stamps)
        files = tuple(WeightFile(name, stamps[name]) for name in found.weights)
        return ModelPackage(
            *(path, found.statement, found.config, files, found.reference_run, digest_of(sums))
        )

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is, for reports."""
        said = self.statement
        return ModelIdentity(said.name, said.version, self.digest, said.synthetic)

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """How an exam becomes the network's inputs: what ``PreprocessSpec.from_json`` reads."""
        return MappingProxyType(dict(self.statement.preprocessing))

    def networks(self) -> tuple[Mome, ...]:
        """Read all weights, each file into a network in evaluation mode, in the stated order.

        Float32 on the CPU, whatever they are stored as. Raises PackageError for weights that were
        altered, do not fit the stated sizes or are no numbers.
        """
        return tuple(self.network_of(file) for file in self.weights)

    def network(self) -> Mome:
        """Read the weights of a package that has one file of them. Raises PackageError."""
        if len(self.weights) != 1:
            raise PackageError(
                f"{self.statement.name} has {len(self.weights)} weight files, whose mean counts: "
                "it has no single network"
            )
        return self.network_of(self.weights[0])

    def network_of(self, file: WeightFile) -> Mome:
        """Read one of the package's weight files, as ``networks`` does."""
        self._check_unaltered(file)
        network = read_network(self.path / MODELS / file.name, self.config)
        self._check_unaltered(file)  # it may have been replaced before it was opened
        return network

    def check_unaltered(self) -> None:
        """Raise PackageError if a weight file is no longer the one whose digest was checked.

        Cheap: it asks the file system. Weights that are mapped change with their file, so whoever
        keeps networks for long may ask again.
        """
        for file in self.weights:
            self._check_unaltered(file)

    def _check_unaltered(self, file: WeightFile) -> None:
        try:
            unaltered = FileStamp.of(self.path / MODELS / file.name) == file.stamp
        except OSError:
            unaltered = False
        if not unaltered:
            raise PackageError(f"{MODELS}/{file.name} was altered after the package was loaded")


def _check_weights_are(names: Sequence[str], found: Mapping[str, FileStamp]) -> None:
    for fault, files in (
        ("names what is not there", set(names) - found.keys()),
        ("does not name", found.keys() - set(names)),
    ):
        if files:
            listed = ", ".join(f"{MODELS}/{name}" for name in sorted(files)[:5])
            raise PackageError(f"{METADATA}: mome.weights {fault}: {listed}")


@dataclass(frozen=True, slots=True)
class Verification:
    """A package that passed: what was checked, and how far the stored run was met."""

    identity: ModelIdentity
    checks: tuple[str, ...]
    difference: float
    tolerance: float


def verify_package(path: Path | str) -> Verification:
    """Check a package's files, weights and stored runs on this machine.

    Raises PackageError that says what is wrong.
    """
    package = ModelPackage.load(path)
    stored, files = package.reference_run, len(package.weights)
    worst, count = 0.0, 0
    for index, file in enumerate(package.weights):  # one network at a time is in memory
        network = package.network_of(file)
        count = sum(weight.numel() for weight in network.state_dict().values())
        difference = stored.difference(run_reference(network, stored.seed), file=index)
        if not difference <= stored.tolerance:
            raise PackageError(
                f"{MODELS}/{file.name}: the network's logits for seed {stored.seed} differ by "
                f"{difference:.2g} from those stored; at most {stored.tolerance:g} is allowed: "
                "this machine computes wrongly, or the package was made for another version of "
                "the architecture"
            )
        worst = max(worst, difference)
    each, runs = ("", "run is") if files == 1 else (f"{files} times ", f"runs of {files} files are")
    checks = (
        "every file has its stated SHA-256 digest, and none is missing or added",
        "the metadata has every field, each with an allowed value",
        f"the weights are {each}{count} finite numbers that fit the stated sizes",
        f"the stored {runs} met: logits differ by {worst:.2g} ({stored.tolerance:g} allowed)",
    )
    return Verification(package.identity, checks, worst, stored.tolerance)


def write_package(
    path: Path | str,
    networks: Mome | Sequence[Mome],
    statement: Statement,
    *,
    license_text: str,
    weights: Literal["float32", "float16"] = "float32",
    seed: int = 1,
) -> ModelPackage:
    """Write a new package, whole or not at all, and load it back.

    Several networks of the same sizes are an ensemble, such as the folds of a cross-validation.
    ``weights`` is the type that they are stored as; the stored runs are made with the weights as a
    reader gets them. Raises PackageError if ``path`` exists or the parts contradict each other.
    """
    path = Path(path)
    members = (networks,) if isinstance(networks, Mome) else tuple(networks)
    if path.exists():
        raise PackageError(f"{path.name} exists; packages are never overwritten")
    _check_members(members)
    _check_metadata(members, statement, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        _fill(partial, members, statement, license_text, getattr(torch, weights), seed)
        package = ModelPackage.load(partial)
        partial.chmod(0o755)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return replace(package, path=path)


def _check_members(members: Sequence[Mome]) -> None:
    if not members:
        raise PackageError("mome.weights: a package needs at least one network")
    for index, network in enumerate(members):
        if network.config != members[0].config:
            raise PackageError(
                f"mome.network: network {index + 1} of {len(members)} has other sizes than the "
                "first; the members of an ensemble share theirs"
            )


def _check_metadata(members: Sequence[Mome], said: Statement, seed: int) -> None:
    """Refuse contradictions at once: at full size, the runs that are stored take minutes."""
    config, names = members[0].config, _file_names(len(members))
    nothing = ReferenceRun(seed, ((0.0,) * config.classes,) * len(members))
    parse_metadata(_json(metadata_document(said, config, names, nothing)))


def _fill(
    root: Path,
    members: Sequence[Mome],
    said: Statement,
    license_text: str,
    dtype: torch.dtype,
    seed: int,
) -> None:
    config = members[0].config
    names = _file_names(len(members))
    for name in (METADATA, f"{MODELS}/{names[0]}", CARD):
        (root / name).parent.mkdir()
    logits = []
    for name, network in zip(names, members, strict=True):
        write_weights(root / MODELS / name, network, dtype)
        read_back = read_network(root / MODELS / name, config)
        logits.append(tuple(run_reference(read_back, seed)[0].double().tolist()))
    run = ReferenceRun(seed, tuple(logits))
    texts = {
        METADATA: _json(metadata_document(said, config, names, run)),
        INFERENCE: _json(inference_document(names)),
        CARD: markdown(said, config, files=len(names)),
        LICENSE: license_text,
    }
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")
    write_sums(root, (*texts, *(f"{MODELS}/{name}" for name in names)))


def _file_names(count: int) -> tuple[str, ...]:
    if count == 1:
        return ("model.safetensors",)
    return tuple(f"model_{n}.safetensors" for n in range(1, count + 1))


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
